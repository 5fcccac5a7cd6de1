#include "api/handlers/reading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers/call.h"
#include "api/handlers/freshness.h"
#include "common/base/clock.h"
#include "common/io/hash.h"

#define KEY_MAX      (64UL * 1024)
#define KEY_USUAL    200
#define HASH_BYTES   8
#define META_COLUMNS 3
#define META_MAX     200
/* The path, a cursor, the format and the marks around them. */
#define LINK_EXTRA_MAX 512

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The same question in other words is the same question: values of a list in any order. */
static void sort_lists(struct params *params)
{
    for (size_t i = 0; i < params->n_specs; i++) {
        struct param_value *value = &params->values[i];
        if (value->n_texts > 1) {
            qsort(value->texts, value->n_texts, sizeof(*value->texts), by_text);
        }
    }
}

static bool is_paged(const struct route *route)
{
    for (size_t i = 0; i < route->n_params; i++) {
        if (strcmp(route->params[i].name, "cursor") == 0) {
            return true;
        }
    }
    return false;
}

/* The link to the next page repeats the filters, and an answer whose head does not fit is never
 * sent: better to know now than when there is a next page. What is let in here is let in on every
 * page: asked by the link, with the filters as `key` writes them. */
static bool check_link_fits(struct call *call, size_t key_bytes)
{
    const struct request *request = call->request;
    int64_t link_bytes = (int64_t)key_bytes + LINK_EXTRA_MAX;
    if (2 * link_bytes <= request->answer_spare_bytes || !is_paged(call->match.route)) {
        return true;
    }
    const char *cursor = params_text(&call->params, "cursor");
    link_bytes -= cursor != NULL ? (int64_t)strlen(cursor) : 0; /* another takes its place */
    int64_t query_bytes = (int64_t)request->query.len;
    int64_t longest_bytes = query_bytes > link_bytes ? query_bytes : link_bytes;
    int64_t missing = longest_bytes - query_bytes + link_bytes - request->answer_spare_bytes;
    return missing <= 0 ||
           problem_set(&call->problem, 414, "query_too_long",
                       "the filters leave no room for the link to the next page, which repeats "
                       "them: name fewer values, or shorten the head by %lld bytes",
                       (long long)missing);
}

bool reading_prepare(struct call *call)
{
    static const char *const except[] = {"format", NULL};
    const struct route *route = call->match.route;
    struct reading *reading = &call->reading;
    sort_lists(&call->params);
    if (route->is_list && !list_negotiate(call->request, params_text(&call->params, "format"),
                                          &reading->format, &call->problem)) {
        return false;
    }
    if (route->slice_s == 0 && !route->is_list) {
        return true;
    }
    struct buf key CLEANUP(buf_release) = {0};
    buf_init(&key, KEY_MAX);
    (void)buf_reserve(&key, KEY_USUAL);
    buf_add_c(&key, route->pattern);
    buf_add_char(&key, '\n');
    buf_add_str(&key, call->match.values[0]);
    buf_add_char(&key, '\n');
    buf_add_int(&key, (int)reading->format);
    buf_add_char(&key, '\n');
    params_write_query(&call->params, except, &key);
    if (route->is_list && !check_link_fits(call, key.len)) {
        return false;
    }
    if (route->slice_s == 0) {
        return true;
    }
    const char *copy = key.overflow ? NULL : arena_strndup(call->arena, key.ptr, key.len);
    if (copy != NULL) {
        reading->key = (struct str){copy, key.len};
        reading->slice = clock_wall_us() / US_PER_S / route->slice_s;
    }
    return true;
}

/* --- ETags ------------------------------------------------------------------------------------ */

/* Version, question and slice of time: what the answer depends on, known without asking. It stays
 * while later slices have the same answer. */
static void make_etag(const struct call *call, int64_t version, char out[CACHE_ETAG_MAX])
{
    struct hash128 hash = hash128_of(call->reading.key);
    int len = snprintf(out, CACHE_ETAG_MAX, "%llx-", (unsigned long long)version);
    for (size_t i = 0; i < HASH_BYTES; i++) {
        len += snprintf(out + len, CACHE_ETAG_MAX - (size_t)len, "%02x", hash.bytes[i]);
    }
    (void)snprintf(out + len, CACHE_ETAG_MAX - (size_t)len, "-%llx",
                   (unsigned long long)call->reading.slice);
}

/* --- giving an answer ------------------------------------------------------------------------- */

