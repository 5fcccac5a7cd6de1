#include "common/conf/config_tasks.h"

#include <string.h>

#include "common/base/str.h"
#include "common/conf/catalog_derive.h"
#include "common/conf/catalog_field.h"
#include "common/conf/names.h"

struct extras {
    struct extra_field *items;
    size_t n;
};

static const char *
task_where(struct option_reader *reader, const struct source_config *source, const char *task)
{
    const char *where = options_join(reader, "sources", source->name);
    return options_join(reader, options_join(reader, where, "tasks"), task);
}

/* Reads the mapping form of `fields`; a known field's type may be left out. */
static struct extras read_extras(struct option_reader *reader,
                                 const struct task_config *task,
                                 const struct task_def *def,
                                 const char *where)
{
    const struct yaml_node *node = task->more_fields;
    const bool *repeated = options_repeated(reader, node, where);
    struct extras extras = {.items = options_alloc(reader, node->n_items * sizeof(*extras.items))};
    for (size_t i = 0; i < node->n_items; i++) {
        const struct yaml_node *key = node->keys[i];
        const char *inner = options_join(reader, where, key->scalar);
        int known = catalog_find_field(def, key->scalar);
        struct extra_field *extra = &extras.items[extras.n];
        *extra = (struct extra_field){.field = {.name = key->scalar}, .line = key->line};
        if (!name_is_field(key->scalar)) {
            options_fault(reader, key->line, "%s: a field name must be %s", inner, NAME_FIELD_RULE);
        } else if (!repeated[i] &&
                   catalog_read_field(reader, node->items[i], inner,
                                      known < 0 ? NULL : &def->fields[known], &extra->field)) {
            extras.n++;
        }
    }
    return extras;
}

static void fault_unknown_field(struct option_reader *reader,
                                const struct task_config *task,
                                const char *where,
                                const struct task_def *def,
                                const char *name)
{
    const char *names[TASK_MAX_FIELDS];
    for (size_t i = 0; i < def->n_fields && i < ARRAY_SIZE(names); i++) {
        names[i] = def->fields[i].name;
    }
    options_fault(reader, task->line,
                  "%s names \"%s\", which the catalog does not have%s; to add it write {%s: text}",
                  where, options_shown(reader, name),
                  options_hint(reader, name, names, def->n_fields), options_shown(reader, name));
}

/* What a source copies of the landed table: one mark a field. */
struct selection {
    bool *keep;
    bool *display;
};

/* `fields` as a list: only these. */
static void select_listed(struct option_reader *reader,
                          const struct task_def *base,
                          const struct task_config *task,
                          const char *where,
                          struct selection *selection)
{
    for (size_t i = 0; i < task->n_fields; i++) {
        int field = catalog_find_field(base, task->fields[i]);
        if (field < 0) {
            fault_unknown_field(reader, task, where, base, task->fields[i]);
        } else {
            selection->keep[field] = true;
        }
    }
}

/* `fields` as a mapping: these in addition. */
static void select_more(const struct task_def *landed,
                        const struct yaml_node *more,
                        struct selection *selection)
{
    for (size_t i = 0; i < more->n_items; i++) {
        int field = catalog_find_field(landed, more->keys[i]->scalar);
        if (field < 0) {
            continue;
        }
        const struct yaml_node *wish = yaml_find(more->items[i], "display");
        selection->keep[field] = true;
        if (wish != NULL) {
            selection->display[field] = strcmp(wish->scalar, "true") == 0;
        }
    }
}

/* What the tasks derived from this one need. Their fields are its own, in the same places. */
static void select_for_derived(const struct config *config,
                               const struct task_def *base,
                               struct selection *selection)
{
    for (size_t i = 0; i < config->catalog.n_tasks; i++) {
        const struct task_def *other = config->catalog.tasks[i];
        if (other->latest_of == NULL || strcmp(other->latest_of, base->name) != 0 ||
            strcmp(other->source_type, base->source_type) != 0) {
            continue;
        }
        for (size_t field = 0; field < base->n_fields; field++) {
            selection->keep[field] |= catalog_field_has_role(other, field);
        }
    }
}

static const struct task_def *select_task(struct option_reader *reader,
                                          const struct config *config,
                                          const struct task_def *landed,
                                          const struct task_def *base,
                                          const struct source_config *source)
{
    const struct task_config *task = source_task(source, base->name);
    const char *where = options_join(reader, task_where(reader, source, base->name), "fields");
    struct selection selection = {
        .keep = options_alloc(reader, landed->n_fields * sizeof(bool)),
        .display = options_alloc(reader, landed->n_fields * sizeof(bool)),
    };
    for (size_t i = 0; i < base->n_fields; i++) {
        selection.keep[i] = task == NULL || task->fields == NULL;
        selection.display[i] = base->fields[i].display;
    }
    if (task != NULL && task->fields != NULL) {
        select_listed(reader, base, task, where, &selection);
    }
    if (task != NULL && task->more_fields != NULL) {
        select_more(landed, task->more_fields, &selection);
    }
    select_for_derived(config, base, &selection);
    return catalog_select_task(reader, landed, selection.keep, selection.display);
}

