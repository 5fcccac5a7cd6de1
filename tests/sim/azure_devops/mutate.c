#include "tests/sim/azure_devops/mutate.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/io/json.h"
#include "tests/sim/store.h"

/* /_control's operations on work items and links; reshape.c has those on the organisation. */

const char *const azure_verbs[] = {
    "create",         "update",         "delete",          "restore",
    "destroy",        "move",           "unassign",        "add_link",
    "remove_link",    "burst",          "rename_project",  "add_project",
    "delete_project", "change_process", "add_state",       "rename_state",
    "remove_state",   "hide_state",     "set_category",    "rename_identity",
    "add_identity",   "add_iteration",  "forget_requests", NULL};

static int author(const struct azure *azure)
{
    return azure->world.n_people > 2 ? 2 : 0;
}

/* The item that {"id": 5} or {"nth": 0} (of those not deleted, in order of ids) means. */
static bool find_item(struct mutation *m,
                      const struct json *what,
                      struct azure_revision *ret,
                      struct error *err)
{
    const struct azure_items *items = &m->azure->items;
    int64_t id;
    int64_t nth;

    if (json_int64(json_find(what, "id"), &id)) {
        return azure_revision_get(items, id, 0, ret) ||
               error_set(err, ERROR_DATA, "id %lld: there is no such work item", (long long)id);
    }
    if (!json_int64(json_find(what, "nth"), &nth)) {
        return error_set(err, ERROR_DATA, "an id or nth must say which work item is meant");
    }
    for (id = 1; id <= items->last_id; id++) {
        if (azure_revision_get(items, id, 0, ret) && !ret->deleted && nth-- == 0) {
            return true;
        }
    }
    return error_set(err, ERROR_DATA, "nth: there are not so many work items");
}

static void set_state(struct mutation *m, struct azure_revision *r, const char *state)
{
    struct azure_process *process =
        &m->azure->world.processes[m->azure->world.projects[r->project].process];
    const struct azure_type *type = azure_find_type(process, str_from(r->type));

    r->state = azure_keep_text(&m->azure->items, str_from(state));
    r->category = NULL;
    for (int i = 0; type != NULL && i < type->n_states; i++) {
        if (str_equal_c(str_from(state), type->states[i].name)) {
            r->category = type->states[i].category;
        }
    }
    r->state_changed_us = r->changed_us;
    r->closed_us =
        r->category != NULL && strcmp(r->category, "Completed") == 0 ? r->changed_us : AZURE_NEVER;
    r->resolved_us =
        r->category != NULL && strcmp(r->category, "Resolved") == 0 ? r->changed_us : AZURE_NEVER;
    if (r->category != NULL && strcmp(r->category, "InProgress") == 0 &&
        r->activated_us == AZURE_NEVER) {
        r->activated_us = r->changed_us;
    }
}

static bool read_person(struct mutation *m, const struct json *value, int *ret, struct error *err)
{
    const char *name = json_string(value);

    if (name == NULL) {
        *ret = -1;
        return true;
    }
    int person = azure_find_person(&m->azure->world, str_from(name));

    if (person < 0) {
        return error_set(err, ERROR_DATA, "%s: there is no such person; add_identity makes one",
                         name);
    }
    *ret = person;
    return true;
}

static bool set_place(
    struct mutation *m, struct azure_revision *r, int field, const char *path, struct error *err)
{
    struct azure_world *world = &m->azure->world;

    if (field == AZURE_TEAM_PROJECT) {
        int project = azure_find_project(world, str_from(path), false);

        if (project < 0) {
            return error_set(err, ERROR_DATA, "%s: there is no such project", path);
        }
        r->project = project;
        r->area = world->projects[project].areas;
        r->iteration = world->projects[project].iterations;
        return true;
    }
    int node = azure_find_node(world, str_from(path), field == AZURE_ITERATION_PATH);

    if (node < 0) {
        return error_set(err, ERROR_DATA, "%s: there is no such node", path);
    }
    *(field == AZURE_ITERATION_PATH ? &r->iteration : &r->area) = node;
    return true;
}

