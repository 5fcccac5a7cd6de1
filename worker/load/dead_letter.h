#pragma once

#include "worker/load/merge_sql.h"

/* ops.dead_letter as part of a merge. */

/* Is a rejected record of the task waiting to be resolved? */
bool dead_letter_any_open(struct db *db,
                          const struct merge_sql *sql,
                          bool *ret_any,
                          struct error *err);

/* The task's rejects are recorded or refreshed, and those whose record has landed or has gone are
 * resolved. */
bool dead_letter_merge(struct db *db,
                       const struct merge_sql *sql,
                       int64_t n_rejects,
                       struct error *err);
