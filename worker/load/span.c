#include "worker/load/span.h"

#include <assert.h>

#include "common/base/alloc.h"
#include "common/io/db_copy.h"
#include "worker/load/staging.h"

/* A span is two keys: of one walk ten million rows in pages of a thousand make less than this. */
#define WALK_BYTES ((size_t)1024 * 1024)
/* Those of all walks; there are as many as lanes. */
#define TASK_BYTES_MAX ((size_t)1024 * 1024 * 1024)

static void begin(struct spans *spans)
{
    buf_reset(&spans->tuples);
    db_copy_begin(&spans->tuples);
    spans->n_spans = 0;
    spans->rows = (struct fingerprint){0};
}

void spans_init(struct spans *spans)
{
    *spans = (struct spans){0};
    buf_init(&spans->tuples, TASK_BYTES_MAX);
    begin(spans);
}

void spans_release(struct spans *spans)
{
    buf_release(&spans->tuples);
}

static void add_key(struct buf *tuples, const struct str *key, size_t n_columns)
{
    for (size_t i = 0; i < n_columns; i++) {
        buf_add_be32(tuples, (uint32_t)key[i].len);
        buf_add_str(tuples, key[i]);
    }
}

void spans_add(struct spans *spans,
               const struct str *first,
               const struct str *last,
               size_t n_key_columns,
               const struct fingerprint *rows)
{
    buf_add_be16(&spans->tuples, (uint16_t)(2 * n_key_columns));
    add_key(&spans->tuples, first, n_key_columns);
    add_key(&spans->tuples, last, n_key_columns);
    spans->n_spans++;
    fingerprint_join(&spans->rows, rows);
}

bool spans_are_many(const struct spans *spans)
{
    return spans->tuples.len >= WALK_BYTES;
}

void spans_move(struct spans *to, struct spans *from)
{
    struct str tuples = buf_str(&from->tuples);
    buf_add(&to->tuples, tuples.ptr + DB_COPY_HEADER_BYTES, tuples.len - DB_COPY_HEADER_BYTES);
    to->n_spans += from->n_spans;
    fingerprint_join(&to->rows, &from->rows);
    begin(from);
}

bool spans_stage(struct db *db,
                 const struct staging *staging,
                 struct spans *spans,
                 struct error *err)
{
    int64_t n_staged = 0;
    if (spans->n_spans == 0) {
        return true;
    }
    assert(!spans->tuples.overflow);
    db_copy_end(&spans->tuples);
    if (!db_script(db, staging->create_spans, err) ||
        !db_copy_in(db, staging->copy_spans, buf_str(&spans->tuples), spans->n_spans, err) ||
        !db_execute(db, staging->stage_spans, DB_NO_PARAMS, &n_staged, err)) {
        return error_wrap(err, "cannot stage rows of %s that stay as they are",
                          staging->task->name);
    }
    int64_t n_missing = spans->rows.n_rows - n_staged;
    begin(spans);
    return n_missing == 0 || staging_fail_edited(staging, n_missing, err);
}

struct span_pool *span_pool_new(void)
{
    struct span_pool *pool = XNEW(struct span_pool);
    atomic_init(&pool->is_over, false);
    mutex_init(&pool->mutex);
    spans_init(&pool->ended);
    return pool;
}

void span_pool_free(struct span_pool *pool)
{
    if (pool != NULL) {
        mutex_release(&pool->mutex);
        spans_release(&pool->ended);
        xfree(pool);
    }
}
