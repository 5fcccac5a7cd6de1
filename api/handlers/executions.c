#include "api/handlers/executions.h"

#include <stdio.h>
#include <string.h>

#include "api/handlers/call.h"
#include "api/http/cursor.h"
#include "api/http/list.h"
#include "common/base/log.h"
#include "common/ops/execution.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

/* In the order of api_executions.sql. */
static const struct list_column execution_columns[] = {
    {"id", CELL_NUMBER},
    {"load", CELL_TEXT},
    {"mode", CELL_TEXT},
    {"status", CELL_TEXT},
    {"trigger", CELL_TEXT},
    {"requested_by", CELL_TEXT},
    {"trace_id", CELL_TEXT},
    {"attempt", CELL_NUMBER},
    {"worker", CELL_TEXT},
    {"window_from", CELL_INSTANT},
    {"window_to", CELL_INSTANT},
    {"params", CELL_JSON},
    {"queued_at", CELL_INSTANT},
    {"started_at", CELL_INSTANT},
    {"heartbeat_at", CELL_INSTANT},
    {"finished_at", CELL_INSTANT},
    {"duration_ms", CELL_NUMBER},
    {"records_read", CELL_NUMBER},
    {"records_inserted", CELL_NUMBER},
    {"records_updated", CELL_NUMBER},
    {"records_unchanged", CELL_NUMBER},
    {"records_deleted", CELL_NUMBER},
    {"records_rejected", CELL_NUMBER},
    {"error_message", CELL_TEXT},
    {"retry_of", CELL_NUMBER},
    {"cancel_requested_at", CELL_INSTANT},
    {"cancel_requested_by", CELL_TEXT},
};

/* In the order of api_execution_tasks.sql. */
static const struct list_column task_columns[] = {
    {"source", CELL_TEXT},
    {"task", CELL_TEXT},
    {"mode", CELL_TEXT},
    {"status", CELL_TEXT},
    {"records_read", CELL_NUMBER},
    {"records_inserted", CELL_NUMBER},
    {"records_updated", CELL_NUMBER},
    {"records_unchanged", CELL_NUMBER},
    {"records_deleted", CELL_NUMBER},
    {"records_rejected", CELL_NUMBER},
    {"records_expected", CELL_NUMBER},
    {"records_hidden", CELL_NUMBER},
    {"records_duplicate", CELL_NUMBER},
    {"fields_unreadable", CELL_JSON},
    {"requests", CELL_NUMBER},
    {"retries", CELL_NUMBER},
    {"throttled_ms", CELL_NUMBER},
    {"bytes_received", CELL_NUMBER},
    {"fetch_ms", CELL_NUMBER},
    {"transform_ms", CELL_NUMBER},
    {"load_ms", CELL_NUMBER},
    {"peak_page_bytes", CELL_NUMBER},
    {"watermark_before", CELL_INSTANT},
    {"watermark_after", CELL_INSTANT},
    {"error_class", CELL_TEXT},
    {"error_message", CELL_TEXT},
    {"started_at", CELL_INSTANT},
    {"finished_at", CELL_INSTANT},
};

static const char *const statuses[] = {"queued", "running",     "success",   "partial", "held",
                                       "error",  "interrupted", "cancelled", NULL};
static const char *const formats[] = {"json", "csv", "ndjson", NULL};

const struct param_spec executions_params[] = {
    {.name = "load", .type = PARAM_TEXT, .help = "Only executions of this load."},
    {.name = "status", .type = PARAM_CHOICE, .choices = statuses, .help = "Only this status."},
    {.name = "source",
     .type = PARAM_TEXT,
     .help = "Only executions that ran a task of this source, or were asked for it."},
    {.name = "since", .type = PARAM_INSTANT, .help = "Queued at or after this time."},
    {.name = "limit",
     .type = PARAM_INTEGER,
     .min = 1,
     .max = LIMIT_MAX,
     .fallback = "100",
     .help = "Rows of one page."},
    {.name = "cursor", .type = PARAM_TEXT, .help = "page.next_cursor of the page before."},
    {.name = "format",
     .type = PARAM_CHOICE,
     .choices = formats,
     .help = "Wins over the Accept header."},
};
const size_t executions_params_count = ARRAY_SIZE(executions_params);

/* The version of all projections and the time of the reading. */
static bool read_version(struct call *call, struct buf *ret_as_of, int64_t *ret_version)
{
    struct db_result *result CLEANUP(db_result_freep) =
        call_query(call, "api_version.sql", DB_NO_PARAMS);
    if (result == NULL) {
        return false;
    }
    *ret_version = db_int64(result, 0, 0);
    list_write_instant(ret_as_of, db_str(result, 0, 1));
    return true;
}

