#include "worker/sources/azure_devops/record.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/sources/azure_devops/identity.h"
#include "worker/sources/json_cell.h"

#define REST_MAX       4096
#define REST_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define PARTS          3

/* Where a member's value goes. */
struct slot {
    struct str name;
    int columns[PARTS]; /* -1 = none */
    bool is_identity;
    bool is_time;
    bool is_rest;
    bool null_is_default; /* null says no more than a missing member */
    size_t follower;      /* the slot that came behind this one last time */
};

/* One unmapped field of the record that is being read. */
struct rest_item {
    struct str name;
    struct str raw;
};

struct ado_reader {
    const struct task_def *task;
    bool is_flat;
    struct slot *slots;
    size_t n_slots;
    size_t first;          /* the slot a record began with last time */
    size_t *guess;         /* members come in the same order in most records */
    struct cell *cells;    /* task->n_columns */
    struct cell *defaults; /* of a record that says nothing */
    int rest_column;       /* -1 = none */
    int id_column;
    int rev_column;
    struct rest_item rest[REST_MAX];
    size_t n_rest;
    struct buf rest_text;
    struct buf scratch;
    struct str id_text;
    struct str rev_text;
};

static const struct cell CELL_OF_NULL = {CELL_NULL, false, {NULL, 0}};
static const struct cell CELL_OF_ABSENT = {CELL_ABSENT, false, {NULL, 0}};

static bool is_instant(enum column_type type)
{
    return type == COLUMN_TIMESTAMPTZ || type == COLUMN_DATE;
}

static void map_columns(struct ado_reader *reader, struct slot *slot, size_t field)
{
    const struct task_def *task = reader->task;
    slot->is_identity = task->fields[field].identity;
    slot->is_time = is_instant(task->fields[field].type);
    for (size_t i = 0; i < task->n_columns; i++) {
        if (task->columns[i].field == field && task->columns[i].part < PARTS) {
            slot->columns[task->columns[i].part] = (int)i;
        }
    }
}

static void set_default(struct ado_reader *reader, const struct slot *slot, struct cell cell)
{
    for (size_t i = 0; i < PARTS; i++) {
        if (slot->columns[i] >= 0) {
            reader->defaults[slot->columns[i]] = cell;
        }
    }
}

static void add_slot(struct ado_reader *reader, const char *name, int field, bool asked)
{
    struct slot *slot = &reader->slots[reader->n_slots++];
    *slot = (struct slot){.name = str_from(name),
                          .columns = {-1, -1, -1},
                          .is_rest = field < 0,
                          .follower = reader->n_slots};
    if (field < 0) {
        return;
    }
    map_columns(reader, slot, (size_t)field);
    set_default(reader, slot, asked ? CELL_OF_NULL : CELL_OF_ABSENT);
    /* Only a deleted item says so; a feed that may not be asked says nothing. */
    slot->null_is_default = strcmp(name, "System.IsDeleted") == 0;
    if (asked && slot->null_is_default) {
        set_default(reader, slot, (struct cell){CELL_BOOL, false, STR_LITERAL("false")});
    }
    if (strcmp(name, "System.Id") == 0) {
        reader->id_column = slot->columns[0];
    } else if (strcmp(name, "System.Rev") == 0) {
        reader->rev_column = slot->columns[0];
    }
}

struct ado_reader *ado_reader_new(const struct task_def *task, const struct ado_fields *fields)
{
    struct ado_reader *reader = XNEW(struct ado_reader);
    size_t n = fields != NULL ? fields->n : task->n_fields;
    reader->task = task;
    reader->is_flat = fields == NULL;
    reader->id_column = -1;
    reader->rev_column = -1;
    reader->rest_column = -1;
    reader->slots = xcalloc(n + 1, sizeof(*reader->slots));
    reader->cells = xcalloc(task->n_columns + 1, sizeof(*reader->cells));
    reader->defaults = xcalloc(task->n_columns + 1, sizeof(*reader->defaults));
    buf_init(&reader->rest_text, REST_BYTES_MAX);
    buf_init(&reader->scratch, REST_BYTES_MAX);
    for (size_t i = 0; i < n; i++) {
        if (fields == NULL) {
            add_slot(reader, task->fields[i].name, (int)i, true);
        } else if (fields->items[i].asked || fields->items[i].mapped >= 0) {
            add_slot(reader, fields->items[i].name, fields->items[i].mapped,
                     fields->items[i].asked);
        }
    }
    for (size_t i = 0; i < task->n_columns; i++) {
        if (task->fields[task->columns[i].field].rest) {
            reader->rest_column = (int)i;
        }
    }
    return reader;
}

