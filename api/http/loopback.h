#pragma once

#include <stdbool.h>

#include "common/base/str.h"

/* Does this name only ever mean this machine: localhost, *.localhost, an address in 127.0.0.0/8,
 * ::1? `host` may carry a port and, for IPv6, brackets. A name that merely begins with "127." is
 * anybody's. */
bool host_is_loopback(struct str host);