/* --- one execution ---------------------------------------------------------------------------- */

bool execution_write(struct call *call,
                     int64_t id,
                     const char *extra,
                     struct buf *out,
                     struct buf *ret_as_of,
                     int64_t *ret_version)
{
    char id_text[24];
    (void)snprintf(id_text, sizeof(id_text), "%lld", (long long)id);
    /* The execution before its tasks: a finished one is never shown with a task still running. */
    struct db_result *execution CLEANUP(db_result_freep) = call_query(
        call, "api_executions.sql", DB_PARAMS(id_text, NULL, NULL, NULL, NULL, NULL, "1"));
    if (execution == NULL || db_rows(execution) == 0) {
        return false;
    }
    struct db_result *tasks CLEANUP(db_result_freep) =
        call_query(call, "api_execution_tasks.sql", DB_PARAMS(id_text));
    if (tasks == NULL || !read_version(call, ret_as_of, ret_version)) {
        return false;
    }
    buf_addf(out, "{%s", extra);
    list_write_members(out, execution_columns, ARRAY_SIZE(execution_columns), execution, 0);
    buf_add_c(out, ",\"tasks\":");
    list_write(out, LIST_JSON, task_columns, ARRAY_SIZE(task_columns), tasks, db_rows(tasks));
    buf_add_char(out, '}');
    return true;
}

static bool read_id(struct call *call, int64_t *ret_id)
{
    if (str_to_int64(call->match.values[0], 1, INT64_MAX, ret_id)) {
        return true;
    }
    return problem_set_parameter(&call->problem, STR_LITERAL("id"), "invalid_parameter",
                                 "\"%.40s\" is not the id of an execution: it is a whole number "
                                 "from 1",
                                 call->match.values[0].ptr);
}

static void set_unknown(struct call *call, int64_t id)
{
    (void)problem_set(&call->problem, 404, "unknown_execution",
                      "there is no execution %lld: GET /v1/executions lists them", (long long)id);
}

void execution_answer(struct call *call)
{
    int64_t id = 0;
    if (!read_id(call, &id)) {
        return;
    }
    struct buf *body = &call->response->body;
    struct buf as_of CLEANUP(buf_release) = {0};
    buf_init(&as_of, 64);
    struct meta meta = {.is_fresh = true};
    buf_add_c(body, "{\"data\":");
    if (!execution_write(call, id, "", body, &as_of, &meta.version)) {
        if (call->problem.status == 0) {
            set_unknown(call, id);
        }
        return;
    }
    call->response->content_type = "application/json";
    char digest[RESPONSE_ETAG_MAX];
    response_digest(buf_str(body), digest);
    meta.as_of = as_of.ptr;
    buf_add_char(body, ',');
    meta_write(body, &meta);
    buf_add_c(body, "}\n");
    (void)response_validate(call->response, call->request, str_from(digest),
                            call->match.route->ttl_s);
}

void execution_cancel_answer(struct call *call)
{
    int64_t id = 0;
    struct db *db = read_id(call, &id) ? call_writer(call) : NULL;
    if (db == NULL) {
        return;
    }
    struct error err = ERROR_INIT;
    struct response *response = call->response;
    switch (execution_cancel(db, id, call->principal.name, &err)) {
    case CANCEL_ERROR:
        call_fail(call, &err);
        return;
    case CANCEL_UNKNOWN:
        set_unknown(call, id);
        return;
    case CANCEL_FINISHED:
        (void)problem_set(&call->problem, 409, "execution_finished",
                          "execution %lld has already finished: there is nothing to cancel",
                          (long long)id);
        return;
    case CANCEL_DONE:
        buf_addf(&response->body, "{\"status\":\"cancelled\",");
        break;
    case CANCEL_REQUESTED:
        response->status = 202;
        buf_addf(&response->body, "{\"status\":\"cancelling\",");
        break;
    }
    buf_addf(&response->body, "\"execution_id\":%lld,\"location\":\"/v1/executions/%lld\"}\n",
             (long long)id, (long long)id);
    response->content_type = "application/json";
    log_info("execution cancelled", LOG_INT("execution_id", id),
             LOG_TEXT("principal", call->principal.name));
}

/* --- the list --------------------------------------------------------------------------------- */

struct page {
    int64_t limit;
    enum list_format format;
    struct buf question; /* what a cursor is bound to */
    struct buf after;    /* id of the last row of the page before; empty = first page */
};

static void page_release(struct page *page)
{
    buf_release(&page->question);
    buf_release(&page->after);
}

