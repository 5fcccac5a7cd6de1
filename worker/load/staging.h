#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/load/span.h"
#include "worker/transform/row.h"

/*
 * The UNLOGGED tables in schema `staging` that collect one task's pages until it is published:
 * rows, the key census of a reconcile, and rejects. Names carry execution and task, so what a dead
 * worker left is recognised and swept.
 *
 * struct staging is const after creation and shared by the task's lanes; each lane writes through
 * its own connection.
 */

struct staging {
    int64_t execution_id;
    const struct task_def *task;
    char *rows;    /* qualified and quoted: "staging"."e17.snow.incident" */
    char *keys;    /* "....k" */
    char *rejects; /* "....r"; its row without a key marks the three tables as whole */
    char *copy_rows;
    char *copy_known;
    char *copy_keys;
    char *copy_rejects;
    char *select_hashes; /* of the landed rows from key ($1, ...) on, in its order, as one bytea */
    char *create_spans;  /* pg_temp.span, until the transaction ends */
    char *copy_spans;
    char *stage_spans;       /* the landed rows of pg_temp.span, as known rows */
    struct span_pool *spans; /* NULL: every row is staged */
};

/* Creates the tables empty (replacing leftovers of the same name); the key census only if asked
 * for, since a table costs more WAL than a small increment. NULL on failure; free with
 * staging_free. */
struct staging *staging_create(struct db *db,
                               int64_t execution_id,
                               const char *source,
                               const struct task_def *task,
                               bool with_census,
                               struct error *err);

/* Before the first row: where nobody but the merge looks at the staged rows, pages that are landed
 * just as they are need not be staged (span.h). */
void staging_keep_spans(struct staging *staging);
bool staging_drop(struct db *db, const struct staging *staging, struct error *err);
void staging_free(struct staging *staging); /* memory only; accepts NULL */

/* Appends a finished batch (rows or keys by its shape, and its rejects) in one transaction. */
bool staging_add(struct db *db,
                 const struct staging *staging,
                 const struct row_batch *batch,
                 struct error *err);

/* ERROR_TRANSIENT if PostgreSQL crashed since they were made and emptied the tables. */
bool staging_check(struct db *db, const struct staging *staging, struct error *err);

/* Rejects staged so far; fails as staging_check does. */
bool staging_count_rejects(struct db *db,
                           const struct staging *staging,
                           int64_t *ret_rejects,
                           struct error *err);

/* Sets ERROR_TRANSIENT: n rows that were landed as they are when their page was read are not any
 * more. Returns false. */
bool staging_fail_edited(const struct staging *staging, int64_t n, struct error *err);

/* Drops the staging tables of executions that are not running. */
bool staging_sweep(struct db *db, int64_t *ret_dropped, struct error *err);
