#include "common/conf/catalog_task.h"

#include <assert.h>
#include <string.h>

#include "common/base/str.h"

struct columns {
    const char *source_type;
    struct column *items;
    size_t n;
};

/* Columns that every PostgreSQL table has. */
static const char *const system_columns[] = {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"};

const char *const task_property_names[N_TASK_PROPERTIES] = {"load",     "key",    "version",
                                                            "revision", "window", "indexes"};

int catalog_at_property(struct option_reader *reader,
                        const struct task_draft *draft,
                        enum task_property property)
{
    const struct place *place = &draft->places[property];
    reader->file = place->file != NULL ? place->file : draft->file;
    return place->file != NULL ? place->line : draft->line;
}

int catalog_find_field(const struct task_def *task, const char *name)
{
    for (size_t i = 0; i < task->n_fields; i++) {
        if (strcmp(task->fields[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

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

static bool is_system_column(const char *name)
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
    if (is_system_column(column->name)) {
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
    columns->items[columns->n++] = *column;
    return true;
}

static const char *value_column_name(struct option_reader *reader,
                                     const struct columns *columns,
                                     const struct field *field)
{
    const char *name = catalog_column_name(reader, columns->source_type, field->name, false);
    if (find_column(columns->items, columns->n, name) >= 0) {
        name = catalog_column_name(reader, columns->source_type, field->name, true);
    }
    return name;
}

static bool add_display_column(struct option_reader *reader,
                               struct columns *columns,
                               const char *value_name,
                               const struct column *like,
                               const struct field *field,
                               int line)
{
    CLEANUP(buf_release) struct buf name;
    buf_init(&name, 2200);
    buf_addf(&name, "dv_%s", value_name);
    struct column column = *like;
    column.name = options_copy(reader, name.ptr, name.len);
    column.type = COLUMN_TEXT;
    column.part = 1;
    return add_column(reader, columns, &column, field, line);
}

static bool add_field_columns(struct option_reader *reader,
                              struct columns *columns,
                              const struct field *field,
                              size_t field_index,
                              int line)
{
    struct column column = {.name = value_column_name(reader, columns, field),
                            .type = field->type,
                            .field = field_index};
    if (!add_column(reader, columns, &column, field, line)) {
        return false;
    }
    return !field->display ||
           add_display_column(reader, columns, column.name, &column, field, line);
}

/* ---- building ---- */

/* The column that holds a field's value. */
static int value_column(const struct task_def *task, int field)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        if (task->columns[i].field == (size_t)field && task->columns[i].part == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* What a property that names a field may point to. */
struct role {
    enum task_property property;
    const char *field; /* NULL: not given */
    unsigned types;    /* bit set of column types */
    const char *types_word;
};

static int resolve_role(struct option_reader *reader,
                        const struct task_draft *draft,
                        const struct task_def *task,
                        const struct role *role)
{
    if (role->field == NULL) {
        return -1;
    }
    int line = catalog_at_property(reader, draft, role->property);
    int field = catalog_find_field(task, role->field);
    if (field < 0) {
        const char *names[TASK_MAX_FIELDS];
        for (size_t i = 0; i < task->n_fields; i++) {
            names[i] = task->fields[i].name;
        }
        options_fault(reader, line, "tasks.%s.%s names \"%s\", which is not among its fields%s",
                      draft->name, task_property_names[role->property],
                      options_shown(reader, role->field),
                      options_hint(reader, role->field, names, task->n_fields));
        return -1;
    }
    if ((role->types & (1U << task->fields[field].type)) == 0) {
        options_fault(reader, line, "tasks.%s.%s names %s, which is %s; it must be %s", draft->name,
                      task_property_names[role->property], role->field,
                      column_type_name(task->fields[field].type), role->types_word);
    }
    return value_column(task, field);
}

static void
resolve_roles(struct option_reader *reader, const struct task_draft *draft, struct task_def *task)
{
    const unsigned instants = 1U << COLUMN_TIMESTAMPTZ;
    const unsigned counters = 1U << COLUMN_INTEGER | 1U << COLUMN_BIGINT;
    const unsigned keys = counters | 1U << COLUMN_TEXT;
    const struct role version = {PROPERTY_VERSION, draft->version, instants, "timestamptz"};
    const struct role revision = {PROPERTY_REVISION, draft->revision, counters,
                                  "integer or bigint"};
    const struct role window = {PROPERTY_WINDOW, draft->window, instants | 1U << COLUMN_DATE,
                                "timestamptz or date"};
    task->version_column = resolve_role(reader, draft, task, &version);
    task->revision_column = resolve_role(reader, draft, task, &revision);
    task->window_column = resolve_role(reader, draft, task, &window);
    size_t *key_columns = options_alloc(reader, draft->n_key * sizeof(*key_columns));
    for (size_t i = 0; i < draft->n_key; i++) {
        const struct role key = {PROPERTY_KEY, draft->key[i], keys, "text, integer or bigint"};
        int column = resolve_role(reader, draft, task, &key);
        key_columns[i] = column < 0 ? 0 : (size_t)column;
    }
    task->key_columns = key_columns;
    task->n_key_columns = draft->n_key;
}

/* "assigned_to,state" gives "assigned_to, state". */
static const char *resolve_index(struct option_reader *reader,
                                 const struct task_draft *draft,
                                 const struct task_def *task,
                                 const char *spec)
{
    CLEANUP(buf_release) struct buf joined;
    buf_init(&joined, 4096);
    struct str rest = str_from(spec);
    while (rest.ptr != NULL) {
        struct str part = str_trim(str_cut(&rest, ','));
        const char *name = options_copy(reader, part.ptr, part.len);
        if (find_column(task->columns, task->n_columns, name) < 0) {
            options_fault(reader, catalog_at_property(reader, draft, PROPERTY_INDEXES),
                          "tasks.%s.indexes names the column \"%s\", which the table does not have",
                          draft->name, options_shown(reader, name));
        }
        buf_addf(&joined, "%s%s", joined.len > 0 ? ", " : "", name);
    }
    return options_copy(reader, joined.ptr, joined.len);
}

static void check_complete(struct option_reader *reader, const struct task_draft *draft)
{
    if (draft->load == NULL) {
        options_fault(reader, draft->line,
                      "tasks.%s lacks the key \"load\": the load it belongs to", draft->name);
    }
    if (draft->n_key == 0) {
        options_fault(reader, draft->line,
                      "tasks.%s lacks the key \"key\": the fields that identify a record",
                      draft->name);
    }
    if (draft->n_fields == 0) {
        options_fault(reader, draft->line,
                      "tasks.%s lacks the key \"fields\": what to copy, NAME: TYPE", draft->name);
    }
    if (draft->n_fields > TASK_MAX_FIELDS) {
        options_fault(reader, draft->line, "tasks.%s has more than 1000 fields; leave some out",
                      draft->name);
    }
    if (draft->revision != NULL && draft->version == NULL) {
        options_fault(reader, catalog_at_property(reader, draft, PROPERTY_REVISION),
                      "tasks.%s has a revision but no version; name the change timestamp",
                      draft->name);
    }
}

static void
build_columns(struct option_reader *reader, const struct task_draft *draft, struct task_def *task)
{
    struct field *fields = options_alloc(reader, draft->n_fields * sizeof(*fields));
    struct columns columns = {
        .source_type = draft->source_type,
        .items = options_alloc(reader, draft->n_fields * 2 * sizeof(struct column))};
    for (size_t i = 0; i < draft->n_fields; i++) {
        fields[i] = draft->fields[i].field;
        reader->file = draft->fields[i].file;
        (void)add_field_columns(reader, &columns, &fields[i], i, draft->fields[i].line);
    }
    reader->file = draft->file;
    task->fields = fields;
    task->n_fields = draft->n_fields;
    task->columns = columns.items;
    task->n_columns = columns.n;
}

const struct task_def *catalog_build_task(struct option_reader *reader,
                                          const struct task_draft *draft)
{
    size_t n_before = reader->n_faults;
    reader->file = draft->file;
    check_complete(reader, draft);
    if (reader->n_faults != n_before) {
        return NULL;
    }
    CLEANUP(buf_release) struct buf place;
    buf_init(&place, 8192);
    buf_addf(&place, "%s:%d", draft->file, draft->line);
    struct task_def *task = options_alloc(reader, sizeof(*task));
    *task = (struct task_def){.name = draft->name,
                              .source_type = draft->source_type,
                              .load = draft->load,
                              .table = draft->table != NULL ? draft->table : draft->name,
                              .filter = draft->filter,
                              .page_size = draft->page_size,
                              .defined_at = options_copy(reader, place.ptr, place.len)};
    build_columns(reader, draft, task);
    resolve_roles(reader, draft, task);
    const char **indexes = options_alloc(reader, draft->n_indexes * sizeof(*indexes));
    for (size_t i = 0; i < draft->n_indexes; i++) {
        indexes[i] = resolve_index(reader, draft, task, draft->indexes[i]);
    }
    task->indexes = indexes;
    task->n_indexes = draft->n_indexes;
    return reader->n_faults == n_before ? task : NULL;
}

/* ---- derivations ---- */

static bool extend_known_field(struct option_reader *reader,
                               struct columns *columns,
                               struct field *known,
                               int field_index,
                               const struct extra_field *extra,
                               const struct task_def *task)
{
    if (known->display || !extra->field.display) {
        return true;
    }
    known->display = true;
    const struct column *value = &columns->items[value_column(task, field_index)];
    return add_display_column(reader, columns, value->name, value, known, extra->line);
}

const struct task_def *catalog_extend_task(struct option_reader *reader,
                                           const struct task_def *base,
                                           const struct extra_field *extras,
                                           size_t n_extras,
                                           const char *where)
{
    size_t n_before = reader->n_faults;
    size_t n_max = base->n_fields + n_extras;
    struct field *fields = options_alloc(reader, n_max * sizeof(*fields));
    struct columns columns = {
        .source_type = base->source_type,
        .items = options_alloc(reader, (base->n_columns + 2 * n_extras) * sizeof(struct column)),
        .n = base->n_columns};
    memcpy(fields, base->fields, base->n_fields * sizeof(*fields));
    memcpy(columns.items, base->columns, base->n_columns * sizeof(struct column));
    struct task_def *task = options_alloc(reader, sizeof(*task));
    *task = *base;
    task->fields = fields;
    task->columns = columns.items;
    for (size_t i = 0; i < n_extras; i++) {
        task->n_columns = columns.n;
        int known = catalog_find_field(task, extras[i].field.name);
        if (known < 0) {
            fields[task->n_fields] = extras[i].field;
            (void)add_field_columns(reader, &columns, &extras[i].field, task->n_fields++,
                                    extras[i].line);
        } else if (fields[known].type != extras[i].field.type) {
            options_fault(reader, extras[i].line,
                          "%s.%s is %s here and %s elsewhere (%s); a table has one type for it",
                          where, options_shown(reader, extras[i].field.name),
                          column_type_name(extras[i].field.type),
                          column_type_name(fields[known].type), base->defined_at);
        } else {
            (void)extend_known_field(reader, &columns, &fields[known], known, &extras[i], task);
        }
    }
    task->n_columns = columns.n;
    return reader->n_faults == n_before ? task : NULL;
}

static bool has_role(const struct task_def *task, size_t field)
{
    const int roles[] = {task->version_column, task->revision_column, task->window_column};
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (roles[i] >= 0 && task->columns[roles[i]].field == field) {
            return true;
        }
    }
    for (size_t i = 0; i < task->n_key_columns; i++) {
        if (task->columns[task->key_columns[i]].field == field) {
            return true;
        }
    }
    return false;
}

static int moved(const int *places, int column)
{
    return column < 0 ? -1 : places[column];
}

static bool index_remains(const struct task_def *task, const char *spec)
{
    struct str rest = str_from(spec);
    while (rest.ptr != NULL) {
        struct str name = str_trim(str_cut(&rest, ','));
        bool found = false;
        for (size_t i = 0; i < task->n_columns && !found; i++) {
            found = str_equal_c(name, task->columns[i].name);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

/* Copies the marked fields; field_places says where each went, -1 for those left out. */
static void select_fields(struct option_reader *reader,
                          const struct task_def *base,
                          const bool *keep,
                          const bool *display,
                          struct task_def *task,
                          int *field_places)
{
    struct field *fields = options_alloc(reader, base->n_fields * sizeof(*fields));
    task->n_fields = 0;
    for (size_t i = 0; i < base->n_fields; i++) {
        field_places[i] = -1;
        if (keep[i] || has_role(base, i)) {
            field_places[i] = (int)task->n_fields;
            fields[task->n_fields] = base->fields[i];
            fields[task->n_fields++].display = display[i];
        }
    }
    task->fields = fields;
}

static void select_columns(struct option_reader *reader,
                           const struct task_def *base,
                           const int *field_places,
                           struct task_def *task)
{
    struct column *columns = options_alloc(reader, base->n_columns * sizeof(*columns));
    int *places = options_alloc(reader, base->n_columns * sizeof(*places));
    size_t *key_columns = options_alloc(reader, base->n_key_columns * sizeof(*key_columns));
    task->n_columns = 0;
    for (size_t i = 0; i < base->n_columns; i++) {
        int field = field_places[base->columns[i].field];
        places[i] = -1;
        if (field < 0 || (base->columns[i].part == 1 && !task->fields[field].display)) {
            continue;
        }
        places[i] = (int)task->n_columns;
        columns[task->n_columns] = base->columns[i];
        columns[task->n_columns++].field = (size_t)field;
    }
    for (size_t i = 0; i < base->n_key_columns; i++) {
        key_columns[i] = (size_t)places[base->key_columns[i]];
    }
    task->columns = columns;
    task->key_columns = key_columns;
    task->version_column = moved(places, base->version_column);
    task->revision_column = moved(places, base->revision_column);
    task->window_column = moved(places, base->window_column);
}

const struct task_def *catalog_select_task(struct option_reader *reader,
                                           const struct task_def *base,
                                           const bool *keep,
                                           const bool *display)
{
    struct task_def *task = options_alloc(reader, sizeof(*task));
    int *field_places = options_alloc(reader, base->n_fields * sizeof(*field_places));
    const char **indexes = options_alloc(reader, base->n_indexes * sizeof(*indexes));
    *task = *base;
    select_fields(reader, base, keep, display, task, field_places);
    select_columns(reader, base, field_places, task);
    task->n_indexes = 0;
    for (size_t i = 0; i < base->n_indexes; i++) {
        if (index_remains(task, base->indexes[i])) {
            indexes[task->n_indexes++] = base->indexes[i];
        }
    }
    task->indexes = indexes;
    return task;
}
