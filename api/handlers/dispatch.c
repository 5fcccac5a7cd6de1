#include "api/handlers/dispatch.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define QUEUE_FULL_RETRY_AFTER_S 1

static void add_cors(struct call *call)
{
    const struct guard *guard = call->service->guard;
    struct str origin = request_header(call->request, "Origin");
    if (guard == NULL || guard->config->api.n_cors_origins == 0) {
        return;
    }
    response_header(call->response, call->request, "Vary", "Origin");
    if (origin.ptr == NULL || !access_origin_is_allowed(guard, origin)) {
        return;
    }
    response_header(call->response, call->request, "Access-Control-Allow-Origin", "%.*s",
                    STR_ARG(origin));
    response_header(call->response, call->request, "Access-Control-Expose-Headers",
                    "ETag, Link, Location, Retry-After, RateLimit, RateLimit-Policy, "
                    "Preference-Applied, Foz-As-Of, Foz-Lag-Seconds, Foz-Fresh, traceparent, "
                    "X-Request-Id");
}

static void add_common_headers(struct call *call)
{
    const struct request *request = call->request;
    struct response *response = call->response;
    response_trace(response, request);
    if (call->rate.limit[0] != '\0') {
        response_header_text(response, request, "RateLimit", str_from(call->rate.limit), true);
        response_header_text(response, request, "RateLimit-Policy", str_from(call->rate.policy),
                             false);
    }
    add_cors(call);
}

static void add_challenge(struct call *call)
{
    if (call->service->guard == NULL) {
        return;
    }
    struct buf challenge CLEANUP(buf_release) = {0};
    buf_init(&challenge, 512);
    access_challenge(call->service->guard, &call->principal, &call->problem, &challenge);
    if (challenge.len > 0) {
        response_header(call->response, call->request, "WWW-Authenticate", "%s", challenge.ptr);
    }
}

/* Puts the last touch to the answer, whatever it is. */
static void finish(struct call *call)
{
    struct response *response = call->response;
    if (call->problem.status != 0) {
        response_problem(response, call->request, &call->problem);
        add_challenge(call);
        if (call->problem.status == 405) {
            response_header(response, call->request, "Allow", "%s", call->allow);
        }
    }
    add_common_headers(call);
}

/* What changes something, asks for rights to, or was refused leaves a trace in the log. */
static enum log_level level_of(const struct request *request, const struct call *call, int status)
{
    if (status >= 500) {
        return LOG_LEVEL_WARN;
    }
    const struct route *route = call != NULL ? call->match.route : NULL;
    bool is_admin = route != NULL && ((unsigned)route->scope & SCOPE_ADMIN) != 0;
    bool is_refused = status == 401 || status == 403;
    return is_admin || is_refused || str_equal_c(request->method, "POST") ? LOG_LEVEL_INFO
                                                                          : LOG_LEVEL_DEBUG;
}

static void log_call(const struct service *service, const struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    const struct call *call = exchange->user;
    int status = exchange->response.status;
    enum log_level level = level_of(request, call, status);
    if (!log_is_enabled(level) || service->guard == NULL) {
        return;
    }
    const struct problem *problem =
        call != NULL && call->problem.status != 0 ? &call->problem : NULL;
    char method[16];
    char path[160];
    (void)snprintf(method, sizeof(method), "%.*s", STR_ARG(request->method));
    (void)snprintf(path, sizeof(path), "%.*s", STR_ARG(request->path));
    log_write(level, "request",
              (const struct log_field[]){
                  LOG_TEXT("method", method),
                  LOG_TEXT("path", path),
                  LOG_INT("status", status),
                  LOG_INT("duration_us", clock_monotonic_us() - request->started_us),
                  LOG_TEXT("principal", call != NULL ? call->principal.name : ""),
                  LOG_TEXT("remote", request->remote),
                  LOG_TEXT("trace_id", request->trace.trace_id),
                  LOG_TEXT("code", problem != NULL ? problem->code : ""),
                  LOG_TEXT("reason", problem != NULL ? problem->internal : ""),
                  {0}});
}

void dispatch_answered(void *context, const struct exchange *exchange)
{
    struct service *service = context;
    const struct call *call = exchange->user;
    size_t route = service->n_routes;
    int64_t duration_us = clock_monotonic_us() - exchange->request.started_us;
    size_t bytes = exchange->response.body.len + exchange->response.left_out_bytes;
    if (call != NULL && call->match.route != NULL) {
        route = (size_t)(call->match.route - service->routes);
    }
    if (service->metrics != NULL) {
        http_metrics_count(service->metrics, route, exchange->response.status, duration_us, bytes);
    }
    if (service->usage != NULL) {
        struct usage_event event = {
            .principal = call != NULL ? str_from(call->principal.name) : STR_LITERAL(""),
            .route = route,
            .status = exchange->response.status,
            .bytes = bytes,
            .duration_us = duration_us,
        };
        usage_count(service->usage, &event);
    }
    log_call(service, exchange);
}

