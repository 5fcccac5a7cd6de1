#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "worker/sources/servicenow/query.h"
#include "worker/sources/servicenow/walk_state.h"

static const struct column *column_at(const struct task_def *task, int index)
{
    return &task->columns[index];
}

static const char *field_name(const struct task_def *task, int column)
{
    return task->fields[column_at(task, column)->field].name;
}

/* MySQL compares without regard to case, other databases bytewise: either is an order. */
static bool key_is_behind(struct str key, const char *other)
{
    struct str bound = str_from(other);
    return str_compare(key, bound) > 0 || str_compare_nocase(key, bound) > 0;
}

static bool fail_order(const struct walk *walk, const char *what, struct error *err)
{
    return error_set(err, ERROR_DATA,
                     "table %s: %s, so the answer is not what was asked for and nothing of it is "
                     "kept; the account may lack query_range or read access to sys_id, "
                     "sys_updated_on or a field of the filter",
                     walk->task->table, what);
}

/* Keys go into the next query as they are. */
static bool is_plain_key(struct str key)
{
    for (size_t i = 0; i < key.len; i++) {
        if ((unsigned char)key.ptr[i] < 0x20 || key.ptr[i] == '^' || key.ptr[i] == ',') {
            return false;
        }
    }
    return key.len > 0 && key.len <= SERVICENOW_KEY_MAX;
}

static bool check_range(const struct page_context *page, struct str key, struct error *err)
{
    const struct walk *walk = page->walk;
    const struct key_range *range = &walk->ranges[walk->n_ranges - 1];
    if (page->key[0] != '\0' && !key_is_behind(key, page->key)) {
        return fail_order(walk, "records do not come in the order of sys_id", err);
    }
    if (range->from[0] != '\0' && !key_is_behind(key, range->from) &&
        (range->is_behind || !str_equal_nocase(key, str_from(range->from)))) {
        return fail_order(walk, "a record lies before the range of sys_id asked for", err);
    }
    if (range->to[0] != '\0' && str_compare(key, str_from(range->to)) >= 0 &&
        str_compare_nocase(key, str_from(range->to)) >= 0) {
        return fail_order(walk, "a record lies behind the range of sys_id asked for", err);
    }
    return true;
}

static bool check_key(struct page_context *page, const struct cell *cells, struct error *err)
{
    struct walk *walk = page->walk;
    const struct cell *cell = &cells[walk->task->key_columns[0]];
    struct str key = cell->text;
    if (cell->kind != CELL_TEXT || !is_plain_key(key)) {
        return error_set(err, ERROR_DENIED,
                         "table %s: a record comes without a usable %s; grant the account read "
                         "access to that field",
                         walk->task->table,
                         field_name(walk->task, (int)walk->task->key_columns[0]));
    }
    if (walk->partition->kind == WALK_GIVEN) {
        bool asked = false;
        for (size_t i = 0; i < walk->given_chunk && !asked; i++) {
            asked = str_equal_nocase(walk->partition->keys[walk->given_done + i], key);
        }
        if (!asked) {
            return fail_order(walk, "a record was sent that was not asked for", err);
        }
    } else if (!servicenow_walk_is_by_time(walk)) {
        return check_range(page, key, err);
    }
    return true;
}

/* The instant in `column`; false with err if absent or unreadable. */
static bool cell_instant(const struct walk *walk,
                         const struct cell *cells,
                         int column,
                         int64_t *ret_us,
                         struct error *err)
{
    const struct cell *cell = &cells[column];
    if (cell->kind == CELL_ABSENT) {
        return error_set(err, ERROR_DENIED,
                         "table %s: field %s is missing from the answer; grant the account read "
                         "access to it",
                         walk->task->table, field_name(walk->task, column));
    }
    if (!instant_parse_plain(cell->text, ret_us)) {
        return fail_order(walk, "a record has no readable time in the field it was selected by",
                          err);
    }
    return true;
}

static bool check_time(struct page_context *page, const struct cell *cells, struct error *err)
{
    struct walk *walk = page->walk;
    const struct partition *partition = walk->partition;
    int64_t us = 0;
    if (!cell_instant(walk, cells, walk->task->version_column, &us, err)) {
        return false;
    }
    struct str key = cells[walk->task->key_columns[0]].text;
    bool is_repeat = walk->part == CHANGES_BEHIND && walk->has_last_time && us <= walk->last_us;
    if (us < partition->from_us || us > walk->until_us || is_repeat) {
        return fail_order(walk, "a record lies outside the window of sys_updated_on asked for",
                          err);
    }
    if (walk->part == CHANGES_DRAIN && us != walk->last_us) {
        return fail_order(walk, "a record of another second was sent", err);
    }
    if (page->has_time &&
        (us < page->time_us || (us == page->time_us && !key_is_behind(key, page->key)))) {
        return fail_order(walk, "records do not come in the order of sys_updated_on, sys_id", err);
    }
    page->time_us = us;
    page->has_time = true;
    return true;
}