static bool set_instant(int64_t *ret, const char *text, struct error *err)
{
    return (text != NULL && instant_parse_rfc3339(str_from(text), ret)) ||
           error_set(err, ERROR_DATA, "%s: must be an instant", text != NULL ? text : "null");
}

static bool set_field(struct mutation *m,
                      struct azure_revision *r,
                      int field,
                      const struct json *value,
                      struct error *err)
{
    const char *text = json_string(value);
    struct buf json CLEANUP(buf_release) = {0};
    int64_t number;

    switch (field) {
    case AZURE_STATE:
        if (text != NULL) {
            set_state(m, r, text);
            return true;
        }
        break;
    case AZURE_ASSIGNED_TO:
        return read_person(m, value, &r->assigned, err);
    case AZURE_CHANGED_BY:
        return read_person(m, value, &r->changed_by, err);
    case AZURE_CREATED_BY:
        return read_person(m, value, &r->created_by, err);
    case AZURE_CHANGED_DATE:
        return set_instant(&r->changed_us, text, err);
    case AZURE_CREATED_DATE:
        return set_instant(&r->created_us, text, err);
    case AZURE_TEAM_PROJECT:
    case AZURE_AREA_PATH:
    case AZURE_ITERATION_PATH:
        if (text != NULL) {
            return set_place(m, r, field, text, err);
        }
        break;
    case AZURE_WORK_ITEM_TYPE:
        r->type = azure_keep_text(&m->azure->items, str_from(text));
        return true;
    case AZURE_REASON:
        r->reason = azure_keep_text(&m->azure->items, str_from(text));
        return true;
    case AZURE_PRIORITY:
        if (json_int64(value, &number)) {
            r->priority = (int)number;
            return true;
        }
        break;
    default:
        break;
    }
    buf_init(&json, 16 << 20);
    json_write(value, &json);
    bool null = json_kind(value) == JSON_KIND_NULL;

    r->sets =
        azure_keep_set(&m->azure->items, field,
                       null ? NULL : azure_keep_text(&m->azure->items, buf_str(&json)), r->sets);
    return true;
}

static bool
apply_set(struct mutation *m, const struct json *set, struct azure_revision *r, struct error *err)
{
    for (size_t i = 0; i < json_size(set); i++) {
        const char *name = json_name_at(set, i);
        int field = azure_find_field(str_from(name));

        if (field < 0) {
            return error_set(err, ERROR_DATA, "%s: there is no such field", name);
        }
        if (!set_field(m, r, field, json_at(set, i), err)) {
            return error_wrap(err, "%s", name);
        }
    }
    return true;
}

static bool append(struct mutation *m, struct azure_revision *r, struct buf *out, struct error *err)
{
    r->parent = azure_item_parent(&m->azure->items, r->id);
    const struct azure_revision *made = azure_append(&m->azure->items, r);

    if (made == NULL) {
        return error_set(err, ERROR_LIMIT, "memory for changes is used up: reset");
    }
    buf_addf(out, "{\"id\":%lld,\"rev\":%d,\"watermark\":%lld}", (long long)made->id, made->rev,
             (long long)made->watermark);
    return true;
}

/* A next revision of `r`, stamped now. */
static void begin(struct mutation *m, struct azure_revision *r)
{
    r->changed_us = m->now_us;
    r->changed_by = author(m->azure);
}

static bool create(struct mutation *m, const struct json *what, struct buf *out, struct error *err)
{
    struct azure_world *world = &m->azure->world;
    const char *project_name = json_find_string(what, "project");
    const char *type_name = json_find_string(what, "type");
    struct azure_revision r = {.id = 0};
    int project =
        project_name == NULL ? 0 : azure_find_project(world, str_from(project_name), false);

    if (project < 0 || world->n_projects == 0) {
        return error_set(err, ERROR_DATA, "project %s: there is no such project",
                         project_name != NULL ? project_name : "");
    }
    struct azure_process *process = &world->processes[world->projects[project].process];
    const struct azure_type *type =
        type_name == NULL ? &process->types[0] : azure_find_type(process, str_from(type_name));

    if (type == NULL) {
        return error_set(err, ERROR_DATA, "type %s: the project's process has no such type",
                         type_name);
    }
    r.project = project;
    r.area = world->projects[project].areas;
    r.iteration = world->projects[project].iterations;
    r.type = type->name;
    r.reason = "New";
    r.assigned = -1;
    r.created_us = m->now_us;
    r.activated_us = AZURE_NEVER;
    r.hash = store_mix(world->seed, (uint64_t)m->azure->items.last_id + 1);
    r.priority = 2;
    begin(m, &r);
    r.created_by = r.changed_by;
    set_state(m, &r, type->states[0].name);
    return apply_set(m, json_find(what, "set"), &r, err) && append(m, &r, out, err);
}

