#include "worker/transform/row_known.h"

#include <assert.h>
#include <string.h>

#include "common/io/db_copy.h"

bool row_is_known_column(const struct task_def *task, size_t column)
{
    return task_is_key_column(task, column) || (int)column == task->version_column ||
           (int)column == task->revision_column || (int)column == task->parent_column;
}

/* A tuple as row_batch_add wrote it: where each field's length word is, etl_hash and etl_absent
 * behind the columns, and what follows the tuple. */
struct tuple {
    const char *begin;
    const char *fields[ROW_COLUMNS_MAX + 2];
    const char *end;
};

static size_t field_bytes(const char *field)
{
    uint32_t word;
    memcpy(&word, field, sizeof(word));
    uint32_t len = __builtin_bswap32(word);
    return sizeof(word) + (len == UINT32_MAX ? 0 : len); /* NULL is a word alone */
}

static void read_tuple(const struct task_def *task, const char *begin, struct tuple *ret_tuple)
{
    const char *at = begin + sizeof(uint16_t); /* the number of fields */
    for (size_t i = 0; i < task->n_columns + 2; i++) {
        ret_tuple->fields[i] = at;
        at += field_bytes(at);
    }
    ret_tuple->begin = begin;
    ret_tuple->end = at;
}

static void key_at(const struct row_batch *batch, size_t place, struct str *ret_key)
{
    const struct task_def *task = batch->task;
    assert(batch->shape == ROW_FULL && batch->n_rows > 0);
    struct tuple tuple;
    read_tuple(task, batch->rows.ptr + place, &tuple);
    for (size_t i = 0; i < task->n_key_columns; i++) {
        const char *field = tuple.fields[task->key_columns[i]];
        ret_key[i] = (struct str){field + sizeof(uint32_t), field_bytes(field) - sizeof(uint32_t)};
    }
}

void row_known_first(const struct row_batch *batch, struct str *ret_key)
{
    key_at(batch, DB_COPY_HEADER_BYTES, ret_key);
}

void row_known_last(const struct row_batch *batch, struct str *ret_key)
{
    key_at(batch, batch->last_row, ret_key);
}

bool row_known_are_all(const struct row_batch *batch, struct str hashes)
{
    return hashes.len >= batch->hashes.len &&
           memcmp(hashes.ptr, batch->hashes.ptr, batch->hashes.len) == 0;
}

/* Cuts what was found, and what precedes it, off `hashes`. */
static bool find_ahead(struct str *hashes, const char *hash)
{
    for (size_t at = 0; at < hashes->len; at += ROW_HASH_BYTES) {
        if (memcmp(hashes->ptr + at, hash, ROW_HASH_BYTES) == 0) {
            at += ROW_HASH_BYTES;
            *hashes = (struct str){hashes->ptr + at, hashes->len - at};
            return true;
        }
    }
    return false;
}

/* Which fields of a tuple a known row keeps, in order. */
struct kept_fields {
    uint16_t at[ROW_COLUMNS_MAX + 1];
    uint16_t n;
};

static void list_kept(const struct task_def *task, struct kept_fields *ret_kept)
{
    ret_kept->n = 0;
    for (size_t i = 0; i < task->n_columns; i++) {
        if (row_is_known_column(task, i)) {
            ret_kept->at[ret_kept->n++] = (uint16_t)i;
        }
    }
    ret_kept->at[ret_kept->n++] = (uint16_t)task->n_columns; /* etl_hash */
}

static void add_known(const struct tuple *tuple, const struct kept_fields *kept, struct buf *known)
{
    static const char no_bits[] = {0, 0, 0, 4, 0, 0, 0, 0};
    buf_add_be16(known, (uint16_t)(kept->n + 1));
    for (size_t i = 0; i < kept->n; i++) {
        const char *field = tuple->fields[kept->at[i]];
        buf_add(known, field, field_bytes(field));
    }
    buf_add(known, no_bits, sizeof(no_bits));
}

int64_t row_known_cut(struct row_batch *batch, struct str hashes, struct buf *known)
{
    const struct task_def *task = batch->task;
    struct kept_fields kept;
    struct tuple tuple;
    char *out = batch->rows.ptr + DB_COPY_HEADER_BYTES;
    const char *in = out;
    int64_t n_rows = batch->n_rows;
    batch->n_rows = 0;
    list_kept(task, &kept);
    for (int64_t row = 0; row < n_rows; row++) {
        read_tuple(task, in, &tuple);
        in = tuple.end;
        if (find_ahead(&hashes, tuple.fields[task->n_columns] + sizeof(uint32_t))) {
            add_known(&tuple, &kept, known);
        } else {
            memmove(out, tuple.begin, (size_t)(tuple.end - tuple.begin));
            out += tuple.end - tuple.begin;
            batch->n_rows++;
        }
    }
    buf_truncate(&batch->rows, (size_t)(out - batch->rows.ptr));
    db_copy_end(&batch->rows);
    return n_rows - batch->n_rows;
}
