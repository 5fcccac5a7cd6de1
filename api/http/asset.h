#pragma once

#include "common/base/str.h"

/* Files of api/http/assets, embedded at build time; a name that is not there is a bug. */
struct str asset_text(const char *name);