static bool update(struct mutation *m, const struct json *what, struct buf *out, struct error *err)
{
    struct azure_revision r;

    if (!find_item(m, what, &r, err)) {
        return false;
    }
    begin(m, &r);
    if (json_find(what, "set") == NULL) {
        /* Something must change. */
        char title[80];

        snprintf(title, sizeof(title), "\"Changed %lld\"",
                 (long long)azure_last_watermark(&m->azure->items) + 1);
        r.sets = azure_keep_set(&m->azure->items, AZURE_TITLE,
                                azure_keep_text(&m->azure->items, str_from(title)), r.sets);
    }
    return apply_set(m, json_find(what, "set"), &r, err) && append(m, &r, out, err);
}

/* Into the recycle bin and out again; both make a revision. */
static bool set_deleted(
    struct mutation *m, const struct json *what, bool deleted, struct buf *out, struct error *err)
{
    struct azure_revision r;

    if (!find_item(m, what, &r, err)) {
        return false;
    }
    if (r.deleted == deleted) {
        return error_set(err, ERROR_DATA, "id %lld: is %s", (long long)r.id,
                         deleted ? "deleted already" : "not deleted");
    }
    begin(m, &r);
    r.deleted = deleted;
    return append(m, &r, out, err);
}

static bool destroy(struct mutation *m, const struct json *what, struct buf *out, struct error *err)
{
    struct azure_revision r;

    if (!find_item(m, what, &r, err)) {
        return false;
    }
    azure_destroy_item(&m->azure->items, r.id);
    buf_addf(out, "{\"id\":%lld}", (long long)r.id);
    return true;
}

static bool move(struct mutation *m, const struct json *what, struct buf *out, struct error *err)
{
    const char *project = json_find_string(what, "project");
    struct azure_revision r;

    if (!find_item(m, what, &r, err)) {
        return false;
    }
    begin(m, &r);
    return set_place(m, &r, AZURE_TEAM_PROJECT, project != NULL ? project : "", err) &&
           apply_set(m, json_find(what, "set"), &r, err) && append(m, &r, out, err);
}

static bool
unassign(struct mutation *m, const struct json *what, struct buf *out, struct error *err)
{
    struct azure_revision r;

    if (!find_item(m, what, &r, err)) {
        return false;
    }
    begin(m, &r);
    r.assigned = -1;
    return append(m, &r, out, err);
}

static bool change_link(
    struct mutation *m, const struct json *what, bool active, struct buf *out, struct error *err)
{
    const char *rel = json_find_string(what, "rel");
    struct azure_link link = {.changed_us = m->now_us, .active = active};

    link.rel = azure_link_type(str_from(rel != NULL ? rel : "Hierarchy"));
    if (link.rel == NULL || !json_int64(json_find(what, "source"), &link.source) ||
        !json_int64(json_find(what, "target"), &link.target)) {
        return error_set(err, ERROR_DATA,
                         "a link needs source, target and, unless it is Hierarchy, rel");
    }
    if (azure_item_revs(&m->azure->items, link.source) == 0 ||
        azure_item_revs(&m->azure->items, link.target) == 0) {
        return error_set(err, ERROR_DATA, "source and target must be work items that are there");
    }
    azure_link_append(&m->azure->links, &link);
    if (strstr(link.rel, "Hierarchy") != NULL) {
        azure_set_parent(&m->azure->items, link.target, active ? link.source : 0);
    }
    buf_addf(out, "{\"token\":%lld}",
             (long long)(AZURE_LINK_TOKEN_BASE + azure_links_count(&m->azure->links)));
    return true;
}

