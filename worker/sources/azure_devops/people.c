#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/sources/azure_devops/walk.h"

/*
 * Who there is: the user entitlements if the account may read them (the only list with VSID, mail
 * and directory id at once), else Graph with one look-up of the VSID per user, else the members of
 * teams. The identities that revisions name complete whatever came of it; that is the engine's.
 */

#define TOP             100
#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct people_walk {
    enum ado_directory directory;
    bool is_found;
    char token[512];
    struct ado_cells cells;
    /* ADO_TEAMS */
    bool has_projects;
    struct ado_projects projects;
    size_t next; /* project */
    struct arena arena;
    const char **teams; /* of the project before `next`; views into arena */
    size_t n_teams;
    size_t teams_capacity;
    size_t next_team;
    int64_t skip; /* within the list of teams or members */
    bool has_teams;
};

static void start(struct walk *walk)
{
    struct people_walk *state = walk->state;
    state->directory = (enum ado_directory)walk->partition->list;
    state->is_found = walk->partition->kind != WALK_GIVEN; /* the engine's partitions name none */
    ado_cells_init(&state->cells, walk->task);
    ado_projects_init(&state->projects);
    arena_init(&state->arena, ARENA_BYTES_MAX);
}

static void release(struct walk *walk)
{
    struct people_walk *state = walk->state;
    ado_cells_release(&state->cells);
    ado_projects_release(&state->projects);
    arena_release(&state->arena);
    xfree(state->teams);
}

/* ---- services beside the organisation's own ---- */

static bool entitlements_url(const struct source_config *source, struct buf *url)
{
    if (!ado_service_url(source, source->entitlements_url, "vsaex", url)) {
        return false;
    }
    buf_add_c(url, "/_apis/userentitlements?" ADO_VERSION);
    return true;
}

static bool graph_url(const struct source_config *source, const char *path, struct buf *url)
{
    if (!ado_service_url(source, source->graph_url, "vssps", url)) {
        return false;
    }
    buf_add_c(url, path);
    return true;
}

static bool users_url(const struct source_config *source, struct buf *url)
{
    return graph_url(source, "/_apis/graph/users?api-version=7.1-preview.1", url);
}

/* A PAT of one organisation, or one without the scope, gets any of these from the other hosts. */
static bool is_closed(const struct error *err)
{
    return ado_is_refused(err) || (err->code == ERROR_DENIED && err->http_status != 0);
}

static bool
can_read(struct http_client *http, const struct buf *url, bool *ret_can, struct error *err)
{
    struct error fault = ERROR_INIT;
    struct json *root = ado_get(http, url, NULL, &fault);
    *ret_can = root != NULL;
    json_free(root);
    if (root == NULL && !is_closed(&fault)) {
        *err = fault;
        return false;
    }
    return true;
}

bool ado_find_directory(const struct source_config *source,
                        struct http_client *http,
                        enum ado_directory *ret_directory,
                        struct error *err)
{
    struct buf url CLEANUP(buf_release);
    bool can = false;
    buf_init(&url, ADO_URL_BYTES_MAX);
    if (entitlements_url(source, &url)) {
        if (!can_read(http, &url, &can, err)) {
            return error_wrap(err, "user entitlements");
        }
        if (can) {
            *ret_directory = ADO_ENTITLEMENTS;
            return true;
        }
    }
    buf_reset(&url);
    if (users_url(source, &url)) {
        if (!can_read(http, &url, &can, err)) {
            return error_wrap(err, "graph users");
        }
    }
    *ret_directory = can ? ADO_GRAPH : ADO_TEAMS;
    return true;
}

/* Where the next page begins: in the body or in the header. Sets finished when nowhere. */
static bool take_token(struct walk *walk,
                       const struct json *root,
                       const struct ado_answer *answer,
                       struct error *err)
{
    struct people_walk *state = walk->state;
    const struct json *node = json_find(root, "continuationToken");
    const char *text = json_string(node);
    char number[32];
    int64_t value = 0;
    if (text == NULL && json_int64(node, &value)) {
        (void)snprintf(number, sizeof(number), "%" PRId64, value);
        text = number;
    }
    text = text != NULL && text[0] != '\0' ? text : answer->next;
    if (strlen(text) >= sizeof(state->token) ||
        (text[0] != '\0' && strcmp(text, state->token) == 0)) {
        return error_set(err, ERROR_DATA,
                         "the list of users does not end: its continuation token leads nowhere");
    }
    (void)snprintf(state->token, sizeof(state->token), "%s", text);
    walk->finished = text[0] == '\0';
    return true;
}

static struct json *get_users_page(const struct people_walk *state,
                                   struct http_client *http,
                                   struct buf *url,
                                   struct ado_answer *answer,
                                   const struct json **ret_list,
                                   struct error *err)
{
    if (state->token[0] != '\0') {
        buf_add_c(url, "&continuationToken=");
        buf_add_percent(url, str_from(state->token), "");
    }
    return ado_get_list(http, url, answer, ret_list, err);
}

