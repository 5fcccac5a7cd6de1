#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/io/db.h"
#include "worker/load/merge.h"

/*
 * ops.owed: records that have to be read again because the record they belong to has changed. The
 * debt is written in the commit that publishes the parent and cleared in the one that publishes the
 * task which owes it, so a crash between the two loses nothing.
 */

struct owed {
    const struct str *keys; /* of parents, each once; in the arena */
    size_t n;
    bool is_cut;   /* there are more than OWED_LISTED_MAX: keys is empty */
    int64_t up_to; /* id of the last debt seen; 0 if there is none */
};

enum { OWED_LISTED_MAX = 2000 };

/* What `task` owes. ERROR_LIMIT if the arena is full. */
bool owed_read(struct db *db,
               const char *source,
               const char *task,
               struct arena *arena,
               struct owed *ret_owed,
               struct error *err);

/* After merge_apply of `parent` in the same transaction: what `child` owes from now on. CHANGED:
 * each parent that was inserted, updated or deleted, and those stamped from unsettled_us on. LATE:
 * parents that arrived although they are older than the child's watermark, and deleted ones. A
 * child that was never read owes nothing: it will read everything. */
bool owed_record(struct db *db,
                 const struct merge_request *parent,
                 const struct task_def *child,
                 int64_t unsettled_us,
                 struct error *err);

/* The task has read what it owed up to this id. */
bool owed_clear(
    struct db *db, const char *source, const char *task, int64_t up_to, struct error *err);
