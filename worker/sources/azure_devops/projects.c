#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/sources/azure_devops/walk.h"

/*
 * Projects page by page, and the process each follows. The header x-ms-continuationtoken says where
 * the next page begins; a full page without it is not believed to be the last, since a proxy may
 * have dropped the header: then the rest is asked for by $skip.
 */

#define TOP             100
#define ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct json *ado_projects_page(struct http_client *http,
                               struct ado_project_page *page,
                               const struct json **ret_list,
                               struct error *err)
{
    struct buf url CLEANUP(buf_release);
    struct ado_answer answer;
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_addf(&url, "/_apis/projects?stateFilter=all&$top=%d", TOP);
    if (page->token[0] != '\0') {
        buf_add_c(&url, "&continuationToken=");
        buf_add_percent(&url, str_from(page->token), "");
    } else if (page->fetched > 0) {
        buf_addf(&url, "&$skip=%" PRId64, page->fetched);
    }
    buf_add_c(&url, "&" ADO_VERSION);
    const struct json *list = NULL;
    struct json *root = ado_get_list(http, &url, &answer, &list, err);
    if (root == NULL) {
        return NULL;
    }
    size_t n = json_size(list);
    size_t token_len = strlen(answer.next);
    bool has_token = token_len > 0;
    if (token_len >= sizeof(page->token) ||
        (has_token && (n == 0 || strcmp(answer.next, page->token) == 0))) {
        json_free(root);
        (void)error_set(err, ERROR_DATA,
                        "the list of projects does not end: its continuation token \"%.60s\" "
                        "leads nowhere",
                        answer.next);
        return NULL;
    }
    memcpy(page->token, answer.next, token_len + 1);
    page->fetched += (int64_t)n;
    page->is_last = !has_token && n < TOP;
    *ret_list = list;
    return root;
}

void ado_projects_init(struct ado_projects *projects)
{
    *projects = (struct ado_projects){0};
    arena_init(&projects->arena, ARENA_BYTES_MAX);
}

void ado_projects_release(struct ado_projects *projects)
{
    xfree(projects->items);
    arena_release(&projects->arena);
}

/* NULL text or a full arena give false. */
static bool keep(struct arena *arena, const char *text, const char **ret_copy)
{
    *ret_copy = text != NULL ? arena_strdup(arena, text) : NULL;
    return *ret_copy != NULL;
}

static bool add_project(struct ado_projects *projects, const struct json *node, struct error *err)
{
    struct ado_project project = {0};
    const char *state = json_find_string(node, "state");
    if (!keep(&projects->arena, json_find_string(node, "id"), &project.id) ||
        !keep(&projects->arena, json_find_string(node, "name"), &project.name)) {
        return error_set(err, ERROR_DATA, "a project without id or name, or too many of them");
    }
    project.is_well_formed = state == NULL || strcmp(state, "wellFormed") == 0;
    if (projects->n == projects->capacity) {
        projects->capacity = projects->capacity == 0 ? 64 : 2 * projects->capacity;
        projects->items = xrealloc(projects->items, projects->capacity * sizeof(*projects->items));
    }
    projects->items[projects->n++] = project;
    return true;
}

bool ado_projects_load(struct ado_projects *projects, struct http_client *http, struct error *err)
{
    struct ado_project_page page = {0};
    while (!page.is_last) {
        const struct json *list = NULL;
        struct json *root = ado_projects_page(http, &page, &list, err);
        if (root == NULL) {
            return false;
        }
        bool good = true;
        for (size_t i = 0; i < json_size(list) && good; i++) {
            good = add_project(projects, json_at(list, i), err);
        }
        json_free(root);
        if (!good) {
            return false;
        }
    }
    return true;
}

bool ado_project_is_gone(struct http_client *http, const char *project_id)
{
    struct buf url CLEANUP(buf_release);
    struct error fault = ERROR_INIT; /* what it says was said before */
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, "/_apis/projects/");
    ado_add_segment(&url, project_id);
    buf_add_c(&url, "?" ADO_VERSION);
    struct json *root = ado_get(http, &url, NULL, &fault);
    json_free(root);
    return root == NULL && fault.http_status == 404;
}

/* ---- processes ---- */

void ado_processes_init(struct ado_processes *processes)
{
    *processes = (struct ado_processes){0};
    arena_init(&processes->arena, ARENA_BYTES_MAX);
}

void ado_processes_release(struct ado_processes *processes)
{
    xfree(processes->items);
    arena_release(&processes->arena);
}

