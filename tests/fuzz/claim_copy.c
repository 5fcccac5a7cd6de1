#include "tests/fuzz/claim_copy.h"

#include <string.h>

#include "tests/fuzz/claim.h"
#include "tests/unit/worker/sources/copy_stream.h"

enum { HASH_BYTES = 16 };

/* Bytes of a value in binary COPY, -1 = any. */
static const int WIDTHS[] = {
    [COLUMN_TEXT] = -1,    [COLUMN_INTEGER] = 4,   [COLUMN_BIGINT] = 8,
    [COLUMN_NUMERIC] = -1, [COLUMN_BOOLEAN] = 1,   [COLUMN_TIMESTAMPTZ] = 8,
    [COLUMN_DATE] = 4,     [COLUMN_INTERVAL] = 16, [COLUMN_JSONB] = -1,
};

static void claim_row(const struct task_def *task, const struct copy_tuple *tuple)
{
    CLAIM(tuple->n_fields == (int)task->n_columns + 2); /* the row's hash, and what was absent */
    for (size_t i = 0; i < task->n_columns; i++) {
        struct str value = tuple->fields[i];
        int width = WIDTHS[task->columns[i].type];
        CLAIM(value.ptr == NULL || width < 0 || value.len == (size_t)width);
        bool is_text = task->columns[i].type == COLUMN_TEXT;
        CLAIM(!is_text || value.ptr == NULL ||
              (str_is_utf8(value) && memchr(value.ptr, '\0', value.len) == NULL));
    }
    for (size_t i = 0; i < task->n_key_columns; i++) {
        CLAIM(tuple->fields[task->key_columns[i]].len > 0); /* a key is never NULL */
    }
    CLAIM(tuple->fields[task->n_columns].len == HASH_BYTES);
}

static int64_t claim_rows(const struct task_def *task, const struct buf *bytes)
{
    struct copy_stream stream;
    struct copy_tuple tuple;
    int64_t n = 0;
    copy_stream_init(&stream, buf_str(bytes));
    while (copy_stream_next(&stream, &tuple)) {
        claim_row(task, &tuple);
        n++;
    }
    CLAIM(!stream.is_broken);
    return n;
}

static int64_t claim_rejects(const struct buf *bytes)
{
    struct copy_stream stream;
    struct copy_tuple tuple;
    int64_t n = 0;
    copy_stream_init(&stream, buf_str(bytes));
    while (copy_stream_next(&stream, &tuple)) {
        CLAIM(tuple.n_fields == 3 && tuple.fields[1].len > 0); /* the reason */
        n++;
    }
    CLAIM(!stream.is_broken);
    return n;
}

int64_t claim_batch(struct row_batch *batch)
{
    row_batch_finish(batch);
    CLAIM(claim_rows(batch->task, &batch->rows) == batch->n_rows);
    CLAIM(claim_rejects(&batch->rejects) == batch->n_rejects);
    return batch->n_rows + batch->n_rejects;
}
