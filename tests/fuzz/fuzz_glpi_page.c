#include "common/base/alloc.h"
#include "tests/fuzz/claim.h"
#include "tests/fuzz/claim_copy.h"
#include "tests/unit/worker/sources/task_of.h"
#include "worker/sources/glpi/page.h"

/*
 * Any bytes as an answer of a list or of an item, in each encoding and in a zone with summer time:
 * the page is refused with a word about it, or its batch is a well-formed COPY stream whose tuples
 * are as many as the records taken. The first byte chooses what the rest is read as.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    TASK_OF(FIELDS, COLUMNS, KEY),
    .version_column = 3,
    .revision_column = -1,
    .window_column = -1,
};

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
        CLAIM(claim_batch(&batch) == n_taken);
    }
    glpi_reader_free(reader);
    row_batch_release(&batch);
    return 0;
}
