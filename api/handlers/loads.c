#include "api/handlers/loads.h"

#include <stdio.h>
#include <string.h>

#include "api/handlers/call.h"
#include "api/handlers/executions.h"
#include "api/handlers/queries.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/base/log.h"
#include "common/ops/execution.h"

#define WAIT_MAX_S          60
#define WAIT_FIRST_LOOK_US  (50 * US_PER_MS)
#define WAIT_LOOK_MAX_US    (500 * US_PER_MS)
#define IDEMPOTENCY_KEY_MAX 255

static const char *const modes[] = {"incremental", "window", "full", "reconcile", NULL};

const struct param_spec load_trigger_params[] = {
    {.name = "from",
     .alias = "data_inicio",
     .type = PARAM_INSTANT,
     .help = "Start of the window, included. A bare date means midnight UTC."},
    {.name = "to",
     .alias = "data_fim",
     .type = PARAM_INSTANT,
     .help = "End of the window, not included."},
    {.name = "mode",
     .type = PARAM_CHOICE,
     .choices = modes,
     .fallback = "window with dates, else incremental",
     .help = "How much is compared with the source."},
    {.name = "source", .type = PARAM_LIST, .help = "Only these sources; may be repeated."},
    {.name = "task", .type = PARAM_LIST, .help = "Only these tasks; may be repeated."},
    {.name = "allow_mass_delete",
     .type = PARAM_BOOL,
     .fallback = "false",
     .help = "Lets deletions pass that the fuse would hold."},
};

/* An order that was queued, for the runs of the handler that wait for it. */
struct trigger {
    int64_t execution_id;
    bool joined;
    const char *load;
    int64_t wait_s; /* as asked; 0 = answer at once */
    int64_t deadline_us;
    int64_t pause_us;
};

/* --- checking --------------------------------------------------------------------------------- */

static bool find_load(struct call *call, const char *name)
{
    const struct catalog *catalog = &call->service->config->catalog;
    if (catalog_find_load(catalog, name) != NULL) {
        return true;
    }
    const char *names[64];
    size_t n_names = 0;
    struct buf list CLEANUP(buf_release) = {0};
    buf_init(&list, 400);
    for (; n_names < catalog->n_loads && n_names < ARRAY_SIZE(names); n_names++) {
        names[n_names] = catalog->loads[n_names]->name;
        buf_addf(&list, "%s%s", n_names == 0 ? "" : ", ", names[n_names]);
    }
    const char *nearest = str_nearest(name, names, n_names);
    return problem_set(&call->problem, 404, "unknown_load",
                       "there is no load \"%.64s\"%s%s%s. Loads: %s", name,
                       nearest != NULL ? ": did you mean \"" : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "\"" : "", list.ptr);
}

/* Which part of a refused request is at fault: the first that is refused on its own. */
static const char *culprit(const struct config *config, const struct load_request *request)
{
    struct load_request base = {
        .load = request->load, .trigger = request->trigger, .requested_by = request->requested_by};
    struct load_request parts[] = {base, base, base, base};
    static const char *const names[] = {"mode", "source", "task", "from"};
    parts[0].mode = request->mode;
    parts[0].from = request->from;
    parts[0].to = request->to;
    parts[1].sources = request->sources;
    parts[1].n_sources = request->n_sources;
    parts[2].tasks = request->tasks;
    parts[2].n_tasks = request->n_tasks;
    parts[3].from = request->from;
    parts[3].to = request->to;
    for (size_t i = ARRAY_SIZE(parts); i > 0; i--) {
        struct error err = ERROR_INIT;
        struct load_order order;
        if (!load_request_check(config, &parts[i - 1], &order, &err)) {
            return names[i - 1];
        }
    }
    return "";
}

static bool read_idempotency_key(struct call *call, const char **ret_key)
{
    struct str key = request_header(call->request, "Idempotency-Key");
    if (key.ptr == NULL) {
        return true;
    }
    bool is_good = key.len > 0 && key.len <= IDEMPOTENCY_KEY_MAX && str_is_utf8(key) &&
                   request_header_count(call->request, "Idempotency-Key") == 1;
    if (!is_good) {
        return problem_set(&call->problem, 400, "invalid_header",
                           "Idempotency-Key must be given once, with 1 to %d bytes of UTF-8",
                           IDEMPOTENCY_KEY_MAX);
    }
    *ret_key = arena_strndup(call->arena, key.ptr, key.len);
    return *ret_key != NULL ||
           problem_set(&call->problem, 413, "request_too_large", "the request is too large");
}