/* Scope, allowance, parameters: everything between "who" and the handler. */
static bool admit(struct call *call)
{
    const struct route *route = call->match.route;
    struct guard *guard = call->service->guard;
    if (guard != NULL && route->scope != SCOPE_NONE) {
        if (!access_permits(&call->principal, route->scope, &call->problem) ||
            !access_rate(guard, &call->principal, &call->rate, &call->problem)) {
            return false;
        }
    }
    call->is_admitted = params_parse(&call->params, route->params, route->n_params, call->request,
                                     &call->problem) &&
                        reading_prepare(call);
    return call->is_admitted;
}

/* The credential is one that only the database knows. */
static bool ask_who(struct call *call)
{
    struct error err = ERROR_INIT;
    struct db *reader = pool_read(call->worker, &err);
    if (reader == NULL || !access_ask(call->service->guard, call->request, reader, &call->principal,
                                      &call->problem, &err)) {
        /* Good enough for the last good answers, not for changing anything. */
        if (err.code == ERROR_TRANSIENT && call->match.route->slice_s > 0 &&
            access_remember(call->service->guard, call->request, &call->principal)) {
            return true;
        }
        if (error_is_set(&err)) {
            call_fail(call, &err);
        }
        return false;
    }
    struct error ignored = ERROR_INIT; /* the key is good whether or not its use can be noted */
    struct db *writer = pool_write(call->worker, &ignored);
    if (writer != NULL) {
        key_touch(writer, &call->principal);
    }
    return true;
}

static void send(struct call *call)
{
    finish(call);
    exchange_resume(call->exchange);
}

/* Answers this call and all that waited for what it asked. */
static void complete(struct call *call)
{
    struct cache_waiter *waiter = NULL;
    if (call->reading.flight != NULL || call->reading.is_noted) {
        waiter = reading_finish(call);
    }
    while (waiter != NULL) {
        struct cache_waiter *next = waiter->next; /* the waiter goes with its call */
        send(reading_waiting_call(waiter));
        waiter = next;
    }
    send(call);
}

/* Is it up to this call to ask the database? If not, somebody has answered or will. */
static bool has_to_ask(struct call *call)
{
    if (reading_from_memory(call)) {
        send(call);
        return false;
    }
    enum cache_part part = reading_enter(call);
    if (part == CACHE_HIT) {
        send(call);
    }
    return part == CACHE_LEAD;
}

static int64_t run_job(struct pool_job *job, struct pool_worker *worker)
{
    struct call *call = (struct call *)(void *)job;
    LOG_SCOPE(LOG_TEXT("trace_id", call->request->trace.trace_id));
    call->worker = worker;
    call->again_at_us = 0;
    if (!call->is_admitted) {
        if (!ask_who(call) || !admit(call)) {
            complete(call);
            return 0;
        }
        if (!has_to_ask(call)) {
            return 0;
        }
    }
    call->match.route->answer(call);
    if (call->again_at_us > 0 && call->problem.status == 0) {
        return call->again_at_us;
    }
    complete(call);
    return 0;
}

static void set_overloaded(struct call *call)
{
    (void)problem_set(&call->problem, 503, "overloaded",
                      "too many requests are waiting for the database: try again in a moment");
}

static void refuse_job(struct pool_job *job, enum pool_refusal why)
{
    struct call *call = (struct call *)(void *)job;
    call->problem.retry_after_s = QUEUE_FULL_RETRY_AFTER_S;
    if (why == POOL_LATE) {
        set_overloaded(call);
    } else {
        (void)problem_set(&call->problem, 503, "stopping",
                          "the service is stopping: send the request again");
    }
    complete(call);
}

/* Is somebody asked how the service is, or told what to do? Neither takes long. */
static bool is_urgent(const struct route *route)
{
    return route->scope == SCOPE_NONE || strcmp(route->method, "POST") == 0;
}

/* The call is off its polling thread, and may be done before this returns. */
static void submit(struct call *call)
{
    call->job.run = run_job;
    call->job.refuse = refuse_job;
    call->job.is_urgent = is_urgent(call->match.route);
    if (!pool_submit(call->service->pool, &call->job)) {
        call->problem.retry_after_s = QUEUE_FULL_RETRY_AFTER_S;
        set_overloaded(call);
        complete(call);
    }
}

static enum exchange_state hand_to_pool(struct call *call)
{
    /* First off the polling thread, then visible to others: they may be done at once. */
    exchange_suspend(call->exchange);
    if (!call->is_admitted || has_to_ask(call)) {
        submit(call);
    }
    return EXCHANGE_TAKEN;
}

