#include "common/conf/catalog_family.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/conf/catalog_field.h"

#define HINTS_MAX 64

static struct task_draft *
find_draft(struct task_draft *drafts, size_t n, const char *source_type, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(drafts[i].source_type, source_type) == 0 && strcmp(drafts[i].name, name) == 0) {
            return &drafts[i];
        }
    }
    return NULL;
}

/* The task that a property names; NULL after a fault. */
static struct task_draft *resolve_task(struct option_reader *reader,
                                       struct task_draft *drafts,
                                       size_t n,
                                       const struct task_draft *draft,
                                       enum task_property property)
{
    const char *name = property == PROPERTY_PARENT      ? draft->parent.task
                       : property == PROPERTY_LATEST_OF ? draft->latest_of
                                                        : draft->people_of;
    struct task_draft *other = find_draft(drafts, n, draft->source_type, name);
    if (other != NULL && other != draft) {
        return other;
    }
    int line = catalog_at_property(reader, draft, property);
    if (other == draft) {
        options_fault(reader, line, "tasks.%s.%s names the task itself; name another one",
                      draft->name, task_property_names[property]);
        return NULL;
    }
    const char *names[HINTS_MAX];
    size_t n_names = 0;
    for (size_t i = 0; i < n && n_names < HINTS_MAX; i++) {
        if (strcmp(drafts[i].source_type, draft->source_type) == 0 && &drafts[i] != draft) {
            names[n_names++] = drafts[i].name;
        }
    }
    options_fault(reader, line, "tasks.%s.%s names \"%s\", which is no task of %s%s", draft->name,
                  task_property_names[property], options_shown(reader, name), draft->source_type,
                  options_hint(reader, name, names, n_names));
    return NULL;
}

static void check_same_load(struct option_reader *reader,
                            const struct task_draft *draft,
                            const struct task_draft *other,
                            enum task_property property)
{
    if (draft->load != NULL && other->load != NULL && strcmp(draft->load, other->load) != 0) {
        options_fault(reader, catalog_at_property(reader, draft, property),
                      "tasks.%s.%s names %s, which belongs to the load %s, not to %s; both must "
                      "belong to one load",
                      draft->name, task_property_names[property], other->name,
                      options_shown(reader, other->load), options_shown(reader, draft->load));
    }
}

/* ---- parents ---- */

static void link_parent(struct option_reader *reader,
                        struct task_draft *drafts,
                        size_t n,
                        const struct task_draft *draft)
{
    const struct parent_draft *parent = &draft->parent;
    if (parent->task == NULL || parent->field == NULL) {
        options_fault(reader, catalog_at_property(reader, draft, PROPERTY_PARENT),
                      "tasks.%s.parent lacks the key \"%s\"; write {task: NAME, field: FIELD}",
                      draft->name, parent->task == NULL ? "task" : "field");
        return;
    }
    const struct task_draft *other = resolve_task(reader, drafts, n, draft, PROPERTY_PARENT);
    if (other != NULL) {
        check_same_load(reader, draft, other, PROPERTY_PARENT);
    }
}

/* The index of each draft's parent, n where it has none. */
static const size_t *find_parents(struct option_reader *reader, struct task_draft *drafts, size_t n)
{
    size_t *parents = options_alloc(reader, n * sizeof(*parents));
    for (size_t i = 0; i < n; i++) {
        const struct task_draft *draft = &drafts[i];
        const char *name = draft->latest_of != NULL ? draft->latest_of : draft->parent.task;
        const struct task_draft *parent =
            name == NULL ? NULL : find_draft(drafts, n, draft->source_type, name);
        parents[i] = parent == NULL || parent == draft ? n : (size_t)(parent - drafts);
    }
    return parents;
}

/* A circle is said of each of its members, not of the tasks that only lead to it. */
static void check_circles(struct option_reader *reader, struct task_draft *drafts, size_t n)
{
    const size_t *parents = find_parents(reader, drafts, n);
    for (size_t i = 0; i < n; i++) {
        size_t ancestor = parents[i];
        for (size_t steps = 0; steps < n && ancestor != n && ancestor != i; steps++) {
            ancestor = parents[ancestor];
        }
        if (ancestor == i) {
            enum task_property property =
                drafts[i].latest_of != NULL ? PROPERTY_LATEST_OF : PROPERTY_PARENT;
            options_fault(reader, catalog_at_property(reader, &drafts[i], property),
                          "tasks.%s.%s leads back to %s; a task cannot be its own ancestor",
                          drafts[i].name, task_property_names[property], drafts[i].name);
        }
    }
}

