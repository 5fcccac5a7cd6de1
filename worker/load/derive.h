#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/load/staging.h"

/*
 * Rows that are made from rows which are landed already, put into a task's staging as if they had
 * been fetched: the latest revision of each work item, the people whom records name.
 */

struct derivation {
    const struct staging *staging;
    const char *source;
    const struct task_def *origin; /* whose landed rows they are made from */
    bool all;                      /* else those that the task owes up to the id */
    int64_t owed_up_to;
};

/* task->latest_of: for each key the landed row of `origin` whose last key column is greatest; of
 * all keys, or of those that the task owes up to the given id. */
bool derive_latest(struct db *db,
                   const struct derivation *derivation,
                   int64_t *ret_rows,
                   struct error *err);

/* task->people_of: everybody named by an identity field of the landed rows of `origin` whom staging
 * does not hold: the columns unique_name and display_name as they were last seen. */
bool derive_people(struct db *db,
                   const struct staging *staging,
                   const char *source,
                   const struct task_def *origin,
                   int64_t *ret_rows,
                   struct error *err);
