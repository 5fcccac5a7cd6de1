#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/azure_devops/mutate.h"

/* /_control's operations on the organisation: none of them makes a revision. */

static bool need(const struct json *what, const char *name, const char **ret, struct error *err)
{
    *ret = json_find_string(what, name);
    return *ret != NULL || error_set(err, ERROR_DATA, "%s is missing", name);
}

static bool find_project(struct mutation *m,
                         const struct json *what,
                         struct azure_project **ret,
                         struct error *err)
{
    const char *name;

    if (!need(what, "project", &name, err)) {
        return false;
    }
    int index = azure_find_project(&m->azure->world, str_from(name), false);

    if (index < 0) {
        return error_set(err, ERROR_DATA, "project %s: there is no such project", name);
    }
    *ret = &m->azure->world.projects[index];
    return true;
}

static bool
change_project(struct mutation *m, const char *verb, const struct json *what, struct error *err)
{
    struct azure_project *project;
    const char *name;

    if (strcmp(verb, "add_project") == 0) {
        const char *process_name = json_find_string(what, "process");
        int process =
            process_name != NULL ? azure_find_process(&m->azure->world, str_from(process_name)) : 0;

        return need(what, "name", &name, err) &&
               ((process >= 0 &&
                 azure_add_project(&m->azure->world, name, process, m->now_us) >= 0) ||
                error_set(err, ERROR_DATA,
                          "add_project: there is no such process, or there are %d projects already",
                          AZURE_PROJECTS_MAX));
    }
    if (!find_project(m, what, &project, err)) {
        return false;
    }
    if (strcmp(verb, "delete_project") == 0) {
        project->deleted = true;
        m->azure->world.any_deleted = true;
    } else if (strcmp(verb, "change_process") == 0) {
        int process;

        if (!need(what, "process", &name, err)) {
            return false;
        }
        process = azure_find_process(&m->azure->world, str_from(name));
        if (process < 0) {
            return error_set(err, ERROR_DATA, "process %s: there is no such process", name);
        }
        project->process = process;
    } else {
        if (!need(what, "name", &name, err)) {
            return false;
        }
        memcpy(project->old_name, project->name, sizeof(project->old_name));
        snprintf(project->name, sizeof(project->name), "%s", name);
    }
    project->revision++;
    project->updated_us = m->now_us;
    return true;
}

static bool
find_type(struct mutation *m, const struct json *what, struct azure_type **ret, struct error *err)
{
    const char *process;
    const char *type;

    if (!need(what, "process", &process, err) || !need(what, "type", &type, err)) {
        return false;
    }
    int index = azure_find_process(&m->azure->world, str_from(process));

    *ret = index < 0 ? NULL : azure_find_type(&m->azure->world.processes[index], str_from(type));
    return *ret != NULL ||
           error_set(err, ERROR_DATA, "process %s, type %s: there is no such type", process, type);
}

static struct azure_state *find_state(struct azure_type *type, const char *name)
{
    for (int i = 0; i < type->n_states; i++) {
        if (strcmp(type->states[i].name, name) == 0 && !type->states[i].removed) {
            return &type->states[i];
        }
    }
    return NULL;
}

static bool add_state(struct mutation *m,
                      struct azure_type *type,
                      const char *name,
                      const char *category,
                      struct error *err)
{
    const char *known = "Proposed";

    if (type->n_states == AZURE_STATES_MAX || find_state(type, name) != NULL ||
        (category != NULL && !azure_category(category, &known))) {
        return error_set(
            err, ERROR_DATA,
            "state %s: is there already, has no category like InProgress, or is one too many",
            name);
    }
    struct azure_state *state = &type->states[type->n_states++];

    memset(state, 0, sizeof(*state));
    snprintf(state->name, sizeof(state->name), "%s", name);
    azure_guid(m->azure->world.seed, name, (uint64_t)type->n_states, state->id);
    state->category = known;
    state->born = known;
    state->color = "5688E0";
    state->custom = true;
    return true;
}