/* The next live item from a scattered walk over all ids. */
static bool scatter(struct mutation *m, uint64_t *walk, struct azure_revision *ret)
{
    const struct azure_items *items = &m->azure->items;

    for (int tries = 0; tries < 100000 && items->last_id > 0; tries++) {
        int64_t id = (int64_t)(store_mix(items->seed, ++*walk) % (uint64_t)items->last_id) + 1;

        if (azure_revision_get(items, id, 0, ret) && !ret->deleted) {
            return true;
        }
    }
    return false;
}

static bool burst(struct mutation *m, const struct json *what, struct buf *out, struct error *err)
{
    const char *kind = json_find_string(what, "kind");
    bool same = json_bool(json_find(what, "same_instant"), true);
    struct buf said CLEANUP(buf_release) = {0};
    uint64_t walk = (uint64_t)azure_last_watermark(&m->azure->items);
    int64_t n = 0;

    if (!json_int64(json_find(what, "n"), &n) || n < 1 || n > 1000000) {
        return error_set(err, ERROR_DATA, "burst: needs n, 1 to 1000000");
    }
    buf_init(&said, 1 << 20);
    kind = kind != NULL ? kind : "update";
    for (int64_t i = 0; i < n; i++) {
        struct azure_revision r;
        bool ok;

        buf_reset(&said);
        if (strcmp(kind, "create") == 0) {
            ok = create(m, what, &said, err);
        } else if (!scatter(m, &walk, &r)) {
            ok = error_set(err, ERROR_DATA, "burst: there are no work items");
        } else if (strcmp(kind, "destroy") == 0) {
            azure_destroy_item(&m->azure->items, r.id);
            ok = true;
        } else if (strcmp(kind, "delete") == 0 || strcmp(kind, "update") == 0) {
            begin(m, &r);
            r.deleted = kind[0] == 'd';
            ok = apply_set(m, json_find(what, "set"), &r, err) && append(m, &r, &said, err);
        } else {
            ok =
                error_set(err, ERROR_DATA, "burst: kind must be update, create, delete or destroy");
        }
        if (!ok) {
            return false;
        }
        m->now_us += same ? 0 : 10 * US_PER_MS;
    }
    buf_addf(out, "{\"n\":%lld}", (long long)n);
    return true;
}

static bool run(struct mutation *m,
                const char *verb,
                const struct json *what,
                struct buf *out,
                struct error *err)
{
    static const struct {
        const char *verb;
        bool (*run)(struct mutation *m,
                    const struct json *what,
                    struct buf *out,
                    struct error *err);
    } verbs[] = {{"create", create}, {"update", update},     {"destroy", destroy},
                 {"move", move},     {"unassign", unassign}, {"burst", burst}};

    if (strcmp(verb, "delete") == 0 || strcmp(verb, "restore") == 0) {
        return set_deleted(m, what, verb[0] == 'd', out, err);
    }
    if (strcmp(verb, "add_link") == 0 || strcmp(verb, "remove_link") == 0) {
        return change_link(m, what, verb[0] == 'a', out, err);
    }
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verb, verbs[i].verb) == 0) {
            return verbs[i].run(m, what, out, err);
        }
    }
    return azure_reshape(m, verb, what, err);
}

bool azure_mutate(
    void *self, const char *verb, const struct json *what, struct buf *out, struct error *err)
{
    struct azure *azure = self;
    struct mutation mutation = {azure, sim_clock_now_us(azure->clock) / US_PER_MS * US_PER_MS};

    if (strcmp(verb, "forget_requests") == 0) {
        azure_seen_clear(azure->seen);
        return true;
    }
    azure_replay_apply(azure, mutation.now_us);
    pthread_rwlock_wrlock(&azure->lock);
    bool ok = run(&mutation, verb, what, out, err);

    pthread_rwlock_unlock(&azure->lock);
    return ok;
}
