#include <inttypes.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/sources/azure_devops/walk.h"

/*
 * The iterations of every project, a tree each. A node whose children were too deep to be sent is
 * asked for by its own path.
 */

#define DEPTH           20
#define DEPTH_MAX       40 /* trees nest 14 levels; JSON_PULL_DEPTH_MAX is beyond this too */
#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* A subtree that is still to be read: "Release 1/Sprint 2" of the project, encoded. */
struct deeper {
    const char *segments;
    const char *path; /* as revisions write it */
    int64_t depth;
    struct deeper *next;
};

struct iterations_walk {
    bool has_projects;
    struct ado_projects projects;
    size_t next;                       /* project */
    const struct ado_project *project; /* that is being read */
    struct arena arena;                /* of its subtrees */
    struct deeper *deeper;
    struct ado_cells cells;
    struct row_batch *batch;
};

static void start(struct walk *walk)
{
    struct iterations_walk *state = walk->state;
    ado_projects_init(&state->projects);
    ado_cells_init(&state->cells, walk->task);
    arena_init(&state->arena, ARENA_BYTES_MAX);
}

static void release(struct walk *walk)
{
    struct iterations_walk *state = walk->state;
    ado_projects_release(&state->projects);
    ado_cells_release(&state->cells);
    arena_release(&state->arena);
}

/* A node on its way: what its place in the tree says. */
struct node {
    const struct json *json;
    const char *segments; /* "" for the root */
    const char *path;
    int64_t depth;
    int64_t parent_id; /* 0 = none known */
};

/* "\Proj\Iteration\Release 1\Sprint 1" is written "Proj\Release 1\Sprint 1" in work items. False if
 * it has another form. */
static bool field_path(const char *path, struct buf *out)
{
    if (path == NULL || path[0] != '\\') {
        return false;
    }
    const char *second = strchr(path + 1, '\\');
    if (second == NULL) {
        return false;
    }
    const char *third = strchr(second + 1, '\\');
    buf_add(out, path + 1, (size_t)(second - path - 1));
    buf_add_c(out, third != NULL ? third : "");
    return true;
}

static const char *copy_of(struct iterations_walk *state, const struct buf *text, struct error *err)
{
    const char *copy = text->overflow ? NULL : arena_strdup(&state->arena, text->ptr);
    if (copy == NULL) {
        (void)error_set(err, ERROR_LIMIT, "the iterations of project %s take too much memory",
                        state->project->name);
    }
    return copy;
}

static bool add_node(struct walk *walk, const struct node *node, struct error *err)
{
    struct iterations_walk *state = walk->state;
    struct ado_cells *cells = &state->cells;
    const struct json *attributes = json_find(node->json, "attributes");
    ado_cells_reset(cells);
    ado_cells_set_text(cells, "projectId", state->project->id);
    ado_cells_set_member(cells, "identifier", node->json, "identifier");
    ado_cells_set_member(cells, "id", node->json, "id");
    ado_cells_set_member(cells, "name", node->json, "name");
    ado_cells_set_text(cells, "path", node->path);
    ado_cells_set_member(cells, "startDate", attributes, "startDate");
    ado_cells_set_member(cells, "finishDate", attributes, "finishDate");
    ado_cells_set_int(cells, "depth", node->depth);
    if (node->parent_id != 0) {
        ado_cells_set_int(cells, "parentId", node->parent_id);
    }
    return ado_add_record(walk, state->batch, cells->cells, err);
}

static bool queue_deeper(struct iterations_walk *state, const struct node *node, struct error *err)
{
    struct deeper *deeper = arena_zalloc(&state->arena, sizeof(*deeper));
    if (deeper == NULL) {
        return error_set(err, ERROR_LIMIT, "the iterations of project %s take too much memory",
                         state->project->name);
    }
    *deeper = (struct deeper){node->segments, node->path, node->depth, state->deeper};
    state->deeper = deeper;
    return true;
}

