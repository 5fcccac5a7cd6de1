#include "common/ops/execution.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"
#include "common/base/str.h"

#define MAX_NAMES 256

static const char *const mode_names[] = {
    [MODE_INCREMENTAL] = "incremental", [MODE_WINDOW] = "window", [MODE_FULL] = "full",
    [MODE_RECONCILE] = "reconcile",     [MODE_RETRY] = "retry",
};

/* Those a request may name; `retry` is queued by the program itself. */
#define N_PUBLIC_MODES 4

/* Valid names of something, for "did you mean". */
struct names {
    const char *items[MAX_NAMES];
    size_t n;
};

const char *load_mode_name(enum load_mode mode)
{
    return mode_names[mode];
}

bool load_mode_parse(const char *text, enum load_mode *ret_mode)
{
    for (size_t i = 0; i < N_PUBLIC_MODES; i++) {
        if (strcmp(mode_names[i], text) == 0) {
            *ret_mode = (enum load_mode)i;
            return true;
        }
    }
    return false;
}

static void names_add(struct names *names, const char *name)
{
    if (names->n < MAX_NAMES) {
        names->items[names->n++] = name;
    }
}

/* "load \"incidnts\" is unknown; did you mean "incidents"? Valid: configurations, incidents". The
 * word comes from outside: it is cut. */
static bool
fail_unknown(const char *what, const char *word, const struct names *names, struct error *err)
{
    const char *nearest = str_nearest(word, names->items, names->n);
    CLEANUP(buf_release) struct buf valid;
    buf_init(&valid, 300);
    if (nearest != NULL) {
        buf_addf(&valid, "%s", nearest);
    }
    for (size_t i = 0; i < names->n; i++) {
        if (names->items[i] != nearest) {
            buf_addf(&valid, "%s%s", valid.len > 0 ? ", " : "", names->items[i]);
        }
    }
    return error_set(err, ERROR_CONFIG, "unknown %s \"%.60s\"%s%s%s; valid: %s", what, word,
                     nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "\"?" : "",
                     valid.len > 0 ? valid.ptr : "none is configured");
}

static bool check_load(const struct config *config,
                       const struct load_request *request,
                       struct load_order *order,
                       struct error *err)
{
    order->load = catalog_find_load(&config->catalog, request->load);
    if (order->load != NULL) {
        return true;
    }
    struct names names = {.n = 0};
    for (size_t i = 0; i < config->catalog.n_loads; i++) {
        names_add(&names, config->catalog.loads[i]->name);
    }
    return fail_unknown("load", request->load, &names, err);
}

static bool is_of_load(const struct source_config *source, const struct load_def *load)
{
    return strcmp(source->type, load->source_type) == 0;
}

static bool check_sources(const struct config *config,
                          const struct load_request *request,
                          const struct load_def *load,
                          struct error *err)
{
    struct names names = {.n = 0};
    for (size_t i = 0; i < config->n_sources; i++) {
        if (is_of_load(&config->sources[i], load)) {
            names_add(&names, config->sources[i].name);
        }
    }
    for (size_t i = 0; i < request->n_sources; i++) {
        const struct source_config *source = config_source(config, request->sources[i]);
        if (source == NULL) {
            return fail_unknown("source", request->sources[i], &names, err);
        }
        if (!is_of_load(source, load)) {
            return error_set(err, ERROR_CONFIG,
                             "source %s is of type %s, but load %s is for %s; name a source of "
                             "that type or another load",
                             source->name, source->type, load->name, load->source_type);
        }
    }
    return true;
}

static bool
check_tasks(const struct load_request *request, const struct load_def *load, struct error *err)
{
    struct names names = {.n = 0};
    for (size_t i = 0; i < load->n_tasks; i++) {
        names_add(&names, load->tasks[i]->name);
    }
    for (size_t i = 0; i < request->n_tasks; i++) {
        bool found = false;
        for (size_t j = 0; j < load->n_tasks && !found; j++) {
            found = strcmp(load->tasks[j]->name, request->tasks[i]) == 0;
        }
        if (!found) {
            CLEANUP(xfreep) char *what = xasprintf("task of load %s", load->name);
            return fail_unknown(what, request->tasks[i], &names, err);
        }
    }
    return true;
}

