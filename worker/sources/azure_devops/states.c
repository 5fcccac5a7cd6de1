#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "worker/sources/azure_devops/walk.h"

/*
 * Which category each state of each work item type has in each process: one request per process,
 * or, where processes may not be read or are those of an on-premises server, one per type of a
 * project that follows it. A project whose process nobody tells counts as a process of its own,
 * known by the project's id. Names come as the process has them, in its language. Hidden states
 * land too: old revisions name them.
 */

struct states_walk {
    bool has_processes;
    struct ado_processes processes;
    struct ado_projects projects; /* where processes may not be read */
    const char **read_ids;        /* of processes that were read; views into the arenas */
    size_t n_read;
    size_t read_capacity;
    size_t next;        /* process, or project */
    struct json *types; /* of the project that is read type by type */
    const struct json *type_list;
    size_t next_type;
    struct ado_process process; /* of that project; views into the arenas */
    struct ado_cells cells;
};

static void start(struct walk *walk)
{
    struct states_walk *state = walk->state;
    ado_processes_init(&state->processes);
    ado_projects_init(&state->projects);
    ado_cells_init(&state->cells, walk->task);
}

static void release(struct walk *walk)
{
    struct states_walk *state = walk->state;
    ado_processes_release(&state->processes);
    ado_projects_release(&state->projects);
    ado_cells_release(&state->cells);
    json_free(state->types);
    xfree(state->read_ids);
}

/* True the first time. */
static bool note_process(struct states_walk *state, const char *id)
{
    for (size_t i = 0; i < state->n_read; i++) {
        if (strcmp(state->read_ids[i], id) == 0) {
            return false;
        }
    }
    if (state->n_read == state->read_capacity) {
        state->read_capacity = state->read_capacity == 0 ? 16 : 2 * state->read_capacity;
        state->read_ids =
            xrealloc(state->read_ids, state->read_capacity * sizeof(*state->read_ids));
    }
    state->read_ids[state->n_read++] = id;
    return true;
}

static bool add_state(struct walk *walk,
                      struct row_batch *batch,
                      const struct json *type,
                      const struct json *node,
                      const char *category_member,
                      struct error *err)
{
    struct states_walk *state = walk->state;
    struct ado_cells *cells = &state->cells;
    ado_cells_reset(cells);
    ado_cells_set_text(cells, "processId", state->process.id);
    ado_cells_set_text(cells, "processName", state->process.name);
    ado_cells_set_member(cells, "type", type, "name");
    ado_cells_set_member(cells, "typeReferenceName", type, "referenceName");
    ado_cells_set_member(cells, "state", node, "name");
    ado_cells_set_member(cells, "category", node, category_member);
    ado_cells_set_bool(cells, "hidden", json_bool(json_find(node, "hidden"), false));
    return ado_add_record(walk, batch, cells->cells, err);
}

static bool add_states(struct walk *walk,
                       struct row_batch *batch,
                       const struct json *type,
                       const struct json *states,
                       const char *category_member,
                       struct error *err)
{
    for (size_t i = 0; i < json_size(states); i++) {
        if (!add_state(walk, batch, type, json_at(states, i), category_member, err)) {
            return false;
        }
    }
    return true;
}

/* ---- by process ---- */

static bool
add_types(struct walk *walk, struct row_batch *batch, const struct json *list, struct error *err)
{
    for (size_t i = 0; i < json_size(list); i++) {
        const struct json *type = json_at(list, i);
        if (!add_states(walk, batch, type, json_find(type, "states"), "stateCategory", err)) {
            return false;
        }
    }
    return true;
}

/* The types of a project; what they may do is asked next. None of a project that went meanwhile:
 * then the next one that follows the process is read. */
static bool begin_types(struct states_walk *state, struct http_client *http, struct error *err)
{
    const char *project_id = state->process.project_id;
    struct error fault = ERROR_INIT;
    state->next_type = 0;
    state->types = ado_get_types(http, project_id, &state->type_list, &fault);
    if (state->types != NULL) {
        return true;
    }
    if (fault.http_status == 404 && ado_project_is_gone(http, project_id)) {
        state->n_read--;
        return true;
    }
    *err = fault;
    return error_wrap(err, "work item types of project %s (process %s)", project_id,
                      state->process.name);
}

