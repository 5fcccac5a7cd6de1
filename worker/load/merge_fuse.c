#include "worker/load/merge_fuse.h"

#include <stdio.h>

enum { FUSE_ROWS_MIN = 50 }; /* below it only "everything" trips the fuse */

/* 0.7 of 90 is 62.99... in doubles, but 63 are not more than that share. Far above what doubles
 * lose and far below one row of any table. */
#define FUSE_TOLERANCE 1e-12

bool merge_fuse_blows(const struct merge_request *request, int64_t gone, int64_t scope)
{
    if (gone == 0 || request->allow_mass_delete) {
        return false;
    }
    double share = request->max_delete_fraction * (double)scope;
    return request->hold || gone >= scope ||
           (scope >= FUSE_ROWS_MIN && (double)gone > share * (1 + FUSE_TOLERANCE));
}

/* Records that are only ever replaced, a parent's at a time, come back under new keys. */
static bool are_replaced(const struct merge *merge)
{
    return merge->sql.request->deletes == MERGE_DELETE_OWED ||
           (merge->sql.request->parent != NULL &&
            merge->sql.task->parent_refresh == REFRESH_CHANGED);
}

/* The deletions of a few parents' records are measured against all rows of the table; counting
 * stops where the result is certain. */
static bool count_table(struct merge *merge, int64_t lost, struct error *err)
{
    double fraction = merge->sql.request->max_delete_fraction;
    double enough = fraction > 0 ? (double)lost / fraction + FUSE_ROWS_MIN : 1e15;
    char sql[256];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM (SELECT FROM {table} t WHERE t.\"source\" = {source}"
                   " LIMIT %.0f) landed",
                   enough < 1e15 ? enough : 1e15);
    return merge_ask_number(merge, sql, &merge->result.scope_rows, err);
}

bool merge_check_fuse(struct merge *merge, struct error *err)
{
    const struct merge_request *request = merge->sql.request;
    int64_t lost = merge->result.gone_rows - (are_replaced(merge) ? merge->n_new : 0);
    if (lost <= 0) {
        merge->result.held =
            request->hold && !request->allow_mass_delete && merge->result.gone_rows > 0;
        return true;
    }
    if (request->deletes == MERGE_DELETE_OWED && !count_table(merge, lost, err)) {
        return false;
    }
    merge->result.held = merge_fuse_blows(request, lost, merge->result.scope_rows);
    return true;
}