void ado_reader_free(struct ado_reader *reader)
{
    if (reader != NULL) {
        buf_release(&reader->rest_text);
        buf_release(&reader->scratch);
        xfree(reader->slots);
        xfree(reader->cells);
        xfree(reader->defaults);
        xfree(reader);
    }
}

static bool is_slot(const struct slot *slot, struct str name)
{
    return slot->name.len == name.len && memcmp(slot->name.ptr, name.ptr, name.len) == 0;
}

static const struct slot *find_slot(struct ado_reader *reader, struct str name)
{
    size_t at = *reader->guess;
    if (at >= reader->n_slots || !is_slot(&reader->slots[at], name)) {
        at = 0;
        while (at < reader->n_slots && !is_slot(&reader->slots[at], name)) {
            at++;
        }
        if (at == reader->n_slots) {
            return NULL;
        }
        *reader->guess = at;
    }
    reader->guess = &reader->slots[at].follower;
    return &reader->slots[at];
}

/* "Still current" and "never": not moments. */
static bool is_sentinel(struct str text)
{
    return str_starts_with(text, STR_LITERAL("9999-01-01T00:00:00")) ||
           str_starts_with(text, STR_LITERAL("0001-01-01T00:00:00"));
}

static void fill(struct ado_reader *reader, const struct slot *slot, int part, struct cell cell)
{
    if (slot->columns[part] >= 0) {
        reader->cells[slot->columns[part]] = cell;
    }
}

/* A number where a person is expected lands as it is rather than break the page. */
static bool is_person(const struct json_pull *pull)
{
    const char *at = pull->cursor;
    at += strspn(at, " \t\r\n");
    return *at == '"' || *at == '{' || *at == 'n';
}

static bool read_slot(struct ado_reader *reader,
                      const struct slot *slot,
                      struct json_pull *pull,
                      struct error *err)
{
    if (slot->is_identity && is_person(pull)) {
        struct ado_identity identity;
        if (!ado_identity_read(pull, &identity, err)) {
            return false;
        }
        fill(reader, slot, PART_VALUE, identity.unique_name);
        fill(reader, slot, PART_ID, identity.id);
        fill(reader, slot, PART_DISPLAY_NAME, identity.display_name);
        return true;
    }
    struct cell cell;
    if (!json_cell_read(pull, &cell, err)) {
        return false;
    }
    if (slot->null_is_default && cell.kind == CELL_NULL) {
        return true;
    }
    fill(reader, slot, PART_VALUE, slot->is_time && is_sentinel(cell.text) ? CELL_OF_NULL : cell);
    return true;
}

static bool
read_rest(struct ado_reader *reader, struct str name, struct json_pull *pull, struct error *err)
{
    struct rest_item item = {.name = name};
    if (!json_pull_skip(pull, &item.raw, err)) {
        return false;
    }
    if (str_equal_c(item.raw, "null")) {
        return true; /* as good as left out, which is how most versions write it */
    }
    if (reader->n_rest == REST_MAX) {
        return error_set(err, ERROR_DATA, "a record has more than %d unmapped fields", REST_MAX);
    }
    reader->rest[reader->n_rest++] = item;
    return true;
}

/* Behind JSON_OBJECT_BEGIN of the object that holds the fields. */
static bool read_fields(struct ado_reader *reader, struct json_pull *pull, struct error *err)
{
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_OBJECT_END) {
            return true;
        }
        if (token != JSON_NAME) {
            return false;
        }
        struct str name = pull->text;
        const struct slot *slot = find_slot(reader, name);
        struct str ignored;
        bool good = slot == NULL    ? json_pull_skip(pull, &ignored, err)
                    : slot->is_rest ? read_rest(reader, name, pull, err)
                                    : read_slot(reader, slot, pull, err);
        if (!good) {
            return false;
        }
    }
}

static int compare_rest(const void *a, const void *b)
{
    const struct rest_item *left = a;
    const struct rest_item *right = b;
    return str_compare(left->name, right->name);
}

/* A person among the unmapped fields: links and pictures of theirs change without a change of the
 * work item, so only who it is stays. */
static void add_rest_value(struct ado_reader *reader, struct str raw)
{
    struct buf *out = &reader->rest_text;
    struct ado_identity person;
    struct json_pull pull;
    struct error ignored = ERROR_INIT; /* then it is no person */
    buf_reset(&reader->scratch);
    buf_add_str(&reader->scratch, raw);
    json_pull_init(&pull, reader->scratch.ptr, reader->scratch.len);
    if (raw.ptr[0] != '{' || reader->scratch.overflow ||
        !ado_identity_read(&pull, &person, &ignored) || person.id.kind != CELL_TEXT) {
        buf_add_str(out, raw);
        return;
    }
    buf_add_c(out, "{\"id\":");
    buf_add_json_string(out, person.id.text);
    buf_add_c(out, ",\"displayName\":");
    buf_add_json_string(out, person.display_name.text);
    buf_add_c(out, ",\"uniqueName\":");
    buf_add_json_string(out, person.unique_name.text);
    buf_add_char(out, '}');
}