static bool
check_date(const char *name, const char *text, bool *ret_has, int64_t *ret_us, struct error *err)
{
    if (text == NULL) {
        return true;
    }
    if (!instant_parse_rfc3339(str_from(text), ret_us)) {
        return error_set(err, ERROR_CONFIG,
                         "%s is \"%.40s\", which is no date; write 2026-01-31 (midnight UTC) or "
                         "2026-01-31T08:00:00Z",
                         name, text);
    }
    *ret_has = true;
    return true;
}

static bool
check_dates(const struct load_request *request, struct load_order *order, struct error *err)
{
    if (!check_date("from", request->from, &order->has_from, &order->from_us, err) ||
        !check_date("to", request->to, &order->has_to, &order->to_us, err)) {
        return false;
    }
    if (order->has_from && order->has_to && order->from_us >= order->to_us) {
        return error_set(err, ERROR_CONFIG,
                         "from (%.40s) must be before to (%.40s): the window includes from and "
                         "ends before to",
                         request->from, request->to);
    }
    return true;
}

static bool
check_mode(const struct load_request *request, struct load_order *order, struct error *err)
{
    bool has_dates = order->has_from || order->has_to;
    order->mode = has_dates ? MODE_WINDOW : MODE_INCREMENTAL;
    if (request->mode == NULL) {
        return true;
    }
    if (!load_mode_parse(request->mode, &order->mode)) {
        struct names names = {.n = 0};
        for (size_t i = 0; i < N_PUBLIC_MODES; i++) {
            names_add(&names, mode_names[i]);
        }
        return fail_unknown("mode", request->mode, &names, err);
    }
    if (has_dates && order->mode != MODE_WINDOW) {
        return error_set(err, ERROR_CONFIG,
                         "from and to go with mode window, not with %s; leave out the dates or "
                         "the mode",
                         request->mode);
    }
    if (!has_dates && order->mode == MODE_WINDOW) {
        return error_set(err, ERROR_CONFIG,
                         "mode window needs from, to or both; add a date or leave out mode");
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "name":["a","b"], sorted and without repetitions, so that equal requests are equal texts. */
static void add_names(struct buf *out, const char *name, const char *const *names, size_t n)
{
    if (n == 0) {
        return;
    }
    CLEANUP(xfreep) const char **sorted = xcalloc(n, sizeof(*sorted));
    memcpy(sorted, names, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_names);
    buf_addf(out, "%s\"%s\":[", out->len > 1 ? "," : "", name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(sorted[i - 1], sorted[i]) == 0) {
            continue;
        }
        buf_add_c(out, i > 0 ? "," : "");
        buf_add_json_string(out, str_from(sorted[i]));
    }
    buf_add_char(out, ']');
}

static bool
write_params(const struct load_request *request, struct load_order *order, struct error *err)
{
    CLEANUP(buf_release) struct buf params;
    buf_init(&params, sizeof(order->params) - 1);
    buf_add_char(&params, '{');
    add_names(&params, "source", request->sources, request->n_sources);
    add_names(&params, "task", request->tasks, request->n_tasks);
    if (request->allow_mass_delete) {
        buf_addf(&params, "%s\"allow_mass_delete\":true", params.len > 1 ? "," : "");
    }
    buf_add_char(&params, '}');
    if (params.overflow) {
        return error_set(err, ERROR_CONFIG,
                         "too many sources and tasks in one request; leave some out");
    }
    memcpy(order->params, params.ptr, params.len + 1);
    return true;
}

bool load_request_check(const struct config *config,
                        const struct load_request *request,
                        struct load_order *ret_order,
                        struct error *err)
{
    struct load_order order = {.mode = MODE_INCREMENTAL};
    if (!check_load(config, request, &order, err) ||
        !check_sources(config, request, order.load, err) ||
        !check_tasks(request, order.load, err) || !check_dates(request, &order, err) ||
        !check_mode(request, &order, err) || !write_params(request, &order, err)) {
        return false;
    }
    *ret_order = order;
    return true;
}

bool execution_enqueue(struct db *db,
                       const struct load_request *request,
                       const struct load_order *order,
                       int64_t *ret_execution_id,
                       bool *ret_joined,
                       struct error *err)
{
    char from[INSTANT_TEXT_MAX];
    char to[INSTANT_TEXT_MAX];
    const char *const params[] = {
        order->load->name,
        load_mode_name(order->mode),
        order->has_from ? instant_format_rfc3339(order->from_us, from) : NULL,
        order->has_to ? instant_format_rfc3339(order->to_us, to) : NULL,
        order->params,
        request->trigger,
        request->requested_by != NULL ? request->requested_by : "",
        request->trace_id,
        request->idempotency_key,
    };
    /* One statement is its own transaction: with the answer it is committed. */
    CLEANUP(db_result_freep)
    struct db_result *result =
        db_query(db,
                 "SELECT execution_id, joined FROM ops.enqueue($1, $2, $3::timestamptz, "
                 "$4::timestamptz, $5::jsonb, $6, $7, $8, $9)",
                 params, ARRAY_SIZE(params), err);
    if (result == NULL) {
        return error_wrap(err, "queue load %s", order->load->name);
    }
    *ret_execution_id = db_int64(result, 0, 0);
    *ret_joined = db_bool(result, 0, 1);
    return true;
}

/* One statement sees one state: the row is locked first, then changed by what it was. */
static const char cancel_sql[] =
    "WITH target AS MATERIALIZED ("
    "  SELECT id, status FROM ops.execution_log WHERE id = $1 FOR UPDATE"
    "), changed AS ("
    "  UPDATE ops.execution_log AS log SET"
    "    cancel_requested_at = coalesce(log.cancel_requested_at, clock_timestamp()),"
    "    cancel_requested_by = coalesce(log.cancel_requested_by, $2),"
    "    status = CASE WHEN target.status = 'queued' THEN 'cancelled' ELSE log.status END,"
    "    finished_at = CASE WHEN target.status = 'queued' THEN clock_timestamp() ELSE "
    "log.finished_at END,"
    "    duration_ms = CASE WHEN target.status = 'queued' THEN 0 ELSE log.duration_ms END,"
    "    error_message = CASE WHEN target.status = 'queued' THEN 'cancelled before it began'"
    "      ELSE log.error_message END"
    "   FROM target WHERE log.id = target.id AND target.status IN ('queued', 'running')"
    "   RETURNING log.id"
    ") SELECT target.status,"
    "    CASE WHEN target.status = 'running' THEN pg_notify('" EXECUTION_CANCEL_CHANNEL
    "', target.id::text) END"
    "    FROM target LEFT JOIN changed ON true";

enum cancel_result
execution_cancel(struct db *db, int64_t execution_id, const char *requested_by, struct error *err)
{
    CLEANUP(xfreep) char *id = xasprintf("%lld", (long long)execution_id);
    const char *const params[] = {id, requested_by != NULL ? requested_by : ""};
    CLEANUP(db_result_freep)
    struct db_result *result = db_query(db, cancel_sql, params, ARRAY_SIZE(params), err);
    if (result == NULL) {
        (void)error_wrap(err, "cancel execution %s", id);
        return CANCEL_ERROR;
    }
    if (db_rows(result) == 0) {
        return CANCEL_UNKNOWN;
    }
    const char *status = db_text(result, 0, 0);
    if (strcmp(status, "queued") == 0) {
        return CANCEL_DONE;
    }
    return strcmp(status, "running") == 0 ? CANCEL_REQUESTED : CANCEL_FINISHED;
}
