#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/thread.h"
#include "common/io/db.h"
#include "worker/transform/fingerprint.h"

/*
 * Landed rows that the source shows just as they are, page after page. Of such a page only the
 * first and the last key are remembered, and a fingerprint of its rows: a span. As long as a task
 * has seen nothing else, the merge needs no more to find that nothing has changed. As soon as it
 * has, the rows of the spans are staged from the landed table.
 */

struct spans {
    struct buf tuples; /* COPY data: first key, last key */
    int64_t n_spans;
    struct fingerprint rows;
};

/* What the walks of a task have in common. */
struct span_pool {
    atomic_bool is_over; /* something differs: no more spans */
    struct mutex mutex;
    struct spans ended; /* of walks that are done; guarded by the mutex until the task is settled */
};

struct staging;

void spans_init(struct spans *spans);
void spans_release(struct spans *spans);

/* The page's first and last key, encoded, one for each key column; rows: the whole page. */
void spans_add(struct spans *spans,
               const struct str *first,
               const struct str *last,
               size_t n_key_columns,
               const struct fingerprint *rows);

/* More than a walk should remember: pages are small, or the table very large. */
bool spans_are_many(const struct spans *spans);

/* Takes all of `from`, which is empty afterwards. */
void spans_move(struct spans *to, struct spans *from);

/* Stages the rows of the spans as known rows (known.h), and empties them. In the caller's
 * transaction. ERROR_TRANSIENT if some are not there any more as they were. */
bool spans_stage(struct db *db,
                 const struct staging *staging,
                 struct spans *spans,
                 struct error *err);

struct span_pool *span_pool_new(void);
void span_pool_free(struct span_pool *pool); /* accepts NULL */
