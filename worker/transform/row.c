#include "worker/transform/row.h"

#include <assert.h>
#include <string.h>

#include "common/io/db_copy.h"
#include "common/io/hash.h"
#include "common/io/json_pull.h"
#include "worker/transform/coerce.h"
#include "worker/transform/jsonb.h"

enum {
    COLUMNS_MAX = ROW_COLUMNS_MAX,
    COLUMNS_PER_WORD = 64,
    SHOWN_VALUE_BYTES = 100,
    JSONB_VERSION = 1,
    TRAILERS_BYTES = 4, /* of both COPY streams */
    N_REJECT_COLUMNS = 3,
};

static const uint32_t LENGTH_OF_NULL = UINT32_MAX;
static const size_t LIMIT_BYTES_MAX = (size_t)1 << 30; /* lengths are 32-bit, with room to spare */

void row_batch_init(struct row_batch *batch,
                    const struct task_def *task,
                    enum row_shape shape,
                    size_t limit_bytes)
{
    assert(task->n_columns <= COLUMNS_MAX);
    size_t limit = limit_bytes < LIMIT_BYTES_MAX ? limit_bytes : LIMIT_BYTES_MAX;
    *batch = (struct row_batch){.task = task, .shape = shape};
    buf_init(&batch->rows, limit);
    buf_init(&batch->rejects, limit);
    buf_init(&batch->hashes, limit);
    buf_init(&batch->scratch, limit);
    row_batch_reset(batch);
}

void row_batch_release(struct row_batch *batch)
{
    buf_release(&batch->rows);
    buf_release(&batch->rejects);
    buf_release(&batch->hashes);
    buf_release(&batch->scratch);
}

void row_batch_reset(struct row_batch *batch)
{
    buf_reset(&batch->rows);
    buf_reset(&batch->rejects);
    buf_reset(&batch->hashes);
    buf_reset(&batch->scratch);
    db_copy_begin(&batch->rows);
    db_copy_begin(&batch->rejects);
    batch->n_rows = 0;
    batch->n_rejects = 0;
    batch->n_nul_removed = 0;
    memset(batch->absent_columns, 0, sizeof(batch->absent_columns));
}

void row_batch_finish(struct row_batch *batch)
{
    db_copy_end(&batch->rows);
    db_copy_end(&batch->rejects);
    assert(!batch->rows.overflow && !batch->rejects.overflow);
}

void row_batch_drop_rows(struct row_batch *batch)
{
    buf_truncate(&batch->rows, DB_COPY_HEADER_BYTES);
    buf_reset(&batch->hashes);
    batch->n_rows = 0;
    db_copy_end(&batch->rows);
}

static bool is_within_limit(const struct row_batch *batch)
{
    return !batch->rows.overflow && !batch->rejects.overflow && !batch->scratch.overflow &&
           batch->rows.len + batch->rejects.len + TRAILERS_BYTES <= batch->rows.limit;
}

/* Takes the record that did not fit back out. */
static bool
refuse_for_size(struct row_batch *batch, size_t rows_len, size_t rejects_len, struct error *err)
{
    buf_truncate(&batch->rows, rows_len);
    buf_truncate(&batch->rejects, rejects_len);
    batch->rows.overflow = false;
    batch->rejects.overflow = false;
    buf_reset(&batch->scratch);
    return error_set(err, ERROR_LIMIT,
                     "a page of task %s does not fit into %zu bytes; lower its page_size or raise "
                     "worker.page_memory",
                     batch->task->name, batch->rows.limit);
}

static void put_be32(char *at, uint32_t value)
{
    uint32_t swapped = __builtin_bswap32(value);
    memcpy(at, &swapped, sizeof(swapped));
}

static inline void add_null(struct buf *out)
{
    if (sizeof(LENGTH_OF_NULL) > out->capacity - out->len &&
        !buf_reserve(out, sizeof(LENGTH_OF_NULL))) {
        out->overflow = true;
        return;
    }
    memcpy(out->ptr + out->len, &LENGTH_OF_NULL, sizeof(LENGTH_OF_NULL));
    out->len += sizeof(LENGTH_OF_NULL);
    out->ptr[out->len] = '\0';
}

/* Most values have 8 to 32 bytes (keys have 32): two moves, which may overlap, and no call. */
static inline void copy_value(char *to, const char *from, size_t len)
{
    struct half {
        char bytes[16];
    };

    if (len >= 16 && len <= 32) {
        struct half first;
        struct half last;
        memcpy(&first, from, sizeof(first));
        memcpy(&last, from + len - sizeof(last), sizeof(last));
        memcpy(to, &first, sizeof(first));
        memcpy(to + len - sizeof(last), &last, sizeof(last));
    } else if (len >= 8 && len < 16) {
        uint64_t first;
        uint64_t last;
        memcpy(&first, from, sizeof(first));
        memcpy(&last, from + len - sizeof(last), sizeof(last));
        memcpy(to, &first, sizeof(first));
        memcpy(to + len - sizeof(last), &last, sizeof(last));
    } else {
        memcpy(to, from, len);
    }
}

