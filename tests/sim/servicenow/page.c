#include "tests/sim/servicenow/page.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"
#include "tests/sim/servicenow/bad_value.h"
#include "tests/sim/servicenow/world.h"

static void add_column(struct page_columns *columns, const struct path *path, struct str name)
{
    struct page_column *column = &columns->items[columns->n++];

    column->path = *path;
    column->column = path_column(path);
    column->name = name;
    column->key_len = name.len + 3;
    column->key = xmalloc(column->key_len + 1);
    column->key[0] = '"';
    memcpy(column->key + 1, name.ptr, name.len);
    memcpy(column->key + 1 + name.len, "\":", 3);
}

static bool is_hidden(const struct drawn *drawn, struct str name)
{
    for (int i = 0; drawn != NULL && i < drawn->n; i++) {
        if (drawn->items[i].kind == FAULT_acl_fields && fault_names(drawn->items[i].field, name)) {
            return true;
        }
    }
    return false;
}

void page_columns_init(struct page_columns *columns,
                       const struct store *store,
                       const struct table *table,
                       struct str fields,
                       const struct drawn *drawn)
{
    size_t most = (size_t)table->n_columns;
    struct path path = {.n_steps = 1, .tables = {table}};

    for (size_t i = 0; i < fields.len; i++) {
        most += fields.ptr[i] == ',' ? 1 : 0;
    }
    columns->items = xcalloc(most + 1, sizeof(*columns->items));
    columns->n = 0;
    while (fields.ptr != NULL) {
        struct str name = str_trim(str_cut(&fields, ','));

        if (path_parse(&path, store, table, name) && !is_hidden(drawn, name)) {
            add_column(columns, &path, name);
        }
        if (fields.ptr == NULL) {
            return;
        }
    }
    for (int i = 0; i < table->n_columns; i++) {
        path.columns[0] = i;
        if (!is_hidden(drawn, str_from(table->columns[i].name))) {
            add_column(columns, &path, str_from(table->columns[i].name));
        }
    }
}

void page_columns_release(struct page_columns *columns)
{
    for (int i = 0; i < columns->n; i++) {
        xfree(columns->items[i].key);
    }
    xfree(columns->items);
    columns->items = NULL;
    columns->n = 0;
}

/* A JSON string; room was reserved by the caller (6 bytes for each of text, 2 for quotes). */
static char *put_string(char *at, struct str text)
{
    static const char digits[] = "0123456789abcdef";

    *at++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c >= 0x20 && c != '"' && c != '\\') {
            *at++ = (char)c;
        } else if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            *at++ = '\\';
            *at++ = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
        } else {
            memcpy(at, "\\u00", 4);
            at[4] = digits[c >> 4];
            at[5] = digits[c & 15];
            at += 6;
        }
    }
    *at++ = '"';
    return at;
}

static void add_string(struct buf *out, struct str text)
{
    if (buf_reserve(out, text.len * 6 + 2)) {
        out->len = (size_t)(put_string(out->ptr + out->len, text) - out->ptr);
    }
}

static struct str display_duration(struct str raw, char *out)
{
    int64_t us;

    if (!instant_parse_plain(raw, &us)) {
        return raw;
    }
    int64_t minutes = us / 60000000;

    const struct {
        int64_t n;
        const char *one, *many;
    } parts[] = {{minutes / 1440, " Day ", " Days "},
                 {minutes / 60 % 24, " Hour ", " Hours "},
                 {minutes % 60, " Minute ", " Minutes "}};

    size_t len = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i].n > 0) {
            len += put_int(parts[i].n, out + len).len;
            len += put_words(out + len, parts[i].n == 1 ? parts[i].one : parts[i].many, "", "").len;
        }
    }
    return len == 0 ? STR_LITERAL("0 Seconds") : (struct str){out, len - 1};
}

static struct str
display_reference(const struct store *store, const struct column *column, struct str raw, char *out)
{
    struct path path = {.n_steps = 1};
    struct row row;
    bool is_task = strcmp(column->target, "task") == 0;
    const struct world *world = store->world;
    const struct table *const tasks[] = {world->incident, world->incident_task,
                                         world->change_request, world->problem};

    for (size_t i = 0; i < (is_task ? ARRAY_SIZE(tasks) : 1); i++) {
        const struct table *table =
            is_task ? tasks[i] : store_table(store, str_from(column->target));

        if (table != NULL && table->col_display >= 0 && store_find(store, table, raw, &row)) {
            path.columns[0] = table->col_display;
            return path_cell(&path, &row, out);
        }
    }
    /* `global` and `glide.maint` show as themselves, lost records as nothing. */
    return raw.len == 32 ? put_empty() : raw;
}