static const struct ado_process *add_process(struct ado_processes *processes,
                                             const char *project_id,
                                             const char *id,
                                             const char *name,
                                             struct error *err)
{
    struct ado_process process = {0};
    if (!keep(&processes->arena, id, &process.id) ||
        !keep(&processes->arena, name != NULL ? name : id, &process.name) ||
        (project_id != NULL && !keep(&processes->arena, project_id, &process.project_id))) {
        (void)error_set(err, ERROR_DATA, "a process without an id, or too many of them");
        return NULL;
    }
    if (processes->n == processes->capacity) {
        processes->capacity = processes->capacity == 0 ? 64 : 2 * processes->capacity;
        processes->items =
            xrealloc(processes->items, processes->capacity * sizeof(*processes->items));
    }
    processes->items[processes->n] = process;
    return &processes->items[processes->n++];
}

static bool
take_process(struct ado_processes *processes, const struct json *node, struct error *err)
{
    const char *id = json_find_string(node, "typeId");
    const char *name = json_find_string(node, "name");
    const struct json *projects = json_find(node, "projects");
    if (json_size(projects) == 0) {
        return add_process(processes, NULL, id, name, err) != NULL;
    }
    for (size_t i = 0; i < json_size(projects); i++) {
        const char *project = json_find_string(json_at(projects, i), "id");
        if (add_process(processes, project, id, name, err) == NULL) {
            return false;
        }
    }
    return true;
}

bool ado_processes_load(struct ado_processes *processes,
                        struct http_client *http,
                        struct error *err)
{
    struct buf url CLEANUP(buf_release);
    struct error fault = ERROR_INIT;
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, ADO_WORK "/processes?$expand=projects&" ADO_VERSION);
    const struct json *list = NULL;
    struct json *root = ado_get_list(http, &url, NULL, &list, &fault);
    if (root == NULL) {
        if (fault.http_status == 403 || fault.http_status == 404) {
            return true; /* the projects tell, one by one */
        }
        *err = fault;
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < json_size(list) && good; i++) {
        good = take_process(processes, json_at(list, i), err);
    }
    processes->is_known = good && json_size(list) > 0;
    json_free(root);
    return good;
}

const struct ado_process *ado_processes_find(const struct ado_processes *processes,
                                             const char *project_id)
{
    for (size_t i = 0; i < processes->n; i++) {
        const char *id = processes->items[i].project_id;
        if (id != NULL && strcmp(id, project_id) == 0) {
            return &processes->items[i];
        }
    }
    return NULL;
}

static struct json *get_project(struct http_client *http, const char *project_id, struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, "/_apis/projects/");
    ado_add_segment(&url, project_id);
    buf_add_c(&url, "?includeCapabilities=true&" ADO_VERSION);
    return ado_get(http, &url, NULL, err);
}

static struct json *
get_properties(struct http_client *http, const char *project_id, struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, "/_apis/projects/");
    ado_add_segment(&url, project_id);
    buf_add_c(&url, "/properties?keys=System.ProcessTemplateType,System.Process%20Template&"
                    "api-version=7.1-preview.1"); /* a preview in every version of the API */
    return ado_get(http, &url, NULL, err);
}

/* NULL if there is none of this name. */
static const char *find_property(const struct json *root, const char *name)
{
    const struct json *list = json_find(root, "value");
    for (size_t i = 0; i < json_size(list); i++) {
        const char *found = json_find_string(json_at(list, i), "name");
        if (found != NULL && strcmp(found, name) == 0) {
            return json_find_string(json_at(list, i), "value");
        }
    }
    return NULL;
}

/* Not System.CurrentProcessTemplateId, which is the id of one version of the process. */
static const struct ado_process *ask_properties(struct ado_processes *processes,
                                                struct http_client *http,
                                                const char *project_id,
                                                struct error *err)
{
    struct error fault = ERROR_INIT;
    struct json *root = get_properties(http, project_id, &fault);
    if (root == NULL) {
        if (fault.http_status != 404 && fault.http_status != 403) {
            *err = fault;
        }
        return NULL;
    }
    const char *id = find_property(root, "System.ProcessTemplateType");
    const struct ado_process *process = NULL;
    if (id != NULL) {
        process = add_process(processes, project_id, id,
                              find_property(root, "System.Process Template"), err);
    }
    json_free(root);
    return process;
}

