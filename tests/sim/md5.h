#pragma once

#include "common/base/str.h"

/* RFC 1321, only to give recorded rows the ids that the data's mapping prescribes. */
void md5_hex(struct str text, char out[33]);
