#pragma once

#include <stdbool.h>

#include "common/base/str.h"
#include "worker/transform/row.h"

/*
 * Rows that are landed already. Of a finished batch, those whose hash is among the hashes of landed
 * rows are cut down to what a merge needs of a row that stays as it is. A hash covers all columns,
 * the key too: whatever has it is landed under this key and with this content. Pure.
 */

/* Is the column part of a known row: key, version, revision, the parent's key? */
bool row_is_known_column(const struct task_def *task, size_t column);

/* The key columns of the batch's first row, and of its last, as encoded: n_key_columns views into
 * the batch, which must hold a row. */
void row_known_first(const struct row_batch *batch, struct str *ret_key);
void row_known_last(const struct row_batch *batch, struct str *ret_key);

/* Are the batch's rows, one by one, those with the first of `hashes`? */
bool row_known_are_all(const struct row_batch *batch, struct str hashes);

/* Takes the rows whose hash is among `hashes` (ROW_HASH_BYTES each) out of the batch and appends
 * what is left of them to `known`, as tuples of binary COPY: the columns of row_is_known_column in
 * catalog order, etl_hash, and an etl_absent of no bits, by which they are recognised. Returns how
 * many. Rows and hashes are expected in the same order, that of the key; a row out of it is merely
 * taken for one that is not landed. */
int64_t row_known_cut(struct row_batch *batch, struct str hashes, struct buf *known);
