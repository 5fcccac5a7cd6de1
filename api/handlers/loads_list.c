/* GET /v1/loads: the catalog as configured, joined with what the run log says of it. */

#include <string.h>

#include "api/handlers/call.h"
#include "api/handlers/freshness.h"
#include "api/handlers/loads.h"
#include "api/http/list.h"

/* In the order of api_loads.sql, behind the load's name. */
static const struct list_column load_columns[] = {
    {"queued", CELL_NUMBER},
    {"running_execution_id", CELL_NUMBER},
    {"last_execution_id", CELL_NUMBER},
    {"last_status", CELL_TEXT},
    {"last_finished_at", CELL_INSTANT},
};

/* The last column of api_loads.sql, the same in every row. */
#define STATES_VERSION (1 + ARRAY_SIZE(load_columns))

struct writer {
    struct buf *out;
    struct meta meta;
    struct buf oldest;  /* text of the oldest as_of */
    bool is_incomplete; /* some enabled task never succeeded */
};

static void write_cells(struct buf *out,
                        const struct list_column *columns,
                        size_t n_columns,
                        const struct db_result *rows,
                        size_t row,
                        size_t first_column)
{
    for (size_t i = 0; i < n_columns; i++) {
        buf_add_char(out, ',');
        list_write_member(out, &columns[i], rows, row, first_column + i);
    }
}

static void note_age(struct writer *writer, const struct db_result *rows, size_t row)
{
    if (db_is_null(rows, row, FRESHNESS_AS_OF)) {
        writer->is_incomplete = true;
        return;
    }
    int64_t lag_seconds = db_int64(rows, row, FRESHNESS_LAG_SECONDS);
    if (lag_seconds > writer->meta.lag_seconds) {
        writer->meta.lag_seconds = lag_seconds;
        buf_reset(&writer->oldest);
        list_write_instant(&writer->oldest, db_str(rows, row, FRESHNESS_AS_OF));
    }
}

static void
write_task(struct writer *writer, const struct db_result *rows, size_t row, bool is_first)
{
    struct buf *out = writer->out;
    buf_addf(out, "%s{\"source\":", is_first ? "" : ",");
    buf_add_json_string(out, db_str(rows, row, FRESHNESS_SOURCE));
    buf_add_c(out, ",\"task\":");
    buf_add_json_string(out, db_str(rows, row, FRESHNESS_TASK));
    write_cells(out, freshness_columns, freshness_columns_count, rows, row, FRESHNESS_VERSION);
    buf_addf(out, ",\"fresh\":%s}", freshness_is_fresh(rows, row) ? "true" : "false");
    note_age(writer, rows, row);
}

/* The row of api_loads.sql for this load, SIZE_MAX if none. */
static size_t find_row(const struct db_result *rows, const char *load)
{
    for (size_t row = 0; row < db_rows(rows); row++) {
        if (strcmp(db_text(rows, row, 0), load) == 0) {
            return row;
        }
    }
    return SIZE_MAX;
}

static bool belongs_to(const struct db_result *tasks, size_t row, const struct load_def *load)
{
    return strcmp(db_text(tasks, row, FRESHNESS_LOAD), load->name) == 0;
}

static void write_load(struct writer *writer,
                       const struct config *config,
                       const struct load_def *load,
                       const struct db_result *states,
                       const struct db_result *tasks)
{
    struct buf *out = writer->out;
    buf_add_c(out, "{\"load\":");
    buf_add_json_string(out, str_from(load->name));
    buf_add_c(out, ",\"source_type\":");
    buf_add_json_string(out, str_from(load->source_type));
    buf_addf(out, ",\"path\":\"/load-%s/\",\"parallel\":%lld,\"sources\":[", load->name,
             (long long)config_load_parallel(config, load));
    bool is_first = true;
    for (size_t i = 0; i < config->n_sources; i++) {
        if (strcmp(config->sources[i].type, load->source_type) == 0) {
            buf_add_c(out, is_first ? "" : ",");
            buf_add_json_string(out, str_from(config->sources[i].name));
            is_first = false;
        }
    }
    buf_add_c(out, "]");
    size_t row = find_row(states, load->name);
    if (row != SIZE_MAX) {
        write_cells(out, load_columns, ARRAY_SIZE(load_columns), states, row, 1);
    }
    buf_add_c(out, ",\"tasks\":[");
    is_first = true;
    for (size_t i = 0; i < db_rows(tasks); i++) {
        if (belongs_to(tasks, i, load)) {
            write_task(writer, tasks, i, is_first);
            is_first = false;
        }
    }
    buf_add_c(out, "]}");
}

/* The answer without what only the clock moves. */
static void digest_rows(const struct db_result *states,
                        const struct db_result *tasks,
                        char out[RESPONSE_ETAG_MAX])
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, RESPONSE_BODY_MAX);
    for (size_t row = 0; row < db_rows(states); row++) {
        write_cells(&text, load_columns, ARRAY_SIZE(load_columns), states, row, 1);
        buf_add_str(&text, db_str(states, row, STATES_VERSION));
    }
    for (size_t row = 0; row < db_rows(tasks); row++) {
        for (size_t column = 0; column < db_columns(tasks); column++) {
            if (column != FRESHNESS_LAG_SECONDS) {
                buf_add_str(&text, db_str(tasks, row, column));
                buf_add_char(&text, '\n');
            }
        }
    }
    response_digest(buf_str(&text), out);
}

void loads_answer(struct call *call)
{
    const struct config *config = call->service->config;
    struct buf loads CLEANUP(buf_release) = {0};
    struct buf pairs CLEANUP(buf_release) = {0};
    freshness_describe(config, &loads, &pairs);
    struct db_result *states CLEANUP(db_result_freep) =
        call_query(call, "api_loads.sql", DB_PARAMS(loads.ptr));
    if (states == NULL) {
        return;
    }
    struct db_result *tasks CLEANUP(db_result_freep) =
        call_query(call, "api_freshness.sql", DB_PARAMS(pairs.ptr));
    if (tasks == NULL) {
        return;
    }
    struct writer writer = {.out = &call->response->body, .meta = {.lag_seconds = -1}};
    buf_init(&writer.oldest, 64);
    buf_add_c(writer.out, "{\"data\":[");
    for (size_t i = 0; i < config->catalog.n_loads; i++) {
        buf_add_c(writer.out, i == 0 ? "" : ",");
        write_load(&writer, config, config->catalog.loads[i], states, tasks);
    }
    buf_add_c(writer.out, "],");
    writer.meta.version = db_rows(states) > 0 ? db_int64(states, 0, STATES_VERSION) : 0;
    writer.meta.as_of = writer.oldest.len > 0 ? writer.oldest.ptr : NULL;
    writer.meta.is_fresh = !writer.is_incomplete && writer.meta.lag_seconds >= 0 &&
                           writer.meta.lag_seconds <= FRESH_SECONDS;
    meta_write(writer.out, &writer.meta);
    buf_add_c(writer.out, "}\n");
    buf_release(&writer.oldest);
    call->response->content_type = "application/json";
    char digest[RESPONSE_ETAG_MAX];
    digest_rows(states, tasks, digest);
    (void)response_validate(call->response, call->request, str_from(digest),
                            call->match.route->ttl_s);
}