/* "respond-async, wait=10": seconds to wait, 0 if not asked for. What cannot be read is no wish
 * (RFC 7240: unknown preferences are ignored). */
static int64_t read_wait_s(const struct request *request)
{
    struct str rest = request_header(request, "Prefer");
    while (rest.ptr != NULL) {
        struct str preference = str_cut(&rest, ',');
        preference = str_trim(str_cut(&preference, ';'));
        struct str value = preference;
        struct str name = str_trim(str_cut(&value, '='));
        value = str_trim(value);
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"') {
            value = (struct str){value.ptr + 1, value.len - 2};
        }
        int64_t seconds = 0;
        if (str_equal_nocase(name, STR_LITERAL("wait")) &&
            str_to_int64(value, 0, INT64_MAX, &seconds)) {
            return seconds < WAIT_MAX_S ? seconds : WAIT_MAX_S;
        }
    }
    return 0;
}

/* --- queueing --------------------------------------------------------------------------------- */

/* A key that was used for other words must not hide that nothing was queued for these. */
static bool check_same_words(struct call *call, int64_t id, const struct load_order *order)
{
    char id_text[24];
    char from[INSTANT_TEXT_MAX];
    char to[INSTANT_TEXT_MAX];
    (void)snprintf(id_text, sizeof(id_text), "%lld", (long long)id);
    struct db *db = call_writer(call);
    if (db == NULL) {
        return false;
    }
    struct error err = ERROR_INIT;
    struct db_result *same CLEANUP(db_result_freep) = db_query(
        db, query_text("api_execution_same.sql"),
        DB_PARAMS(id_text, order->load->name, load_mode_name(order->mode),
                  order->has_from ? instant_format_rfc3339(order->from_us, from) : NULL,
                  order->has_to ? instant_format_rfc3339(order->to_us, to) : NULL, order->params),
        &err);
    if (same == NULL) {
        call_fail(call, &err);
        return false;
    }
    return (db_rows(same) == 1 && db_bool(same, 0, 0)) ||
           problem_set(&call->problem, 422, "idempotency_key_reused",
                       "this Idempotency-Key belongs to execution %lld, which was asked for with "
                       "other parameters: use a new key",
                       (long long)id);
}

static bool queue(struct call *call, struct trigger *trigger)
{
    const struct config *config = call->service->config;
    struct load_request request = {
        .load = call->match.values[0].ptr,
        .mode = params_text(&call->params, "mode"),
        .from = params_text(&call->params, "from"),
        .to = params_text(&call->params, "to"),
        .allow_mass_delete = params_bool(&call->params, "allow_mass_delete"),
        .trigger = "api",
        .requested_by = call->principal.name,
        .trace_id = call->request->trace.trace_id,
    };
    request.sources = params_list(&call->params, "source", &request.n_sources);
    request.tasks = params_list(&call->params, "task", &request.n_tasks);
    if (!find_load(call, request.load) || !read_idempotency_key(call, &request.idempotency_key)) {
        return false;
    }
    struct load_order order;
    struct error err = ERROR_INIT;
    if (!load_request_check(config, &request, &order, &err)) {
        return problem_set_parameter(&call->problem, str_from(culprit(config, &request)),
                                     "invalid_parameter", "%s", err.msg);
    }
    struct db *db = call_writer(call);
    if (db == NULL) {
        return false;
    }
    if (!execution_enqueue(db, &request, &order, &trigger->execution_id, &trigger->joined, &err)) {
        call_fail(call, &err);
        return false;
    }
    if (trigger->joined && request.idempotency_key != NULL &&
        !check_same_words(call, trigger->execution_id, &order)) {
        return false;
    }
    trigger->load = request.load;
    log_info("execution queued", LOG_TEXT("load", request.load),
             LOG_INT("execution_id", trigger->execution_id),
             LOG_TEXT("joined", trigger->joined ? "true" : "false"),
             LOG_TEXT("principal", call->principal.name));
    return true;
}

/* --- answering -------------------------------------------------------------------------------- */