const struct ado_process *ado_processes_ask(struct ado_processes *processes,
                                            struct http_client *http,
                                            const char *project_id,
                                            struct error *err)
{
    struct error fault = ERROR_INIT;
    struct json *root = get_project(http, project_id, &fault);
    if (root == NULL && fault.http_status != 403) {
        if (fault.http_status != 404) {
            *err = fault;
        }
        return NULL;
    }
    const struct json *template = json_find(json_find(root, "capabilities"), "processTemplate");
    const char *id = json_find_string(template, "templateTypeId");
    const struct ado_process *process =
        id != NULL ? add_process(processes, project_id, id,
                                 json_find_string(template, "templateName"), err)
                   : ask_properties(processes, http, project_id, err);
    json_free(root);
    return process;
}

struct json *ado_get_types(struct http_client *http,
                           const char *project_id,
                           const struct json **ret_list,
                           struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_char(&url, '/');
    ado_add_segment(&url, project_id);
    buf_add_c(&url, "/_apis/wit/workitemtypes?" ADO_VERSION);
    struct json *root = ado_get_list(http, &url, NULL, ret_list, err);
    if (root == NULL && (err->http_status == 403 || err->http_status == 404)) {
        (void)error_wrap(err, "the work item types cannot be read; give the token the scope Work "
                              "items: read and its user the right View project-level information");
    }
    return root;
}

/* ---- the task ---- */

struct projects_walk {
    bool has_processes;
    struct ado_processes processes;
    struct ado_project_page page;
    struct ado_cells cells;
    size_t done; /* given keys */
};

static void start(struct walk *walk)
{
    struct projects_walk *state = walk->state;
    ado_processes_init(&state->processes);
    ado_cells_init(&state->cells, walk->task);
}

static void release(struct walk *walk)
{
    struct projects_walk *state = walk->state;
    ado_processes_release(&state->processes);
    ado_cells_release(&state->cells);
}

static bool add_row(struct walk *walk,
                    struct http_client *http,
                    struct row_batch *batch,
                    const struct json *project,
                    struct error *err)
{
    static const char *const MEMBERS[] = {"id",    "name",     "description", "url",
                                          "state", "revision", "visibility",  "lastUpdateTime"};
    struct projects_walk *state = walk->state;
    struct ado_cells *cells = &state->cells;
    const char *id = json_find_string(project, "id");
    if (id == NULL) {
        return error_set(err, ERROR_DATA, "a project without an id");
    }
    const struct ado_process *process = ado_processes_find(&state->processes, id);
    process = process != NULL ? process : ado_processes_ask(&state->processes, http, id, err);
    if (error_is_set(err)) {
        return false;
    }
    ado_cells_reset(cells);
    for (size_t i = 0; i < ARRAY_SIZE(MEMBERS); i++) {
        ado_cells_set_member(cells, MEMBERS[i], project, MEMBERS[i]);
    }
    if (process != NULL) {
        ado_cells_set_text(cells, "processId", process->id);
        ado_cells_set_text(cells, "processName", process->name);
    } else { /* nobody tells; the work items of a deleted project keep their states by what is
                stored */
        ado_cells_set(cells, "processId", (struct cell){.kind = CELL_ABSENT});
        ado_cells_set(cells, "processName", (struct cell){.kind = CELL_ABSENT});
    }
    return row_batch_add(batch, cells->cells, STR_NONE, err);
}

static bool
step_given(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct projects_walk *state = walk->state;
    if (state->done == walk->partition->n_keys) {
        walk->finished = true;
        return true;
    }
    struct str key = walk->partition->keys[state->done++];
    char *id CLEANUP(xfreep) = xstrndup(key.ptr, key.len);
    struct error fault = ERROR_INIT;
    struct json *root = get_project(http, id, &fault);
    if (root == NULL) {
        if (fault.http_status == 404) {
            return true;
        }
        *err = fault;
        return false;
    }
    bool good = add_row(walk, http, batch, root, err);
    json_free(root);
    return good;
}

static bool
step(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct projects_walk *state = walk->state;
    if (!state->has_processes) {
        state->has_processes = true;
        return ado_processes_load(&state->processes, http, err);
    }
    if (walk->partition->kind == WALK_GIVEN) {
        return step_given(walk, http, batch, err);
    }
    const struct json *list = NULL;
    struct json *root = ado_projects_page(http, &state->page, &list, err);
    bool good = root != NULL;
    for (size_t i = 0; i < json_size(list) && good; i++) {
        good = add_row(walk, http, batch, json_at(list, i), err);
    }
    json_free(root);
    walk->finished = state->page.is_last;
    return good;
}

const struct ado_walk_type ado_projects_walk = {
    .state_bytes = sizeof(struct projects_walk),
    .start = start,
    .step = step,
    .release = release,
};
