#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/conf/catalog.h"
#include "worker/transform/cell.h"

/*
 * One value: cell -> PostgreSQL's binary representation of a column type. Pure.
 *
 * Empty text is NULL for every type. integer/bigint take "2.0" but not "2.5", range-checked.
 * boolean takes true/false/1/0 in any case. timestamptz takes "YYYY-MM-DD HH:MM:SS" (UTC) and
 * RFC 3339 with 0-9 fractional digits. date takes "YYYY-MM-DD", alone or as the front of either
 * timestamp form. interval takes an epoch offset "1970-01-03 14:33:00" (negative before 1970),
 * "[-]HHH:MM:SS" and whole or decimal seconds; it is encoded in microseconds only (no months, no
 * days). numeric takes decimal and exponent notation, at most 1000 digits. text takes anything; a
 * CELL_JSON becomes its text. jsonb takes CELL_JSON as is and scalars as JSON scalars; NUL
 * characters are removed from both (escaped \u0000 in JSON included) and counted.
 */

enum coerce_result { COERCE_NULL, COERCE_VALUE, COERCE_REJECT };

/* Appends the value's bytes (no length word) to `out` for COERCE_VALUE. For COERCE_REJECT nothing
 * is appended and *ret_reason is a static phrase ("is not an integer"). *removed_nul is increased
 * by the NULs removed. CELL_ABSENT gives COERCE_NULL. */
enum coerce_result coerce_append(struct buf *out,
                                 enum column_type type,
                                 const struct cell *cell,
                                 const char **ret_reason,
                                 int64_t *removed_nul);
