#include "common/conf/catalog.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/conf/catalog_family.h"
#include "common/conf/catalog_field.h"
#include "common/conf/catalog_files.h"
#include "common/conf/catalog_mapping.h"
#include "common/conf/catalog_task.h"
#include "common/conf/names.h"
#include "common/conf/options.h"
#include "schema/embedded.h"

/* A bug guard, not a quota: files are bounded in size and number. */
#define ARENA_MAX_BYTES  (1024UL * 1024 * 1024)
#define FAULTS_MAX_BYTES (64UL * 1024)

struct load_draft {
    const char *name;
    const char *source_type;
    int64_t parallel;
    const char *file;
    int line;
};

/* Everything the files said so far. */
struct drafts {
    struct task_draft *tasks;
    size_t n_tasks;
    struct load_draft *loads;
    size_t n_loads;
    struct mapping_drafts mappings;
};

/* The top of one file. */
struct catalog_file {
    const char *source_type;
    const struct yaml_node *loads;
    const struct yaml_node *tasks;
    const struct yaml_node *mappings;
};

static void drafts_release(struct drafts *drafts)
{
    for (size_t i = 0; i < drafts->n_tasks; i++) {
        xfree(drafts->tasks[i].fields);
    }
    xfree(drafts->tasks);
    xfree(drafts->loads);
    catalog_release_mappings(&drafts->mappings);
}

/* ---- fields ---- */

static struct field_draft *find_field_draft(const struct task_draft *draft, const char *name)
{
    for (size_t i = 0; i < draft->n_fields; i++) {
        if (strcmp(draft->fields[i].field.name, name) == 0) {
            return &draft->fields[i];
        }
    }
    return NULL;
}

static void add_field_draft(struct task_draft *draft, const struct field_draft *field)
{
    if (draft->n_fields == draft->fields_capacity) {
        draft->fields_capacity = draft->fields_capacity == 0 ? 64 : draft->fields_capacity * 2;
        draft->fields = xrealloc(draft->fields, draft->fields_capacity * sizeof(*draft->fields));
    }
    draft->fields[draft->n_fields++] = *field;
}

static void read_field(struct option_reader *reader,
                       const struct yaml_node *key,
                       const struct yaml_node *node,
                       struct task_draft *draft)
{
    const char *where =
        options_join(reader, options_join(reader, "tasks", draft->name), key->scalar);
    if (!name_is_field(key->scalar)) {
        options_fault(reader, key->line, "%s: a field name must be %s", where, NAME_FIELD_RULE);
        return;
    }
    struct field_draft *known = find_field_draft(draft, key->scalar);
    struct field field = {.name = key->scalar};
    if (!catalog_read_field(reader, node, where, known != NULL ? &known->field : NULL, &field)) {
        return;
    }
    if (known == NULL && draft->n_fields <= TASK_MAX_FIELDS) {
        add_field_draft(draft, &(struct field_draft){field, reader->file, key->line});
    } else if (known != NULL && !catalog_same_type(&known->field, &field)) {
        options_fault(reader, key->line, "%s is %s here and %s at %s:%d; a field has one type",
                      where, catalog_field_type(&field), catalog_field_type(&known->field),
                      known->file, known->line);
    } else if (known != NULL) {
        known->field = field;
    }
}

static void read_fields(struct option_reader *reader,
                        const struct yaml_node *node,
                        const char *where,
                        void *object)
{
    const struct yaml_node *mapping = options_mapping(reader, node, where);
    if (mapping == NULL) {
        return;
    }
    const bool *repeated = options_repeated(reader, mapping, where);
    for (size_t i = 0; i < mapping->n_items; i++) {
        if (!repeated[i]) {
            read_field(reader, mapping->keys[i], mapping->items[i], object);
        }
    }
}

/* ---- tasks and loads ---- */

static const struct option_choice refresh_choices[] = {{"changed", REFRESH_CHANGED},
                                                       {"late", REFRESH_LATE}};

