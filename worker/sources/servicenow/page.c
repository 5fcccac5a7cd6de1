#include "worker/sources/servicenow/page.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/io/json.h"
#include "common/io/json_pull.h"

struct slot {
    struct str name;
    int value_column;   /* index in cells, -1 = none */
    int display_column; /* the same */
    int extra_column;   /* the value once more, for the field the walk checks */
};

struct servicenow_reader {
    const struct task_def *task;
    struct slot *slots;
    size_t n_slots;
    size_t guess; /* the slot the next member probably is: answers keep one order */
    struct cell *cells;
    size_t n_cells;
    bool skips; /* the record under way */
};

/* The field may be one of the task's: answers hold it once. */
static void add_extra(struct servicenow_reader *reader, struct str name)
{
    size_t i = 0;
    while (i < reader->n_slots && !str_equal(reader->slots[i].name, name)) {
        i++;
    }
    if (i == reader->n_slots) {
        reader->slots[reader->n_slots++] = (struct slot){name, -1, -1, -1};
    }
    reader->slots[i].extra_column = (int)reader->task->n_columns;
}

struct servicenow_reader *servicenow_reader_new(const struct task_def *task,
                                                const char *extra_field)
{
    struct servicenow_reader *reader = XNEW(struct servicenow_reader);
    reader->task = task;
    reader->n_cells = task->n_columns + 1;
    reader->cells = xcalloc(reader->n_cells, sizeof(*reader->cells));
    reader->n_slots = task->n_fields;
    reader->slots = xcalloc(task->n_fields + 1, sizeof(*reader->slots));
    for (size_t i = 0; i < task->n_fields; i++) {
        reader->slots[i] = (struct slot){str_from(task->fields[i].name), -1, -1, -1};
    }
    for (size_t i = 0; i < task->n_columns; i++) {
        struct slot *slot = &reader->slots[task->columns[i].field];
        *(task->columns[i].part == 0 ? &slot->value_column : &slot->display_column) = (int)i;
    }
    if (extra_field != NULL) {
        add_extra(reader, str_from(extra_field));
    }
    return reader;
}

void servicenow_reader_free(struct servicenow_reader *reader)
{
    if (reader != NULL) {
        xfree(reader->slots);
        xfree(reader->cells);
        xfree(reader);
    }
}

void servicenow_reader_skip(struct servicenow_reader *reader)
{
    reader->skips = true;
}

static uint64_t load_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* Every member of every record passes here, and names are short: a call would cost more than the
 * comparison. */
static inline bool is_same_name(struct str a, struct str b)
{
    size_t at = 0;
    if (a.len != b.len) {
        return false;
    }
    for (; at + sizeof(uint64_t) <= a.len; at += sizeof(uint64_t)) {
        if (load_word(a.ptr + at) != load_word(b.ptr + at)) {
            return false;
        }
    }
    if (at > 0) {
        /* The rest, with some of what was compared already. */
        at = a.len - sizeof(uint64_t);
        return load_word(a.ptr + at) == load_word(b.ptr + at);
    }
    while (at < a.len && a.ptr[at] == b.ptr[at]) {
        at++;
    }
    return at == a.len;
}

static inline const struct slot *find_slot(struct servicenow_reader *reader, struct str name)
{
    for (size_t tried = 0; tried < reader->n_slots; tried++) {
        size_t i = reader->guess + tried;
        i = i < reader->n_slots ? i : i - reader->n_slots;
        if (is_same_name(reader->slots[i].name, name)) {
            reader->guess = i + 1 < reader->n_slots ? i + 1 : 0;
            return &reader->slots[i];
        }
    }
    return NULL;
}

static struct cell scalar_cell(enum json_token token, const struct json_pull *pull)
{
    switch (token) {
    case JSON_STRING:
        return (struct cell){CELL_TEXT, pull->has_nul, pull->text};
    case JSON_NUMBER:
        return (struct cell){CELL_NUMBER, false, pull->text};
    case JSON_TRUE:
        return (struct cell){CELL_BOOL, false, STR_LITERAL("true")};
    case JSON_FALSE:
        return (struct cell){CELL_BOOL, false, STR_LITERAL("false")};
    case JSON_ERROR:
    case JSON_END:
    case JSON_OBJECT_BEGIN:
    case JSON_OBJECT_END:
    case JSON_ARRAY_BEGIN:
    case JSON_ARRAY_END:
    case JSON_NAME:
    case JSON_NULL:
        break;
    }
    return (struct cell){CELL_NULL, false, STR_NONE};
}

static bool is_scalar(enum json_token token)
{
    return token == JSON_STRING || token == JSON_NUMBER || token == JSON_TRUE ||
           token == JSON_FALSE || token == JSON_NULL;
}

