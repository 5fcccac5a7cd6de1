#include "tests/sim/azure_devops/azure_devops.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/sim/azure_devops/system.h"

static const struct str root = {"/azure/", sizeof("/azure/") - 1};

bool azure_segment_is(const struct azure_call *call, int index, const char *text)
{
    return index < call->n_segments && str_equal_nocase(call->segments[index], str_from(text));
}

bool azure_param(const struct azure_call *call, const char *name, struct str *ret)
{
    for (int i = 0; i < call->request->n_params; i++) {
        if (str_equal_nocase(call->request->params[i].name, str_from(name))) {
            *ret = call->request->params[i].value;
            return true;
        }
    }
    return false;
}

bool azure_param_true(const struct azure_call *call, const char *name)
{
    struct str value;

    return azure_param(call, name, &value) && str_equal_nocase(value, STR_LITERAL("true"));
}

bool azure_param_int(
    struct azure_call *call, const char *name, int64_t min, int64_t max, int64_t *ret)
{
    struct str value;

    if (!azure_param(call, name, &value) || value.len == 0 || str_to_int64(value, min, max, ret)) {
        return true;
    }
    azure_bad_input(call, 400, "The value '%.*s' is not valid for %s.", STR_ARG(value), name);
    return false;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* A copy of the path with its escapes undone. */
static char *decode_path(struct str path)
{
    char *copy = xmalloc(path.len + 1);
    size_t out = 0;

    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '%' && i + 2 < path.len && hex_digit(path.ptr[i + 1]) >= 0 &&
            hex_digit(path.ptr[i + 2]) >= 0) {
            copy[out++] = (char)(hex_digit(path.ptr[i + 1]) << 4 | hex_digit(path.ptr[i + 2]));
            i += 2;
        } else {
            copy[out++] = path.ptr[i];
        }
    }
    copy[out] = '\0';
    return copy;
}

/* "[_graph/][PROJECT/[TEAM/]]_apis/a/b"; false: no _apis where one must be. */
static bool parse_path(struct azure_call *call)
{
    struct str rest = str_from(call->path_text + root.len);
    struct str part = str_cut(&rest, '/');
    int before = 0;

    call->service = str_equal_nocase(part, STR_LITERAL("_graph"))          ? AZURE_GRAPH
                    : str_equal_nocase(part, STR_LITERAL("_entitlements")) ? AZURE_ENTITLEMENTS
                    : str_equal_nocase(part, STR_LITERAL("_profile"))      ? AZURE_PROFILE
                                                                           : AZURE_MAIN;
    part = call->service != AZURE_MAIN ? str_cut(&rest, '/') : part;
    while (!str_equal_nocase(part, STR_LITERAL("_apis"))) {
        if (part.len == 0 || before == 2 || rest.ptr == NULL || call->service != AZURE_MAIN) {
            return false;
        }
        *(before++ == 0 ? &call->project_name : &call->team_name) = part;
        part = str_cut(&rest, '/');
    }
    while (rest.ptr != NULL && call->n_segments < AZURE_SEGMENTS_MAX) {
        part = str_cut(&rest, '/');
        if (part.len > 0) {
            call->segments[call->n_segments++] = part;
        }
    }
    return call->n_segments > 0;
}

static void name_route(struct azure_call *call)
{
    static const struct {
        const char *segment, *route;
    } routes[] = {
        {"workitemrevisions", "revisions"},
        {"workitemlinks", "links"},
        {"workitemsbatch", "items"},
        {"workitems", "items"},
        {"wiql", "wiql"},
        {"recyclebin", "recyclebin"},
        {"processes", "processes"},
        {"workitemtypes", "processes"},
        {"projects", "projects"},
        {"teams", "projects"},
        {"classificationnodes", "nodes"},
        {"teamsettings", "nodes"},
        {"fields", "fields"},
        {"connectiondata", "connection"},
    };

    call->route = call->service == AZURE_GRAPH          ? "graph"
                  : call->service == AZURE_ENTITLEMENTS ? "entitlements"
                  : call->service == AZURE_PROFILE      ? "profile"
                                                        : "other";
    for (int s = 0; s < call->n_segments && call->service == AZURE_MAIN; s++) {
        for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
            if (azure_segment_is(call, s, routes[i].segment)) {
                call->route = routes[i].route;
                return;
            }
        }
    }
}

