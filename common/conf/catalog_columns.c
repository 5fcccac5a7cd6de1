#include "common/conf/catalog_columns.h"

#include <string.h>

/* Columns that every PostgreSQL table has. */
static const char *const system_columns[] = {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"};

static int find_column(const struct column *columns, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(columns[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- names ---- */

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* "ChangedDate" gives changed_date, "IterationID" iteration_id, "HTTPStatus" http_status. */
static void add_snake_case(struct buf *out, struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool begins_word = is_upper(c) && i > 0 &&
                           (is_lower_or_digit(name.ptr[i - 1]) ||
                            (is_upper(name.ptr[i - 1]) && i + 1 < name.len &&
                             name.ptr[i + 1] >= 'a' && name.ptr[i + 1] <= 'z'));
        if (begins_word) {
            buf_add_char(out, '_');
        }
        if (is_upper(c)) {
            buf_add_char(out, (char)(c - 'A' + 'a'));
        } else {
            buf_add_char(out, is_lower_or_digit(c) ? c : '_');
        }
    }
}

static const char *prefix_of(const char *source_type)
{
    if (strcmp(source_type, "azure_devops") == 0) {
        return "ado_";
    }
    return strcmp(source_type, "glpi") == 0 ? "glpi_" : "sn_";
}

const char *catalog_column_name(struct option_reader *reader,
                                const char *source_type,
                                const char *field,
                                bool keep_namespace)
{
    CLEANUP(buf_release) struct buf name;
    CLEANUP(buf_release) struct buf prefixed;
    buf_init(&name, 2048);
    buf_init(&prefixed, 2100);
    struct str local = str_from(field);
    const char *dot = strrchr(field, '.');
    bool has_namespace = strcmp(source_type, "azure_devops") == 0 && dot != NULL;
    if (has_namespace && !keep_namespace && dot[1] != '\0') {
        local = str_from(dot + 1);
    }
    add_snake_case(&name, local);
    struct str text = buf_str(&name);
    if (str_equal_c(text, "source") || str_starts_with(text, STR_LITERAL("etl_"))) {
        buf_add_c(&prefixed, prefix_of(source_type));
    }
    buf_add_str(&prefixed, text);
    return options_copy(reader, prefixed.ptr, prefixed.len);
}

/* ---- columns ---- */

bool columns_is_system(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(system_columns); i++) {
        if (strcmp(system_columns[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_column(struct option_reader *reader,
                       struct columns *columns,
                       const struct column *column,
                       const struct field *field,
                       int line)
{
    if (strlen(column->name) > IDENTIFIER_MAX_BYTES) {
        options_fault(reader, line,
                      "field %s would land as %s, longer than the 63 bytes PostgreSQL allows; "
                      "leave the field out",
                      options_shown(reader, field->name), options_shown(reader, column->name));
        return false;
    }
    if (columns_is_system(column->name)) {
        options_fault(reader, line,
                      "field %s would land as %s, which PostgreSQL keeps for itself; leave the "
                      "field out",
                      field->name, column->name);
        return false;
    }
    if (find_column(columns->items, columns->n, column->name) >= 0) {
        options_fault(reader, line,
                      "field %s would land as %s, which is another field's column already; leave "
                      "one of them out",
                      field->name, column->name);
        return false;
    }
    for (size_t i = 0; i < N_KEPT; i++) {
        if (columns->kept[i] != NULL && strcmp(columns->kept[i], column->name) == 0) {
            options_fault(reader, line,
                          "field %s would land as %s, which is a column that foz keeps (%s); leave "
                          "the field out or rename that column",
                          field->name, column->name, task_property_names[PROPERTY_GONE + i]);
            return false;
        }
    }
    columns->items[columns->n++] = *column;
    return true;
}

/* What a field's columns have around its name, by part. */
struct affix {
    const char *before;
    const char *after;
};

static const struct affix identity_affixes[] = {{"", ""}, {"", "_id"}, {"", "_display"}};
static const struct affix value_affixes[] = {{"", ""}, {"dv_", ""}};

static const char *
with_affix(struct option_reader *reader, const char *name, const struct affix *affix)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, 2200);
    buf_addf(&text, "%s%s%s", affix->before, name, affix->after);
    return options_copy(reader, text.ptr, text.len);
}

/* The columns of an identity stay together: if one of them meets another field's, all of them keep
 * the full name. */
static const char *value_column_name(struct option_reader *reader,
                                     const struct columns *columns,
                                     const struct field *field)
{
    const char *name = catalog_column_name(reader, columns->source_type, field->name, false);
    for (size_t i = 0; i < (field->identity ? ARRAY_SIZE(identity_affixes) : 1); i++) {
        const char *column = with_affix(reader, name, &identity_affixes[i]);
        if (find_column(columns->items, columns->n, column) >= 0) {
            return catalog_column_name(reader, columns->source_type, field->name, true);
        }
    }
    return name;
}

bool columns_add_further(struct option_reader *reader,
                         struct columns *columns,
                         struct column value,
                         const struct field *field,
                         int line)
{
    const struct affix *affixes = field->identity ? identity_affixes : value_affixes;
    size_t n = field->identity  ? ARRAY_SIZE(identity_affixes)
               : field->display ? ARRAY_SIZE(value_affixes)
                                : 1;
    for (size_t i = 1; i < n; i++) {
        struct column column = {.name = with_affix(reader, value.name, &affixes[i]),
                                .type = COLUMN_TEXT,
                                .field = value.field,
                                .part = (uint8_t)i};
        if (!add_column(reader, columns, &column, field, line)) {
            return false;
        }
    }
    return true;
}

bool columns_add_field(struct option_reader *reader,
                       struct columns *columns,
                       const struct field *field,
                       size_t field_index,
                       int line)
{
    if (field->identity && strcmp(columns->source_type, "azure_devops") != 0) {
        options_fault(reader, line,
                      "field %s is an identity, which only azure_devops has; write another type",
                      field->name);
        return false;
    }
    struct column column = {.name = value_column_name(reader, columns, field),
                            .type = field->type,
                            .field = field_index};
    return add_column(reader, columns, &column, field, line) &&
           columns_add_further(reader, columns, column, field, line);
}

void columns_check_count(struct option_reader *reader,
                         const struct columns *columns,
                         const char *where,
                         int line)
{
    if (columns->n > TASK_MAX_COLUMNS) {
        options_fault(reader, line,
                      "%s has %zu columns, more than the %d that a table can have here; leave some "
                      "fields out",
                      where, columns->n, TASK_MAX_COLUMNS);
    }
}

int columns_find_value(const struct task_def *task, int field)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        if (task->columns[i].field == (size_t)field && task->columns[i].part == 0) {
            return (int)i;
        }
    }
    return -1;
}

bool columns_has_landed(const struct task_def *task, struct str name)
{
    const char *const kept[N_KEPT] = {task->gone_column, task->first_seen_column,
                                      task->last_seen_column};
    for (size_t i = 0; i < N_KEPT; i++) {
        if (kept[i] != NULL && str_equal_c(name, kept[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < task->n_columns; i++) {
        if (str_equal_c(name, task->columns[i].name)) {
            return true;
        }
    }
    return false;
}