static bool check_window(struct page_context *page, const struct cell *cells, struct error *err)
{
    const struct partition *partition = page->walk->partition;
    int64_t us = 0;
    if (!cell_instant(page->walk, cells, page->walk->task->window_column, &us, err)) {
        return false;
    }
    if (us < partition->from_us || us >= partition->to_us) {
        return fail_order(page->walk, "a record lies outside the window asked for", err);
    }
    return true;
}

/* "true" of "1": how a filter writes a boolean and how an answer does may differ. */
static int truth_of(struct str text)
{
    bool is_true = str_equal_c(text, "1") || str_equal_nocase(text, STR_LITERAL("true"));
    bool is_false = str_equal_c(text, "0") || str_equal_nocase(text, STR_LITERAL("false"));
    return is_true ? 1 : is_false ? 0 : -1;
}

/* Integers may come with decimals that are all zero. */
static bool whole_of(struct str text, int64_t *ret_value)
{
    struct str rest = text;
    struct str whole = str_cut(&rest, '.');
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] != '0') {
            return false;
        }
    }
    return str_to_int64(whole, INT64_MIN, INT64_MAX, ret_value);
}

static bool is_same_value(enum column_type type, struct str a, struct str b)
{
    int64_t x = 0;
    int64_t y = 0;
    if (str_equal_nocase(a, b)) {
        return true;
    }
    if (type == COLUMN_BOOLEAN) {
        return truth_of(a) >= 0 && truth_of(a) == truth_of(b);
    }
    bool is_number = type == COLUMN_INTEGER || type == COLUMN_BIGINT || type == COLUMN_NUMERIC;
    return is_number && whole_of(a, &x) && whole_of(b, &y) && x == y;
}

/* A filter on a field the account cannot read may be ignored by the platform: then every record of
 * the table is sent, and nothing tells which ones belong. Of a field of another record that the
 * account may not read nothing comes: that proves neither, so the row is counted as hidden. */
static bool check_filter(struct page_context *page, const struct cell *cells, struct error *err)
{
    const struct walk *walk = page->walk;
    const struct cell *cell = &cells[walk->task->n_columns];
    if (cell->text.len == 0 && strchr(walk->check_field, '.') != NULL) {
        page->unknown++;
        servicenow_reader_skip(walk->reader);
        return true;
    }
    if (cell->kind == CELL_ABSENT) {
        return error_set(err, ERROR_DENIED,
                         "table %s: field %s of the filter is missing from the answer, so the "
                         "filter cannot be checked; grant the account read access to it",
                         walk->task->table, walk->check_field);
    }
    return is_same_value(walk->check_type, cell->text, walk->check_value) ||
           fail_order(walk, "a record does not satisfy the filter", err);
}

static bool check_row(void *arg, const struct cell *cells, struct error *err)
{
    struct page_context *page = arg;
    struct walk *walk = page->walk;
    if (!check_key(page, cells, err)) {
        return false;
    }
    if (servicenow_walk_is_by_time(walk) && !check_time(page, cells, err)) {
        return false;
    }
    if (walk->partition->kind == WALK_WINDOW && !check_window(page, cells, err)) {
        return false;
    }
    if (walk->check_field != NULL && !check_filter(page, cells, err)) {
        return false;
    }
    struct str key = cells[walk->task->key_columns[0]].text;
    memcpy(page->key, key.ptr, key.len);
    page->key[key.len] = '\0';
    return true;
}

static void add_time_term(struct buf *terms, const char *field, const char *operator, int64_t us)
{
    char text[INSTANT_TEXT_MAX];
    buf_addf(terms, "%s%s%s%s", terms->len > 0 ? "^" : "", field, operator,
             instant_format_plain(us, text));
}

static void
add_key_term(struct buf *terms, const char *field, const char *operator, const char * key)
{
    buf_addf(terms, "%s%s%s%s", terms->len > 0 ? "^" : "", field, operator, key);
}

static void build_given(struct walk *walk)
{
    const struct partition *partition = walk->partition;
    size_t left = partition->n_keys - walk->given_done;
    size_t n = left < (size_t)walk->page_size ? left : (size_t)walk->page_size;
    n = n < 200 ? n : 200;
    buf_addf(&walk->terms, "%sIN", field_name(walk->task, (int)walk->task->key_columns[0]));
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_add_char(&walk->terms, ',');
        }
        buf_add_str(&walk->terms, partition->keys[walk->given_done + i]);
    }
    walk->given_chunk = n;
}

