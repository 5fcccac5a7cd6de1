#include "api/handlers/sla.h"

#include "api/handlers/call.h"
#include "api/handlers/filters.h"
#include "api/handlers/page.h"

#define WINDOW_DAYS 7

static const char *const severities[] = {"critical", "high", "medium", "low", NULL};

const struct param_spec breaches_params[N_BREACHES_PARAMS] = {
    {.name = "severity",
     .type = PARAM_LIST,
     .choices = severities,
     .help = "From the priority: 1 critical, 2 high, 3 medium, others and unknown low. Repeat it, "
             "or separate by commas."},
    {.name = "timeWindow",
     .alias = "time_window",
     .type = PARAM_TEXT,
     .fallback = "7d",
     .help = "Breached within this time until now: 12h, 7d, 4w."},
    {.name = "from", .type = PARAM_INSTANT, .help = "Breached at or after this time."},
    {.name = "to", .type = PARAM_INSTANT, .help = "Breached before this time."},
    FILTER_SOURCE,
    PAGE_PARAMS,
};

/* In the order of api_breaches.sql. */
static const struct list_column columns[] = {
    {"ticket_id", CELL_TEXT},     {"severity", CELL_TEXT},       {"breached_at", CELL_INSTANT},
    {"source", CELL_TEXT},        {"number", CELL_TEXT},         {"kind", CELL_TEXT},
    {"title", CELL_TEXT},         {"status", CELL_TEXT},         {"priority", CELL_NUMBER},
    {"queue", CELL_TEXT},         {"category", CELL_TEXT},       {"assignee_id", CELL_TEXT},
    {"assignee", CELL_TEXT},      {"team", CELL_TEXT},           {"opened_at", CELL_INSTANT},
    {"sla_due_at", CELL_INSTANT}, {"resolved_at", CELL_INSTANT}, {"closed_at", CELL_INSTANT},
    {"url", CELL_TEXT},
};

#define COLUMN_BREACHED_AT 2
#define COLUMN_TICKET_ID   0

static const struct page_key order[] = {
    {COLUMN_BREACHED_AT, CELL_INSTANT},
    {COLUMN_TICKET_ID, CELL_TEXT},
};

void breaches_answer(struct call *call)
{
    struct page page CLEANUP(page_release) = {0};
    struct span span;
    if (!filter_span(call, "timeWindow", WINDOW_DAYS, &span) ||
        !page_init(&page, call, order, ARRAY_SIZE(order))) {
        return;
    }
    struct db_result *rows CLEANUP(db_result_freep) =
        call_query_page(call, &page, "api_breaches.sql", true,
                        DB_PARAMS(filter_array(call, "source"), filter_array(call, "severity"),
                                  span.from, span.to, page.after[0], page.after[1], page.rows));
    if (rows == NULL) {
        return;
    }
    reading_note(call, rows);
    page_write(&page, call, columns, ARRAY_SIZE(columns), rows);
}