/* ---- derived tasks ---- */

static void check_derived_key(struct option_reader *reader,
                              const struct task_draft *draft,
                              const struct task_draft *origin)
{
    if (draft->n_key == 0 || origin->n_key == 0) {
        return; /* said elsewhere */
    }
    if (origin->n_key != 2) {
        options_fault(reader, catalog_at_property(reader, draft, PROPERTY_LATEST_OF),
                      "tasks.%s.latest_of needs a task with two key fields, of which the second "
                      "tells the latest; %s has %zu",
                      draft->name, origin->name, origin->n_key);
    } else if (draft->n_key != 1 || strcmp(draft->key[0], origin->key[0]) != 0) {
        options_fault(reader, catalog_at_property(reader, draft, PROPERTY_KEY),
                      "tasks.%s.key must be the key of %s without its last field; write [%s]",
                      draft->name, origin->name, options_shown(reader, origin->key[0]));
    }
}

/* Fields of a derived task may repeat the origin's, no more: nothing would fill others. */
static void check_derived_fields(struct option_reader *reader,
                                 const struct task_draft *draft,
                                 const struct task_draft *origin)
{
    for (size_t i = 0; i < draft->n_fields; i++) {
        const struct field_draft *own = &draft->fields[i];
        bool found = false;
        for (size_t j = 0; j < origin->n_fields && !found; j++) {
            const struct field *theirs = &origin->fields[j].field;
            found = strcmp(own->field.name, theirs->name) == 0 &&
                    catalog_same_type(&own->field, theirs) &&
                    own->field.display == theirs->display && own->field.rest == theirs->rest;
        }
        if (!found) {
            reader->file = own->file;
            options_fault(reader, own->line,
                          "tasks.%s has its fields from %s, where %s is not or is another; declare "
                          "it there only",
                          draft->name, origin->name, own->field.name);
        }
    }
}

static void inherit(struct task_draft *draft, const struct task_draft *origin)
{
    xfree(draft->fields);
    draft->fields = xcalloc(origin->n_fields + 1, sizeof(*draft->fields));
    if (origin->n_fields > 0) {
        memcpy(draft->fields, origin->fields, origin->n_fields * sizeof(*draft->fields));
    }
    draft->n_fields = origin->n_fields;
    draft->fields_capacity = origin->n_fields + 1;
    draft->version = draft->version != NULL ? draft->version : origin->version;
    draft->revision = draft->revision != NULL ? draft->revision : origin->revision;
    draft->created = draft->created != NULL ? draft->created : origin->created;
    if (draft->table == NULL) {
        draft->table = origin->table != NULL ? origin->table : origin->name;
    }
}

static void link_derived(struct option_reader *reader,
                         struct task_draft *drafts,
                         size_t n,
                         struct task_draft *draft)
{
    const struct task_draft *origin = resolve_task(reader, drafts, n, draft, PROPERTY_LATEST_OF);
    if (origin == NULL) {
        return;
    }
    int line = catalog_at_property(reader, draft, PROPERTY_LATEST_OF);
    if (draft->parent.task != NULL || draft->parent.field != NULL || draft->people_of != NULL) {
        options_fault(reader, line,
                      "tasks.%s has latest_of, so its parent is %s and it has nothing else; remove "
                      "parent and people_of",
                      draft->name, origin->name);
    }
    if (origin->latest_of != NULL || origin->people_of != NULL) {
        options_fault(reader, line,
                      "tasks.%s.latest_of names %s, which is derived itself; name a task that is "
                      "read from the source",
                      draft->name, origin->name);
        return;
    }
    check_same_load(reader, draft, origin, PROPERTY_LATEST_OF);
    check_derived_key(reader, draft, origin);
    check_derived_fields(reader, draft, origin);
    inherit(draft, origin);
}