static bool
change_state(struct mutation *m, const char *verb, const struct json *what, struct error *err)
{
    const char *category = json_find_string(what, "category");
    struct azure_type *type;
    const char *name;

    if (!find_type(m, what, &type, err) || !need(what, "state", &name, err)) {
        return false;
    }
    if (strcmp(verb, "add_state") == 0) {
        return add_state(m, type, name, category, err);
    }
    struct azure_state *state = find_state(type, name);

    if (state == NULL) {
        return error_set(err, ERROR_DATA, "state %s: the type has no such state", name);
    }
    if (strcmp(verb, "hide_state") == 0) {
        state->hidden = json_bool(json_find(what, "hidden"), true);
        return true;
    }
    if (strcmp(verb, "set_category") == 0) {
        return azure_category(category, &state->category) ||
               error_set(err, ERROR_DATA,
                         "category: must be Proposed, InProgress, Resolved, Completed or Removed");
    }
    state->removed = true;
    if (strcmp(verb, "rename_state") == 0) {
        const char *to;

        /* Old revisions go on naming the old one. */
        return need(what, "to", &to, err) && add_state(m, type, to, state->category, err);
    }
    return true;
}

static bool
change_person(struct mutation *m, const char *verb, const struct json *what, struct error *err)
{
    struct azure_world *world = &m->azure->world;
    const char *display = json_find_string(what, "display");
    const char *unique = json_find_string(what, "unique");
    const char *name;

    if (strcmp(verb, "add_identity") == 0) {
        int added =
            display != NULL && unique != NULL ? azure_add_person(world, display, unique) : -1;

        if (added < 0) {
            return error_set(err, ERROR_DATA,
                             "add_identity: needs display and unique, and there may be %d people",
                             AZURE_PEOPLE_MAX);
        }
        world->people[added].created_us = m->now_us;
        return true;
    }
    if (!need(what, "identity", &name, err)) {
        return false;
    }
    int index = azure_find_person(world, str_from(name));

    if (index < 0) {
        return error_set(err, ERROR_DATA, "identity %s: there is no such person", name);
    }
    struct azure_person *person = &world->people[index];

    if (display != NULL) {
        snprintf(person->display, sizeof(person->display), "%s", display);
    }
    if (unique != NULL) {
        snprintf(person->unique, sizeof(person->unique), "%s", unique);
        snprintf(person->mail, sizeof(person->mail), "%s",
                 strchr(unique, '@') != NULL ? unique : "");
    }
    azure_person_render(world, index);
    return true;
}

static bool add_iteration(struct mutation *m, const struct json *what, struct error *err)
{
    const char *start = json_find_string(what, "start");
    const char *finish = json_find_string(what, "finish");
    struct azure_project *project;
    const char *name;

    if (!find_project(m, what, &project, err) || !need(what, "name", &name, err)) {
        return false;
    }
    int index = (int)(project - m->azure->world.projects);
    int node = azure_add_node(&m->azure->world, index, project->iterations, name, true);
    struct azure_node *added = &m->azure->world.nodes[node];

    if ((start != NULL && !instant_parse_rfc3339(str_from(start), &added->start_us)) ||
        (finish != NULL && !instant_parse_rfc3339(str_from(finish), &added->finish_us))) {
        return error_set(err, ERROR_DATA, "start and finish must be dates");
    }
    return true;
}

bool azure_reshape(struct mutation *m, const char *verb, const struct json *what, struct error *err)
{
    if (strstr(verb, "project") != NULL || strcmp(verb, "change_process") == 0) {
        return change_project(m, verb, what, err);
    }
    if (strstr(verb, "identity") != NULL) {
        return change_person(m, verb, what, err);
    }
    if (strcmp(verb, "add_iteration") == 0) {
        return add_iteration(m, what, err);
    }
    return change_state(m, verb, what, err);
}
