#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "common/io/hash.h"
#include "worker/transform/cell.h"

/*
 * Rows on their way to staging: cells are typed by the catalog (coerce.h) and encoded as tuples of
 * PostgreSQL's binary COPY format. A record that cannot be typed becomes a reject with its reason
 * and payload; the rest goes on. Owned by one lane, reset page by page.
 *
 * A tuple of staging holds the task's columns in catalog order, then etl_hash uuid (XXH3-128 over
 * the encoded columns, the absent set and the batch's form), then etl_absent varbit (bit i = column
 * i was absent; NULL when none was). A tuple of the key census holds the key columns, the version
 * column and the revision column (those that exist, in catalog order) and nothing else. A tuple of
 * rejects holds record_key text, reason text, payload jsonb.
 */

enum { ROW_COLUMNS_MAX = TASK_MAX_COLUMNS, ROW_HASH_BYTES = 16 };

enum row_shape { ROW_FULL, ROW_KEYS };

struct row_batch {
    const struct task_def *task;
    enum row_shape shape;
    struct hash128 form; /* of the table the rows are for; set by the owner, of zeros after init */
    struct buf rows;     /* framed COPY data, header written by row_batch_reset */
    struct buf rejects;  /* the same */
    struct buf hashes;   /* of rows of ROW_FULL, ROW_HASH_BYTES each */
    size_t last_row;     /* where in `rows` the last one begins */
    int64_t n_rows;
    int64_t n_rejects;
    int64_t n_nul_removed;
    struct buf scratch;
    uint64_t absent_columns[ROW_COLUMNS_MAX /
                            64]; /* union over the batch: bit per column, for reports */
};

/* limit_bytes bounds rows + rejects. At most ROW_COLUMNS_MAX columns. */
void row_batch_init(struct row_batch *batch,
                    const struct task_def *task,
                    enum row_shape shape,
                    size_t limit_bytes);
void row_batch_release(struct row_batch *batch);
void row_batch_reset(struct row_batch *batch);

/* Types and appends one record. cells: task->n_columns of them. payload: the record as received
 * (JSON text), stored with a reject; if empty it is put together from the cells. An untypable key
 * column is also a reject (record_key is then the raw text). Returns false only for ERROR_LIMIT. */
bool row_batch_add(struct row_batch *batch,
                   const struct cell *cells,
                   struct str payload,
                   struct error *err);

/* Adds a reject that the connector itself found. */
bool row_batch_reject(struct row_batch *batch,
                      struct str record_key,
                      const char *reason,
                      struct str payload,
                      struct error *err);

/* Writes the COPY trailers; the batch may then be sent. */
void row_batch_finish(struct row_batch *batch);

/* Of a finished batch: its rows need not be sent; its rejects and counters stay. */
void row_batch_drop_rows(struct row_batch *batch);

/* The text form of a record's key: the key columns' text joined by ":". */
void row_record_key(const struct task_def *task, const struct cell *cells, struct buf *out);