static void link_people(struct option_reader *reader,
                        struct task_draft *drafts,
                        size_t n,
                        const struct task_draft *draft)
{
    const struct task_draft *origin = resolve_task(reader, drafts, n, draft, PROPERTY_PEOPLE_OF);
    for (size_t i = 0; origin != NULL && i < origin->n_fields; i++) {
        if (origin->fields[i].field.identity) {
            return;
        }
    }
    if (origin != NULL) {
        options_fault(reader, catalog_at_property(reader, draft, PROPERTY_PEOPLE_OF),
                      "tasks.%s.people_of names %s, which has no field of the type identity; name "
                      "a task that has",
                      draft->name, origin->name);
    }
}

void catalog_link_drafts(struct option_reader *reader, struct task_draft *drafts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (drafts[i].latest_of != NULL) {
            link_derived(reader, drafts, n, &drafts[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        bool is_derived = drafts[i].latest_of != NULL;
        if (!is_derived && drafts[i].places[PROPERTY_PARENT].file != NULL) {
            link_parent(reader, drafts, n, &drafts[i]);
        }
        if (!is_derived && drafts[i].people_of != NULL) {
            link_people(reader, drafts, n, &drafts[i]);
        }
    }
    check_circles(reader, drafts, n);
}

/* ---- built tasks ---- */

static const struct task_def *
find_task(const struct task_def *const *tasks, size_t n, const char *source_type, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(tasks[i]->source_type, source_type) == 0 && strcmp(tasks[i]->name, name) == 0) {
            return tasks[i];
        }
    }
    return NULL;
}

static bool is_counter(enum column_type type)
{
    return type == COLUMN_INTEGER || type == COLUMN_BIGINT;
}

static void check_parent_key(struct option_reader *reader,
                             const struct task_draft *draft,
                             const struct task_def *task,
                             const struct task_def *parent)
{
    int line = catalog_at_property(reader, draft, PROPERTY_PARENT);
    if (parent->n_key_columns != 1) {
        options_fault(reader, line,
                      "tasks.%s.parent names %s, whose key has %zu fields; a parent has one",
                      task->name, parent->name, parent->n_key_columns);
        return;
    }
    const struct column *held = &task->columns[task->parent_column];
    const struct column *key = &parent->columns[parent->key_columns[0]];
    if (held->type != key->type && !(is_counter(held->type) && is_counter(key->type))) {
        options_fault(reader, line,
                      "tasks.%s.parent.field names %s, which is %s; the key of %s is %s",
                      task->name, draft->parent.field, column_type_name(held->type), parent->name,
                      column_type_name(key->type));
    }
}

static void check_origin_key(struct option_reader *reader,
                             const struct task_draft *draft,
                             const struct task_def *task,
                             const struct task_def *origin)
{
    const struct column *last = &origin->columns[origin->key_columns[origin->n_key_columns - 1]];
    if (!is_counter(last->type)) {
        options_fault(reader, catalog_at_property(reader, draft, PROPERTY_LATEST_OF),
                      "tasks.%s.latest_of: the last key field of %s is %s; it must be integer or "
                      "bigint",
                      task->name, origin->name, column_type_name(last->type));
    }
}

void catalog_check_parents(struct option_reader *reader,
                           const struct task_draft *drafts,
                           const struct task_def *const *tasks,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (tasks[i]->parent == NULL) {
            continue;
        }
        const struct task_def *parent =
            find_task(tasks, n, tasks[i]->source_type, tasks[i]->parent);
        if (tasks[i]->latest_of != NULL) {
            check_origin_key(reader, &drafts[i], tasks[i], parent);
        } else {
            check_parent_key(reader, &drafts[i], tasks[i], parent);
        }
    }
}

/* Moves tasks[from] to `to`, before it; those between make room. */
static void draw_forward(const struct task_def **tasks, size_t from, size_t to)
{
    const struct task_def *drawn = tasks[from];
    memmove(&tasks[to + 1], &tasks[to], (from - to) * sizeof(struct task_def *));
    tasks[to] = drawn;
}

void catalog_order_tasks(const struct task_def **tasks, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t parent = i;
        for (size_t j = i + 1; tasks[i]->parent != NULL && j < n && parent == i; j++) {
            if (strcmp(tasks[j]->source_type, tasks[i]->source_type) == 0 &&
                strcmp(tasks[j]->name, tasks[i]->parent) == 0) {
                parent = j;
            }
        }
        if (parent == i) {
            i++; /* no parent behind it */
        } else {
            draw_forward(tasks, parent, i);
        }
    }
}