/* The source knows whole seconds, and what it is sent is cut to them: the first second that is not
 * before `us`. So [from, to) holds the same rows there as here. */
static int64_t ceil_to_second(int64_t us)
{
    int64_t past_us = (us % US_PER_S + US_PER_S) % US_PER_S;
    return past_us == 0 ? us : us - past_us + US_PER_S;
}

static void add_window_terms(struct walk *walk)
{
    const struct partition *partition = walk->partition;
    const char *field = field_name(walk->task, walk->task->window_column);
    if (partition->from_us != INT64_MIN) {
        add_time_term(&walk->terms, field, ">=", ceil_to_second(partition->from_us));
    }
    if (partition->to_us != INT64_MAX) {
        add_time_term(&walk->terms, field, "<", ceil_to_second(partition->to_us));
    }
}

/* The terms of the next request into walk->terms; returns the order. */
static const char *build_terms(struct walk *walk, struct buf *order)
{
    const struct task_def *task = walk->task;
    const char *key_field = field_name(task, (int)task->key_columns[0]);
    const struct partition *partition = walk->partition;
    buf_reset(&walk->terms);
    if (partition->kind == WALK_GIVEN) {
        build_given(walk);
        buf_addf(order, "ORDERBY%s", key_field);
        return order->ptr;
    }
    if (partition->kind == WALK_CHANGES) {
        const char *time_field = field_name(task, task->version_column);
        if (walk->part == CHANGES_DRAIN) {
            add_time_term(&walk->terms, time_field, "=", walk->last_us);
            add_key_term(&walk->terms, key_field, ">", walk->last_key);
            buf_addf(order, "ORDERBY%s", key_field);
        } else {
            add_time_term(&walk->terms, time_field, walk->has_last_time ? ">" : ">=",
                          walk->has_last_time ? walk->last_us : partition->from_us);
            add_time_term(&walk->terms, time_field, "<=", walk->until_us);
            buf_addf(order, "ORDERBY%s^ORDERBY%s", time_field, key_field);
        }
        return order->ptr;
    }
    if (partition->kind == WALK_WINDOW) {
        add_window_terms(walk);
    }
    const struct key_range *range = &walk->ranges[walk->n_ranges - 1];
    if (walk->last_key[0] != '\0') {
        add_key_term(&walk->terms, key_field, ">", walk->last_key);
    } else if (range->from[0] != '\0') {
        add_key_term(&walk->terms, key_field, range->is_behind ? ">" : ">=", range->from);
    }
    if (range->to[0] != '\0') {
        add_key_term(&walk->terms, key_field, "<", range->to);
    }
    buf_addf(order, "ORDERBY%s", key_field);
    return order->ptr;
}

enum http_verdict servicenow_judge_failure(const struct task_def *task,
                                           struct http_response *response,
                                           struct error *err)
{
    struct str body = buf_str(response->body);
    struct buf text CLEANUP(buf_release);
    buf_init(&text, 300);
    servicenow_error_text(body, &text);
    if (response->status == 200) {
        (void)error_set(err, ERROR_TRANSIENT,
                        "table %s: answered %.*s instead of JSON (a login, maintenance or "
                        "hibernation page? open the instance's URL in a browser)",
                        task->table, STR_ARG(response->content_type));
        err->http_status = 200;
        return HTTP_RETRY;
    }
    if (response->status == 414 || (response->status == 500 && servicenow_is_cancelled(body))) {
        (void)error_set(err, ERROR_LIMIT, "table %s: %d %s", task->table, response->status,
                        text.ptr);
        err->http_status = response->status;
        return HTTP_FAIL;
    }
    if (response->status == 403) {
        (void)error_set(err, ERROR_DENIED,
                        "table %s: 403 %s; give the account read access to the table, its key and "
                        "time fields and the fields of the filter",
                        task->table, text.ptr);
        err->http_status = 403;
        return HTTP_FAIL;
    }
    if (response->status == 400 || response->status == 404) {
        (void)error_set(err, ERROR_CONFIG,
                        "table %s: %d %s; check the table's name in the catalog and the url of "
                        "the source",
                        task->table, response->status, text.ptr);
        err->http_status = response->status;
        return HTTP_FAIL;
    }
    enum http_verdict verdict = http_judge_status(response, err);
    if (verdict == HTTP_ACCEPT) {
        (void)error_set(err, ERROR_DATA,
                        "table %s: status %d is no answer of the Table API; check the url of the "
                        "source and the proxies on the way",
                        task->table, response->status);
        err->http_status = response->status;
        return HTTP_FAIL;
    }
    return verdict;
}

