#include "api/handlers/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/handlers/narrow.h"
#include "api/handlers/page.h"
#include "api/handlers/queries.h"
#include "common/base/log.h"
#include "common/io/db_prepared.h"

void call_fail(struct call *call, const struct error *err)
{
    (void)problem_from_error(&call->problem, err);
    if (call->worker != NULL) {
        pool_failed(call->worker, err);
    }
    log_warn("request failed", LOG_TEXT("path", call->match.route->pattern),
             LOG_TEXT("code", call->problem.code), LOG_TEXT("error", err->msg),
             LOG_TEXT("sqlstate", err->sqlstate));
}

/* Of the many forms of a narrowed statement a connection keeps those with few parameters: some
 * hundred, of up to 100 KB each. */
#define KEPT_PARAMS_MAX 4

#define RETRIES  2
#define DEADLOCK "40P01"

struct question {
    const char *name; /* to keep it prepared under; NULL = not to be kept */
    const char *sql;
    const char *const *params;
    size_t n_params;
};

static struct db *reader(struct call *call, struct error *err)
{
    struct db *db = call->asks_writer ? pool_write(call->worker, err) : NULL;
    if (db == NULL) {
        error_clear(err);
        db = pool_read(call->worker, err);
    }
    return db;
}

static struct db_result *ask(struct call *call, const struct question *question)
{
    for (int attempt = 0;; attempt++) {
        struct error err = ERROR_INIT;
        struct db *db = reader(call, &err);
        struct db_result *result = NULL;
        if (db != NULL && question->name != NULL) {
            result = db_query_prepared(db, question->name, question->sql, question->params,
                                       question->n_params, &err);
        } else if (db != NULL) {
            result = db_query(db, question->sql, question->params, question->n_params, &err);
        }
        if (result != NULL) {
            return result;
        }
        bool was_lost = db != NULL && !db_is_alive(db);
        bool was_in_the_way = strcmp(err.sqlstate, DEADLOCK) == 0; /* of a migration */
        if ((!was_lost && !was_in_the_way) || attempt >= RETRIES) {
            call_fail(call, &err);
            return NULL;
        }
    }
}

struct db_result *
call_query(struct call *call, const char *query, const char *const *params, size_t n_params)
{
    return ask(call, &(struct question){NULL, query_text(query), params, n_params});
}

struct db_result *call_query_prepared(struct call *call,
                                      const char *query,
                                      const char *const *params,
                                      size_t n_params)
{
    return ask(call, &(struct question){query, query_text(query), params, n_params});
}

struct db_result *call_query_page(struct call *call,
                                  const struct page *page,
                                  const char *query,
                                  bool is_plan_kept,
                                  const char *const *params,
                                  size_t n_params)
{
    struct narrowed narrowed CLEANUP(narrowed_release);
    char name[64];
    narrow(query_text(query), params, n_params, &narrowed);
    (void)snprintf(name, sizeof(name), "%s %" PRIx32, query, narrowed.given);
    bool is_usual =
        __builtin_popcount(narrowed.given) <= KEPT_PARAMS_MAX + 1 && page->limit == PAGE_LIMIT;
    return ask(call, &(struct question){is_plan_kept && is_usual ? name : NULL, narrowed.text.ptr,
                                        narrowed.params, narrowed.n_params});
}

struct db *call_writer(struct call *call)
{
    struct error err = ERROR_INIT;
    struct db *db = pool_write(call->worker, &err);
    if (db == NULL) {
        call_fail(call, &err);
    }
    return db;
}

void meta_write(struct buf *out, const struct meta *meta)
{
    buf_add_c(out, "\"meta\":{\"as_of\":");
    if (meta->as_of != NULL) {
        buf_add_json_string(out, str_from(meta->as_of));
    } else {
        buf_add_c(out, "null");
    }
    buf_add_c(out, ",\"version\":");
    buf_add_int(out, meta->version);
    buf_add_c(out, ",\"lag_seconds\":");
    if (meta->lag_seconds >= 0) {
        buf_add_int(out, meta->lag_seconds);
    } else {
        buf_add_c(out, "null");
    }
    buf_add_c(out, meta->is_fresh ? ",\"fresh\":true}" : ",\"fresh\":false}");
}