/* In the order of names: the service's own order differs from call to call, the row must not. */
static bool write_rest(struct ado_reader *reader, struct error *err)
{
    struct buf *out = &reader->rest_text;
    if (reader->rest_column < 0) {
        return true;
    }
    if (reader->n_rest > 1) {
        qsort(reader->rest, reader->n_rest, sizeof(reader->rest[0]), compare_rest);
    }
    buf_reset(out);
    buf_add_char(out, '{');
    for (size_t i = 0; i < reader->n_rest; i++) {
        buf_add_c(out, i > 0 ? "," : "");
        buf_add_json_string(out, reader->rest[i].name);
        buf_add_char(out, ':');
        add_rest_value(reader, reader->rest[i].raw);
    }
    buf_add_char(out, '}');
    reader->cells[reader->rest_column] = (struct cell){CELL_JSON, false, buf_str(out)};
    return !out->overflow ||
           error_set(err, ERROR_LIMIT, "the unmapped fields of a record pass %zu bytes",
                     REST_BYTES_MAX);
}

static void begin_record(struct ado_reader *reader)
{
    memcpy(reader->cells, reader->defaults, reader->task->n_columns * sizeof(*reader->cells));
    reader->guess = &reader->first;
    reader->n_rest = 0;
    reader->id_text = STR_NONE;
    reader->rev_text = STR_NONE;
}

/* A member of a work item beside its fields. */
static bool
read_member(struct ado_reader *reader, struct json_pull *pull, bool *has_fields, struct error *err)
{
    struct str *number = str_equal_c(pull->text, "id")    ? &reader->id_text
                         : str_equal_c(pull->text, "rev") ? &reader->rev_text
                                                          : NULL;
    struct str ignored;
    if (number != NULL) {
        struct cell cell;
        if (!json_cell_read(pull, &cell, err)) {
            return false;
        }
        *number = cell.text;
        return true;
    }
    if (!str_equal_c(pull->text, "fields")) {
        return json_pull_skip(pull, &ignored, err);
    }
    if (*has_fields || json_pull_next(pull, err) != JSON_OBJECT_BEGIN) {
        return error_is_set(err) ? false
                                 : error_set(err, ERROR_DATA, "\"fields\" is not one object");
    }
    *has_fields = true;
    return read_fields(reader, pull, err);
}

/* id and rev stand beside the fields even where the fields are restricted to others. */
static bool settle_key(struct ado_reader *reader,
                       struct str text,
                       int column,
                       const char *name,
                       int64_t *ret_value,
                       struct error *err)
{
    struct cell *cell = column >= 0 ? &reader->cells[column] : NULL;
    bool is_named = cell != NULL && cell->text.len > 0 && cell->kind != CELL_ABSENT;
    if (text.len == 0 && is_named) {
        text = cell->text;
    }
    if (!str_to_int64(text, 1, ADO_ID_MAX, ret_value)) {
        return error_set(err, ERROR_DATA, "a work item without a usable %s", name);
    }
    if (is_named && !str_equal(cell->text, text)) {
        return error_set(err, ERROR_DATA, "a work item calls itself %s %.*s and %.*s", name,
                         STR_ARG(text), STR_ARG(cell->text));
    }
    if (cell != NULL) {
        *cell = (struct cell){CELL_NUMBER, false, text};
    }
    return true;
}

bool ado_reader_read(struct ado_reader *reader,
                     struct json_pull *pull,
                     struct ado_record *ret_record,
                     struct error *err)
{
    bool has_fields = false;
    begin_record(reader);
    *ret_record = (struct ado_record){.cells = reader->cells};
    if (reader->is_flat) {
        return read_fields(reader, pull, err) && write_rest(reader, err);
    }
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_OBJECT_END) {
            break;
        }
        if (token != JSON_NAME || !read_member(reader, pull, &has_fields, err)) {
            return false;
        }
    }
    if (!has_fields) {
        return error_set(err, ERROR_DATA, "a work item without \"fields\"");
    }
    return settle_key(reader, reader->id_text, reader->id_column, "id", &ret_record->id, err) &&
           settle_key(reader, reader->rev_text, reader->rev_column, "rev", &ret_record->rev, err) &&
           write_rest(reader, err);
}