/* Somebody outside has answered who this is, or will not. On a thread of the guard. */
static void continue_call(struct guard_waiter *waiter)
{
    struct call *call = (struct call *)(void *)((char *)waiter - offsetof(struct call, waiter));
    LOG_SCOPE(LOG_TEXT("trace_id", call->request->trace.trace_id));
    bool is_granted = access_conclude(call->service->guard, call->request, waiter, &call->principal,
                                      &call->problem) == ACCESS_GRANTED;
    if (is_granted && admit(call)) {
        if (has_to_ask(call)) {
            submit(call);
        }
        return;
    }
    finish(call);
    exchange_resume(call->exchange);
}

static enum exchange_state wait_for_guard(struct call *call, enum access_result asked)
{
    call->waiter.done = continue_call;
    exchange_suspend(call->exchange);
    access_wait(call->service->guard, asked, call->request, &call->waiter);
    return EXCHANGE_TAKEN;
}

/* OPTIONS on an existing path: what may be asked there, and by pages of which origin. */
static void answer_options(struct call *call)
{
    struct response *response = call->response;
    response->status = 204;
    response_header(response, call->request, "Allow", "%s", call->allow);
    struct str origin = request_header(call->request, "Origin");
    const struct guard *guard = call->service->guard;
    if (guard != NULL && origin.ptr != NULL && access_origin_is_allowed(guard, origin)) {
        response_header(response, call->request, "Access-Control-Allow-Methods", "%s", call->allow);
        response_header(response, call->request, "Access-Control-Allow-Headers",
                        "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer, "
                        "traceparent, X-API-Key, X-Request-Id");
        response_header(response, call->request, "Access-Control-Max-Age", "600");
    }
}

/* true: the route is known. false: the answer is (a problem, or OPTIONS). */
static bool find_route(struct call *call)
{
    struct service *service = call->service;
    struct buf allow CLEANUP(buf_release) = {0};
    buf_init(&allow, sizeof(call->allow) - 1);
    enum route_result result =
        route_find(service->routes, service->n_routes, call->request, &call->match, &allow);
    memcpy(call->allow, allow.ptr, allow.len + 1);
    switch (result) {
    case ROUTE_FOUND:
        return true;
    case ROUTE_WRONG_METHOD:
        if (str_equal_c(call->request->method, "OPTIONS")) {
            answer_options(call);
            return false;
        }
        return problem_set(&call->problem, 405, "method_not_allowed",
                           "%.16s is not possible here; possible: %s", call->request->method.ptr,
                           call->allow);
    case ROUTE_BAD_PATH:
        return problem_set(&call->problem, 400, "bad_encoding",
                           "the path is not percent-encoded UTF-8");
    case ROUTE_UNKNOWN_PATH:
        break;
    }
    return problem_set(&call->problem, 404, "unknown_path",
                       "there is nothing at this path: GET /openapi.json lists what there is");
}

/* Admits the call as far as memory suffices. */
static enum access_result admit_from_memory(struct call *call)
{
    const struct route *route = call->match.route;
    struct guard *guard = call->service->guard;
    enum access_result result = ACCESS_GRANTED;
    if (guard != NULL && route->scope != SCOPE_NONE) {
        result = access_check(guard, call->request, &call->principal, &call->problem);
    }
    if (result == ACCESS_GRANTED && !admit(call)) {
        result = ACCESS_REFUSED;
    }
    return result;
}

enum exchange_state dispatch_handle(void *context, struct exchange *exchange)
{
    struct service *service = context;
    struct call *call = arena_zalloc(&exchange->arena, sizeof(*call));
    if (call == NULL) {
        struct problem problem = {0};
        (void)problem_set(&problem, 413, "request_too_large", "the request is too large");
        response_problem(&exchange->response, &exchange->request, &problem);
        return EXCHANGE_ANSWERED;
    }
    exchange->user = call;
    call->service = service;
    call->exchange = exchange;
    call->request = &exchange->request;
    call->response = &exchange->response;
    call->arena = &exchange->arena;
    if (!find_route(call)) {
        finish(call);
        return EXCHANGE_ANSWERED;
    }
    call->response->status = call->match.route->status;
    enum access_result access = admit_from_memory(call);
    if (access == ACCESS_ASK_KEYS || access == ACCESS_ASK_AZURE) {
        return wait_for_guard(call, access);
    }
    if (access == ACCESS_GRANTED && reading_from_memory(call)) {
        finish(call);
        reading_write(call);
        return EXCHANGE_ANSWERED;
    }
    if (access == ACCESS_ASK || (access == ACCESS_GRANTED && !call->match.route->from_memory)) {
        return hand_to_pool(call);
    }
    if (access == ACCESS_GRANTED) {
        call->match.route->answer(call);
        (void)(call->reading.is_noted ? reading_finish(call) : NULL);
    }
    finish(call);
    reading_write(call);
    return EXCHANGE_ANSWERED;
}

void dispatch_resumed(struct exchange *exchange)
{
    reading_write(exchange->user);
}

void dispatch_finished(struct exchange *exchange)
{
    if (exchange->user != NULL) {
        reading_release(exchange->user);
    }
}
