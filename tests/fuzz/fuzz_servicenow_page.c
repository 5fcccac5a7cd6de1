#include "common/base/alloc.h"
#include "tests/fuzz/claim.h"
#include "tests/fuzz/claim_copy.h"
#include "tests/unit/worker/sources/task_of.h"
#include "worker/sources/servicenow/page.h"

/*
 * Any bytes as an answer of the Table API, for a task with a column of every type: the page is
 * refused with a word about it, or its batch is a well-formed COPY stream whose tuples are as many
 * as the batch and the reader say. Names of fields are read from the same bytes.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 16, BATCH_BYTES_MAX = 1 << 20 };

static const struct field FIELDS[] = {
    {.name = "sys_id", .type = COLUMN_TEXT},
    {.name = "company", .type = COLUMN_TEXT, .display = true, .ref = "core_company"},
    {.name = "i", .type = COLUMN_INTEGER},
    {.name = "b", .type = COLUMN_BIGINT},
    {.name = "n", .type = COLUMN_NUMERIC},
    {.name = "o", .type = COLUMN_BOOLEAN},
    {.name = "t", .type = COLUMN_TIMESTAMPTZ},
    {.name = "d", .type = COLUMN_DATE},
    {.name = "v", .type = COLUMN_INTERVAL},
    {.name = "j", .type = COLUMN_JSONB},
};
static const struct column COLUMNS[] = {
    {"sys_id", COLUMN_TEXT, 0, 0},     {"company", COLUMN_TEXT, 1, 0},
    {"dv_company", COLUMN_TEXT, 1, 1}, {"i", COLUMN_INTEGER, 2, 0},
    {"b", COLUMN_BIGINT, 3, 0},        {"n", COLUMN_NUMERIC, 4, 0},
    {"o", COLUMN_BOOLEAN, 5, 0},       {"t", COLUMN_TIMESTAMPTZ, 6, 0},
    {"d", COLUMN_DATE, 7, 0},          {"v", COLUMN_INTERVAL, 8, 0},
    {"j", COLUMN_JSONB, 9, 0},
};
static const size_t KEY[] = {0};
static const struct task_def TASK = {
    .name = "t",
    .source_type = "servicenow",
    .load = "l",
    .table = "u_t",
    TASK_OF(FIELDS, COLUMNS, KEY),
    .version_column = 7,
    .revision_column = 3,
    .window_column = 7,
};

static bool check(void *arg, const struct cell *cells, struct error *err)
{
    size_t *n_checked = arg;
    (void)err;
    (*n_checked)++;
    for (size_t i = 0; i < TASK.n_columns + 1; i++) {
        CLAIM(cells[i].text.ptr != NULL || cells[i].text.len == 0);
    }
    return true;
}

static void add_name(void *arg, struct str name)
{
    size_t *n_bytes = arg;
    CLAIM(str_is_utf8(name));
    *n_bytes += name.len;
}

static void read_names(struct str input)
{
    struct buf body CLEANUP(buf_release);
    struct error err = ERROR_INIT;
    int64_t records = 0;
    size_t n_bytes = 0;
    buf_init(&body, INPUT_BYTES_MAX);
    buf_add_str(&body, input);
    enum servicenow_page page = servicenow_page_names(&body, add_name, &n_bytes, &records, &err);
    CLAIM((page == SERVICENOW_PAGE_GOOD) == !error_is_set(&err));
}

static void read_words(struct str input)
{
    struct buf words CLEANUP(buf_release);
    buf_init(&words, 300);
    servicenow_error_text(input, &words);
    CLAIM(words.len <= 300);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX) {
        return 0;
    }
    struct str input = {(const char *)data, size};
    struct buf body CLEANUP(buf_release);
    struct row_batch batch;
    struct error err = ERROR_INIT;
    int64_t records = -1;
    size_t n_checked = 0;
    buf_init(&body, INPUT_BYTES_MAX);
    buf_add_str(&body, input);
    row_batch_init(&batch, &TASK, ROW_FULL, BATCH_BYTES_MAX);
    row_batch_reset(&batch);
    struct servicenow_reader *reader = servicenow_reader_new(&TASK, "i");
    enum servicenow_page page =
        servicenow_page_read(reader, &body, check, &n_checked, &batch, &records, &err);
    CLAIM((page == SERVICENOW_PAGE_GOOD) == !error_is_set(&err));
    if (page == SERVICENOW_PAGE_GOOD) {
        CLAIM(claim_batch(&batch) == records && records == (int64_t)n_checked);
    } else {
        CLAIM(records == -1);
    }
    servicenow_reader_free(reader);
    row_batch_release(&batch);
    read_names(input);
    read_words(input);
    return 0;
}