static const struct option parent_options[] = {
    {.name = "task",
     .type = OPTION_STRING,
     .offset = offsetof(struct parent_draft, task),
     .help = "the task whose records own this one's"},
    {.name = "field",
     .type = OPTION_STRING,
     .offset = offsetof(struct parent_draft, field),
     .help = "the field that holds the parent's key"},
    {.name = "refresh",
     .type = OPTION_ENUM,
     .offset = offsetof(struct parent_draft, refresh),
     .choices = refresh_choices,
     .n_choices = ARRAY_SIZE(refresh_choices),
     .help = "when the records of a parent are read again"},
};

static const struct option_table parent_table = {.options = parent_options,
                                                 .n_options = ARRAY_SIZE(parent_options)};

static const struct option task_options[] = {
    {.name = "load",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, load),
     .help = "the load it belongs to"},
    {.name = "table",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, table),
     .help = "the source's table; default: the task's name"},
    {.name = "filter",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, filter),
     .help = "restriction in the source's query language"},
    {.name = "key",
     .type = OPTION_LIST,
     .item = OPTION_STRING,
     .offset = offsetof(struct task_draft, key),
     .count_offset = offsetof(struct task_draft, n_key),
     .help = "the fields that identify a record"},
    {.name = "version",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, version),
     .help = "the change timestamp"},
    {.name = "revision",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, revision),
     .help = "a counter that breaks ties of version"},
    {.name = "window",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, window),
     .help = "the timestamp that from and to restrict"},
    {.name = "created",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, created),
     .help = "when the record came to be"},
    {.name = "parent",
     .type = OPTION_STRUCT,
     .offset = offsetof(struct task_draft, parent),
     .table = &parent_table,
     .help = "the records that own this task's: {task: NAME, field: FIELD, refresh: changed}"},
    {.name = "latest_of",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, latest_of),
     .help = "derived: the last record of each key of another task"},
    {.name = "people_of",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, people_of),
     .help = "completed by the people whom another task's identity fields name"},
    {.name = "ticket",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, ticket),
     .help = "the field that holds the key of the ticket; default: the parent's"},
    {.name = "history",
     .type = OPTION_BOOLEAN,
     .offset = offsetof(struct task_draft, is_history),
     .help = "no mode ever deletes from it"},
    {.name = "gone",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, kept[KEPT_GONE]),
     .help = "column for when a row was found gone; such rows stay"},
    {.name = "first_seen",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, kept[KEPT_FIRST_SEEN]),
     .help = "column for when a row came"},
    {.name = "last_seen",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_draft, kept[KEPT_LAST_SEEN]),
     .help = "column for when a row was last seen"},
    {.name = "page_size",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct task_draft, page_size),
     .min = 1,
     .max = 10000,
     .help = "records a request"},
    {.name = "indexes",
     .type = OPTION_LIST,
     .item = OPTION_STRING,
     .offset = offsetof(struct task_draft, indexes),
     .count_offset = offsetof(struct task_draft, n_indexes),
     .help = "secondary indexes, each a column or \"column, column\""},
    {.name = "fields", .type = OPTION_CUSTOM, .read = read_fields, .help = "NAME: TYPE"},
};

static const struct option_table task_table = {.options = task_options,
                                               .n_options = ARRAY_SIZE(task_options)};

static const struct option load_options[] = {
    {.name = "parallel",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct load_draft, parallel),
     .min = 1,
     .max = 64,
     .help = "lanes at most"},
};

static const struct option_table load_table = {.options = load_options,
                                               .n_options = ARRAY_SIZE(load_options)};

static struct task_draft *
find_task_draft(const struct drafts *drafts, const char *source_type, const char *name)
{
    for (size_t i = 0; i < drafts->n_tasks; i++) {
        struct task_draft *draft = &drafts->tasks[i];
        if (strcmp(draft->source_type, source_type) == 0 && strcmp(draft->name, name) == 0) {
            return draft;
        }
    }
    return NULL;
}

