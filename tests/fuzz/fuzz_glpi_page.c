#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/unit/worker/sources/copy_stream.h"
#include "worker/sources/glpi/page.h"

/*
 * Any bytes as an answer of a list or of an item, in each encoding and in a zone with summer time:
 * the page is refused with a word about it, or its batch is a well-formed COPY stream whose tuples
 * are as many as the records taken. The first byte chooses what the rest is read as.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLAIM(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { INPUT_BYTES_MAX = 1 << 16, BATCH_BYTES_MAX = 1 << 20 };

static const struct field FIELDS[] = {
    {.name = "id", .type = COLUMN_BIGINT}, {.name = "completename", .type = COLUMN_TEXT},
    {.name = "n", .type = COLUMN_TEXT},    {.name = "t", .type = COLUMN_TIMESTAMPTZ},
    {.name = "d", .type = COLUMN_DATE},    {.name = "b", .type = COLUMN_BOOLEAN},
    {.name = "j", .type = COLUMN_JSONB},   {.name = "i", .type = COLUMN_INTEGER},
};
static const struct column COLUMNS[] = {
    {"id", COLUMN_BIGINT, 0, 0}, {"completename", COLUMN_TEXT, 1, 0},
    {"n", COLUMN_TEXT, 2, 0},    {"t", COLUMN_TIMESTAMPTZ, 3, 0},
    {"d", COLUMN_DATE, 4, 0},    {"b", COLUMN_BOOLEAN, 5, 0},
    {"j", COLUMN_JSONB, 6, 0},   {"i", COLUMN_INTEGER, 7, 0},
};
static const size_t KEY[] = {0};
static const struct task_def TASK = {
    .name = "t",
    .source_type = "glpi",
    .load = "l",
    .table = "T",
    .fields = FIELDS,
    .n_fields = ARRAY_SIZE(FIELDS),
    .columns = COLUMNS,
    .n_columns = ARRAY_SIZE(COLUMNS),
    .key_columns = KEY,
    .n_key_columns = 1,
    .version_column = 3,
    .revision_column = -1,
    .window_column = -1,
};

/* Bytes of a value in binary COPY, -1 = any. */
static const int WIDTHS[] = {8, -1, -1, 8, 4, 1, -1, 4};

static enum glpi_take look(void *arg, int64_t id, const struct cell *cells, struct error *err)
{
    int64_t *n_taken = arg;
    (void)err;
    CLAIM(id >= 0);
    for (size_t i = 0; i < TASK.n_columns; i++) {
        CLAIM(cells[i].text.ptr != NULL || cells[i].text.len == 0);
    }
    if (id % 3 == 2) {
        return GLPI_ROW_SKIP;
    }
    (*n_taken)++;
    return GLPI_ROW_TAKE;
}

static int64_t claim_stream(const struct buf *bytes, bool are_rows)
{
    struct copy_stream stream;
    struct copy_tuple tuple;
    int64_t n = 0;
    copy_stream_init(&stream, buf_str(bytes));
    while (copy_stream_next(&stream, &tuple)) {
        for (size_t i = 0; are_rows && i < TASK.n_columns; i++) {
            struct str value = tuple.fields[i];
            CLAIM(value.ptr == NULL || WIDTHS[i] < 0 || value.len == (size_t)WIDTHS[i]);
            CLAIM(COLUMNS[i].type != COLUMN_TEXT || value.ptr == NULL ||
                  (str_is_utf8(value) && memchr(value.ptr, '\0', value.len) == NULL));
        }
        n++;
    }
    CLAIM(!stream.is_broken);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct zone *zone;
    struct error err = ERROR_INIT;
    if (zone == NULL) {
        zone = zone_open("Europe/Berlin", &err);
        CLAIM(zone != NULL);
    }
    if (size == 0 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    struct buf body CLEANUP(buf_release);
    struct row_batch batch;
    int64_t n_taken = 0;
    buf_init(&body, INPUT_BYTES_MAX);
    buf_add_str(&body, (struct str){(const char *)data + 1, size - 1});
    row_batch_init(&batch, &TASK, ROW_FULL, BATCH_BYTES_MAX);
    row_batch_reset(&batch);
    struct glpi_reader *reader = glpi_reader_new(&TASK, zone, glpi_encoding_of(9 + data[0] % 3));
    struct glpi_page_shape shape = {.is_item = data[0] % 2 != 0};
    enum glpi_page page = glpi_page_read(reader, &body, shape, look, &n_taken, &batch, &err);
    CLAIM((page == GLPI_PAGE_GOOD) == !error_is_set(&err));
    if (page == GLPI_PAGE_GOOD) {
        row_batch_finish(&batch);
        CLAIM(claim_stream(&batch.rows, true) == batch.n_rows);
        CLAIM(claim_stream(&batch.rejects, false) == batch.n_rejects);
        CLAIM(n_taken == batch.n_rows + batch.n_rejects);
    }
    glpi_reader_free(reader);
    row_batch_release(&batch);
    return 0;
}
