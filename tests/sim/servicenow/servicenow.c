#include "tests/sim/servicenow/servicenow.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/sim/servicenow/mutate.h"
#include "tests/sim/servicenow/replay.h"
#include "tests/sim/servicenow/system.h"

#define URI_MAX_BYTES 8192

static const struct str root = {"/servicenow", sizeof("/servicenow") - 1};

static void free_system(void *self)
{
    struct servicenow *sn = self;

    replay_close(sn->replay);
    pending_free(sn->pending);
    sessions_free(sn->sessions);
    oauth_free(sn->oauth);
    store_release(&sn->store);
    mutex_release(&sn->lock);
    xfree(sn);
}

static void set_address(void *self, const char *address)
{
    struct servicenow *sn = self;

    pthread_rwlock_wrlock(&sn->store.lock);
    snprintf(sn->origin, sizeof(sn->origin), "http://%s/servicenow", address);
    pthread_rwlock_unlock(&sn->store.lock);
}

/* "now/v2/table/incident/ID" */
static bool parse_route(struct call *call, struct str path)
{
    struct str part = str_cut(&path, '/');
    int64_t version;

    if (!str_equal_c(part, "now")) {
        return false;
    }
    part = str_cut(&path, '/');
    if (part.len > 1 && part.ptr[0] == 'v' &&
        str_to_int64((struct str){part.ptr + 1, part.len - 1}, 1, 2, &version)) {
        call->version = (int)version;
        part = str_cut(&path, '/');
    }
    call->route = str_equal_c(part, "table") ? "table" : "stats";
    if (!str_equal_c(part, call->route)) {
        return false;
    }
    call->table_name = str_cut(&path, '/');
    call->record_id = path;
    return call->table_name.len > 0 &&
           memchr(path.ptr == NULL ? "" : path.ptr, '/', path.len) == NULL;
}

static void draw_faults(struct call *call)
{
    struct fault_target target = {
        .system = "servicenow", .route = call->route, .table = call->table_name, .rows = 10000};
    struct str limit;

    (void)request_param(call->request, "sysparm_query", &target.query);
    if (request_param(call->request, "sysparm_limit", &limit)) {
        (void)str_to_int64(limit, 0, INT64_MAX, &target.rows);
    }
    faults_draw(call->sn->faults, &target, &call->drawn);
}

static bool accept_allows_json(struct call *call)
{
    const char *accept = request_header(call->request, "Accept");

    if (accept == NULL || accept[0] == '\0') {
        respond_error(call, 400, "Accept header is missing",
                      "Accept: application/json is required");
        return false;
    }
    if (strstr(accept, "application/json") == NULL && strstr(accept, "*/*") == NULL &&
        strstr(accept, "application/*") == NULL) {
        respond_error(call, 406, "Requested format is not supported",
                      "Accept must allow application/json");
        return false;
    }
    return true;
}

static bool find_table(struct call *call)
{
    char message[160];

    call->table = store_table(&call->sn->store, call->table_name);
    if (call->table == NULL) {
        snprintf(message, sizeof(message), "Invalid table %.*s", STR_ARG(call->table_name));
        respond_error(call, 400, message, NULL);
        return false;
    }
    return true;
}

static void answer_api(struct call *call)
{
    if (!oauth_authorise(call) || !accept_allows_json(call)) {
        return;
    }
    if (strcmp(call->request->method, "GET") != 0 && strcmp(call->request->method, "HEAD") != 0) {
        respond_error(call, 405, "Method not supported", "This instance is read-only");
        return;
    }
    if (!find_table(call) || !session_enter(call)) {
        return;
    }
    pthread_rwlock_rdlock(&call->sn->store.lock);
    if (strcmp(call->route, "stats") == 0) {
        stats_answer(call);
    } else {
        table_answer(call);
    }
    pthread_rwlock_unlock(&call->sn->store.lock);
    session_leave(call);
}

static bool uri_fits(struct call *call)
{
    const struct fault *fault = drawn_find(&call->drawn, FAULT_uri_414);
    int64_t most = URI_MAX_BYTES;

    if (fault != NULL && !str_to_int64(str_from(fault->value), 0, URI_MAX_BYTES, &most)) {
        most = 0;
    }
    if ((int64_t)strlen(call->request->uri) <= most) {
        return true;
    }
    respond_html(call, 414, "414 Request-URI Too Large");
    return false;
}

