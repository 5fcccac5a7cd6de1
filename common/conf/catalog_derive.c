#include "common/conf/catalog_derive.h"

#include <string.h>

#include "common/base/str.h"
#include "common/conf/catalog_columns.h"
#include "common/conf/catalog_field.h"

static const char *shown_type(const struct field *field)
{
    return field->rest ? "the rest" : catalog_field_type(field);
}

/* What a source adds to a field that exists. */
static void extend_known_field(struct option_reader *reader,
                               struct columns *columns,
                               struct field *known,
                               const struct extra_field *extra,
                               const struct column *value)
{
    if (!known->display && extra->field.display) {
        known->display = true;
        (void)columns_add_further(reader, columns, *value, known, extra->line);
    }
}

static bool has_other_rest(const struct field *fields, size_t n, const struct field *extra)
{
    for (size_t i = 0; extra->rest && i < n; i++) {
        if (fields[i].rest) {
            return true;
        }
    }
    return false;
}

const struct task_def *catalog_extend_task(struct option_reader *reader,
                                           const struct task_def *base,
                                           const struct extra_field *extras,
                                           size_t n_extras,
                                           const char *where)
{
    size_t n_before = reader->n_faults;
    size_t n_max_columns = base->n_columns + FIELD_MAX_COLUMNS * n_extras;
    const char *const kept[N_KEPT] = {base->gone_column, base->first_seen_column,
                                      base->last_seen_column};
    struct field *fields = options_alloc(reader, (base->n_fields + n_extras) * sizeof(*fields));
    struct columns columns = {.source_type = base->source_type,
                              .kept = kept,
                              .items = options_alloc(reader, n_max_columns * sizeof(struct column)),
                              .n = base->n_columns};
    memcpy(fields, base->fields, base->n_fields * sizeof(*fields));
    memcpy(columns.items, base->columns, base->n_columns * sizeof(struct column));
    struct task_def *task = options_alloc(reader, sizeof(*task));
    *task = *base;
    task->fields = fields;
    task->columns = columns.items;
    for (size_t i = 0; i < n_extras; i++) {
        const struct extra_field *extra = &extras[i];
        task->n_columns = columns.n;
        int known = catalog_find_field(task, extra->field.name);
        if (known < 0 && has_other_rest(fields, task->n_fields, &extra->field)) {
            options_fault(reader, extra->line,
                          "%s.%s cannot take the rest of the record too; another field does", where,
                          extra->field.name);
        } else if (known < 0) {
            fields[task->n_fields] = extra->field;
            (void)columns_add_field(reader, &columns, &extra->field, task->n_fields++, extra->line);
        } else if (!catalog_same_type(&fields[known], &extra->field) ||
                   fields[known].rest != extra->field.rest) {
            options_fault(reader, extra->line,
                          "%s.%s is %s here and %s elsewhere (%s); a table has one type for it",
                          where, options_shown(reader, extra->field.name),
                          shown_type(&extra->field), shown_type(&fields[known]), base->defined_at);
        } else {
            extend_known_field(reader, &columns, &fields[known], extra,
                               &columns.items[columns_find_value(task, known)]);
        }
    }
    task->n_columns = columns.n;
    columns_check_count(reader, &columns, where, n_extras > 0 ? extras[n_extras - 1].line : 0);
    return reader->n_faults == n_before ? task : NULL;
}

const struct task_def *catalog_follow_task(struct option_reader *reader,
                                           const struct task_def *derived,
                                           const struct task_def *origin)
{
    struct task_def *task = options_alloc(reader, sizeof(*task));
    *task = *derived;
    task->fields = origin->fields;
    task->n_fields = origin->n_fields;
    task->columns = origin->columns;
    task->n_columns = origin->n_columns;
    return task;
}

bool catalog_field_has_role(const struct task_def *task, size_t field)
{
    const int roles[] = {task->version_column, task->revision_column, task->window_column,
                         task->created_column, task->parent_column};
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (roles[i] >= 0 && task->columns[roles[i]].field == field) {
            return true;
        }
    }
    for (size_t i = 0; task->ticket_column != NULL && i < task->n_columns; i++) {
        if (task->columns[i].field == field &&
            strcmp(task->columns[i].name, task->ticket_column) == 0) {
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
        if (!columns_has_landed(task, name)) {
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
        if (keep[i] || catalog_field_has_role(base, i)) {
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
        bool is_display =
            base->columns[i].part == PART_DISPLAY && !base->fields[base->columns[i].field].identity;
        if (field < 0 || (is_display && !task->fields[field].display)) {
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
    task->created_column = moved(places, base->created_column);
    task->parent_column = moved(places, base->parent_column);
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
