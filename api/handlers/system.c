#include "api/handlers/system.h"

#include <string.h>

#include "api/handlers/call.h"
#include "api/handlers/freshness.h"
#include "api/http/list.h"
#include "common/base/clock.h"
#include "common/base/instant.h"

/* A request that has waited longer than this for a worker. */
#define QUEUE_SECONDS 60

/* Columns of api_system_health.sql. */
enum {
    QUEUED,
    RUNNING,
    OLDEST_SECONDS,
    DEAD_LETTERS,
    DEAD_LETTERS_OPEN,
    IS_STANDBY,
};

struct health {
    struct buf *out;
    const struct db_result *tasks;
    const struct db_result *state;
    struct buf reasons; /* "a","b" */
    bool is_stale;
    bool is_degraded;
};

static void add_reason(struct health *health, const char *text, struct str source, struct str task)
{
    struct buf reason CLEANUP(buf_release) = {0};
    buf_init(&reason, 1000);
    if (source.len > 0) {
        buf_addf(&reason, "%.*s.%.*s: ", STR_ARG(source), STR_ARG(task));
    }
    buf_add_c(&reason, text);
    buf_add_c(&health->reasons, health->reasons.len > 0 ? "," : "");
    buf_add_json_string(&health->reasons, buf_str(&reason));
}

static bool feeds_tickets(const struct db_result *tasks, size_t row)
{
    return db_bool(tasks, row, FRESHNESS_FEEDS_TICKETS);
}

static void judge_task(struct health *health, size_t row)
{
    const struct db_result *tasks = health->tasks;
    struct str source = db_str(tasks, row, FRESHNESS_SOURCE);
    struct str task = db_str(tasks, row, FRESHNESS_TASK);
    const char *status = db_text(tasks, row, FRESHNESS_LAST_STATUS);
    bool has_failed = strcmp(status, "error") == 0 || strcmp(status, "held") == 0 ||
                      strcmp(status, "partial") == 0 || strcmp(status, "interrupted") == 0;
    if (feeds_tickets(tasks, row) && !freshness_is_fresh(tasks, row)) {
        health->is_stale = true;
        add_reason(health,
                   db_is_null(tasks, row, FRESHNESS_LAG_SECONDS) ? "was never loaded"
                                                                 : "older than " FRESH_SECONDS_TEXT
                                                                   " s",
                   source, task);
    }
    if (has_failed) {
        health->is_degraded = true;
        add_reason(health, status, source, task);
    }
}

static void judge(struct health *health)
{
    for (size_t row = 0; row < db_rows(health->tasks); row++) {
        judge_task(health, row);
    }
    if (db_int64(health->state, 0, DEAD_LETTERS_OPEN) > 0) {
        health->is_degraded = true;
        add_reason(health, "records were rejected: see foz-worker dead-letters", STR_NONE,
                   STR_NONE);
    }
    if (db_int64(health->state, 0, OLDEST_SECONDS) > QUEUE_SECONDS) {
        health->is_degraded = true;
        add_reason(health, "a request waits for a worker: is foz-worker run running?", STR_NONE,
                   STR_NONE);
    }
}

static void write_task(struct buf *out, const struct db_result *tasks, size_t row)
{
    buf_add_c(out, "{\"source\":");
    buf_add_json_string(out, db_str(tasks, row, FRESHNESS_SOURCE));
    buf_add_c(out, ",\"task\":");
    buf_add_json_string(out, db_str(tasks, row, FRESHNESS_TASK));
    buf_add_c(out, ",\"load\":");
    buf_add_json_string(out, db_str(tasks, row, FRESHNESS_LOAD));
    for (size_t i = 0; i < freshness_columns_count; i++) {
        buf_add_char(out, ',');
        list_write_member(out, &freshness_columns[i], tasks, row, FRESHNESS_VERSION + i);
    }
    buf_addf(out, ",\"feeds_tickets\":%s,\"fresh\":%s}",
             feeds_tickets(tasks, row) ? "true" : "false",
             freshness_is_fresh(tasks, row) ? "true" : "false");
}