static void answer(struct call *call)
{
    struct str path = call->request->path;
    struct str rest = {path.ptr + root.len, path.len - root.len};

    if (str_starts_with(rest, STR_LITERAL("/api/"))) {
        bool known = parse_route(call, (struct str){rest.ptr + 5, rest.len - 5});

        draw_faults(call);
        if (!uri_fits(call) || respond_fault(call)) {
            return;
        }
        if (!known) {
            respond_error(call, 400, "Requested URI does not represent any resource",
                          "Requested URI does not represent any resource");
            return;
        }
        answer_api(call);
        return;
    }
    if (str_equal_c(rest, "/oauth_token.do")) {
        call->route = "oauth";
        draw_faults(call);
        if (!respond_fault(call)) {
            oauth_answer(call);
        }
        return;
    }
    respond_html(call, 404, "Page not found");
}

static void answer_request(void *self, const struct request *request, struct reply *reply)
{
    struct servicenow *sn = self;
    struct call *call CLEANUP(xfreep) = XNEW(struct call);

    call->sn = sn;
    call->request = request;
    call->reply = reply;
    call->route = "";
    call->now_s = sim_clock_now_us(sn->clock) / US_PER_S;
    pending_apply(sn, call->now_s);
    mutex_lock(&sn->lock);
    call->transaction = store_mix(sn->store.seed, ++sn->n_transactions);
    mutex_unlock(&sn->lock);
    answer(call);
    respond_finish(call);
}

static void reset(void *self)
{
    struct servicenow *sn = self;

    pthread_rwlock_wrlock(&sn->store.lock);
    store_reset(&sn->store);
    pending_clear(sn->pending);
    if (sn->replay != NULL) {
        replay_rewind(sn->replay, &sn->store);
    }
    store_settle(&sn->store);
    pthread_rwlock_unlock(&sn->store.lock);
}

static void write_counts(void *self, struct buf *out)
{
    struct servicenow *sn = self;

    pending_apply(sn, sim_clock_now_us(sn->clock) / US_PER_S);
    pthread_rwlock_rdlock(&sn->store.lock);
    for (int i = 0; i < sn->store.n_tables; i++) {
        buf_addf(out, "%s\"%s\":%lld", i > 0 ? "," : "", sn->store.tables[i].name,
                 (long long)table_live_rows(&sn->store.tables[i]));
    }
    pthread_rwlock_unlock(&sn->store.lock);
}

static bool
mutate(void *self, const char *verb, const struct json *what, struct buf *out, struct error *err)
{
    return servicenow_mutate(self, verb, what, out, err);
}

static void truth(void *self, const struct request *request, struct reply *reply)
{
    servicenow_truth(self, request, reply);
}

bool servicenow_open(struct simulated *ret_system,
                     const struct simulated_options *options,
                     struct sim_clock *clock,
                     struct faults *faults,
                     struct error *err)
{
    static const char *const verbs[] = {"insert", "update", "delete", "burst", NULL};
    struct servicenow *sn = XNEW(struct servicenow);

    sn->clock = clock;
    sn->faults = faults;
    mutex_init(&sn->lock);
    store_init(&sn->store, options->seed, options->base_s, options->n_tickets);
    world_build(&sn->store, &sn->world, options->recorded);
    sn->oauth = oauth_new(options->seed);
    sn->sessions = sessions_new();
    sn->pending = pending_new();
    if (options->data_dir != NULL) {
        sn->replay = replay_open(options->data_dir, &sn->store, err);
        if (sn->replay == NULL) {
            free_system(sn);
            return false;
        }
    }
    *ret_system = (struct simulated){
        .name = "servicenow",
        .prefix = "/servicenow",
        .verbs = verbs,
        .self = sn,
        .recorded_until_s = sn->replay != NULL ? replay_end_s(sn->replay) : 0,
        .answer = answer_request,
        .mutate = mutate,
        .reset = reset,
        .truth = truth,
        .write_counts = write_counts,
        .set_address = set_address,
        .free = free_system,
    };
    return true;
}