static void draw_faults(struct azure_call *call)
{
    struct fault_target target = {.system = "azure_devops", .route = call->route, .rows = 10000};
    char table[64] = "";

    /* As a table counts the path's last word, in small letters. */
    if (call->n_segments > 0) {
        snprintf(table, sizeof(table), "%.*s", STR_ARG(call->segments[call->n_segments - 1]));
        for (char *c = table; *c != '\0'; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
        }
    }
    struct str decoded = str_from(call->target_text);

    target.table = str_from(table);
    target.query = decoded;
    (void)azure_param_int(call, "$maxPageSize", 0, INT64_MAX, &target.rows);
    faults_draw(call->azure->faults, &target, &call->drawn);
}

static bool check_method(struct azure_call *call)
{
    const char *method = call->request->method;

    call->post = strcmp(method, "POST") == 0;
    if (!call->post && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        azure_bad_input(call, 405, "The requested resource does not support http method '%s'.",
                        method);
        return false;
    }
    const char *type = request_header(call->request, "Content-Type");

    if (call->post && (type == NULL || strncmp(type, "application/json", 16) != 0)) {
        azure_error(call, 415, "VssRequestContentTypeNotSupportedException",
                    "The request indicated a Content-Type of \"%s\" for method type \"POST\" which "
                    "is not supported. Valid content types for this method "
                    "are: application/json, application/json-patch+json.",
                    type != NULL ? type : "");
        return false;
    }
    return true;
}

static bool find_project(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;

    if (call->project_name.len == 0) {
        return true;
    }
    call->project = azure_find_project(world, call->project_name, false);
    if (call->project >= 0 && !world->projects[call->project].deleted) {
        return true;
    }
    azure_error(call, 404, "ProjectDoesNotExistWithNameException",
                "TF200016: The following project does not exist: %.*s. Verify that the name of the "
                "project is correct and that the project exists on the "
                "specified Azure DevOps Server.",
                STR_ARG(call->project_name));
    return false;
}

static bool answer_part(struct azure_call *call)
{
    static bool (*const parts[])(struct azure_call * call) = {
        azure_answer_feed, azure_answer_history,  azure_answer_items,     azure_answer_recycle_bin,
        azure_answer_wiql, azure_answer_projects, azure_answer_processes, azure_answer_nodes,
    };

    if (azure_answer_people(call)) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts) && call->service == AZURE_MAIN; i++) {
        if (parts[i](call)) {
            return true;
        }
    }
    return false;
}

/* Which resources exist as previews only. */
static bool is_preview(const struct azure_call *call)
{
    int last = call->n_segments - 1;

    return azure_segment_is(call, 0, "connectionData") || azure_segment_is(call, 0, "teams") ||
           azure_segment_is(call, last, "comments") ||
           (azure_segment_is(call, 0, "projects") && azure_segment_is(call, 2, "properties")) ||
           (azure_segment_is(call, 0, "graph") && azure_segment_is(call, 1, "users")) ||
           azure_segment_is(call, 0, "memberentitlements");
}

static void answer(struct azure_call *call)
{
    bool known = parse_path(call);

    name_route(call);
    draw_faults(call);
    azure_seen_add(call->azure->seen, call);
    if (azure_outage(call)) {
        return;
    }
    if (!known) {
        azure_not_found(call);
        return;
    }
    if (!azure_authenticate(call) || !check_method(call) ||
        !azure_check_version(call, is_preview(call)) || !find_project(call)) {
        return;
    }
    if (!answer_part(call)) {
        azure_not_found(call);
    }
}

/* What faults match: the URI with its escapes undone, and the body. */
static char *target_text(const struct request *request)
{
    char *uri CLEANUP(xfreep) = decode_path(str_from(request->uri));

    return xasprintf("%s %.*s", uri, (int)(request->body.len < 65536 ? request->body.len : 65536),
                     request->body.ptr != NULL ? request->body.ptr : "");
}