enum http_verdict servicenow_retry_smallest(struct error *err)
{
    err->code = ERROR_TRANSIENT;
    return HTTP_RETRY;
}

/* Broken bodies, 500 and 504 are how the platform also says that a page was too much for it: the
 * second time the same request is not sent again, but one for less. */
static enum http_verdict retry_or_shrink(struct page_context *page, struct error *err)
{
    if (++page->troubles < 2 || page->walk->page_size == 1) {
        return HTTP_RETRY;
    }
    err->code = ERROR_LIMIT;
    return HTTP_FAIL;
}

static enum http_verdict judge_page(void *arg, struct http_response *response, struct error *err)
{
    struct page_context *page = arg;
    struct walk *walk = page->walk;
    row_batch_reset(page->batch);
    page->records = 0;
    page->unknown = 0;
    page->has_time = walk->has_last_time && walk->part == CHANGES_DRAIN;
    page->time_us = walk->last_us;
    memcpy(page->key, walk->last_key, sizeof(page->key));
    if (response->status != 200 ||
        !str_starts_with_nocase(response->content_type, STR_LITERAL("application/json"))) {
        enum http_verdict verdict = servicenow_judge_failure(walk->task, response, err);
        bool is_slow = err->code == ERROR_LIMIT && response->status == 500;
        if (is_slow && walk->page_size == 1) {
            return servicenow_retry_smallest(err);
        }
        bool may_be_size = response->status == 500 || response->status == 504;
        return verdict == HTTP_RETRY && may_be_size ? retry_or_shrink(page, err) : verdict;
    }
    page->count = NO_COUNT;
    (void)str_to_int64(http_response_header(response, "X-Total-Count"), 0, INT64_MAX, &page->count);
    enum servicenow_page result = servicenow_page_read(walk->reader, response->body, check_row,
                                                       page, page->batch, &page->records, err);
    switch (result) {
    case SERVICENOW_PAGE_GOOD:
        return HTTP_ACCEPT;
    case SERVICENOW_PAGE_BROKEN:
        (void)error_wrap(err, "table %s", walk->task->table);
        err->http_status = response->status;
        return retry_or_shrink(page, err);
    case SERVICENOW_PAGE_CANCELLED:
        return walk->page_size == 1 ? servicenow_retry_smallest(err) : HTTP_FAIL;
    case SERVICENOW_PAGE_WRONG:
        break;
    }
    return HTTP_FAIL;
}

bool servicenow_request_page(struct walk *walk,
                             struct http_client *http,
                             struct row_batch *batch,
                             bool with_count,
                             struct page_context *page,
                             struct error *err)
{
    for (;;) {
        struct buf order CLEANUP(buf_release);
        buf_init(&order, 512);
        (void)build_terms(walk, &order);
        buf_reset(&walk->query);
        servicenow_query_join(&walk->query, walk->filter, buf_str(&walk->terms), buf_str(&order));
        buf_reset(&walk->url);
        struct servicenow_page_request wanted = {
            .task = walk->task,
            .query = buf_str(&walk->query),
            .keys_only = walk->partition->kind == WALK_KEYS,
            .count = with_count,
            .limit = walk->page_size,
            .extra_field = walk->check_field,
        };
        servicenow_page_url(&walk->url, &wanted);
        bool too_long = walk->url.overflow || walk->url.len > SERVICENOW_URL_MAX_BYTES;
        *page = (struct page_context){.walk = walk, .batch = batch, .count = NO_COUNT};
        bool may_shrink = walk->page_size > 1;
        struct http_request request = {
            .method = "GET",
            .url = buf_str(&walk->url),
            .timeout_is_limit = may_shrink && walk->shrinks < 3,
            .cut_is_limit = may_shrink,
            .judge = judge_page,
            .judge_arg = page,
        };
        struct http_response response;
        if (too_long ? error_set(err, ERROR_LIMIT,
                                 "table %s: the request's URL would have %zu bytes; name fewer "
                                 "fields or shorten the filter",
                                 walk->task->table, walk->url.len)
                     : http_send(http, &request, &response, err)) {
            return true;
        }
        bool can_shrink =
            walk->page_size > 1 &&
            (!too_long || (walk->partition->kind == WALK_GIVEN && walk->given_chunk > 1));
        if (err->code != ERROR_LIMIT || !can_shrink) {
            return error_wrap(err, "page of %" PRId64, walk->page_size);
        }
        error_clear(err);
        walk->page_size_bad = too_long ? walk->page_size_bad : walk->page_size;
        int64_t size =
            walk->partition->kind == WALK_GIVEN ? (int64_t)walk->given_chunk : walk->page_size;
        walk->page_size = size > 1 ? size / 2 : 1;
        walk->good_pages = 0;
        walk->shrinks++;
    }
}