static void set_user(struct ado_cells *cells, const struct json *user)
{
    ado_cells_set_member(cells, "uniqueName", user, "principalName");
    ado_cells_set_member(cells, "displayName", user, "displayName");
    ado_cells_set_member(cells, "mail", user, "mailAddress");
    ado_cells_set_member(cells, "descriptor", user, "descriptor");
    ado_cells_set_member(cells, "origin", user, "origin");
    ado_cells_set_member(cells, "originId", user, "originId");
}

/* ---- user entitlements ---- */

static void set_status(struct ado_cells *cells, const char *status)
{
    static const char *const ACTIVE[] = {"active", "pending"};
    static const char *const INACTIVE[] = {"disabled", "deleted", "expired", "pendingDisabled"};
    struct str word = str_from(status);
    for (size_t i = 0; i < ARRAY_SIZE(ACTIVE); i++) {
        if (str_equal_nocase(word, str_from(ACTIVE[i]))) {
            ado_cells_set_bool(cells, "isActive", true);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(INACTIVE); i++) {
        if (str_equal_nocase(word, str_from(INACTIVE[i]))) {
            ado_cells_set_bool(cells, "isActive", false);
        }
    }
}

static bool step_entitlements(struct walk *walk,
                              struct http_client *http,
                              struct row_batch *batch,
                              struct error *err)
{
    struct people_walk *state = walk->state;
    struct buf url CLEANUP(buf_release);
    struct ado_answer answer;
    buf_init(&url, ADO_URL_BYTES_MAX);
    (void)entitlements_url(walk->source, &url); /* it was found by the plan */
    const struct json *list = NULL;
    struct json *root = get_users_page(state, http, &url, &answer, &list, err);
    bool good = root != NULL && take_token(walk, root, &answer, err);
    for (size_t i = 0; i < json_size(list) && good; i++) {
        const struct json *member = json_at(list, i);
        ado_cells_reset(&state->cells);
        ado_cells_set_member(&state->cells, "id", member, "id");
        set_user(&state->cells, json_find(member, "user"));
        set_status(&state->cells, json_find_string(json_find(member, "accessLevel"), "status"));
        good = ado_add_record(walk, batch, state->cells.cells, err);
    }
    json_free(root);
    return good;
}

/* ---- Graph ---- */

/* The VSID of a descriptor, NULL if it has none or with err. The caller frees the root. */
static const char *find_storage_key(struct walk *walk,
                                    struct http_client *http,
                                    const char *descriptor,
                                    struct json **ret_root,
                                    struct error *err)
{
    struct buf url CLEANUP(buf_release);
    struct error fault = ERROR_INIT;
    buf_init(&url, ADO_URL_BYTES_MAX);
    (void)graph_url(walk->source, "/_apis/graph/storagekeys/", &url);
    ado_add_segment(&url, descriptor);
    buf_add_c(&url, "?" ADO_VERSION);
    *ret_root = ado_get(http, &url, NULL, &fault);
    if (*ret_root == NULL && fault.http_status != 404) {
        *err = fault;
    }
    return json_find_string(*ret_root, "value");
}

static bool add_graph_user(struct walk *walk,
                           struct http_client *http,
                           struct row_batch *batch,
                           const struct json *user,
                           struct error *err)
{
    struct people_walk *state = walk->state;
    const char *descriptor = json_find_string(user, "descriptor");
    if (descriptor == NULL) {
        return error_set(err, ERROR_DATA, "a user without a descriptor");
    }
    struct json *root = NULL;
    const char *id = find_storage_key(walk, http, descriptor, &root, err);
    bool good = !error_is_set(err);
    if (id != NULL) {
        ado_cells_reset(&state->cells);
        ado_cells_set_text(&state->cells, "id", id);
        set_user(&state->cells, user);
        if (json_bool(json_find(user, "isDeletedInOrigin"), false)) {
            ado_cells_set_bool(&state->cells, "isActive", false);
        } else { /* Graph does not tell more; what the entitlements told stays */
            ado_cells_set(&state->cells, "isActive", (struct cell){.kind = CELL_ABSENT});
        }
        good = ado_add_record(walk, batch, state->cells.cells, err);
    }
    json_free(root);
    return good;
}

static bool
step_graph(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct people_walk *state = walk->state;
    struct buf url CLEANUP(buf_release);
    struct ado_answer answer;
    buf_init(&url, ADO_URL_BYTES_MAX);
    (void)users_url(walk->source, &url); /* it was found by the plan */
    const struct json *list = NULL;
    struct json *root = get_users_page(state, http, &url, &answer, &list, err);
    bool good = root != NULL && take_token(walk, root, &answer, err);
    for (size_t i = 0; i < json_size(list) && good; i++) {
        good = add_graph_user(walk, http, batch, json_at(list, i), err);
    }
    json_free(root);
    return good;
}

/* ---- members of teams ---- */

static bool take_teams(struct people_walk *state, const struct json *list, struct error *err)
{
    for (size_t i = 0; i < json_size(list); i++) {
        const char *id = json_find_string(json_at(list, i), "id");
        const char *copy = id != NULL ? arena_strdup(&state->arena, id) : NULL;
        if (copy == NULL) {
            return error_set(err, ERROR_DATA, "a team without an id, or too many of them");
        }
        if (state->n_teams == state->teams_capacity) {
            state->teams_capacity = state->teams_capacity == 0 ? 32 : 2 * state->teams_capacity;
            state->teams = xrealloc(state->teams, state->teams_capacity * sizeof(*state->teams));
        }
        state->teams[state->n_teams++] = copy;
    }
    return true;
}

/* Groups and what else is no person stay out; what only directories tell stays as it is stored. */
static bool
add_members(struct walk *walk, struct row_batch *batch, const struct json *list, struct error *err)
{
    static const char *const UNKNOWN[] = {"mail", "origin", "originId", "isActive"};
    struct people_walk *state = walk->state;
    struct ado_cells *cells = &state->cells;
    for (size_t i = 0; i < json_size(list); i++) {
        const struct json *identity = json_find(json_at(list, i), "identity");
        if (json_bool(json_find(identity, "isContainer"), false)) {
            continue;
        }
        ado_cells_reset(cells);
        for (size_t n = 0; n < ARRAY_SIZE(UNKNOWN); n++) {
            ado_cells_set(cells, UNKNOWN[n], (struct cell){.kind = CELL_ABSENT});
        }
        ado_cells_set_member(cells, "id", identity, "id");
        ado_cells_set_member(cells, "uniqueName", identity, "uniqueName");
        ado_cells_set_member(cells, "displayName", identity, "displayName");
        if (json_find(identity, "descriptor") != NULL) {
            ado_cells_set_member(cells, "descriptor", identity, "descriptor");
        } else {
            ado_cells_set(cells, "descriptor", (struct cell){.kind = CELL_ABSENT});
        }
        if (json_bool(json_find(identity, "inactive"), false)) {
            ado_cells_set_bool(cells, "isActive", false);
        }
        if (!ado_add_record(walk, batch, cells->cells, err)) {
            return false;
        }
    }
    return true;
}

/* Teams of the current project, or members of its next team: a page. */
static bool step_team_list(struct walk *walk,
                           struct http_client *http,
                           struct row_batch *batch,
                           struct error *err)
{
    struct people_walk *state = walk->state;
    const struct ado_project *project = &state->projects.items[state->next - 1];
    struct buf url CLEANUP(buf_release);
    struct error fault = ERROR_INIT;
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, "/_apis/projects/");
    ado_add_segment(&url, project->id);
    buf_add_c(&url, "/teams");
    if (state->has_teams) {
        buf_add_char(&url, '/');
        ado_add_segment(&url, state->teams[state->next_team]);
        buf_add_c(&url, "/members");
    }
    buf_addf(&url, "?$top=%d&$skip=%" PRId64 "&" ADO_VERSION, TOP, state->skip);
    const struct json *list = NULL;
    struct json *root = ado_get_list(http, &url, NULL, &list, &fault);
    if (root == NULL && !ado_is_refused(&fault)) {
        *err = fault;
        return error_wrap(err, "teams of project %s", project->name);
    }
    bool good =
        state->has_teams ? add_members(walk, batch, list, err) : take_teams(state, list, err);
    bool is_last = json_size(list) < TOP;
    state->skip = is_last ? 0 : state->skip + TOP;
    if (is_last && state->has_teams) {
        state->next_team++;
    }
    state->has_teams = state->has_teams || is_last;
    json_free(root);
    return good;
}

