#include "worker/sources/glpi/page.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/io/json_pull.h"
#include "worker/sources/json_cell.h"

struct slot {
    struct str name;
    int cell; /* index in cells, -1 = none */
};

struct glpi_reader {
    const struct task_def *task;
    const struct zone *zone;
    enum glpi_encoding encoding;
    struct slot *slots; /* one per field */
    size_t guess;       /* the slot the next member probably is: answers keep one order */
    struct cell *cells;
};

struct glpi_reader *
glpi_reader_new(const struct task_def *task, const struct zone *zone, enum glpi_encoding encoding)
{
    struct glpi_reader *reader = XNEW(struct glpi_reader);
    reader->task = task;
    reader->zone = zone;
    reader->encoding = encoding;
    reader->slots = xcalloc(task->n_fields + 1, sizeof(*reader->slots));
    reader->cells = xcalloc(task->n_columns + 1, sizeof(*reader->cells));
    for (size_t i = 0; i < task->n_fields; i++) {
        reader->slots[i] = (struct slot){str_from(task->fields[i].name), -1};
    }
    for (size_t i = 0; i < task->n_columns; i++) {
        if (task->columns[i].part == PART_VALUE) {
            reader->slots[task->columns[i].field].cell = (int)i;
        }
    }
    return reader;
}

void glpi_reader_free(struct glpi_reader *reader)
{
    if (reader != NULL) {
        xfree(reader->slots);
        xfree(reader->cells);
        xfree(reader);
    }
}

static const struct slot *find_slot(struct glpi_reader *reader, struct str name)
{
    size_t n = reader->task->n_fields;
    for (size_t tried = 0; tried < n; tried++) {
        size_t i = (reader->guess + tried) % n;
        if (str_equal(reader->slots[i].name, name)) {
            reader->guess = i + 1;
            return &reader->slots[i];
        }
    }
    return NULL;
}

/* Behind JSON_OBJECT_BEGIN of one record. */
static bool read_record(struct glpi_reader *reader, struct json_pull *pull, struct error *err)
{
    memset(reader->cells, 0, reader->task->n_columns * sizeof(*reader->cells));
    reader->guess = 0;
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_OBJECT_END) {
            return true;
        }
        if (token != JSON_NAME) {
            return false;
        }
        const struct slot *slot = find_slot(reader, pull->text);
        struct str ignored;
        if (slot == NULL || slot->cell < 0
                ? !json_pull_skip(pull, &ignored, err)
                : !json_cell_read(pull, &reader->cells[slot->cell], err)) {
            return false;
        }
    }
}

/* The cells' bytes belong to the page, which is writable. */
static char *writable(struct str text)
{
    union {
        const char *in;
        char *out;
    } same = {.in = text.ptr};

    return same.out;
}

static void make_utc(const struct glpi_reader *reader, struct cell *cell)
{
    struct glpi_moment moment = {0};
    switch (glpi_read_time(reader->zone, cell->text, &moment)) {
    case GLPI_TIME_NONE:
        *cell = (struct cell){CELL_NULL, false, STR_NONE};
        return;
    case GLPI_TIME_GOOD:
        glpi_write_time(moment.first_us, writable(cell->text));
        return;
    case GLPI_TIME_BAD:
        return; /* a reject says so when the row is typed */
    }
}

/* What the strings mean, in place. */
static void convert(struct glpi_reader *reader)
{
    const struct task_def *task = reader->task;
    for (size_t i = 0; i < task->n_columns; i++) {
        struct cell *cell = &reader->cells[i];
        if (cell->kind == CELL_ABSENT) {
            /* GLPI hides no single columns: this version has none, whatever an earlier one had. */
            *cell = (struct cell){CELL_NULL, false, STR_NONE};
        }
        if (cell->kind != CELL_TEXT) {
            continue;
        }
        if (task->columns[i].type == COLUMN_TIMESTAMPTZ) {
            make_utc(reader, cell);
        } else if (task->columns[i].type == COLUMN_DATE &&
                   str_starts_with(cell->text, STR_LITERAL("0000-00-00"))) {
            *cell = (struct cell){CELL_NULL, false, STR_NONE};
        } else if (task->columns[i].type == COLUMN_TEXT &&
                   glpi_is_encoded(reader->encoding,
                                   str_from(task->fields[task->columns[i].field].name),
                                   cell->text)) {
            cell->text = glpi_decode(cell->text);
        }
    }
}

