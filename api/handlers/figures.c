#include "api/handlers/figures.h"

#include <string.h>

#include "api/handlers/call.h"
#include "api/handlers/filters.h"
#include "api/handlers/page.h"

const struct param_spec overview_params[N_OVERVIEW_PARAMS] = {
    FILTER_SOURCE,
    FILTER_QUEUE,
    FILTER_PRIORITY,
    FILTER_CATEGORY,
};

static const char *const groupings[] = {"priority", "queue",    "category", "source",
                                        "month",    "assignee", NULL};

const struct param_spec ticket_metrics_params[N_TICKET_METRICS_PARAMS] = {
    {.name = "group_by",
     .type = PARAM_CHOICE,
     .choices = groupings,
     .fallback = "priority",
     .help = "One row for each value of this; month is that of opened_at, in UTC."},
    {.name = "from", .type = PARAM_INSTANT, .help = "Opened at or after this time."},
    {.name = "to", .type = PARAM_INSTANT, .help = "Opened before this time."},
    FILTER_SOURCE,
    FILTER_KIND,
    FILTER_STATUS,
    FILTER_PRIORITY,
    FILTER_QUEUE,
    FILTER_CATEGORY,
    FILTER_ASSIGNEE,
    FILTER_TEAM,
    {.name = "format",
     .type = PARAM_CHOICE,
     .choices = page_formats,
     .help = "Wins over the Accept header."},
};

/* In the order of api_ticket_metrics.sql. */
static const struct list_column columns[] = {
    {"key", CELL_TEXT},
    {"name", CELL_TEXT},
    {"tickets", CELL_NUMBER},
    {"resolved", CELL_NUMBER},
    {"mean_resolution_hours", CELL_NUMBER},
    {"median_resolution_hours", CELL_NUMBER},
    {"sla_met", CELL_NUMBER},
    {"sla_total", CELL_NUMBER},
};

#define COLUMN_IS_GROUP ARRAY_SIZE(columns)

void overview_answer(struct call *call)
{
    struct db_result *rows CLEANUP(db_result_freep) = call_query_prepared(
        call, "api_overview.sql",
        DB_PARAMS(filter_array(call, "source"), filter_array(call, "queue"),
                  filter_array(call, "priority"), filter_array(call, "category")));
    if (rows != NULL) {
        reading_document(call, rows);
    }
}

static void write_groups(struct call *call, const struct db_result *rows)
{
    struct buf *body = &call->response->body;
    enum list_format format = call->reading.format;
    /* The one row of `meta` alone, where there is no group. */
    size_t n_rows = db_bool(rows, 0, COLUMN_IS_GROUP) ? db_rows(rows) : 0;
    buf_add_c(body, format == LIST_JSON ? "{\"data\":" : "");
    list_write(body, format, columns, ARRAY_SIZE(columns), rows, n_rows);
    if (format == LIST_JSON) {
        reading_end(call);
    } else {
        call->response->content_type = list_content_type(format);
    }
}

void ticket_metrics_answer(struct call *call)
{
    const struct params *params = &call->params;
    const char *group_by = params_text(params, "group_by");
    if (!filter_order(call, "from", "to")) {
        return;
    }
    struct db_result *rows CLEANUP(db_result_freep) =
        call_query(call, "api_ticket_metrics.sql",
                   DB_PARAMS(filter_array(call, "source"), filter_array(call, "kind"),
                             filter_array(call, "status"), filter_array(call, "priority"),
                             filter_array(call, "queue"), filter_array(call, "category"),
                             filter_array_lower(call, "assignee"), filter_array(call, "team"),
                             params_text(params, "from"), params_text(params, "to"),
                             group_by != NULL ? group_by : "priority"));
    if (rows == NULL) {
        return;
    }
    reading_note(call, rows);
    write_groups(call, rows);
}