/* Does this row begin the tasks of its source? They come by load: a source has one type, and the
 * loads of a type stand together by name only, so all rows before are looked at. */
static bool is_first_of_source(const struct db_result *tasks, size_t row)
{
    for (size_t i = 0; i < row; i++) {
        if (str_equal(db_str(tasks, i, FRESHNESS_SOURCE), db_str(tasks, row, FRESHNESS_SOURCE))) {
            return false;
        }
    }
    return true;
}

/* The oldest copy among the tasks that the source's tickets are made of. */
static void write_source(struct buf *out, const struct db_result *tasks, size_t first)
{
    struct str source = db_str(tasks, first, FRESHNESS_SOURCE);
    size_t oldest = SIZE_MAX;
    bool all_fresh = true;
    for (size_t row = first; row < db_rows(tasks); row++) {
        if (!str_equal(db_str(tasks, row, FRESHNESS_SOURCE), source) ||
            !feeds_tickets(tasks, row)) {
            continue;
        }
        all_fresh = all_fresh && freshness_is_fresh(tasks, row);
        if (!db_is_null(tasks, row, FRESHNESS_LAG_SECONDS) &&
            (oldest == SIZE_MAX || db_int64(tasks, row, FRESHNESS_LAG_SECONDS) >
                                       db_int64(tasks, oldest, FRESHNESS_LAG_SECONDS))) {
            oldest = row;
        }
    }
    buf_add_c(out, "{\"source\":");
    buf_add_json_string(out, source);
    if (oldest == SIZE_MAX) {
        buf_add_c(out, ",\"as_of\":null,\"lag_seconds\":null,\"fresh\":false}");
        return;
    }
    buf_add_c(out, ",\"as_of\":\"");
    list_write_instant(out, db_str(tasks, oldest, FRESHNESS_AS_OF));
    buf_addf(out, "\",\"lag_seconds\":%s,\"fresh\":%s}",
             db_text(tasks, oldest, FRESHNESS_LAG_SECONDS), all_fresh ? "true" : "false");
}

static void write_health(struct health *health)
{
    struct buf *out = health->out;
    const struct db_result *tasks = health->tasks;
    const char *ok = health->is_degraded ? "degraded" : "ok";
    buf_addf(out, "{\"data\":{\"status\":\"%s\",\"reasons\":[%s],\"sources\":[",
             health->is_stale ? "stale" : ok, health->reasons.ptr);
    bool is_first = true;
    for (size_t row = 0; row < db_rows(tasks); row++) {
        if (is_first_of_source(tasks, row)) {
            buf_add_c(out, is_first ? "" : ",");
            write_source(out, tasks, row);
            is_first = false;
        }
    }
    buf_add_c(out, "],\"tasks\":[");
    for (size_t row = 0; row < db_rows(tasks); row++) {
        buf_add_c(out, row == 0 ? "" : ",");
        write_task(out, tasks, row);
    }
    static const struct list_column queue[] = {
        {"queued", CELL_NUMBER}, {"running", CELL_NUMBER}, {"oldest_seconds", CELL_NUMBER}};
    buf_add_c(out, "],\"queue\":{");
    list_write_members(out, queue, ARRAY_SIZE(queue), health->state, 0);
    buf_addf(out, "},\"dead_letters\":{\"open\":%s,\"by_task\":%s},\"database\":{\"standby\":%s}}",
             db_text(health->state, 0, DEAD_LETTERS_OPEN), db_text(health->state, 0, DEAD_LETTERS),
             db_bool(health->state, 0, IS_STANDBY) ? "true" : "false");
}

