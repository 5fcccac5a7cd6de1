#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/str.h"

/*
 * What jsonb cannot hold though it is good JSON: the character U+0000 and numbers beyond numeric.
 * One such value would break the COPY of a whole page. Pure.
 */

/* Appends the JSON document `text` without its \u0000 escapes, whose count is added to
 * *removed_nul. False, with nothing appended, if a number in it is beyond what jsonb stores. */
bool jsonb_append_document(struct buf *out, struct str text, int64_t *removed_nul);

/* Appends `text` as a JSON string without its NUL bytes. */
void jsonb_append_string(struct buf *out, struct str text, int64_t *removed_nul);

/* Appends `text` without its NUL bytes. */
void jsonb_append_without_nul(struct buf *out, struct str text, int64_t *removed_nul);