static void write_accepted(struct call *call, const struct trigger *trigger)
{
    struct buf *body = &call->response->body;
    buf_addf(body, "{\"status\":\"accepted\",\"execution_id\":%lld,\"load\":",
             (long long)trigger->execution_id);
    buf_add_json_string(body, str_from(trigger->load));
    buf_addf(body, ",\"location\":\"/v1/executions/%lld\",\"joined\":%s}\n",
             (long long)trigger->execution_id, trigger->joined ? "true" : "false");
    call->response->content_type = "application/json";
    response_header(call->response, call->request, "Cache-Control", "no-store");
}

static void add_location(struct call *call, const struct trigger *trigger)
{
    response_header(call->response, call->request, "Location", "/v1/executions/%lld",
                    (long long)trigger->execution_id);
}

void load_trigger_answer(struct call *call)
{
    struct trigger trigger = {0};
    if (queue(call, &trigger)) {
        write_accepted(call, &trigger);
    }
}

/* false: the problem is set. */
static bool is_finished(struct call *call, const struct trigger *trigger, bool *ret_finished)
{
    char id_text[24];
    (void)snprintf(id_text, sizeof(id_text), "%lld", (long long)trigger->execution_id);
    struct db *db = call_writer(call);
    if (db == NULL) {
        return false;
    }
    struct error err = ERROR_INIT;
    struct db_result *state CLEANUP(db_result_freep) =
        db_query(db, query_text("api_execution_state.sql"), DB_PARAMS(id_text), &err);
    if (state == NULL) {
        call_fail(call, &err);
        return false;
    }
    *ret_finished = db_rows(state) == 1 && db_bool(state, 0, 1);
    return true;
}

static void write_finished(struct call *call, const struct trigger *trigger)
{
    char extra[128];
    (void)snprintf(extra, sizeof(extra),
                   "\"execution_id\":%lld,\"location\":\"/v1/executions/%lld\",\"joined\":%s,",
                   (long long)trigger->execution_id, (long long)trigger->execution_id,
                   trigger->joined ? "true" : "false");
    struct buf as_of CLEANUP(buf_release) = {0};
    buf_init(&as_of, 64);
    int64_t version = 0;
    if (!execution_write(call, trigger->execution_id, extra, &call->response->body, &as_of,
                         &version)) {
        /* The database has gone meanwhile, or a standby that is behind was asked for want of the
         * writer: the order is what is sure. */
        call->problem = (struct problem){0};
        buf_reset(&call->response->body);
        call->response->status = 202;
        write_accepted(call, trigger);
        return;
    }
    buf_add_char(&call->response->body, '\n');
    call->response->status = 200;
    call->response->content_type = "application/json";
    response_header(call->response, call->request, "Cache-Control", "no-store");
}

/* One look at the execution; asks to be run again while there is time. */
static void wait_on(struct call *call, struct trigger *trigger)
{
    bool finished = false;
    if (!is_finished(call, trigger, &finished)) {
        /* The order stands whatever became of the waiting. */
        call->problem = (struct problem){0};
        finished = false;
        trigger->deadline_us = 0;
    }
    int64_t now_us = clock_monotonic_us();
    if (!finished && now_us < trigger->deadline_us) {
        int64_t next_us = now_us + trigger->pause_us;
        call->again_at_us = next_us < trigger->deadline_us ? next_us : trigger->deadline_us;
        trigger->pause_us *= 2;
        if (trigger->pause_us > WAIT_LOOK_MAX_US) {
            trigger->pause_us = WAIT_LOOK_MAX_US;
        }
        return;
    }
    add_location(call, trigger);
    response_header(call->response, call->request, "Preference-Applied", "wait=%lld",
                    (long long)trigger->wait_s);
    if (finished) {
        write_finished(call, trigger);
    } else {
        write_accepted(call, trigger);
    }
}

void load_trigger_v1_answer(struct call *call)
{
    if (call->state != NULL) {
        wait_on(call, call->state);
        return;
    }
    struct trigger *trigger = arena_zalloc(call->arena, sizeof(*trigger));
    if (trigger == NULL) {
        (void)problem_set(&call->problem, 413, "request_too_large", "the request is too large");
        return;
    }
    if (!queue(call, trigger)) {
        return;
    }
    trigger->wait_s = read_wait_s(call->request);
    if (trigger->wait_s == 0) {
        add_location(call, trigger);
        write_accepted(call, trigger);
        return;
    }
    trigger->deadline_us = clock_monotonic_us() + trigger->wait_s * US_PER_S;
    trigger->pause_us = WAIT_FIRST_LOOK_US;
    call->state = trigger;
    wait_on(call, trigger);
}
