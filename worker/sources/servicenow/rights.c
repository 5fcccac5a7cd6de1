#include "worker/sources/servicenow/rights.h"

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/io/json.h"
#include "worker/sources/servicenow/query.h"
#include "worker/sources/servicenow/walk.h"

#define RECENT_US (60 * US_PER_MIN)

/* One query like those of a walk. */
struct asking {
    const struct task_def *task;
    struct http_client *http;
    const char *version; /* the field of increments, NULL if the task has none */
    const char *window;  /* the field of windows, NULL if the task has none */
    const char *key;
    int64_t now_us;
};

static const char *field_of(const struct task_def *task, int column)
{
    return column >= 0 ? task->fields[task->columns[column].field].name : NULL;
}

static enum http_verdict judge_asked(void *arg, struct http_response *response, struct error *err)
{
    const struct asking *asking = arg;
    if (response->status == 200 &&
        str_starts_with_nocase(response->content_type, STR_LITERAL("application/json"))) {
        return HTTP_ACCEPT;
    }
    enum http_verdict verdict = servicenow_judge_failure(asking->task, response, err);
    return err->code == ERROR_LIMIT ? servicenow_retry_smallest(err) : verdict;
}

static void add_range(struct buf *terms, const char *field, int64_t from_us, int64_t to_us)
{
    char from[INSTANT_TEXT_MAX];
    char to[INSTANT_TEXT_MAX];
    buf_addf(terms, "%s%s>=%s^%s<=%s", terms->len > 0 ? "^" : "", field,
             instant_format_plain(from_us, from), field, instant_format_plain(to_us, to));
}

/* The last hour by the field of increments, everything by the others: cheap where that field has
 * an index, as the increments themselves need it. */
static void build_query(const struct asking *asking, struct str filter, struct buf *query)
{
    struct buf terms CLEANUP(buf_release);
    struct buf order CLEANUP(buf_release);
    buf_init(&terms, 1024);
    buf_init(&order, 512);
    if (asking->version != NULL) {
        add_range(&terms, asking->version, asking->now_us - RECENT_US, asking->now_us);
        buf_addf(&order, "ORDERBY%s", asking->version);
    }
    if (asking->window != NULL && asking->window != asking->version) {
        add_range(&terms, asking->window, 0, asking->now_us);
    }
    if (asking->key != NULL) {
        buf_addf(&terms, "%s%s>0", terms.len > 0 ? "^" : "", asking->key);
        buf_addf(&order, "%sORDERBY%s", order.len > 0 ? "^" : "", asking->key);
    }
    servicenow_query_join(query, filter, buf_str(&terms), buf_str(&order));
}

/* A record outside the range that was asked for: the platform left the range out. */
static bool holds_range(const struct asking *asking, const struct http_response *response)
{
    struct error ignored = ERROR_INIT; /* a broken answer says nothing about rights */
    struct json *root = json_parse(buf_str(response->body), &ignored);
    const struct json *record = json_at(json_find(root, "result"), 0);
    const char *text = asking->version != NULL ? json_find_string(record, asking->version) : NULL;
    int64_t us = 0;
    bool is_outside = text != NULL && instant_parse_plain(str_from(text), &us) &&
                      (us + US_PER_S <= asking->now_us - RECENT_US || us > asking->now_us);
    json_free(root);
    return !is_outside;
}

static bool ask(struct asking *asking, struct str filter, struct error *err)
{
    struct buf query CLEANUP(buf_release);
    struct buf url CLEANUP(buf_release);
    buf_init(&query, (size_t)2 * SERVICENOW_URL_MAX_BYTES);
    buf_init(&url, (size_t)4 * SERVICENOW_URL_MAX_BYTES);
    build_query(asking, filter, &query);
    servicenow_page_url(
        &url, &(struct servicenow_page_request){
                  .task = asking->task, .query = buf_str(&query), .keys_only = true, .limit = 1});
    if (query.overflow || url.overflow || url.len > SERVICENOW_URL_MAX_BYTES) {
        return error_set(err, ERROR_LIMIT,
                         "table %s: the request's URL would have more than %d bytes; shorten the "
                         "filter",
                         asking->task->table, SERVICENOW_URL_MAX_BYTES);
    }
    struct http_request request = {
        .method = "GET", .url = buf_str(&url), .judge = judge_asked, .judge_arg = asking};
    struct http_response response;
    if (!http_send(asking->http, &request, &response, err)) {
        return false;
    }
    return holds_range(asking, &response) ||
           error_set(err, ERROR_DENIED,
                     "table %s: a query by %s is answered with records outside of it, so every "
                     "increment would fail; grant the account query_range on %s",
                     asking->task->table, asking->version, asking->version);
}

/* The answer to a query by several fields names none: each is asked for alone. */
static void
add_if_denied(struct asking asking, struct str filter, const char *name, struct buf *names)
{
    struct error err = ERROR_INIT; /* whatever else goes wrong has no bearing on rights */
    if (!ask(&asking, filter, &err) && err.http_status == 403) {
        buf_addf(names, "%s%s", names->len > 0 ? ", " : "", name);
    }
}

static void explain_denial(const struct asking *asking, struct error *err)
{
    struct buf names CLEANUP(buf_release);
    buf_init(&names, 512);
    struct asking one = {.task = asking->task, .http = asking->http, .now_us = asking->now_us};
    if (asking->version != NULL) {
        one.version = asking->version;
        add_if_denied(one, STR_NONE, one.version, &names);
        one.version = NULL;
    }
    if (asking->window != NULL && asking->window != asking->version) {
        one.window = asking->window;
        add_if_denied(one, STR_NONE, one.window, &names);
        one.window = NULL;
    }
    one.key = asking->key;
    add_if_denied(one, STR_NONE, one.key, &names);
    one.key = NULL;
    if (asking->task->filter != NULL) {
        add_if_denied(one, str_from(asking->task->filter), "the filter's fields", &names);
    }
    if (names.len > 0) {
        error_clear(err);
        (void)error_set(err, ERROR_DENIED,
                        "table %s: the account may not query by %s (403), so loads would fail; "
                        "grant it read access and, where query access rules exist, query_range on "
                        "that",
                        asking->task->table, names.ptr);
        err->http_status = 403;
    }
}

bool servicenow_rights_ask(const struct task_def *task,
                           struct http_client *http,
                           int64_t now_us,
                           struct error *err)
{
    struct asking asking = {.task = task,
                            .http = http,
                            .version = field_of(task, task->version_column),
                            .window = field_of(task, task->window_column),
                            .key = field_of(task, (int)task->key_columns[0]),
                            .now_us = now_us};
    if (ask(&asking, str_from(task->filter), err)) {
        return true;
    }
    if (err->http_status == 403) {
        explain_denial(&asking, err);
    }
    return false;
}