/* A length word and that many bytes. */
static void add_field(struct buf *out, const void *bytes, size_t len)
{
    size_t size = sizeof(uint32_t) + len;
    if (size > out->capacity - out->len && !buf_reserve(out, size)) {
        out->overflow = true;
        return;
    }
    char *at = out->ptr + out->len;
    put_be32(at, (uint32_t)len);
    copy_value(at + sizeof(uint32_t), bytes, len);
    out->len += size;
    out->ptr[out->len] = '\0';
}

static void close_field(struct buf *out, size_t field_start)
{
    if (!out->overflow) {
        put_be32(out->ptr + field_start, (uint32_t)(out->len - field_start - sizeof(uint32_t)));
    }
}

static enum coerce_result add_cell(struct buf *rows,
                                   enum column_type type,
                                   const struct cell *cell,
                                   const char **ret_reason,
                                   int64_t *removed_nul)
{
    /* Most cells of most tables. */
    if (type == COLUMN_TEXT && cell->kind == CELL_TEXT && !cell->has_nul && cell->text.len > 0) {
        add_field(rows, cell->text.ptr, cell->text.len);
        return COERCE_VALUE;
    }
    size_t start = rows->len;
    add_null(rows);
    if (cell->kind == CELL_ABSENT || cell->kind == CELL_NULL || cell->text.len == 0) {
        return COERCE_NULL; /* as coerce_append says */
    }
    enum coerce_result result = coerce_append(rows, type, cell, ret_reason, removed_nul);
    if (result == COERCE_VALUE) {
        close_field(rows, start);
    }
    return result;
}

static void add_without_nul(struct buf *out, struct str text)
{
    int64_t uncounted = 0; /* only what lands counts */
    jsonb_append_without_nul(out, text, &uncounted);
}

void row_record_key(const struct task_def *task, const struct cell *cells, struct buf *out)
{
    for (size_t i = 0; i < task->n_key_columns; i++) {
        const struct cell *cell = &cells[task->key_columns[i]];
        if (i > 0) {
            buf_add_char(out, ':');
        }
        if (cell->kind != CELL_ABSENT && cell->kind != CELL_NULL) {
            add_without_nul(out, cell->text);
        }
    }
}

/* Text from outside, fit for a text column whatever it is. */
static void add_text_field(struct buf *out, struct str text)
{
    size_t start = out->len;
    buf_add_be32(out, 0);
    while (text.len > 0) {
        size_t step = str_utf8_step(text);
        bool good = step > 0 && text.ptr[0] != '\0';
        buf_add(out, good ? text.ptr : "?", good ? step : 1);
        size_t read = step > 0 ? step : 1;
        text = (struct str){text.ptr + read, text.len - read};
    }
    close_field(out, start);
}

static bool is_json(struct str text, struct buf *scratch)
{
    buf_reset(scratch);
    buf_add_str(scratch, text);
    if (scratch->overflow) {
        return false;
    }
    struct json_pull pull;
    struct str raw = STR_NONE;
    struct error ignored = ERROR_INIT; /* the payload is then kept as a string */
    json_pull_init(&pull, scratch->ptr, scratch->len);
    return json_pull_skip(&pull, &raw, &ignored) && json_pull_next(&pull, &ignored) == JSON_END;
}

/* A payload that jsonb cannot take as a document is kept as a JSON string of its text: evidence
 * must not break the COPY of its page. */
static void add_payload_field(struct row_batch *batch, struct str payload)
{
    struct buf *out = &batch->rejects;
    if (payload.len == 0) {
        buf_add_be32(out, LENGTH_OF_NULL);
        return;
    }
    size_t start = out->len;
    buf_add_be32(out, 0);
    buf_add_char(out, JSONB_VERSION);
    if (!is_json(payload, &batch->scratch) ||
        !jsonb_append_document(out, payload, &batch->n_nul_removed)) {
        jsonb_append_string(out, payload, &batch->n_nul_removed);
    }
    close_field(out, start);
    buf_reset(&batch->scratch);
}