static struct load_draft *find_load_draft(const struct drafts *drafts, const char *name)
{
    for (size_t i = 0; i < drafts->n_loads; i++) {
        if (strcmp(drafts->loads[i].name, name) == 0) {
            return &drafts->loads[i];
        }
    }
    return NULL;
}

static void read_task(struct option_reader *reader,
                      struct drafts *drafts,
                      const char *source_type,
                      const struct yaml_node *key,
                      const struct yaml_node *node)
{
    const char *where = options_join(reader, "tasks", key->scalar);
    if (!name_is_task(key->scalar)) {
        options_fault(reader, key->line, "%s: a task name must be %s", where, NAME_TASK_RULE);
        return;
    }
    struct task_draft *draft = find_task_draft(drafts, source_type, key->scalar);
    if (draft == NULL) {
        drafts->tasks = xrealloc(drafts->tasks, (drafts->n_tasks + 1) * sizeof(drafts->tasks[0]));
        draft = &drafts->tasks[drafts->n_tasks++];
        *draft = (struct task_draft){.name = key->scalar,
                                     .source_type = source_type,
                                     .file = reader->file,
                                     .line = key->line};
    }
    options_read(reader, &task_table, node, where, draft);
    for (size_t i = 0; i < N_TASK_PROPERTIES; i++) {
        const struct yaml_node *given = yaml_find(node, task_property_names[i]);
        if (given != NULL) {
            draft->places[i] = (struct place){reader->file, given->line};
        }
    }
}

static void read_load(struct option_reader *reader,
                      struct drafts *drafts,
                      const char *source_type,
                      const struct yaml_node *key,
                      const struct yaml_node *node)
{
    const char *where = options_join(reader, "loads", key->scalar);
    if (!name_is_load(key->scalar)) {
        options_fault(reader, key->line, "%s: a load name must be %s", where, NAME_LOAD_RULE);
        return;
    }
    struct load_draft *draft = find_load_draft(drafts, key->scalar);
    if (draft == NULL) {
        drafts->loads = xrealloc(drafts->loads, (drafts->n_loads + 1) * sizeof(drafts->loads[0]));
        draft = &drafts->loads[drafts->n_loads++];
        *draft = (struct load_draft){.name = key->scalar,
                                     .source_type = source_type,
                                     .file = reader->file,
                                     .line = key->line};
    } else if (strcmp(draft->source_type, source_type) != 0) {
        options_fault(reader, key->line,
                      "%s is a load of %s here and of %s at %s:%d; choose another name", where,
                      source_type, draft->source_type, draft->file, draft->line);
    }
    options_read(reader, &load_table, node, where, draft);
}

/* ---- files ---- */

static void keep_loads(struct option_reader *reader,
                       const struct yaml_node *node,
                       const char *where,
                       void *object)
{
    ((struct catalog_file *)object)->loads = options_mapping(reader, node, where);
}

static void keep_tasks(struct option_reader *reader,
                       const struct yaml_node *node,
                       const char *where,
                       void *object)
{
    ((struct catalog_file *)object)->tasks = options_mapping(reader, node, where);
}

static void keep_mappings(struct option_reader *reader,
                          const struct yaml_node *node,
                          const char *where,
                          void *object)
{
    ((struct catalog_file *)object)->mappings = options_mapping(reader, node, where);
}

static const struct option_choice source_type_choices[] = {
    {"servicenow", 0}, {"glpi", 0}, {"azure_devops", 0}};

static const struct option file_options[] = {
    {.name = "source_type",
     .type = OPTION_WORD,
     .required = true,
     .offset = offsetof(struct catalog_file, source_type),
     .choices = source_type_choices,
     .n_choices = ARRAY_SIZE(source_type_choices),
     .help = "the kind of source this file is about: servicenow, glpi or azure_devops"},
    {.name = "loads", .type = OPTION_CUSTOM, .read = keep_loads, .help = "NAME: {parallel: N}"},
    {.name = "tasks", .type = OPTION_CUSTOM, .read = keep_tasks, .help = "NAME: what to copy"},
    {.name = "mappings",
     .type = OPTION_CUSTOM,
     .read = keep_mappings,
     .help = "status and priority of the common model: {status: {VALUE: WORD}}"},
};

