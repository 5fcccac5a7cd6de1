#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/load/staging.h"

/*
 * Staging into the landed table, inside the caller's transaction. Writes only what differs: one
 * anti-join on the row hash finds new, changed and gone rows, and a fingerprint of all hashes
 * tells when there is none to find, so a run without changes writes nothing. The statements are
 * composed in merge_sql.c from the catalog's columns.
 *
 * The changed keys stay readable in the temporary table pg_temp.delta (key columns, kind "char":
 * 'i' inserted, 'u' updated, 'd' deleted; dropped at commit) for whoever refreshes from them; its
 * column etl_row is the merge's own. Where a column names the ticket that a row is about,
 * etl_ticket holds it: of changed and deleted rows as it was, so that whoever refreshes tickets
 * knows both.
 */

enum merge_deletes {
    MERGE_DELETE_NONE,     /* increments */
    MERGE_DELETE_MISSING,  /* full, window: rows in scope that staging does not hold go */
    MERGE_DELETE_UNLISTED, /* reconcile: rows that the key census does not list go */
    MERGE_DELETE_OWED,     /* rows of the parents that were read again go if staging lacks them; the
                            * fuse looks at what the whole table loses, replacements aside */
};

struct merge_request {
    const struct staging *staging;
    const char *source;
    enum merge_deletes deletes;
    bool has_window; /* scope of MISSING: window column in [from, to); else the whole table */
    int64_t window_from_us;
    int64_t window_to_us;
    int64_t owed_up_to;            /* OWED: the task's rows of ops.owed up to this id */
    const struct task_def *parent; /* staged rows of no landed parent are dropped; NULL: all stay */
    bool keeps_newer; /* a staged row of an older version than the landed one counts as duplicate */
    bool hold;        /* the fuse blows at the first row */
    bool allow_mass_delete;
    double max_delete_fraction;
};

struct merge_result {
    int64_t staged;     /* rows in staging before deduplication */
    int64_t foreign;    /* rows whose parent is not landed: dropped */
    int64_t duplicates; /* older or equal versions of a key that were dropped, also of a landed one
                         * with keeps_newer */
    int64_t inserted;
    int64_t updated;
    int64_t unchanged;
    int64_t deleted;
    int64_t rejected;
    int64_t scope_rows; /* of the target, before; 0 where nothing may be deleted */
    int64_t gone_rows;  /* rows the request would delete */
    bool held;          /* the fuse: nothing was written, the caller rolls back */
};

/* Rows whose key is among the task's rejects are never deleted. Dead letters: upserts the rejects
 * into ops.dead_letter, sets resolved_at on open ones whose key is in staging. With held set the
 * result's counters other than scope_rows, gone_rows, staged are 0. */
bool merge_apply(struct db *db,
                 const struct merge_request *request,
                 struct merge_result *ret_result,
                 struct error *err);