static bool
step_teams(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct people_walk *state = walk->state;
    if (!state->has_projects) {
        state->has_projects = true;
        return ado_projects_load(&state->projects, http, err);
    }
    if (state->next > 0 && (!state->has_teams || state->next_team < state->n_teams)) {
        return step_team_list(walk, http, batch, err);
    }
    while (state->next < state->projects.n && !state->projects.items[state->next].is_well_formed) {
        state->next++;
    }
    if (state->next == state->projects.n) {
        walk->finished = true;
        return true;
    }
    state->next++;
    state->n_teams = 0;
    state->next_team = 0;
    state->skip = 0;
    state->has_teams = false;
    arena_reset(&state->arena);
    return true;
}

static bool
step(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct people_walk *state = walk->state;
    if (!state->is_found) {
        state->is_found = true;
        return ado_find_directory(walk->source, http, &state->directory, err);
    }
    switch (state->directory) {
    case ADO_ENTITLEMENTS:
        return step_entitlements(walk, http, batch, err);
    case ADO_GRAPH:
        return step_graph(walk, http, batch, err);
    case ADO_TEAMS:
        break;
    }
    return step_teams(walk, http, batch, err);
}

const struct ado_walk_type ado_people_walk = {
    .state_bytes = sizeof(struct people_walk),
    .start = start,
    .step = step,
    .release = release,
};
