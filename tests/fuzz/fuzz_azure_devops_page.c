#include <string.h>

#include "common/base/alloc.h"
#include "tests/fuzz/claim.h"
#include "tests/fuzz/claim_copy.h"
#include "tests/unit/worker/sources/task_of.h"
#include "worker/sources/azure_devops/judge.h"
#include "worker/sources/azure_devops/page.h"

/*
 * Any bytes as an answer of Azure DevOps: as a page of work items, as one record, as a list of ids
 * and as an error. What is taken becomes a well-formed COPY stream whose tuples are as many as the
 * reader says; what is not is refused with a word about it.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 16, BATCH_BYTES_MAX = 1 << 20 };

static const struct field FIELDS[] = {
    {.name = "System.Id", .type = COLUMN_INTEGER},
    {.name = "System.Rev", .type = COLUMN_INTEGER},
    {.name = "System.AssignedTo", .type = COLUMN_TEXT, .identity = true},
    {.name = "System.ChangedDate", .type = COLUMN_TIMESTAMPTZ},
    {.name = "System.IsDeleted", .type = COLUMN_BOOLEAN},
    {.name = "n", .type = COLUMN_NUMERIC},
    {.name = "t", .type = COLUMN_TEXT},
    {.name = "fields", .type = COLUMN_JSONB, .rest = true},
};
static const struct column COLUMNS[] = {
    {"id", COLUMN_INTEGER, 0, 0},
    {"rev", COLUMN_INTEGER, 1, 0},
    {"assigned_to", COLUMN_TEXT, 2, PART_VALUE},
    {"assigned_to_id", COLUMN_TEXT, 2, PART_ID},
    {"assigned_to_display", COLUMN_TEXT, 2, PART_DISPLAY_NAME},
    {"changed_date", COLUMN_TIMESTAMPTZ, 3, 0},
    {"is_deleted", COLUMN_BOOLEAN, 4, 0},
    {"n", COLUMN_NUMERIC, 5, 0},
    {"t", COLUMN_TEXT, 6, 0},
    {"fields", COLUMN_JSONB, 7, 0},
};
static const size_t KEY[] = {0, 1};
static const struct task_def TASK = {
    .name = "t",
    .source_type = "azure_devops",
    .load = "l",
    .table = "work_item_revision",
    TASK_OF(FIELDS, COLUMNS, KEY),
    .version_column = 5,
    .revision_column = -1,
    .window_column = -1,
    .created_column = -1,
    .parent_column = -1,
};

/* The rest is one JSON object whatever its fields were. */
static void claim_rest(struct str value)
{
    char *copy CLEANUP(xfreep) = xstrndup(value.ptr, value.len);
    struct json_pull pull;
    struct str raw;
    struct error err = ERROR_INIT;
    json_pull_init(&pull, copy, value.len);
    CLAIM(value.len >= 2 && value.ptr[0] == '{');
    CLAIM(json_pull_skip(&pull, &raw, &err) && json_pull_next(&pull, &err) == JSON_END);
}

struct taking {
    struct row_batch *batch;
    size_t n;
};

static bool take(void *arg, const struct ado_record *record, struct error *err)
{
    struct taking *taking = arg;
    for (size_t i = 0; i < TASK.n_columns; i++) {
        CLAIM(record->cells[i].text.ptr != NULL || record->cells[i].text.len == 0);
    }
    CLAIM(record->id > 0 && record->id <= ADO_ID_MAX && record->rev > 0);
    claim_rest(record->cells[TASK.n_columns - 1].text);
    taking->n++;
    return row_batch_add(taking->batch, record->cells, STR_NONE, err);
}

static void read_page(struct ado_reader *reader, struct str input, struct row_batch *batch)
{
    char *body CLEANUP(xfreep) = xstrndup(input.ptr, input.len);
    struct ado_page page = {.records = -1};
    struct taking taking = {.batch = batch};
    struct error err = ERROR_INIT;
    row_batch_reset(batch);
    bool good = ado_page_read(reader, body, input.len, take, &taking, &page, &err);
    CLAIM(good == !error_is_set(&err));
    if (good) {
        CLAIM(page.records == (int64_t)taking.n);
        CLAIM(strlen(page.token) < sizeof(page.token));
        CLAIM(page.next_link.len == 0 ||
              (page.next_link.ptr >= body &&
               page.next_link.ptr + page.next_link.len <= body + input.len));
        CLAIM(claim_batch(batch) == (int64_t)taking.n);
    } else {
        CLAIM(page.records == -1);
    }
}

static void read_one(struct ado_reader *reader, struct str input, struct row_batch *batch)
{
    char *body CLEANUP(xfreep) = xstrndup(input.ptr, input.len);
    struct taking taking = {.batch = batch};
    struct error err = ERROR_INIT;
    bool found = false;
    row_batch_reset(batch);
    bool good = ado_page_read_one(reader, body, input.len, take, &taking, &found, &err);
    CLAIM(good == !error_is_set(&err));
    if (good) {
        CLAIM(taking.n == (found ? 1 : 0));
        CLAIM(claim_batch(batch) == (int64_t)taking.n);
    }
}

static bool take_id(void *arg, int64_t id, struct error *err)
{
    (void)err;
    CLAIM(id > 0 && id <= ADO_ID_MAX);
    ++*(size_t *)arg;
    return true;
}

static void read_ids(struct str input)
{
    char *body CLEANUP(xfreep) = xstrndup(input.ptr, input.len);
    struct error err = ERROR_INIT;
    size_t n = 0;
    bool good = ado_page_read_ids(body, input.len, take_id, &n, &err);
    CLAIM(good == !error_is_set(&err));
}

static void read_words(struct str input)
{
    struct buf words CLEANUP(buf_release);
    buf_init(&words, 1000);
    ado_error_text(input, input, &words);
    CLAIM(str_is_utf8(buf_str(&words)) && !words.overflow);
    (void)ado_without_bom(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX) {
        return 0;
    }
    struct str input = {(const char *)data, size};
    struct row_batch batch;
    struct ado_fields fields;
    ado_fields_init(&fields, &TASK);
    row_batch_init(&batch, &TASK, ROW_FULL, BATCH_BYTES_MAX);
    struct ado_reader *reader = ado_reader_new(&TASK, &fields);
    read_page(reader, input, &batch);
    read_one(reader, input, &batch);
    ado_reader_free(reader);
    /* As with a dictionary: everything that is not mapped goes into the rest. */
    fields.items[fields.n - 1].mapped = -1;
    fields.items[fields.n - 2].mapped = -1;
    reader = ado_reader_new(&TASK, &fields);
    read_page(reader, input, &batch);
    ado_reader_free(reader);
    read_ids(input);
    read_words(input);
    row_batch_release(&batch);
    ado_fields_release(&fields);
    return 0;
}