/* What the child's place in the tree says of it. */
static bool descend(struct iterations_walk *state,
                    const struct node *parent,
                    const struct json *child,
                    struct node *ret_node,
                    struct error *err)
{
    const char *name = json_find_string(child, "name");
    if (name == NULL) {
        (void)error_set(err, ERROR_DATA, "an iteration without a name");
        return false; /* in so many words for the analyzer */
    }
    struct buf segments CLEANUP(buf_release);
    struct buf path CLEANUP(buf_release);
    buf_init(&segments, ADO_URL_BYTES_MAX);
    buf_init(&path, ADO_URL_BYTES_MAX);
    buf_addf(&segments, "%s%s", parent->segments, parent->segments[0] != '\0' ? "/" : "");
    ado_add_segment(&segments, name);
    if (!field_path(json_find_string(child, "path"), &path)) {
        buf_addf(&path, "%s\\%s", parent->path, name);
    }
    *ret_node = (struct node){
        .json = child, .segments = copy_of(state, &segments, err), .depth = parent->depth + 1};
    ret_node->path = ret_node->segments != NULL ? copy_of(state, &path, err) : NULL;
    (void)json_int64(json_find(parent->json, "id"), &ret_node->parent_id);
    return ret_node->path != NULL;
}

/* Bounded by the depth of JSON that the parser takes. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static bool add_children(struct walk *walk, const struct node *node, struct error *err)
{
    struct iterations_walk *state = walk->state;
    const struct json *children = json_find(node->json, "children");
    if (node->depth > DEPTH_MAX) {
        return error_set(err, ERROR_DATA, "the iterations of project %s nest without end",
                         state->project->name);
    }
    if (json_size(children) == 0 && json_bool(json_find(node->json, "hasChildren"), false)) {
        return queue_deeper(state, node, err);
    }
    for (size_t i = 0; i < json_size(children); i++) {
        struct node child = {0};
        if (!descend(state, node, json_at(children, i), &child, err) ||
            !add_node(walk, &child, err) || !add_children(walk, &child, err)) {
            return false;
        }
    }
    return true;
}

static struct json *get_tree(const struct iterations_walk *state,
                             struct http_client *http,
                             const char *segments,
                             struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_char(&url, '/');
    ado_add_segment(&url, state->project->id);
    buf_addf(&url, "/_apis/wit/classificationnodes/iterations%s%s?$depth=%d&" ADO_VERSION,
             segments[0] != '\0' ? "/" : "", segments, DEPTH);
    return ado_get(http, &url, NULL, err);
}

/* A project that vanished since it was listed has no iterations; one that only refuses them is an
 * error. */
static bool read_project(struct walk *walk, struct http_client *http, struct error *err)
{
    struct iterations_walk *state = walk->state;
    struct error fault = ERROR_INIT;
    struct json *root = get_tree(state, http, "", &fault);
    if (root == NULL) {
        if (fault.http_status == 404 && ado_project_is_gone(http, state->project->id)) {
            return true;
        }
        *err = fault;
        return error_wrap(err, "iterations of project %s", state->project->name);
    }
    struct buf path CLEANUP(buf_release);
    buf_init(&path, ADO_URL_BYTES_MAX);
    if (!field_path(json_find_string(root, "path"), &path)) {
        const char *name = json_find_string(root, "name");
        buf_add_c(&path, name != NULL ? name : state->project->name);
    }
    const struct node node = {.json = root, .segments = "", .path = path.ptr};
    bool good = add_node(walk, &node, err) && add_children(walk, &node, err);
    json_free(root);
    return good;
}

static bool read_deeper(struct walk *walk, struct http_client *http, struct error *err)
{
    struct iterations_walk *state = walk->state;
    const struct deeper *deeper = state->deeper;
    state->deeper = deeper->next;
    struct json *root = get_tree(state, http, deeper->segments, err);
    if (root == NULL) {
        return error_wrap(err, "iterations below %s", deeper->path);
    }
    const struct node node = {
        .json = root, .segments = deeper->segments, .path = deeper->path, .depth = deeper->depth};
    bool has_children = json_size(json_find(root, "children")) > 0;
    bool good = !has_children || add_children(walk, &node, err);
    json_free(root);
    return good;
}

static bool
step(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct iterations_walk *state = walk->state;
    state->batch = batch;
    if (!state->has_projects) {
        state->has_projects = true;
        return ado_projects_load(&state->projects, http, err);
    }
    if (state->deeper != NULL) {
        return read_deeper(walk, http, err);
    }
    if (state->next == state->projects.n) {
        walk->finished = true;
        return true;
    }
    state->project = &state->projects.items[state->next++];
    arena_reset(&state->arena);
    return !state->project->is_well_formed || read_project(walk, http, err);
}

const struct ado_walk_type ado_iterations_walk = {
    .state_bytes = sizeof(struct iterations_walk),
    .start = start,
    .step = step,
    .release = release,
};