static void answer_request(void *self, const struct request *request, struct reply *reply)
{
    struct azure *azure = self;
    struct azure_call *call CLEANUP(xfreep) = XNEW(struct azure_call);
    char *path_text CLEANUP(xfreep) = decode_path(request->path);
    char *faults_text CLEANUP(xfreep) = target_text(request);

    call->azure = azure;
    call->request = request;
    call->reply = reply;
    call->route = "other";
    call->project = -1;
    call->path_text = path_text;
    call->target_text = faults_text;
    call->now_us = sim_clock_now_us(azure->clock);
    snprintf(call->version, sizeof(call->version), "7.1");
    mutex_lock(&azure->calls_lock);
    call->number = ++azure->n_calls;
    mutex_unlock(&azure->calls_lock);
    azure_replay_apply(azure, call->now_us);
    pthread_rwlock_rdlock(&azure->lock);
    answer(call);
    pthread_rwlock_unlock(&azure->lock);
    if (!reply->never) {
        azure_finish(call);
    }
}

/* World, items and links as at the start; exclusive lock held or nobody there yet. */
static void build(struct azure *azure, uint64_t seed)
{
    azure_world_build(&azure->world, seed, azure->base_s, azure->n_tickets == 0);
    azure_items_init(&azure->items, &azure->world, azure->n_tickets, azure->base_s);
    azure_links_init(&azure->links, &azure->items);
    if (azure->replay != NULL) {
        azure_replay_rewind(azure->replay, azure);
    }
}

static void tear_down(struct azure *azure)
{
    azure_links_reset(&azure->links);
    azure_items_release(&azure->items);
    azure_world_release(&azure->world);
}

void azure_rebuild(struct azure *azure)
{
    uint64_t seed = azure->world.seed;

    tear_down(azure);
    build(azure, seed);
}

static void reset(void *self)
{
    struct azure *azure = self;

    pthread_rwlock_wrlock(&azure->lock);
    azure_rebuild(azure);
    pthread_rwlock_unlock(&azure->lock);
    azure_seen_clear(azure->seen);
}

static void write_counts(void *self, struct buf *out)
{
    struct azure *azure = self;

    azure_replay_apply(azure, sim_clock_now_us(azure->clock));
    pthread_rwlock_rdlock(&azure->lock);
    int64_t n_items = 0;

    for (int64_t id = 1; id <= azure->items.last_id; id++) {
        n_items += azure_item_revs(&azure->items, id) > 0 ? 1 : 0;
    }
    /* Revisions are those that ever were, of destroyed items too. */
    buf_addf(
        out,
        "\"revisions\":%lld,\"work_items\":%lld,\"links\":%lld,\"projects\":%d,\"identities\":%d",
        (long long)azure_last_watermark(&azure->items), (long long)n_items,
        (long long)azure_links_count(&azure->links), azure->world.n_projects,
        azure->world.n_people);
    pthread_rwlock_unlock(&azure->lock);
}

static void set_address(void *self, const char *address)
{
    struct azure *azure = self;

    pthread_rwlock_wrlock(&azure->lock);
    snprintf(azure->world.origin, sizeof(azure->world.origin), "http://%s/azure", address);
    azure_world_render(&azure->world);
    pthread_rwlock_unlock(&azure->lock);
}

static void free_system(void *self)
{
    struct azure *azure = self;

    tear_down(azure);
    azure_replay_close(azure->replay);
    azure_seen_free(azure->seen);
    mutex_release(&azure->calls_lock);
    pthread_rwlock_destroy(&azure->lock);
    xfree(azure);
}

bool azure_devops_open(struct simulated *ret_system,
                       const struct simulated_options *options,
                       struct sim_clock *clock,
                       struct faults *faults,
                       struct error *err)
{
    struct azure_replay *replay = NULL;

    if (options->data_dir != NULL) {
        replay = azure_replay_open(options->data_dir, err);
        if (replay == NULL) {
            return false;
        }
    }
    struct azure *azure = XNEW(struct azure);

    azure->replay = replay;
    azure->clock = clock;
    azure->faults = faults;
    azure->n_tickets = options->recorded ? 0 : options->n_tickets;
    azure->base_s = options->base_s;
    azure->seen = azure_seen_new();
    mutex_init(&azure->calls_lock);
    (void)pthread_rwlock_init(&azure->lock, NULL);
    build(azure, options->seed);
    *ret_system = (struct simulated){
        .name = "azure_devops",
        .prefix = "/azure",
        .verbs = azure_verbs,
        .self = azure,
        .recorded_until_s = replay != NULL ? azure_replay_end_s(replay) : 0,
        .answer = answer_request,
        .mutate = azure_mutate,
        .reset = reset,
        .truth = azure_truth,
        .write_counts = write_counts,
        .set_address = set_address,
        .free = free_system,
    };
    return true;
}
