#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "tests/sim/fault.h"

/* What the fault bad_value puts in place of a field's JSON value. */

/* The same rows are hit whenever they are read. */
bool bad_value_hits(const struct fault *fault, struct str id);
void bad_value_write(struct buf *out, const struct fault *fault, struct str raw, bool with_display);
