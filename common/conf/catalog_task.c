#include "common/conf/catalog_task.h"

#include <string.h>

#include "common/base/str.h"
#include "common/conf/catalog_columns.h"
#include "common/conf/names.h"

const char *const task_property_names[N_TASK_PROPERTIES] = {
    [PROPERTY_LOAD] = "load",           [PROPERTY_KEY] = "key",
    [PROPERTY_VERSION] = "version",     [PROPERTY_REVISION] = "revision",
    [PROPERTY_WINDOW] = "window",       [PROPERTY_CREATED] = "created",
    [PROPERTY_PARENT] = "parent",       [PROPERTY_LATEST_OF] = "latest_of",
    [PROPERTY_PEOPLE_OF] = "people_of", [PROPERTY_TICKET] = "ticket",
    [PROPERTY_GONE] = "gone",           [PROPERTY_FIRST_SEEN] = "first_seen",
    [PROPERTY_LAST_SEEN] = "last_seen", [PROPERTY_INDEXES] = "indexes",
};

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
    return columns_find_value(task, field);
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
    const struct role created = {PROPERTY_CREATED, draft->created, instants, "timestamptz"};
    const struct role parent = {PROPERTY_PARENT, draft->parent.field, keys,
                                "text, integer or bigint"};
    const struct role ticket = {PROPERTY_TICKET, draft->ticket, keys, "text, integer or bigint"};
    int ticket_column = resolve_role(reader, draft, task, &ticket);
    task->version_column = resolve_role(reader, draft, task, &version);
    task->revision_column = resolve_role(reader, draft, task, &revision);
    task->window_column = resolve_role(reader, draft, task, &window);
    task->created_column = resolve_role(reader, draft, task, &created);
    task->parent_column = resolve_role(reader, draft, task, &parent);
    ticket_column = ticket_column >= 0 ? ticket_column : task->parent_column;
    task->ticket_column = ticket_column >= 0 ? task->columns[ticket_column].name : NULL;
    size_t *key_columns = options_alloc(reader, draft->n_key * sizeof(*key_columns));
    for (size_t i = 0; i < draft->n_key; i++) {
        const struct role key = {PROPERTY_KEY, draft->key[i], keys, "text, integer or bigint"};
        int column = resolve_role(reader, draft, task, &key);
        key_columns[i] = column < 0 ? 0 : (size_t)column;
    }
    task->key_columns = key_columns;
    task->n_key_columns = draft->n_key;
    if (draft->latest_of != NULL) {
        task->parent_column = (int)key_columns[0];
    }
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
        if (!columns_has_landed(task, part)) {
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
    if (draft->n_fields == 0 && draft->latest_of == NULL) {
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

static void check_kept(struct option_reader *reader, const struct task_draft *draft)
{
    for (size_t i = 0; i < N_KEPT; i++) {
        const char *name = draft->kept[i];
        if (name == NULL) {
            continue;
        }
        enum task_property property = (enum task_property)(PROPERTY_GONE + i);
        int line = catalog_at_property(reader, draft, property);
        if (!name_is_task(name)) {
            options_fault(reader, line, "tasks.%s.%s is \"%s\"; a column must be %s", draft->name,
                          task_property_names[property], options_shown(reader, name),
                          NAME_TASK_RULE);
        } else if (strcmp(name, "source") == 0 || strncmp(name, "etl_", 4) == 0 ||
                   columns_is_system(name)) {
            options_fault(reader, line,
                          "tasks.%s.%s is \"%s\", which is a column of every table; choose another "
                          "name",
                          draft->name, task_property_names[property], name);
        }
        for (size_t j = 0; j < i; j++) {
            if (draft->kept[j] != NULL && strcmp(draft->kept[j], name) == 0) {
                options_fault(reader, line, "tasks.%s.%s and %s both name %s; each has its own",
                              draft->name, task_property_names[property],
                              task_property_names[PROPERTY_GONE + j], options_shown(reader, name));
            }
        }
    }
}

/* At most one field can take what no other field names. */
static void check_rest(struct option_reader *reader, const struct task_draft *draft)
{
    const struct field_draft *first = NULL;
    for (size_t i = 0; i < draft->n_fields; i++) {
        const struct field_draft *field = &draft->fields[i];
        if (field->field.rest && first != NULL) {
            reader->file = field->file;
            options_fault(reader, field->line,
                          "tasks.%s: fields %s and %s both take the rest of the record; one can",
                          draft->name, first->field.name, field->field.name);
        }
        first = field->field.rest && first == NULL ? field : first;
    }
    reader->file = draft->file;
}

static void
build_columns(struct option_reader *reader, const struct task_draft *draft, struct task_def *task)
{
    struct field *fields = options_alloc(reader, draft->n_fields * sizeof(*fields));
    struct columns columns = {.source_type = draft->source_type,
                              .kept = draft->kept,
                              .items = options_alloc(reader, draft->n_fields * FIELD_MAX_COLUMNS *
                                                                 sizeof(struct column))};
    for (size_t i = 0; i < draft->n_fields; i++) {
        fields[i] = draft->fields[i].field;
        reader->file = draft->fields[i].file;
        (void)columns_add_field(reader, &columns, &fields[i], i, draft->fields[i].line);
    }
    reader->file = draft->file;
    CLEANUP(buf_release) struct buf where;
    buf_init(&where, 256);
    buf_addf(&where, "tasks.%s", draft->name);
    columns_check_count(reader, &columns, where.ptr, draft->line);
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
    check_kept(reader, draft);
    check_rest(reader, draft);
    if (reader->n_faults != n_before || draft->n_fields == 0) {
        return NULL;
    }
    CLEANUP(buf_release) struct buf place;
    buf_init(&place, 8192);
    buf_addf(&place, "%s:%d", draft->file, draft->line);
    struct task_def *task = options_alloc(reader, sizeof(*task));
    *task = (struct task_def){
        .name = draft->name,
        .source_type = draft->source_type,
        .load = draft->load,
        .table = draft->table != NULL ? draft->table : draft->name,
        .filter = draft->filter,
        .page_size = draft->page_size,
        .parent = draft->latest_of != NULL ? draft->latest_of : draft->parent.task,
        .parent_refresh = draft->latest_of != NULL ? REFRESH_CHANGED : draft->parent.refresh,
        .latest_of = draft->latest_of,
        .people_of = draft->people_of,
        .is_history = draft->is_history,
        .gone_column = draft->kept[KEPT_GONE],
        .first_seen_column = draft->kept[KEPT_FIRST_SEEN],
        .last_seen_column = draft->kept[KEPT_LAST_SEEN],
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