/* A derived task has the fields that the source copies of its origin. */
static const struct task_def *select_derived(struct option_reader *reader,
                                             const struct task_def *landed,
                                             const struct task_def *origin)
{
    struct selection selection = {
        .keep = options_alloc(reader, landed->n_fields * sizeof(bool)),
        .display = options_alloc(reader, landed->n_fields * sizeof(bool)),
    };
    for (size_t i = 0; i < landed->n_fields; i++) {
        int field = catalog_find_field(origin, landed->fields[i].name);
        selection.keep[i] = field >= 0;
        selection.display[i] = field >= 0 && origin->fields[field].display;
    }
    return catalog_select_task(reader, landed, selection.keep, selection.display);
}

static const struct task_def *find_resolved(const struct config *config,
                                            const struct source_task *resolved,
                                            const char *source,
                                            const char *task)
{
    for (size_t i = 0; i < config->n_source_tasks; i++) {
        if (strcmp(resolved[i].source, source) == 0 && strcmp(resolved[i].def->name, task) == 0) {
            return resolved[i].def;
        }
    }
    return NULL;
}

/* The task without the settings that are no fields. An origin comes before what is derived. */
static const struct task_def *resolve_fields(struct option_reader *reader,
                                             const struct config *config,
                                             const struct source_task *resolved,
                                             const struct source_config *source,
                                             size_t index)
{
    const struct task_def *base = config->catalog.tasks[index];
    const struct task_def *landed = config->landed[index];
    if (base->latest_of == NULL) {
        return select_task(reader, config, landed, base, source);
    }
    return select_derived(reader, landed,
                          find_resolved(config, resolved, source->name, base->latest_of));
}

static void apply_settings(const struct source_config *source, struct task_def *own)
{
    const struct task_config *task = source_task(source, own->name);
    if (source->page_size != 0) {
        own->page_size = source->page_size;
    }
    if (task != NULL && task->page_size != 0) {
        own->page_size = task->page_size;
    }
    if (task != NULL && task->filter != NULL) {
        own->filter = task->filter;
    }
}

/* The table that takes what every source of the type adds. */
static const struct task_def *
land_task(struct option_reader *reader, const struct config *config, const struct task_def *base)
{
    const struct task_def *landed = base;
    if (base->latest_of != NULL) {
        const struct task_def *origin =
            catalog_task(&config->catalog, base->source_type, base->latest_of);
        return catalog_follow_task(reader, base, config_landed_task(config, origin));
    }
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct source_config *source = &config->sources[i];
        const struct task_config *task = source_task(source, base->name);
        if (source->type == NULL || strcmp(source->type, base->source_type) != 0 || task == NULL ||
            task->more_fields == NULL) {
            continue;
        }
        const char *where = options_join(reader, task_where(reader, source, base->name), "fields");
        struct extras extras = read_extras(reader, task, base, where);
        const struct task_def *extended =
            catalog_extend_task(reader, landed, extras.items, extras.n, where);
        if (extended != NULL) {
            landed = extended;
        }
    }
    return landed;
}

static void check_task_names(struct option_reader *reader,
                             const struct config *config,
                             const struct source_config *source)
{
    size_t n = 0;
    const char **names = options_alloc(reader, config->catalog.n_tasks * sizeof(*names));
    for (size_t i = 0; source->type != NULL && i < config->catalog.n_tasks; i++) {
        if (strcmp(config->catalog.tasks[i]->source_type, source->type) == 0) {
            names[n++] = config->catalog.tasks[i]->name;
        }
    }
    for (size_t i = 0; source->type != NULL && i < source->n_tasks; i++) {
        const char *name = source->tasks[i].name;
        const struct task_def *task = catalog_task(&config->catalog, source->type, name);
        bool has_fields = source->tasks[i].fields != NULL || source->tasks[i].more_fields != NULL;
        if (task != NULL && task->latest_of != NULL && has_fields) {
            options_fault(reader, source->tasks[i].line,
                          "%s.fields: %s has its fields from %s; write them there",
                          task_where(reader, source, name), name, task->latest_of);
        }
        if (task == NULL) {
            options_fault(reader, source->tasks[i].line, "%s: the catalog has no such task of %s%s",
                          task_where(reader, source, name), source->type,
                          options_hint(reader, name, names, n));
        }
    }
}

/* Adds the task of each source of its type to config's list. */
static void resolve_for_sources(struct option_reader *reader,
                                struct config *config,
                                size_t index,
                                struct source_task *resolved)
{
    const struct task_def *base = config->catalog.tasks[index];
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct source_config *source = &config->sources[i];
        if (source->type == NULL || strcmp(source->type, base->source_type) != 0) {
            continue;
        }
        struct task_def *own = options_alloc(reader, sizeof(*own));
        *own = *resolve_fields(reader, config, resolved, source, index);
        apply_settings(source, own);
        resolved[config->n_source_tasks++] = (struct source_task){source->name, own};
    }
}

void config_resolve_tasks(struct option_reader *reader, struct config *config)
{
    size_t n_tasks = config->catalog.n_tasks;
    struct source_task *resolved =
        options_alloc(reader, config->n_sources * n_tasks * sizeof(*resolved));
    config->landed = options_alloc(reader, n_tasks * sizeof(const struct task_def *));
    for (size_t i = 0; i < config->n_sources; i++) {
        check_task_names(reader, config, &config->sources[i]);
    }
    for (size_t i = 0; i < n_tasks; i++) {
        config->landed[i] = land_task(reader, config, config->catalog.tasks[i]);
        resolve_for_sources(reader, config, i, resolved);
    }
    config->source_tasks = resolved;
}