void system_health_answer(struct call *call)
{
    struct buf loads CLEANUP(buf_release) = {0};
    struct buf described CLEANUP(buf_release) = {0};
    freshness_describe(call->service->config, &loads, &described);
    struct db_result *tasks CLEANUP(db_result_freep) =
        call_query(call, "api_freshness.sql", DB_PARAMS(described.ptr));
    struct db_result *state CLEANUP(db_result_freep) =
        tasks != NULL ? call_query(call, "api_system_health.sql", DB_NO_PARAMS) : NULL;
    if (state == NULL) {
        return;
    }
    struct health health = {.out = &call->response->body, .tasks = tasks, .state = state};
    buf_init(&health.reasons, 256UL * 1024);
    judge(&health);
    write_health(&health);
    buf_release(&health.reasons);
    reading_note(call, state);
    reading_end(call);
}

/* Asking for the figures changes them: whoever asks twice is told the same if nobody else asked for
 * anything meanwhile. */
static void note_usage(struct call *call, const struct usage_row *rows, size_t n_rows)
{
    size_t own = (size_t)(call->match.route - call->service->routes);
    struct buf said CLEANUP(buf_release) = {0};
    buf_init(&said, RESPONSE_BODY_MAX);
    buf_add_int(&said, call->service->started_us);
    for (size_t i = 0; i < n_rows; i++) {
        if (rows[i].route != own) {
            buf_addf(&said, "\n%zu %d %lld %s", rows[i].route, rows[i].status,
                     (long long)rows[i].requests, rows[i].principal);
        }
    }
    char digest[RESPONSE_ETAG_MAX];
    response_digest(buf_str(&said), digest);
    const char *copy = arena_strdup(call->arena, digest);
    call->reading.basis = copy != NULL ? str_from(copy) : STR_NONE;
}

void system_usage_answer(struct call *call)
{
    const struct service *service = call->service;
    struct buf *out = &call->response->body;
    size_t n_rows = 0;
    struct usage_row *rows = usage_rows(service->usage, &n_rows);
    char since[INSTANT_TEXT_MAX];
    int64_t now_us = clock_wall_us();
    buf_addf(out, "{\"data\":{\"since\":\"%s\",\"requests\":[",
             instant_format_rfc3339(service->started_us, since));
    for (size_t i = 0; i < n_rows; i++) {
        const struct usage_row *row = &rows[i];
        bool has_route = row->route < service->n_routes;
        buf_addf(out, "%s{\"route\":%s%s%s,\"principal\":", i == 0 ? "" : ",",
                 has_route ? "\"" : "", has_route ? service->routes[row->route].pattern : "null",
                 has_route ? "\"" : "");
        if (row->principal[0] != '\0') {
            buf_add_json_string(out, str_from(row->principal));
        } else {
            buf_add_c(out, "null");
        }
        buf_addf(out,
                 ",\"method\":%s%s%s,\"status\":%d,\"requests\":%lld,\"bytes\":%lld,"
                 "\"mean_ms\":%.3f}",
                 has_route ? "\"" : "", has_route ? service->routes[row->route].method : "null",
                 has_route ? "\"" : "", row->status, (long long)row->requests,
                 (long long)row->bytes, (double)row->duration_us / 1000.0 / (double)row->requests);
    }
    note_usage(call, rows, n_rows);
    usage_rows_free(rows, n_rows);
    struct cache_counters cache = cache_counters(service->cache);
    buf_addf(out,
             "],\"cache\":{\"hits\":%lld,\"misses\":%lld,\"joined\":%lld,\"evicted\":%lld,"
             "\"bytes\":%lld,\"answers\":%lld}}",
             (long long)cache.hits, (long long)cache.misses, (long long)cache.joined,
             (long long)cache.evicted, (long long)cache.bytes, (long long)cache.answers);
    /* Counted here and now: as old as the question. */
    struct reading *reading = &call->reading;
    (void)instant_format_rfc3339(now_us, since);
    memcpy(reading->as_of, since, sizeof(since));
    reading->lag_seconds = 0;
    (void)cache_version(service->cache, &reading->version);
    reading->is_noted = true;
    reading_end(call);
}
