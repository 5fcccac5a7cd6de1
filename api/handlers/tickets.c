#include "api/handlers/tickets.h"

#include "api/handlers/call.h"
#include "api/handlers/filters.h"
#include "api/handlers/page.h"

/* In the order of api_tickets.sql and api_ticket.sql. */
static const struct list_column columns[] = {
    {"ticket_id", CELL_TEXT},
    {"source", CELL_TEXT},
    {"source_type", CELL_TEXT},
    {"external_id", CELL_TEXT},
    {"number", CELL_TEXT},
    {"kind", CELL_TEXT},
    {"title", CELL_TEXT},
    {"status", CELL_TEXT},
    {"status_raw", CELL_TEXT},
    {"priority", CELL_NUMBER},
    {"queue", CELL_TEXT},
    {"category", CELL_TEXT},
    {"requester", CELL_TEXT},
    {"assignee_id", CELL_TEXT},
    {"assignee", CELL_TEXT},
    {"team", CELL_TEXT},
    {"opened_at", CELL_INSTANT},
    {"updated_at", CELL_INSTANT},
    {"resolved_at", CELL_INSTANT},
    {"closed_at", CELL_INSTANT},
    {"resolved_by_id", CELL_TEXT},
    {"sla_due_at", CELL_INSTANT},
    {"sla_breached", CELL_BOOL},
    {"reopen_count", CELL_NUMBER},
    {"url", CELL_TEXT},
    {"deleted_at", CELL_INSTANT},
};

#define COLUMN_UPDATED_AT 17
#define COLUMN_TICKET_ID  0

static const struct page_key order[] = {
    {COLUMN_UPDATED_AT, CELL_INSTANT},
    {COLUMN_TICKET_ID, CELL_TEXT},
};

const struct param_spec tickets_params[N_TICKETS_PARAMS] = {
    FILTER_SOURCE,
    FILTER_KIND,
    FILTER_STATUS,
    FILTER_PRIORITY,
    FILTER_QUEUE,
    FILTER_CATEGORY,
    FILTER_ASSIGNEE,
    FILTER_TEAM,
    {.name = "opened_from", .type = PARAM_INSTANT, .help = "Opened at or after this time."},
    {.name = "opened_to", .type = PARAM_INSTANT, .help = "Opened before this time."},
    {.name = "updated_since", .type = PARAM_INSTANT, .help = "Changed at or after this time."},
    {.name = "q",
     .type = PARAM_TEXT,
     .help = "Words of number and title; \"a phrase\", or, -without."},
    {.name = "include_deleted",
     .type = PARAM_BOOL,
     .fallback = "false",
     .help = "Also tickets that are in their source's trash or gone."},
    PAGE_PARAMS,
};

/* Are there few of what is asked, and an index that knows where? */
static bool is_selective(const struct params *params)
{
    return params_text(params, "assignee") != NULL || params_text(params, "opened_from") != NULL ||
           params_text(params, "opened_to") != NULL || params_text(params, "q") != NULL;
}

void tickets_answer(struct call *call)
{
    const struct params *params = &call->params;
    struct page page CLEANUP(page_release) = {0};
    if (!filter_order(call, "opened_from", "opened_to") ||
        !page_init(&page, call, order, ARRAY_SIZE(order))) {
        return;
    }
    const char *updated_at = page.after[0];
    const char *ticket_id = page.after[1];
    struct db_result *rows CLEANUP(db_result_freep) = call_query_page(
        call, &page, "api_tickets.sql", !is_selective(params),
        DB_PARAMS(filter_array(call, "source"), filter_array(call, "kind"),
                  filter_array(call, "status"), filter_array(call, "priority"),
                  filter_array(call, "queue"), filter_array(call, "category"),
                  filter_array_lower(call, "assignee"), filter_array(call, "team"),
                  params_text(params, "opened_from"), params_text(params, "opened_to"),
                  params_text(params, "updated_since"), params_text(params, "q"),
                  params_bool(params, "include_deleted") ? NULL : "true", updated_at,
                  updated_at != NULL ? ticket_id : NULL, updated_at == NULL ? ticket_id : NULL,
                  page.rows));
    if (rows == NULL) {
        return;
    }
    reading_note(call, rows);
    page_write(&page, call, columns, ARRAY_SIZE(columns), rows);
}

static void set_unknown(struct call *call)
{
    (void)problem_set(&call->problem, 404, "unknown_ticket",
                      "there is no ticket \"%.200s\": GET /v1/tickets lists them",
                      call->match.values[0].ptr);
}

void ticket_answer(struct call *call)
{
    struct db_result *rows CLEANUP(db_result_freep) =
        call_query(call, "api_ticket.sql", DB_PARAMS(call->match.values[0].ptr));
    if (rows == NULL) {
        return;
    }
    if (db_rows(rows) == 0) {
        set_unknown(call);
        return;
    }
    reading_note(call, rows);
    buf_add_c(&call->response->body, "{\"data\":");
    list_write_object(&call->response->body, columns, ARRAY_SIZE(columns), rows, 0);
    reading_end(call);
}

void ticket_timeline_answer(struct call *call)
{
    struct db_result *rows CLEANUP(db_result_freep) =
        call_query(call, "api_timeline.sql", DB_PARAMS(call->match.values[0].ptr));
    if (rows == NULL) {
        return;
    }
    if (db_rows(rows) == 0) {
        set_unknown(call);
        return;
    }
    reading_document(call, rows);
}
