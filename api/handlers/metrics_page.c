#include "api/handlers/metrics_page.h"

#include <string.h>

#include "api/handlers/call.h"
#include "api/handlers/freshness.h"

/* Columns of api_metrics.sql. */
enum { COLUMN_METRIC, COLUMN_FIRST_LABEL, COLUMN_VALUE = 6 };

static const char *const label_names[] = {"load", "source", "task", "status", "kind"};

/* Every metric of api_metrics.sql. */
static const struct {
    const char *name;
    const char *help;
} run_metrics[] = {
    {"foz_schema_version", "Version of the database schema."},
    {"foz_executions", "Executions in the run log."},
    {"foz_executions_running", "Executions that run now."},
    {"foz_queue_length", "Executions that wait for a worker."},
    {"foz_queue_oldest_seconds", "Age of the longest waiting execution, 0 if none waits."},
    {"foz_execution_last_finished_timestamp_seconds", "End of the load's last execution."},
    {"foz_execution_last_success_timestamp_seconds",
     "End of the load's last successful execution."},
    {"foz_execution_last_duration_seconds", "Duration of the load's last execution."},
    {"foz_execution_last_status", "1 for the status of the load's last finished execution."},
    {"foz_execution_last_records", "Records of the load's last finished execution."},
    {"foz_task_last_success_timestamp_seconds", "Last publish of the task that succeeded."},
    {"foz_task_last_change_timestamp_seconds", "Last publish of the task that changed a row."},
    {"foz_task_lag_seconds", "Time since the last publish of the task that succeeded."},
    {"foz_task_fresh", "1 if the task's lag is at most " FRESH_SECONDS_TEXT " seconds."},
    {"foz_task_version", "Projection version of the task."},
    {"foz_task_last_status", "1 for the status of the task's last run."},
    {"foz_task_last_records", "Records of the task's last run."},
    {"foz_task_last_requests", "Requests to the source in the task's last run."},
    {"foz_task_last_retries", "Repeated requests in the task's last run."},
    {"foz_task_last_throttled_seconds", "Time the source made the task's last run wait."},
    {"foz_dead_letters", "Rejected records that wait for a cure."},
};

static const char *help_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(run_metrics); i++) {
        if (strcmp(run_metrics[i].name, name) == 0) {
            return run_metrics[i].help;
        }
    }
    return "Computed from the run log.";
}

static void write_sample(struct buf *out, const struct db_result *rows, size_t row)
{
    buf_add_c(out, db_text(rows, row, COLUMN_METRIC));
    const char *separator = "{";
    for (size_t i = 0; i < ARRAY_SIZE(label_names); i++) {
        if (db_is_null(rows, row, COLUMN_FIRST_LABEL + i)) {
            continue;
        }
        buf_addf(out, "%s%s=\"", separator, label_names[i]);
        metrics_label(out, db_str(rows, row, COLUMN_FIRST_LABEL + i));
        buf_add_char(out, '"');
        separator = ",";
    }
    buf_addf(out, "%s %s\n", strcmp(separator, ",") == 0 ? "}" : "",
             db_text(rows, row, COLUMN_VALUE));
}

/* Rows come sorted by metric. */
static void write_run_metrics(struct buf *out, const struct db_result *rows)
{
    const char *last = "";
    for (size_t row = 0; row < db_rows(rows); row++) {
        const char *name = db_text(rows, row, COLUMN_METRIC);
        if (strcmp(name, last) != 0) {
            metrics_head(out, name, "gauge", help_of(name));
            last = name;
        }
        write_sample(out, rows, row);
    }
}

static void write_service_metrics(struct buf *out, const struct service *service)
{
    struct server_counters counters = server_counters(service->server);
    metrics_head(out, "foz_http_connections", "gauge", "Open connections.");
    buf_addf(out, "foz_http_connections %lld\n", (long long)counters.connections);
    metrics_head(out, "foz_http_connections_total", "counter", "Connections accepted.");
    buf_addf(out, "foz_http_connections_total %lld\n", (long long)counters.connections_total);
    metrics_head(out, "foz_http_slow_connections_closed_total", "counter",
                 "Connections cut because the client took too long.");
    buf_addf(out, "foz_http_slow_connections_closed_total %lld\n",
             (long long)counters.slow_closed_total);
    metrics_head(out, "foz_http_database_queue_length", "gauge",
                 "Requests that wait for a database connection or for an execution.");
    buf_addf(out, "foz_http_database_queue_length %zu\n", pool_waiting(service->pool));
    http_metrics_write(service->metrics, out);
}

void metrics_answer(struct call *call)
{
    struct buf *out = &call->response->body;
    metrics_head(out, "foz_build_info", "gauge", "Version of this program.");
    buf_addf(out, "foz_build_info{version=\"%s\"} 1\n", FOZ_VERSION);
    process_metrics_write(out);
    write_service_metrics(out, call->service->observed);
    struct buf loads CLEANUP(buf_release) = {0};
    struct buf tasks CLEANUP(buf_release) = {0};
    freshness_describe(call->service->config, &loads, &tasks);
    struct db_result *rows CLEANUP(db_result_freep) =
        call_query(call, "api_metrics.sql", DB_PARAMS(tasks.ptr));
    metrics_head(out, "foz_database_up", "gauge",
                 "1 if the database answers with a schema of ours.");
    buf_addf(out, "foz_database_up %d\n", rows != NULL ? 1 : 0);
    if (rows != NULL) {
        write_run_metrics(out, rows);
    }
    /* A scrape without the database still tells something: it is not a failed scrape. */
    call->problem = (struct problem){0};
    call->response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    response_header(call->response, call->request, "Cache-Control", "no-store");
}