static bool read_process(struct walk *walk,
                         struct http_client *http,
                         struct row_batch *batch,
                         struct error *err)
{
    struct states_walk *state = walk->state;
    struct buf url CLEANUP(buf_release);
    struct error fault = ERROR_INIT;
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, ADO_WORK "/processes/");
    ado_add_segment(&url, state->process.id);
    buf_add_c(&url, "/workitemtypes?$expand=states&" ADO_VERSION);
    const struct json *list = NULL;
    struct json *root = ado_get_list(http, &url, NULL, &list, &fault);
    if (root != NULL) {
        bool good = add_types(walk, batch, list, err);
        json_free(root);
        return good;
    }
    if (fault.http_status != 403 && fault.http_status != 404) {
        *err = fault;
        return false;
    }
    if (state->process.project_id == NULL) {
        log_info("a process that no project follows cannot be read and is left out",
                 LOG_TEXT("process", state->process.name), LOG_TEXT("because", fault.msg));
        return true;
    }
    return begin_types(state, http, err);
}

/* ---- by project ---- */

static bool
read_type(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct states_walk *state = walk->state;
    const struct json *type = json_at(state->type_list, state->next_type++);
    const char *name = json_find_string(type, "name");
    if (name == NULL) {
        return error_set(err, ERROR_DATA, "a work item type without a name");
    }
    struct buf url CLEANUP(buf_release);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_char(&url, '/');
    ado_add_segment(&url, state->process.project_id);
    buf_add_c(&url, "/_apis/wit/workitemtypes/");
    ado_add_segment(&url, name);
    buf_add_c(&url, "/states?" ADO_VERSION);
    const struct json *list = NULL;
    struct json *root = ado_get_list(http, &url, NULL, &list, err);
    bool good = root != NULL && add_states(walk, batch, type, list, "category", err);
    json_free(root);
    return good;
}

/* The next project whose process has not been read yet. */
static bool next_project(struct walk *walk, struct http_client *http, struct error *err)
{
    struct states_walk *state = walk->state;
    const struct ado_project *project = &state->projects.items[state->next++];
    if (!project->is_well_formed) {
        return true;
    }
    const struct ado_process own = {
        .project_id = project->id, .id = project->id, .name = project->name};
    const struct ado_process *process =
        ado_processes_ask(&state->processes, http, project->id, err);
    if (error_is_set(err)) {
        return false;
    }
    process = process != NULL ? process : &own;
    if (!note_process(state, process->id)) {
        return true;
    }
    state->process = *process;
    return begin_types(state, http, err);
}

static bool prepare(struct walk *walk, struct http_client *http, struct error *err)
{
    struct states_walk *state = walk->state;
    state->has_processes = true;
    return ado_processes_load(&state->processes, http, err) &&
           (state->processes.is_known || ado_projects_load(&state->projects, http, err));
}

static bool
step(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct states_walk *state = walk->state;
    if (!state->has_processes) {
        return prepare(walk, http, err);
    }
    if (state->types != NULL && state->next_type < json_size(state->type_list)) {
        return read_type(walk, http, batch, err);
    }
    json_free(state->types);
    state->types = NULL;
    bool by_project = !state->processes.is_known;
    if (state->next == (by_project ? state->projects.n : state->processes.n)) {
        walk->finished = true;
        return true;
    }
    if (by_project) {
        return next_project(walk, http, err);
    }
    const struct ado_process *process = &state->processes.items[state->next++];
    if (!note_process(state, process->id)) {
        return true;
    }
    state->process = *process;
    return read_process(walk, http, batch, err);
}

const struct ado_walk_type ado_states_walk = {
    .state_bytes = sizeof(struct states_walk),
    .start = start,
    .step = step,
    .release = release,
};