bool row_batch_reject(struct row_batch *batch,
                      struct str record_key,
                      const char *reason,
                      struct str payload,
                      struct error *err)
{
    size_t start = batch->rejects.len;
    int64_t n_nul_removed = batch->n_nul_removed;
    buf_add_be16(&batch->rejects, N_REJECT_COLUMNS);
    add_text_field(&batch->rejects, record_key);
    add_text_field(&batch->rejects, str_from(reason));
    add_payload_field(batch, payload);
    if (!is_within_limit(batch)) {
        batch->n_nul_removed = n_nul_removed;
        return refuse_for_size(batch, batch->rows.len, start, err);
    }
    batch->n_rejects++;
    return true;
}

/* The operator knows the source's name of a field; a display value goes by its column. */
static const char *shown_name(const struct task_def *task, size_t column)
{
    const struct column *def = &task->columns[column];
    return def->part == 0 && def->field < task->n_fields ? task->fields[def->field].name
                                                         : def->name;
}

static void add_shown_value(struct buf *out, const struct cell *cell)
{
    struct str shown = str_shorten(cell->text, SHOWN_VALUE_BYTES);
    if (cell->kind == CELL_TEXT) {
        buf_add_json_string(out, shown);
    } else {
        buf_add_str(out, shown);
    }
    if (shown.len < cell->text.len) {
        buf_add_c(out, "...");
    }
}

/* The record as far as its cells tell, for sources whose pages are decoded in place. */
static void
add_cells_as_payload(struct buf *out, const struct task_def *task, const struct cell *cells)
{
    buf_add_char(out, '{');
    for (size_t i = 0; i < task->n_columns; i++) {
        const struct cell *cell = &cells[i];
        if (cell->kind == CELL_ABSENT) {
            continue;
        }
        buf_add_c(out, out->len > 1 ? "," : "");
        buf_add_json_string(out, str_from(task->columns[i].part == 0 ? shown_name(task, i)
                                                                     : task->columns[i].name));
        buf_add_char(out, ':');
        if (cell->kind == CELL_TEXT) {
            buf_add_json_string(out, cell->text);
        } else if (cell->kind == CELL_NULL) {
            buf_add_c(out, "null");
        } else {
            buf_add_str(out, cell->text);
        }
    }
    buf_add_char(out, '}');
}

static bool reject_record(struct row_batch *batch,
                          const struct cell *cells,
                          size_t column,
                          const char *what,
                          struct str payload,
                          struct error *err)
{
    struct buf reason CLEANUP(buf_release) = {0};
    buf_init(&reason, (size_t)64 * 1024);
    buf_addf(&reason, "%s: ", shown_name(batch->task, column));
    if (cells[column].kind != CELL_ABSENT && cells[column].kind != CELL_NULL) {
        add_shown_value(&reason, &cells[column]);
        buf_add_char(&reason, ' ');
    }
    buf_add_c(&reason, what);
    struct buf key CLEANUP(buf_release) = {0};
    buf_init(&key, batch->rejects.limit);
    row_record_key(batch->task, cells, &key);
    struct buf shown CLEANUP(buf_release) = {0};
    buf_init(&shown, batch->rejects.limit);
    if (payload.len == 0) {
        add_cells_as_payload(&shown, batch->task, cells);
        payload = buf_str(&shown);
    }
    return row_batch_reject(batch, buf_str(&key), reason.ptr, payload, err);
}

/* Which columns a tuple carries, and which of them were absent: one bit per column. */
struct column_set {
    uint64_t words[COLUMNS_MAX / COLUMNS_PER_WORD];
};

static void column_set_add(struct column_set *set, size_t column)
{
    set->words[column / COLUMNS_PER_WORD] |= UINT64_C(1) << (column % COLUMNS_PER_WORD);
}

static bool column_set_has(const struct column_set *set, size_t column)
{
    return (set->words[column / COLUMNS_PER_WORD] >> (column % COLUMNS_PER_WORD) & 1) != 0;
}

static struct column_set census_columns(const struct task_def *task)
{
    struct column_set set = {0};
    for (size_t i = 0; i < task->n_key_columns; i++) {
        column_set_add(&set, task->key_columns[i]);
    }
    if (task->version_column >= 0) {
        column_set_add(&set, (size_t)task->version_column);
    }
    if (task->revision_column >= 0) {
        column_set_add(&set, (size_t)task->revision_column);
    }
    return set;
}

struct bad_column {
    size_t column;
    const char *reason;
};