static const struct option_table file_table = {.options = file_options,
                                               .n_options = ARRAY_SIZE(file_options)};

typedef void read_entry_fn(struct option_reader *reader,
                           struct drafts *drafts,
                           const char *source_type,
                           const struct yaml_node *key,
                           const struct yaml_node *node);

static void read_entries(struct option_reader *reader,
                         struct drafts *drafts,
                         const char *source_type,
                         const struct yaml_node *mapping,
                         read_entry_fn *read_entry)
{
    if (mapping == NULL) {
        return;
    }
    const bool *repeated = options_repeated(reader, mapping, "loads or tasks");
    for (size_t i = 0; i < mapping->n_items; i++) {
        if (!repeated[i]) {
            read_entry(reader, drafts, source_type, mapping->keys[i], mapping->items[i]);
        }
    }
}

static void
read_document(struct option_reader *reader, struct drafts *drafts, const struct yaml_node *root)
{
    struct catalog_file file = {0};
    options_read(reader, &file_table, root, "", &file);
    if (file.source_type == NULL) {
        return;
    }
    read_entries(reader, drafts, file.source_type, file.loads, read_load);
    read_entries(reader, drafts, file.source_type, file.tasks, read_task);
    if (file.mappings != NULL) {
        catalog_read_mappings(reader, file.source_type, file.mappings, &drafts->mappings);
    }
}

static void read_file(struct option_reader *reader, struct drafts *drafts, const char *path)
{
    struct error err = ERROR_INIT;
    reader->file = options_copy(reader, path, strlen(path));
    const struct yaml_node *root = yaml_read(path, reader->arena, &err);
    if (root == NULL) {
        options_fault(reader, 0, "%s", err.msg);
        return;
    }
    read_document(reader, drafts, root);
}

/* ---- the catalog ---- */

static const struct load_def *build_load(struct option_reader *reader,
                                         const struct load_draft *draft,
                                         const struct catalog *catalog)
{
    struct load_def *load = options_alloc(reader, sizeof(*load));
    *load = (struct load_def){
        .name = draft->name,
        .source_type = draft->source_type,
        .parallel = draft->parallel,
        .tasks = options_alloc(reader, catalog->n_tasks * sizeof(const struct task_def *))};
    for (size_t i = 0; i < catalog->n_tasks; i++) {
        if (strcmp(catalog->tasks[i]->load, load->name) == 0) {
            load->tasks[load->n_tasks++] = catalog->tasks[i];
        }
    }
    return load;
}

static void
build_loads(struct option_reader *reader, const struct drafts *drafts, struct catalog *catalog)
{
    catalog->loads = options_alloc(reader, drafts->n_loads * sizeof(const struct load_def *));
    for (size_t i = 0; i < drafts->n_loads; i++) {
        catalog->loads[catalog->n_loads++] = build_load(reader, &drafts->loads[i], catalog);
    }
}

static void check_load_of_task(struct option_reader *reader,
                               const struct drafts *drafts,
                               const struct task_draft *draft)
{
    const char *names[64];
    size_t n = 0;
    const struct load_draft *load = find_load_draft(drafts, draft->load);
    if (load != NULL && strcmp(load->source_type, draft->source_type) == 0) {
        return;
    }
    for (size_t i = 0; i < drafts->n_loads && n < ARRAY_SIZE(names); i++) {
        names[n++] = drafts->loads[i].name;
    }
    options_fault(reader, catalog_at_property(reader, draft, PROPERTY_LOAD),
                  "tasks.%s.load names \"%s\", which is no load of %s%s; declare it under loads",
                  draft->name, options_shown(reader, draft->load), draft->source_type,
                  load == NULL ? options_hint(reader, draft->load, names, n) : "");
}