/* {"display_value": ..., "value": ..., "link": ...}: what display_value=all and references are. */
static bool
read_pair(struct json_pull *pull, struct cell *value, struct cell *display, struct error *err)
{
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_OBJECT_END) {
            return true;
        }
        if (token != JSON_NAME) {
            return false;
        }
        struct cell *target = str_equal_c(pull->text, "value")           ? value
                              : str_equal_c(pull->text, "display_value") ? display
                                                                         : NULL;
        if (target == NULL) {
            struct str ignored;
            if (!json_pull_skip(pull, &ignored, err)) {
                return false;
            }
            continue;
        }
        token = json_pull_next(pull, err);
        if (!is_scalar(token)) {
            return token == JSON_ERROR
                       ? false
                       : error_set(err, ERROR_DATA, "byte %zu: a value inside a value",
                                   json_pull_offset(pull));
        }
        *target = scalar_cell(token, pull);
    }
}

static inline void fill_slot(struct servicenow_reader *reader,
                             const struct slot *slot,
                             const struct cell *value,
                             const struct cell *display)
{
    if (slot->value_column >= 0) {
        reader->cells[slot->value_column] = *value;
    }
    if (slot->display_column >= 0) {
        reader->cells[slot->display_column] = *display;
    }
    if (slot->extra_column >= 0) {
        reader->cells[slot->extra_column] = *value;
    }
}

/* Nearly all values: nothing has to be remembered in case it turns out to be an array. */
static inline bool read_text(struct servicenow_reader *reader,
                             const struct slot *slot,
                             struct json_pull *pull,
                             struct error *err)
{
    if (json_pull_next(pull, err) != JSON_STRING) {
        return false;
    }
    fill_slot(reader, slot, &(struct cell){CELL_TEXT, pull->has_nul, pull->text},
              &(struct cell){0});
    return true;
}

static bool read_value(struct servicenow_reader *reader,
                       const struct slot *slot,
                       struct json_pull *pull,
                       struct error *err)
{
    struct cell value = {0};
    struct cell display = {0};
    struct json_pull before = *pull;
    enum json_token token = json_pull_next(pull, err);
    if (is_scalar(token)) {
        value = scalar_cell(token, pull);
    } else if (token == JSON_OBJECT_BEGIN) {
        if (!read_pair(pull, &value, &display, err)) {
            return false;
        }
    } else if (token == JSON_ARRAY_BEGIN) {
        *pull = before;
        struct str raw;
        if (!json_pull_skip(pull, &raw, err)) {
            return false;
        }
        value = (struct cell){CELL_JSON, false, raw};
    } else {
        return false;
    }
    fill_slot(reader, slot, &value, &display);
    return true;
}

/* Behind JSON_OBJECT_BEGIN of one record. */
static bool read_record(struct servicenow_reader *reader, struct json_pull *pull, struct error *err)
{
    memset(reader->cells, 0, reader->n_cells * sizeof(*reader->cells));
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
        bool good = slot == NULL           ? json_pull_skip(pull, &ignored, err)
                    : *pull->cursor == '"' ? read_text(reader, slot, pull, err)
                                           : read_value(reader, slot, pull, err);
        if (!good) {
            return false;
        }
    }
}

bool servicenow_is_cancelled(struct str body)
{
    return str_contains_nocase(body, STR_LITERAL("transaction cancelled")) ||
           str_contains_nocase(body, STR_LITERAL("transaction canceled")) ||
           str_contains_nocase(body, STR_LITERAL("maximum execution time exceeded"));
}

void servicenow_error_text(struct str body, struct buf *out)
{
    struct error ignored = ERROR_INIT; /* an answer that is not JSON is shown as it is */
    struct json *root = json_parse(body, &ignored);
    const struct json *error = json_find(root, "error");
    const char *message = json_find_string(error, "message");
    const char *detail = json_find_string(error, "detail");
    if (message == NULL) {
        message = json_string(error);
        detail = json_find_string(root, "error_description");
    }
    if (message != NULL) {
        buf_add_c(out, message);
        if (detail != NULL && strcmp(detail, message) != 0) {
            buf_addf(out, ": %s", detail);
        }
    } else {
        struct str start = str_trim(body);
        start.len = start.len < 100 ? start.len : 100;
        for (size_t i = 0; i < start.len; i++) {
            char byte = start.ptr[i];
            buf_add_char(out, byte >= 0x20 && byte < 0x7f ? byte : ' ');
        }
    }
    json_free(root);
}

/* A syntax error or an `error` member: cancelled midway, or just broken. */
static enum servicenow_page broken(struct str body, struct error *err)
{
    if (servicenow_is_cancelled(body)) {
        error_clear(err);
        (void)error_set(err, ERROR_LIMIT,
                        "the answer breaks off: the transaction was cancelled for taking too long");
        return SERVICENOW_PAGE_CANCELLED;
    }
    if (!error_is_set(err)) {
        (void)error_set(err, ERROR_TRANSIENT, "the answer is not a result list");
    }
    err->code = ERROR_TRANSIENT;
    (void)error_wrap(err, "broken answer");
    return SERVICENOW_PAGE_BROKEN;
}