/* Appends the columns of `wanted` (NULL: all of them). */
static bool add_columns(struct row_batch *batch,
                        const struct cell *cells,
                        const struct column_set *wanted,
                        struct column_set *absent,
                        int64_t *removed_nul,
                        struct bad_column *ret_bad)
{
    const struct task_def *task = batch->task;
    for (size_t i = 0; i < task->n_columns; i++) {
        if (wanted != NULL && !column_set_has(wanted, i)) {
            continue;
        }
        if (cells[i].kind == CELL_ABSENT) {
            column_set_add(absent, i);
        }
        const char *reason = NULL;
        enum coerce_result result =
            add_cell(&batch->rows, task->columns[i].type, &cells[i], &reason, removed_nul);
        if (result == COERCE_NULL && task_is_key_column(task, i)) {
            result = COERCE_REJECT;
            reason = cells[i].kind == CELL_ABSENT ? "the key is missing" : "the key is empty";
        }
        if (result == COERCE_REJECT) {
            *ret_bad = (struct bad_column){i, reason};
            return false;
        }
    }
    return true;
}

static bool is_empty_set(const struct column_set *set)
{
    uint64_t any = 0;
    for (size_t i = 0; i < COLUMNS_MAX / COLUMNS_PER_WORD; i++) {
        any |= set->words[i];
    }
    return any == 0;
}

/* varbit: the number of bits, then the bits from the most significant one of each byte on. */
static size_t encode_varbit(const struct column_set *set,
                            size_t n_bits,
                            char out[sizeof(uint32_t) + COLUMNS_MAX / 8])
{
    size_t n_bytes = (n_bits + 7) / 8;
    put_be32(out, (uint32_t)n_bits);
    memset(out + sizeof(uint32_t), 0, n_bytes);
    for (size_t i = 0; i < n_bits; i++) {
        if (column_set_has(set, i)) {
            out[sizeof(uint32_t) + i / 8] |= (char)(0x80 >> (i % 8));
        }
    }
    return sizeof(uint32_t) + n_bytes;
}

/* etl_hash and etl_absent. An absent value is encoded like NULL, so the set goes into the hash; and
 * values have no names, so the form of the table does. */
static struct hash128
add_hash_and_absent(struct row_batch *batch, size_t columns_start, const struct column_set *absent)
{
    struct buf *rows = &batch->rows;
    size_t columns_end = rows->len;
    bool any_absent = !is_empty_set(absent);
    char varbit[sizeof(uint32_t) + COLUMNS_MAX / 8];
    size_t varbit_len = 0;
    if (any_absent) {
        varbit_len = encode_varbit(absent, batch->task->n_columns, varbit);
        buf_add(rows, varbit, varbit_len);
    }
    buf_add(rows, batch->form.bytes, sizeof(batch->form.bytes));
    if (rows->overflow) {
        return (struct hash128){0};
    }
    _Static_assert(sizeof(struct hash128) == ROW_HASH_BYTES, "what others read");
    struct hash128 hash =
        hash128_of((struct str){rows->ptr + columns_start, rows->len - columns_start});
    buf_truncate(rows, columns_end);
    add_field(rows, hash.bytes, sizeof(hash.bytes));
    if (any_absent) {
        add_field(rows, varbit, varbit_len);
    } else {
        buf_add_be32(rows, LENGTH_OF_NULL);
    }
    return hash;
}

bool row_batch_add(struct row_batch *batch,
                   const struct cell *cells,
                   struct str payload,
                   struct error *err)
{
    struct buf *rows = &batch->rows;
    size_t start = rows->len;
    bool full = batch->shape == ROW_FULL;
    struct column_set wanted = full ? (struct column_set){0} : census_columns(batch->task);
    struct column_set absent = {0};
    int64_t removed_nul = 0;
    struct bad_column bad = {0};
    size_t n_fields = batch->task->n_columns + 2;
    if (!full) {
        n_fields = 0;
        for (size_t i = 0; i < COLUMNS_MAX / COLUMNS_PER_WORD; i++) {
            n_fields += (size_t)__builtin_popcountll(wanted.words[i]);
        }
    }
    buf_add_be16(rows, (uint16_t)n_fields);
    size_t columns_start = rows->len;
    bool typed = add_columns(batch, cells, full ? NULL : &wanted, &absent, &removed_nul, &bad);
    if (!typed) {
        buf_truncate(rows, start);
        rows->overflow = false;
        return reject_record(batch, cells, bad.column, bad.reason, payload, err);
    }
    struct hash128 hash = {0};
    if (full) {
        hash = add_hash_and_absent(batch, columns_start, &absent);
    }
    if (!is_within_limit(batch)) {
        return refuse_for_size(batch, start, batch->rejects.len, err);
    }
    if (full) {
        buf_add(&batch->hashes, hash.bytes, sizeof(hash.bytes));
    }
    batch->last_row = start;
    batch->n_rows++;
    batch->n_nul_removed += removed_nul;
    for (size_t i = 0; i < COLUMNS_MAX / COLUMNS_PER_WORD; i++) {
        batch->absent_columns[i] |= absent.words[i];
    }
    return true;
}