static void
build_catalog(struct option_reader *reader, const struct drafts *drafts, struct catalog *catalog)
{
    catalog->tasks = options_alloc(reader, drafts->n_tasks * sizeof(const struct task_def *));
    catalog_link_drafts(reader, drafts->tasks, drafts->n_tasks);
    for (size_t i = 0; i < drafts->n_tasks; i++) {
        const struct task_def *task = catalog_build_task(reader, &drafts->tasks[i]);
        if (drafts->tasks[i].load != NULL) {
            check_load_of_task(reader, drafts, &drafts->tasks[i]);
        }
        if (task != NULL) {
            catalog->tasks[catalog->n_tasks++] = task;
        }
    }
    if (reader->n_faults == 0) {
        catalog_check_parents(reader, drafts->tasks, catalog->tasks, catalog->n_tasks);
        catalog_order_tasks(catalog->tasks, catalog->n_tasks);
        build_loads(reader, drafts, catalog);
        catalog_build_mappings(reader, &drafts->mappings, catalog);
    }
}

static void read_shipped(struct option_reader *reader, struct drafts *drafts)
{
    for (size_t i = 0; i < embedded_catalog_count; i++) {
        struct error err = ERROR_INIT;
        struct str text = {embedded_catalog[i].text, embedded_catalog[i].len};
        reader->file = embedded_catalog[i].name;
        const struct yaml_node *root = yaml_parse(text, reader->file, reader->arena, &err);
        if (root == NULL) {
            options_fault(reader, 0, "%s", err.msg);
            continue;
        }
        read_document(reader, drafts, root);
    }
}

/* One fault a line becomes one line. */
static bool fail(struct buf *own, struct buf *faults, struct error *err)
{
    if (faults != NULL) {
        buf_add(faults, own->ptr, own->len);
    }
    CLEANUP(buf_release) struct buf joined;
    buf_init(&joined, 2 * FAULTS_MAX_BYTES);
    struct str rest = {own->ptr, own->len > 0 ? own->len - 1 : 0};
    while (rest.ptr != NULL) {
        struct str line = str_cut(&rest, '\n');
        buf_add_str(&joined, line);
        buf_add_c(&joined, rest.ptr != NULL ? "; " : "");
    }
    return error_set(err, ERROR_CONFIG, "%s", joined.ptr);
}

bool catalog_load(struct catalog *catalog,
                  const char *const *paths,
                  size_t n_paths,
                  struct buf *faults,
                  struct error *err)
{
    struct catalog loaded = {0};
    CLEANUP(drafts_release) struct drafts drafts = {0};
    CLEANUP(buf_release) struct buf own;
    struct catalog_files files = {.n = 0};
    buf_init(&own, FAULTS_MAX_BYTES);
    arena_init(&loaded.arena, ARENA_MAX_BYTES);
    struct option_reader reader = {.arena = &loaded.arena, .faults = &own};
    read_shipped(&reader, &drafts);
    for (size_t i = 0; i < n_paths; i++) {
        catalog_files_add(&reader, &files, paths[i], 0);
    }
    for (size_t i = 0; i < files.n; i++) {
        read_file(&reader, &drafts, files.paths[i]);
    }
    build_catalog(&reader, &drafts, &loaded);
    if (reader.n_faults > 0) {
        arena_release(&loaded.arena);
        return fail(&own, faults, err);
    }
    *catalog = loaded;
    return true;
}

void catalog_release(struct catalog *catalog)
{
    arena_release(&catalog->arena);
    *catalog = (struct catalog){0};
}

const struct task_def *
catalog_task(const struct catalog *catalog, const char *source_type, const char *name)
{
    for (size_t i = 0; i < catalog->n_tasks; i++) {
        const struct task_def *task = catalog->tasks[i];
        if (strcmp(task->source_type, source_type) == 0 && strcmp(task->name, name) == 0) {
            return task;
        }
    }
    return NULL;
}

const struct load_def *catalog_find_load(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->n_loads; i++) {
        if (strcmp(catalog->loads[i]->name, name) == 0) {
            return catalog->loads[i];
        }
    }
    return NULL;
}
