#include "api/handlers/technicians.h"

#include <string.h>

#include "api/handlers/call.h"
#include "api/handlers/filters.h"
#include "api/handlers/page.h"

#define PERIOD_DAYS 30

static const char *const metrics[] = {"handled", "sla", "resolution", NULL};
static const char *const groupings[] = {"technician", "team", NULL};

#define PERIOD_PARAMS                                                                              \
    {.name = "period",                                                                             \
     .type = PARAM_TEXT,                                                                           \
     .fallback = "30d",                                                                            \
     .help = "Resolved within this time until now: 12h, 30d, 4w."},                                \
        {.name = "from", .type = PARAM_INSTANT, .help = "Resolved at or after this time."},        \
    {                                                                                              \
        .name = "to", .type = PARAM_INSTANT, .help = "Resolved before this time."                  \
    }

const struct param_spec ranking_params[N_RANKING_PARAMS] = {
    PERIOD_PARAMS,
    {.name = "metric",
     .type = PARAM_CHOICE,
     .choices = metrics,
     .fallback = "handled",
     .help = "Ranked by tickets resolved, by the share within their SLA, or by the mean time to "
             "resolution (least first)."},
    FILTER_TEAM,
    {.name = "group_by",
     .type = PARAM_CHOICE,
     .choices = groupings,
     .fallback = "technician",
     .help = "Ranks people, or their teams."},
    PAGE_PARAMS,
};

const struct param_spec productivity_params[N_PRODUCTIVITY_PARAMS] = {PERIOD_PARAMS};

/* Columns of api_ranking.sql. */
enum {
    RANK,
    TECHNICIAN_ID,
    NAME,
    EMAIL,
    TEAM,
    TECHNICIANS,
    HANDLED,
    SLA_MET,
    SLA_TOTAL,
    HOURS,
    PLACE,
};

/* CSV has no objects: the same content in plain columns. */
static const struct list_column columns[] = {
    {"rank", CELL_NUMBER},      {"technician_id", CELL_TEXT},
    {"name", CELL_TEXT},        {"email", CELL_TEXT},
    {"team", CELL_TEXT},        {"technicians", CELL_NUMBER},
    {"handled", CELL_NUMBER},   {"sla_met", CELL_NUMBER},
    {"sla_total", CELL_NUMBER}, {"mean_resolution_hours", CELL_NUMBER},
};

static const struct list_column person_columns[] = {
    {"id", CELL_TEXT}, {"name", CELL_TEXT}, {"email", CELL_TEXT}, {"team", CELL_TEXT}};

static const struct page_key order[] = {{PLACE, CELL_NUMBER}};

static void write_person_row(struct buf *out, const struct db_result *rows, size_t row)
{
    buf_addf(out, "{\"rank\":%s,\"technician\":{", db_text(rows, row, RANK));
    for (size_t i = 0; i < ARRAY_SIZE(person_columns); i++) {
        buf_add_c(out, i == 0 ? "" : ",");
        list_write_member(out, &person_columns[i], rows, row, TECHNICIAN_ID + i);
    }
    buf_add_char(out, '}');
    for (size_t i = HANDLED; i <= HOURS; i++) {
        buf_add_char(out, ',');
        list_write_member(out, &columns[i], rows, row, i);
    }
    buf_add_char(out, '}');
}

static void write_team_row(struct buf *out, const struct db_result *rows, size_t row)
{
    buf_addf(out, "{\"rank\":%s", db_text(rows, row, RANK));
    for (size_t i = TEAM; i <= HOURS; i++) {
        buf_add_char(out, ',');
        list_write_member(out, &columns[i], rows, row, i);
    }
    buf_add_char(out, '}');
}

void ranking_answer(struct call *call)
{
    const struct params *params = &call->params;
    struct page page CLEANUP(page_release) = {0};
    struct span span;
    if (!filter_span(call, "period", PERIOD_DAYS, &span) ||
        !page_init(&page, call, order, ARRAY_SIZE(order))) {
        return;
    }
    const char *metric = params_text(params, "metric");
    const char *group_by = params_text(params, "group_by");
    bool by_team = group_by != NULL && strcmp(group_by, "team") == 0;
    struct db_result *rows CLEANUP(db_result_freep) =
        call_query(call, "api_ranking.sql",
                   DB_PARAMS(span.from, span.to, metric != NULL ? metric : "handled",
                             filter_array(call, "team"), by_team ? "true" : "false",
                             page.is_first ? "0" : page.after[0], page.rows));
    if (rows == NULL) {
        return;
    }
    reading_note(call, rows);
    page_write_rows(&page, call,
                    &(struct page_rows){.columns = columns,
                                        .n_columns = ARRAY_SIZE(columns),
                                        .write_row = by_team ? write_team_row : write_person_row},
                    rows);
}

void productivity_answer(struct call *call)
{
    struct span span;
    if (!filter_span(call, "period", PERIOD_DAYS, &span)) {
        return;
    }
    struct db_result *rows CLEANUP(db_result_freep) = call_query(
        call, "api_productivity.sql", DB_PARAMS(call->match.values[0].ptr, span.from, span.to));
    if (rows == NULL) {
        return;
    }
    if (db_rows(rows) == 0) {
        (void)problem_set(&call->problem, 404, "unknown_technician",
                          "there is no technician \"%.100s\": GET /v1/technicians/ranking lists "
                          "them",
                          call->match.values[0].ptr);
        return;
    }
    reading_document(call, rows);
}