static bool check_load(struct call *call, const char *load)
{
    if (load == NULL || catalog_find_load(&call->service->config->catalog, load) != NULL) {
        return true;
    }
    return problem_set_parameter(&call->problem, STR_LITERAL("load"), "invalid_parameter",
                                 "there is no load \"%.64s\": GET /v1/loads lists them", load);
}

static bool read_page(struct call *call, struct page *page)
{
    static const char *const not_the_question[] = {"cursor", "limit", "format", NULL};
    page->limit = params_integer(&call->params, "limit", LIMIT_DEFAULT);
    if (!list_negotiate(call->request, params_text(&call->params, "format"), &page->format,
                        &call->problem)) {
        return false;
    }
    buf_addf(&page->question, "%s?", call->match.route->pattern);
    params_write_query(&call->params, not_the_question, &page->question);
    const char *cursor = params_text(&call->params, "cursor");
    int64_t id = 0;
    if (cursor == NULL) {
        return true;
    }
    if (!cursor_read(buf_str(&page->question), str_from(cursor), &page->after) ||
        !str_to_int64(buf_str(&page->after), 1, INT64_MAX, &id)) {
        return problem_set_parameter(&call->problem, STR_LITERAL("cursor"), "invalid_cursor",
                                     "cursor was altered or belongs to other filters: repeat the "
                                     "filters of the first page, or start without a cursor");
    }
    return true;
}

/* Link: </v1/executions?...&cursor=...>; rel="next" */
static void add_link(struct call *call, const struct buf *cursor)
{
    static const char *const except[] = {"cursor", NULL};
    struct buf query CLEANUP(buf_release) = {0};
    buf_init(&query, 3000);
    params_write_query(&call->params, except, &query);
    response_header(call->response, call->request, "Link", "<%s?%s%scursor=%s>; rel=\"next\"",
                    call->match.route->pattern, query.ptr, query.len > 0 ? "&" : "", cursor->ptr);
}

static void write_page(struct call *call,
                       const struct page *page,
                       const struct db_result *rows,
                       const struct meta *meta)
{
    struct response *response = call->response;
    size_t n_rows = db_rows(rows);
    bool has_more = n_rows > (size_t)page->limit;
    struct buf cursor CLEANUP(buf_release) = {0};
    buf_init(&cursor, 1024);
    if (has_more) {
        n_rows = (size_t)page->limit;
        cursor_write(buf_str(&page->question), db_str(rows, n_rows - 1, 0), &cursor);
        add_link(call, &cursor);
    }
    buf_add_c(&response->body, page->format == LIST_JSON ? "{\"data\":" : "");
    list_write(&response->body, page->format, execution_columns, ARRAY_SIZE(execution_columns),
               rows, n_rows);
    if (page->format == LIST_JSON) {
        buf_addf(&response->body,
                 ",\"page\":{\"limit\":%lld,\"next_cursor\":%s%s%s,\"has_more\":%s}",
                 (long long)page->limit, has_more ? "\"" : "null", cursor.ptr, has_more ? "\"" : "",
                 has_more ? "true" : "false");
    }
    char digest[RESPONSE_ETAG_MAX];
    response_digest(buf_str(&response->body), digest);
    if (page->format == LIST_JSON) {
        buf_add_char(&response->body, ',');
        meta_write(&response->body, meta);
        buf_add_c(&response->body, "}\n");
    }
    response->content_type = list_content_type(page->format);
    response_header(response, call->request, "Vary", "Accept");
    (void)response_validate(response, call->request, str_from(digest), call->match.route->ttl_s);
}

void executions_answer(struct call *call)
{
    struct page page CLEANUP(page_release) = {0};
    buf_init(&page.question, 4096);
    buf_init(&page.after, CURSOR_POSITION_MAX);
    const char *load = params_text(&call->params, "load");
    if (!check_load(call, load) || !read_page(call, &page)) {
        return;
    }
    char limit[24];
    (void)snprintf(limit, sizeof(limit), "%lld", (long long)page.limit + 1);
    struct db_result *rows CLEANUP(db_result_freep) = call_query(
        call, "api_executions.sql",
        DB_PARAMS(NULL, load, params_text(&call->params, "status"),
                  params_text(&call->params, "source"), params_text(&call->params, "since"),
                  page.after.len > 0 ? page.after.ptr : NULL, limit));
    struct buf as_of CLEANUP(buf_release) = {0};
    buf_init(&as_of, 64);
    struct meta meta = {.is_fresh = true};
    if (rows == NULL || !read_version(call, &as_of, &meta.version)) {
        return;
    }
    meta.as_of = as_of.ptr;
    write_page(call, &page, rows, &meta);
}