static void add_age_headers(struct call *call, const struct meta *meta)
{
    struct response *response = call->response;
    if (meta->as_of != NULL) {
        response_header(response, call->request, "Foz-As-Of", "%s", meta->as_of);
        response_header(response, call->request, "Foz-Lag-Seconds", "%lld",
                        (long long)meta->lag_seconds);
    }
    response_header(response, call->request, "Foz-Fresh", "%s", meta->is_fresh ? "true" : "false");
}

/* What the body depends on. */
static struct response_origin origin_of(const struct cache_answer *answer, const struct meta *meta)
{
    int64_t variant = answer->has_meta ? (meta->lag_seconds + 1) * 2 + meta->is_fresh : 0;
    return (struct response_origin){answer->id, variant};
}

static void give(struct call *call, struct cache_answer *answer, bool is_last_good)
{
    struct response *response = call->response;
    const struct route *route = call->match.route;
    int64_t age_s = (clock_monotonic_coarse_us() - answer->made_us) / US_PER_S;
    int64_t lag_seconds = answer->lag_seconds < 0 ? -1 : answer->lag_seconds + age_s;
    struct meta meta = {
        .as_of = answer->as_of[0] != '\0' ? answer->as_of : NULL,
        .version = answer->version,
        .lag_seconds = lag_seconds,
        .is_fresh = !is_last_good && lag_seconds >= 0 && lag_seconds <= FRESH_SECONDS,
    };
    response_reset(response);
    response->content_type = answer->content_type;
    if (call->reading.key.ptr != NULL) {
        response->origin = origin_of(answer, &meta);
    }
    if (answer->link != NULL) {
        response_header_text(response, call->request, "Link", str_from(answer->link), false);
    }
    if (route->is_list) {
        response_header(response, call->request, "Vary", "Accept");
    }
    if (!answer->has_meta) {
        add_age_headers(call, &meta);
    }
    if (response_validate(response, call->request, str_from(answer->etag),
                          is_last_good ? 0 : route->ttl_s)) {
        return;
    }
    reading_release(call);
    cache_hold(answer);
    call->reading.given = answer;
    call->reading.given_meta = meta;
}

void reading_write(struct call *call)
{
    const struct cache_answer *answer = call->reading.given;
    struct response *response = call->response;
    bool is_wanted = answer != NULL && call->problem.status == 0;
    if (!is_wanted || exchange_has_body(response->origin, &response->left_out_bytes)) {
        return;
    }
    (void)buf_reserve(&response->body, answer->body_len + META_MAX); /* one allocation */
    buf_add(&response->body, answer->body, answer->body_len);
    if (answer->has_meta) {
        meta_write(&response->body, &call->reading.given_meta);
        buf_add_c(&response->body, "}\n");
    }
}

void reading_release(struct call *call)
{
    cache_drop(TAKE(call->reading.given));
}

bool reading_from_memory(struct call *call)
{
    struct cache *cache = call->service->cache;
    struct reading *reading = &call->reading;
    if (reading->key.ptr == NULL) {
        return false;
    }
    struct cache_answer *answer = cache_find(cache, reading->key, reading->slice);
    if (answer != NULL) {
        give(call, answer, false);
        cache_drop(answer);
        return true;
    }
    /* A client that has the answer needs no other, whether or not it is still here. "*" means any
     * answer there is, and that nobody knows yet. */
    int64_t version = 0;
    struct str known = request_header(call->request, "If-None-Match");
    if (known.len == 0 || memchr(known.ptr, '*', known.len) != NULL ||
        !cache_version(cache, &version)) {
        return false;
    }
    char etag[CACHE_ETAG_MAX];
    make_etag(call, version, etag);
    if (response_validate(call->response, call->request, str_from(etag),
                          call->match.route->ttl_s)) {
        if (call->match.route->is_list) {
            response_header(call->response, call->request, "Vary", "Accept");
        }
        return true;
    }
    response_reset(call->response);
    call->response->status = call->match.route->status;
    return false;
}

enum cache_part reading_enter(struct call *call)
{
    struct reading *reading = &call->reading;
    struct cache *cache = call->service->cache;
    if (reading->key.ptr == NULL) {
        return CACHE_LEAD;
    }
    struct cache_answer *answer = NULL;
    enum cache_part part = cache_enter(cache, reading->key, reading->slice, &reading->waiter,
                                       &answer, &reading->flight);
    if (part == CACHE_HIT) {
        give(call, answer, false);
        cache_drop(answer);
    }
    return part;
}

struct call *reading_waiting_call(struct cache_waiter *waiter)
{
    char *bytes = (char *)waiter;
    return (struct call *)(void *)(bytes - offsetof(struct call, reading) -
                                   offsetof(struct reading, waiter));
}