struct reading {
    struct glpi_reader *reader;
    glpi_look look;
    void *look_arg;
    struct row_batch *batch;
    enum glpi_page fault; /* err comes from the look or the batch, not from the syntax */
};

static bool fault(struct reading *reading, enum glpi_page what)
{
    reading->fault = what;
    return false;
}

/* Behind JSON_OBJECT_BEGIN. */
static bool take_record(struct reading *reading, struct json_pull *pull, struct error *err)
{
    struct glpi_reader *reader = reading->reader;
    const struct cell *key = &reader->cells[reader->task->key_columns[0]];
    int64_t id = 0;
    if (!read_record(reader, pull, err)) {
        return false;
    }
    if ((key->kind != CELL_NUMBER && key->kind != CELL_TEXT) ||
        !str_to_int64(key->text, 0, INT64_MAX, &id)) {
        (void)error_set(err, ERROR_DATA, "a record has no numeric %s",
                        reader->task->columns[reader->task->key_columns[0]].name);
        return fault(reading, GLPI_PAGE_WRONG);
    }
    switch (reading->look(reading->look_arg, id, reader->cells, err)) {
    case GLPI_ROW_WRONG:
        return fault(reading, GLPI_PAGE_WRONG);
    case GLPI_ROW_SKIP:
        return true;
    case GLPI_ROW_TAKE:
        break;
    }
    convert(reader);
    return row_batch_add(reading->batch, reader->cells, STR_NONE, err) ||
           fault(reading, GLPI_PAGE_LARGE);
}

static bool read_list(struct reading *reading, struct json_pull *pull, struct error *err)
{
    if (json_pull_next(pull, err) != JSON_ARRAY_BEGIN) {
        return error_is_set(err) ? false : error_set(err, ERROR_DATA, "not a list");
    }
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_ARRAY_END) {
            return true;
        }
        if (token != JSON_OBJECT_BEGIN) {
            return error_is_set(err) ? false
                                     : error_set(err, ERROR_DATA, "an element is not an object");
        }
        if (!take_record(reading, pull, err)) {
            return false;
        }
    }
}

static bool read_item(struct reading *reading, struct json_pull *pull, struct error *err)
{
    if (json_pull_next(pull, err) != JSON_OBJECT_BEGIN) {
        return error_is_set(err) ? false : error_set(err, ERROR_DATA, "not an object");
    }
    return take_record(reading, pull, err);
}

/* NOLINTNEXTLINE(readability-function-size): a callback and its argument count as two */
enum glpi_page glpi_page_read(struct glpi_reader *reader,
                              struct buf *body,
                              struct glpi_page_shape shape,
                              glpi_look look,
                              void *look_arg,
                              struct row_batch *batch,
                              struct error *err)
{
    struct reading reading = {.reader = reader,
                              .look = look,
                              .look_arg = look_arg,
                              .batch = batch,
                              .fault = GLPI_PAGE_BROKEN};
    struct json_pull pull;
    json_pull_init(&pull, body->ptr, body->len);
    bool good = shape.is_item ? read_item(&reading, &pull, err) : read_list(&reading, &pull, err);
    if (good && json_pull_next(&pull, err) == JSON_END) {
        return GLPI_PAGE_GOOD;
    }
    return good ? GLPI_PAGE_BROKEN : reading.fault;
}

bool glpi_content_range(struct str text, int64_t *ret_start, int64_t *ret_end, int64_t *ret_total)
{
    struct str total = text;
    struct str end = str_cut(&total, '/');
    struct str start = str_cut(&end, '-');
    int64_t values[3];
    if (!str_to_int64(start, 0, INT64_MAX - 1, &values[0]) ||
        !str_to_int64(end, -1, INT64_MAX - 1, &values[1]) ||
        !str_to_int64(total, 0, INT64_MAX - 1, &values[2])) {
        return false;
    }
    *ret_start = values[0];
    *ret_end = values[1];
    *ret_total = values[2];
    return true;
}
