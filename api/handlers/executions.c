#include "api/handlers/executions.h"

#include <stdio.h>
#include <string.h>

#include "api/handlers/call.h"
#include "api/handlers/filters.h"
#include "api/handlers/page.h"
#include "api/http/list.h"
#include "common/base/log.h"
#include "common/ops/execution.h"

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

const struct param_spec executions_params[] = {
    {.name = "load", .type = PARAM_LIST, .help = "Only executions of these loads."},
    {.name = "status",
     .type = PARAM_LIST,
     .choices = statuses,
     .help = "Only these states. Repeat it, or separate by commas."},
    {.name = "source",
     .type = PARAM_LIST,
     .help = "Only executions that ran a task of these sources, or were to."},
    {.name = "since", .type = PARAM_INSTANT, .help = "Queued at or after this time."},
    PAGE_PARAMS,
};

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
    call->asks_writer = true; /* whoever was just given the id asks at once */
    /* The execution before its tasks: a finished one is never shown with a task still running. */
    struct db_result *execution CLEANUP(db_result_freep) = call_query(
        call, "api_executions.sql", DB_PARAMS(id_text, NULL, NULL, NULL, NULL, NULL, "1", NULL));
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

static bool check_loads(struct call *call)
{
    size_t n_loads = 0;
    const char *const *loads = params_list(&call->params, "load", &n_loads);
    for (size_t i = 0; i < n_loads; i++) {
        if (catalog_find_load(&call->service->config->catalog, loads[i]) == NULL) {
            return problem_set_parameter(&call->problem, STR_LITERAL("load"), "invalid_parameter",
                                         "there is no load \"%.64s\": GET /v1/loads lists them",
                                         loads[i]);
        }
    }
    return true;
}

static bool is_of_source(const struct call *call, const struct load_def *load)
{
    size_t n_sources = 0;
    const char *const *sources = params_list(&call->params, "source", &n_sources);
    for (size_t i = 0; i < n_sources; i++) {
        const struct source_config *source = config_source(call->service->config, sources[i]);
        if (source != NULL && strcmp(source->type, load->source_type) == 0) {
            return true;
        }
    }
    return false;
}

/* The loads that read the sources asked for, as an array literal in the call's arena. */
static const char *loads_of_sources(struct call *call)
{
    const struct catalog *catalog = &call->service->config->catalog;
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 64UL * 1024);
    buf_add_char(&text, '{');
    for (size_t i = 0; i < catalog->n_loads; i++) {
        if (is_of_source(call, catalog->loads[i])) {
            buf_addf(&text, "%s\"%s\"", text.len > 1 ? "," : "", catalog->loads[i]->name);
        }
    }
    buf_add_char(&text, '}');
    const char *copy = arena_strndup(call->arena, text.ptr, text.len);
    /* A few names; the arena is far larger. */
    return copy != NULL ? copy : "{}";
}

void executions_answer(struct call *call)
{
    static const struct page_key order[] = {{0, CELL_NUMBER}};
    struct page page CLEANUP(page_release) = {0};
    if (!check_loads(call) || !page_init(&page, call, order, ARRAY_SIZE(order))) {
        return;
    }
    struct db_result *rows CLEANUP(db_result_freep) =
        call_query(call, "api_executions.sql",
                   DB_PARAMS(NULL, filter_array(call, "load"), filter_array(call, "status"),
                             filter_array(call, "source"), params_text(&call->params, "since"),
                             page.after[0], page.rows, loads_of_sources(call)));
    struct buf as_of CLEANUP(buf_release) = {0};
    buf_init(&as_of, CACHE_INSTANT_MAX - 1);
    struct reading *reading = &call->reading;
    if (rows == NULL || !read_version(call, &as_of, &reading->version)) {
        return;
    }
    memcpy(reading->as_of, as_of.ptr, as_of.len + 1);
    reading->is_noted = true;
    page_write(&page, call, execution_columns, ARRAY_SIZE(execution_columns), rows);
}
