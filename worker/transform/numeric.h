#pragma once

#include "common/base/buf.h"
#include "common/base/str.h"

/*
 * PostgreSQL's binary form of numeric: a big-endian header (digit count, weight, sign, scale) and
 * digits in base 10000. Decimal text goes in without passing through a double. Pure.
 */

enum { NUMERIC_DIGITS_MAX = 1000 };

enum numeric_result { NUMERIC_OK, NUMERIC_MALFORMED, NUMERIC_TOO_LONG };

/* Takes decimal and exponent notation ("-1.50", "1e-3", ".5"), keeps trailing zeros as scale.
 * Appends nothing unless NUMERIC_OK. TOO_LONG: written out it has more than NUMERIC_DIGITS_MAX
 * digits. */
enum numeric_result numeric_append(struct buf *out, struct str text);