struct page_reading {
    struct servicenow_reader *reader;
    servicenow_row_check check;
    void *check_arg;
    struct row_batch *batch;
    int64_t records;
    bool wrong; /* err comes from check or batch, not from the syntax */
};

/* Behind the name "result". */
static bool read_result(struct page_reading *page, struct json_pull *pull, struct error *err)
{
    if (json_pull_next(pull, err) != JSON_ARRAY_BEGIN) {
        return error_is_set(err) ? false : error_set(err, ERROR_DATA, "\"result\" is not an array");
    }
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_ARRAY_END) {
            return true;
        }
        if (token != JSON_OBJECT_BEGIN) {
            return error_is_set(err)
                       ? false
                       : error_set(err, ERROR_DATA, "element %lld of \"result\" is not an object",
                                   (long long)page->records);
        }
        if (!read_record(page->reader, pull, err)) {
            return false;
        }
        page->records++;
        page->reader->skips = false;
        if (!page->check(page->check_arg, page->reader->cells, err) ||
            (!page->reader->skips &&
             !row_batch_add(page->batch, page->reader->cells, STR_NONE, err))) {
            page->wrong = true;
            return false;
        }
    }
}

/* Walks the envelope; on_result reads what is behind "result". */
static bool read_envelope(struct json_pull *pull,
                          bool (*on_result)(void *arg, struct json_pull *pull, struct error *err),
                          void *arg,
                          struct error *err)
{
    bool has_result = false;
    bool has_error = false;
    if (json_pull_next(pull, err) != JSON_OBJECT_BEGIN) {
        return error_is_set(err) ? false : error_set(err, ERROR_DATA, "not a JSON object");
    }
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_OBJECT_END) {
            break;
        }
        if (token != JSON_NAME) {
            return false;
        }
        bool is_result = str_equal_c(pull->text, "result");
        has_error = has_error || str_equal_c(pull->text, "error");
        if (is_result && has_result) {
            return error_set(err, ERROR_DATA, "\"result\" comes twice");
        }
        has_result = has_result || is_result;
        struct str ignored;
        if (is_result ? !on_result(arg, pull, err) : !json_pull_skip(pull, &ignored, err)) {
            return false;
        }
    }
    if (json_pull_next(pull, err) != JSON_END) {
        return false;
    }
    if (has_error) {
        return error_set(err, ERROR_DATA, "the answer carries an error beside its result");
    }
    return has_result || error_set(err, ERROR_DATA, "no \"result\"");
}

static bool read_result_rows(void *arg, struct json_pull *pull, struct error *err)
{
    return read_result(arg, pull, err);
}

/* NOLINTNEXTLINE(readability-function-size): a callback and its argument count as two */
enum servicenow_page servicenow_page_read(struct servicenow_reader *reader,
                                          struct buf *body,
                                          servicenow_row_check check,
                                          void *check_arg,
                                          struct row_batch *batch,
                                          int64_t *ret_records,
                                          struct error *err)
{
    struct page_reading page = {
        .reader = reader, .check = check, .check_arg = check_arg, .batch = batch};
    struct json_pull pull;
    json_pull_init(&pull, body->ptr, body->len);
    if (!read_envelope(&pull, read_result_rows, &page, err)) {
        return page.wrong ? SERVICENOW_PAGE_WRONG : broken(buf_str(body), err);
    }
    *ret_records = page.records;
    return SERVICENOW_PAGE_GOOD;
}

struct name_reading {
    void (*on_name)(void *arg, struct str name);
    void *arg;
    int64_t records;
};

static bool read_result_names(void *arg, struct json_pull *pull, struct error *err)
{
    struct name_reading *names = arg;
    if (json_pull_next(pull, err) != JSON_ARRAY_BEGIN) {
        return error_is_set(err) ? false : error_set(err, ERROR_DATA, "\"result\" is not an array");
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
        names->records++;
        while ((token = json_pull_next(pull, err)) == JSON_NAME) {
            if (names->records == 1) {
                names->on_name(names->arg, pull->text);
            }
            struct str ignored;
            if (!json_pull_skip(pull, &ignored, err)) {
                return false;
            }
        }
        if (token != JSON_OBJECT_END) {
            return false;
        }
    }
}

enum servicenow_page servicenow_page_names(struct buf *body,
                                           void (*on_name)(void *arg, struct str name),
                                           void *arg,
                                           int64_t *ret_records,
                                           struct error *err)
{
    struct name_reading names = {.on_name = on_name, .arg = arg};
    struct json_pull pull;
    json_pull_init(&pull, body->ptr, body->len);
    if (!read_envelope(&pull, read_result_names, &names, err)) {
        return broken(buf_str(body), err);
    }
    *ret_records = names.records;
    return SERVICENOW_PAGE_GOOD;
}