struct str page_display(const struct store *store,
                        const struct column *column,
                        struct str raw,
                        int64_t user_offset_s,
                        char *out)
{
    int64_t us;
    const char *label;

    if (raw.len == 0) {
        return raw;
    }
    if (column->type == COLUMN_REFERENCE) {
        return display_reference(store, column, raw, out);
    }
    if (column->type == COLUMN_DATETIME && user_offset_s != 0 && instant_parse_plain(raw, &us)) {
        return put_time(us / 1000000 + user_offset_s, out);
    }
    if (column->type == COLUMN_DURATION) {
        return display_duration(raw, out);
    }
    label = table_choice_label(column, raw);
    return label != NULL ? str_from(label) : raw;
}

static void
add_link(struct buf *out, const struct page_format *format, const char *target, struct str raw)
{
    buf_add_c(out, "\"link\":\"");
    buf_add_c(out, format->origin);
    buf_add_c(out, "/api/now/table/");
    buf_add_c(out, target);
    buf_add_char(out, '/');
    buf_add_str(out, raw);
    buf_add_c(out, "\"");
}

/* Every mode but the plain one. */
static void add_shaped(struct buf *out,
                       const struct page_column *column,
                       struct str raw,
                       const struct store *store,
                       const struct page_format *format)
{
    char text[CELL_MAX];
    bool reference = column->column->type == COLUMN_REFERENCE && raw.len > 0;
    bool journal = column->column->type == COLUMN_JOURNAL;
    struct str shown = page_display(store, column->column, raw, format->user_offset_s, text);

    if (format->display == DISPLAY_FALSE) {
        if (reference && format->links) {
            buf_add_char(out, '{');
            add_link(out, format, column->column->target, raw);
            buf_add_c(out, ",\"value\":");
            add_string(out, raw);
            buf_add_char(out, '}');
        } else {
            add_string(out, journal ? put_empty() : raw);
        }
        return;
    }
    if (format->display == DISPLAY_TRUE && !(reference && format->links)) {
        add_string(out, shown);
        return;
    }
    buf_add_c(out, "{\"display_value\":");
    add_string(out, shown);
    if (reference && format->links) {
        buf_add_char(out, ',');
        add_link(out, format, column->column->target, raw);
    }
    if (format->display == DISPLAY_ALL) {
        buf_add_c(out, ",\"value\":");
        add_string(out, journal ? put_empty() : raw);
    }
    buf_add_char(out, '}');
}

static bool add_bad(struct buf *out,
                    const struct page_column *column,
                    struct row *row,
                    struct str raw,
                    const struct page_format *format,
                    bool *ret_missing)
{
    char id_text[CELL_MAX];
    struct str id = row_cell(row, row->table->col_id, id_text);

    for (int i = 0; i < format->drawn->n; i++) {
        const struct fault *fault = &format->drawn->items[i];

        if (fault->kind == FAULT_bad_value && fault_names(fault->field, column->name) &&
            bad_value_hits(fault, id)) {
            *ret_missing = fault_mode_is(fault, "missing");
            if (!*ret_missing) {
                bad_value_write(out, fault, raw, format->display == DISPLAY_ALL);
            }
            return true;
        }
    }
    return false;
}

void page_write_row(struct buf *out,
                    const struct page_columns *columns,
                    struct row *row,
                    const struct page_format *format)
{
    char text[CELL_MAX];
    bool plain = format->display == DISPLAY_FALSE && !format->links;
    size_t start;

    buf_add_char(out, '{');
    for (int i = 0; i < columns->n; i++) {
        const struct page_column *column = &columns->items[i];
        struct str raw = column->path.n_steps == 1 ? row_cell(row, column->path.columns[0], text)
                                                   : path_cell(&column->path, row, text);
        bool missing = false;

        start = out->len;
        if (!buf_reserve(out, column->key_len + raw.len * 6 + 4)) {
            buf_add(out, out->ptr, out->limit); /* latches the overflow */
            return;
        }
        if (start > 0 && out->ptr[start - 1] != '{') {
            out->ptr[out->len++] = ',';
        }
        memcpy(out->ptr + out->len, column->key, column->key_len);
        out->len += column->key_len;
        if (format->drawn != NULL && add_bad(out, column, row, raw, format, &missing)) {
            if (missing) {
                buf_truncate(out, start);
            }
        } else if (plain && column->column->type != COLUMN_JOURNAL) {
            out->len = (size_t)(put_string(out->ptr + out->len, raw) - out->ptr);
        } else {
            add_shaped(out, column, raw, row->store, format);
        }
    }
    buf_add_char(out, '}');
}