/* --- making an answer ------------------------------------------------------------------------- */

void reading_note(struct call *call, const struct db_result *result)
{
    struct reading *reading = &call->reading;
    size_t first = db_columns(result) - META_COLUMNS;
    struct buf as_of CLEANUP(buf_release) = {0};
    buf_init(&as_of, sizeof(reading->as_of) - 1);
    list_write_instant(&as_of, db_str(result, 0, first + 1));
    memcpy(reading->as_of, as_of.ptr, as_of.len + 1);
    reading->version = db_int64(result, 0, first);
    reading->lag_seconds = db_is_null(result, 0, first + 2) ? -1 : db_int64(result, 0, first + 2);
    reading->is_noted = true;
}

void reading_end(struct call *call)
{
    buf_add_char(&call->response->body, ',');
    call->response->content_type = "application/json";
    call->reading.has_meta = true;
}

void reading_document(struct call *call, const struct db_result *result)
{
    reading_note(call, result);
    buf_add_c(&call->response->body, "{\"data\":");
    buf_add_str(&call->response->body, db_str(result, 0, 0));
    reading_end(call);
}

static struct cache_answer *make_answer(struct call *call)
{
    struct reading *reading = &call->reading;
    struct buf *body = &call->response->body;
    struct cache_answer *answer = cache_answer_new(buf_str(body), reading->link);
    answer->version = reading->version;
    answer->lag_seconds = reading->lag_seconds;
    answer->made_us = clock_monotonic_us();
    answer->content_type = call->response->content_type;
    answer->has_meta = reading->has_meta;
    memcpy(answer->as_of, reading->as_of, sizeof(answer->as_of));
    if (reading->key.ptr != NULL) {
        make_etag(call, reading->version, answer->etag);
    } else {
        response_digest(reading->basis.ptr != NULL ? reading->basis : buf_str(body), answer->etag);
    }
    return answer;
}

static bool is_same(const struct cache_answer *a, const struct cache_answer *b)
{
    struct str a_link = str_from(a->link != NULL ? a->link : "");
    struct str b_link = str_from(b->link != NULL ? b->link : "");
    return a->version == b->version && str_equal(a_link, b_link) &&
           str_equal((struct str){a->body, a->body_len}, (struct str){b->body, b->body_len});
}

/* Time passed and changed nothing: who has the answer need not take it again. */
static void keep_etag(struct call *call, struct cache_answer *answer)
{
    struct cache_answer *before = cache_find_last(call->service->cache, call->reading.key);
    if (before != NULL && is_same(before, answer)) {
        memcpy(answer->etag, before->etag, sizeof(answer->etag));
    }
    cache_drop(before);
}

/* While the database is away. */
static struct cache_answer *find_last_good(struct call *call)
{
    if (call->reading.key.ptr == NULL || call->problem.code == NULL ||
        strcmp(call->problem.code, "database_unavailable") != 0) {
        return NULL;
    }
    return cache_find_last(call->service->cache, call->reading.key);
}

static void give_or_refuse(struct call *call,
                           struct cache_answer *answer,
                           bool is_last_good,
                           const struct problem *problem)
{
    if (answer != NULL) {
        call->problem = (struct problem){0};
        give(call, answer, is_last_good);
    } else {
        call->problem = *problem;
    }
}

struct cache_waiter *reading_finish(struct call *call)
{
    struct cache *cache = call->service->cache;
    struct reading *reading = &call->reading;
    bool is_good = call->problem.status == 0 && reading->is_noted && !call->response->body.overflow;
    struct cache_answer *answer = NULL;
    if (is_good) {
        answer = make_answer(call);
    } else if (call->problem.status == 0 && reading->is_noted) {
        (void)problem_set(&call->problem, 422, "answer_too_large",
                          "the answer would be larger than this service builds: lower `limit`");
    }
    struct cache_waiter *waiters = NULL;
    if (reading->flight != NULL) {
        if (answer != NULL) {
            keep_etag(call, answer);
        }
        waiters = cache_land(cache, TAKE(reading->flight), answer);
    }
    if (answer == NULL) {
        answer = find_last_good(call);
    }
    for (struct cache_waiter *waiter = waiters; waiter != NULL; waiter = waiter->next) {
        give_or_refuse(reading_waiting_call(waiter), answer, !is_good, &call->problem);
    }
    if (answer != NULL) {
        give_or_refuse(call, answer, !is_good, NULL);
    }
    cache_drop(answer);
    return waiters;
}
