#include "worker/sources/servicenow_walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "worker/sources/servicenow_page.h"
#include "worker/sources/servicenow_query.h"

#define PAGE_SIZE_DEFAULT        1000
#define PAGE_SIZE_KEYS           10000
#define GOOD_PAGES_BEFORE_GROWTH 8
#define SPLIT_DEPTH_MAX          40
#define RANGES_MAX               (16 * SPLIT_DEPTH_MAX)
#define COUNT_TRIES_MAX          4
#define NO_COUNT                 INT64_C(-1)

struct key_range {
    char from[SERVICENOW_KEY_MAX + 1]; /* "" = open */
    char to[SERVICENOW_KEY_MAX + 1];
    bool is_behind; /* `from` itself does not belong to it */
    unsigned depth; /* how often it was split */
};

/* The part of a CHANGES walk that the next request reads. */
enum changes_part { CHANGES_BEHIND, CHANGES_DRAIN };

struct walk {
    const struct source_config *source;
    const struct task_def *task;
    const struct partition *partition;
    struct servicenow_reader *reader;
    struct buf url;
    struct buf terms;
    struct buf query;
    struct str filter;
    char *check_field; /* dotted field of the filter's equality, asked for to check rows; or NULL */
    struct str check_value;

    struct key_range *ranges; /* a stack of what is left; the top one is being read */
    size_t n_ranges;
    char last_key[SERVICENOW_KEY_MAX + 1]; /* "" = nothing read in this range yet */

    enum changes_part part;
    bool has_last_time;
    int64_t last_us;
    int64_t until_us;   /* end of the window being read; before partition->to_us while stepping */
    size_t given_done;  /* GIVEN: keys asked for so far */
    size_t given_chunk; /* GIVEN: keys of the request under way */

    int64_t page_size;
    int64_t page_size_max;
    int64_t page_size_bad; /* the smallest that the platform could not cope with; 0 = none */
    int good_pages;
    int shrinks;       /* halvings since the last good page */
    int doubts;        /* answers in a row whose count contradicts their rows */
    int64_t remaining; /* of the range behind the last counted page; NO_COUNT = unknown */
    bool count_next;   /* the next request must bring a count */
    bool seen_empty;   /* an empty page with a count above it has been asked for twice */
    bool finished;
    int64_t records;
    int64_t hidden;
    int64_t tail_hidden;      /* hidden rows of the last page; those at its end are counted again */
    bool has_doubtful_hidden; /* CHANGES: the same, not in `hidden` yet, until it is known ... */
    int64_t doubtful_hidden;  /* ... how many of them lie behind the page's last row */
    int64_t doubtful_rest; /* what the page counted behind its rows, less what is counted since */
    bool has_drain_count;
};

/* One request's reading. */
struct page_context {
    struct walk *walk;
    struct row_batch *batch;
    int64_t records;
    char key[SERVICENOW_KEY_MAX + 1];
    int64_t time_us;
    bool has_time;
    int64_t count;
};

static const struct column *column_at(const struct task_def *task, int index)
{
    return &task->columns[index];
}

static const char *field_name(const struct task_def *task, int column)
{
    return task->fields[column_at(task, column)->field].name;
}

static bool is_by_time(const struct walk *walk)
{
    return walk->partition->kind == WALK_CHANGES;
}

struct walk *servicenow_walk_open(void *session,
                                  const struct source_config *source,
                                  const struct task_def *task,
                                  const struct partition *partition)
{
    (void)session;
    struct walk *walk = XNEW(struct walk);
    walk->source = source;
    walk->task = task;
    walk->partition = partition;
    walk->filter = str_from(task->filter);
    struct str field;
    if (servicenow_filter_equality(walk->filter, &field, &walk->check_value)) {
        walk->check_field = xstrndup(field.ptr, field.len);
    }
    walk->reader = servicenow_reader_new(task, walk->check_field);
    buf_init(&walk->url, 4 * SERVICENOW_URL_MAX_BYTES);
    buf_init(&walk->terms, SERVICENOW_URL_MAX_BYTES);
    buf_init(&walk->query, 2 * SERVICENOW_URL_MAX_BYTES);
    int64_t configured = task->page_size > 0 ? task->page_size : PAGE_SIZE_DEFAULT;
    walk->page_size_max = partition->kind == WALK_KEYS ? PAGE_SIZE_KEYS : configured;
    walk->page_size = walk->page_size_max;
    walk->remaining = NO_COUNT;
    walk->count_next = true;
    walk->part = CHANGES_BEHIND;
    walk->until_us = partition->to_us;
    walk->ranges = xcalloc(RANGES_MAX, sizeof(*walk->ranges));
    walk->n_ranges = 1;
    (void)snprintf(walk->ranges[0].from, sizeof(walk->ranges[0].from), "%s",
                   partition->from_key != NULL ? partition->from_key : "");
    (void)snprintf(walk->ranges[0].to, sizeof(walk->ranges[0].to), "%s",
                   partition->to_key != NULL ? partition->to_key : "");
    return walk;
}

void servicenow_walk_close(struct walk *walk)
{
    if (walk != NULL) {
        servicenow_reader_free(walk->reader);
        buf_release(&walk->url);
        buf_release(&walk->terms);
        buf_release(&walk->query);
        xfree(walk->check_field);
        xfree(walk->ranges);
        xfree(walk);
    }
}

void servicenow_walk_proof(const struct walk *walk, struct walk_proof *ret_proof)
{
    *ret_proof =
        (struct walk_proof){.records = walk->records, .hidden = walk->hidden, .has_expected = true};
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
    } else if (!is_by_time(walk)) {
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
    int64_t us;
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
    int64_t us;
    if (!cell_instant(page->walk, cells, page->walk->task->window_column, &us, err)) {
        return false;
    }
    if (us < partition->from_us || us >= partition->to_us) {
        return fail_order(page->walk, "a record lies outside the window asked for", err);
    }
    return true;
}

/* A filter on a field the account cannot read may be ignored by the platform: then every record of
 * the table is sent, and nothing tells which ones belong. */
static bool check_filter(const struct walk *walk, const struct cell *cells, struct error *err)
{
    const struct cell *cell = &cells[walk->task->n_columns];
    if (cell->kind == CELL_ABSENT) {
        return error_set(err, ERROR_DENIED,
                         "table %s: field %s of the filter is missing from the answer, so the "
                         "filter cannot be checked; grant the account read access to it",
                         walk->task->table, walk->check_field);
    }
    return str_equal_nocase(cell->text, walk->check_value) ||
           fail_order(walk, "a record does not satisfy the filter", err);
}

static bool check_row(void *arg, const struct cell *cells, struct error *err)
{
    struct page_context *page = arg;
    struct walk *walk = page->walk;
    if (!check_key(page, cells, err)) {
        return false;
    }
    if (is_by_time(walk) && !check_time(page, cells, err)) {
        return false;
    }
    if (walk->partition->kind == WALK_WINDOW && !check_window(page, cells, err)) {
        return false;
    }
    if (walk->check_field != NULL && !check_filter(walk, cells, err)) {
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
        const char *window_field = field_name(task, task->window_column);
        if (partition->from_us != INT64_MIN) {
            add_time_term(&walk->terms, window_field, ">=", partition->from_us);
        }
        if (partition->to_us != INT64_MAX) {
            add_time_term(&walk->terms, window_field, "<", partition->to_us);
        }
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

static enum http_verdict judge_page(void *arg, struct http_response *response, struct error *err)
{
    struct page_context *page = arg;
    struct walk *walk = page->walk;
    row_batch_reset(page->batch);
    page->records = 0;
    page->has_time = walk->has_last_time && walk->part == CHANGES_DRAIN;
    page->time_us = walk->last_us;
    memcpy(page->key, walk->last_key, sizeof(page->key));
    if (response->status != 200 ||
        !str_starts_with_nocase(response->content_type, STR_LITERAL("application/json"))) {
        enum http_verdict verdict = servicenow_judge_failure(walk->task, response, err);
        bool is_slow = err->code == ERROR_LIMIT && response->status == 500;
        return is_slow && walk->page_size == 1 ? servicenow_retry_smallest(err) : verdict;
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
        return HTTP_RETRY;
    case SERVICENOW_PAGE_CANCELLED:
        return walk->page_size == 1 ? servicenow_retry_smallest(err) : HTTP_FAIL;
    case SERVICENOW_PAGE_WRONG:
        break;
    }
    return HTTP_FAIL;
}

/* Sends the next request; smaller and smaller while the platform cannot cope. */
static bool request_page(struct walk *walk,
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
        struct http_request request = {
            .method = "GET",
            .url = buf_str(&walk->url),
            .timeout_is_limit = walk->page_size > 1 && walk->shrinks < 3,
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

static void note_good_page(struct walk *walk)
{
    walk->shrinks = 0;
    walk->seen_empty = false;
    if (walk->page_size < walk->page_size_max && ++walk->good_pages >= GOOD_PAGES_BEFORE_GROWTH) {
        int64_t grown = walk->page_size + walk->page_size / 2 + 1;
        walk->page_size = grown < walk->page_size_max ? grown : walk->page_size_max;
        walk->page_size_bad = 0;
        walk->good_pages = 0;
    }
}

static void start_range(struct walk *walk)
{
    walk->last_key[0] = '\0';
    walk->remaining = NO_COUNT;
    walk->count_next = true;
    walk->seen_empty = false;
    walk->tail_hidden = 0;
}

/* The range read so far is complete; on to the next. */
static void finish_range(struct walk *walk)
{
    walk->n_ranges--;
    start_range(walk);
    walk->finished = walk->n_ranges == 0;
}

static int64_t clamp(int64_t value, int64_t max)
{
    return value < 0 ? 0 : value < max ? value : max;
}

/* How many of the `count` rows behind the last key the last page has counted as hidden: those at
 * its end, behind its last visible row. */
static int64_t counted_again(const struct walk *walk, int64_t count)
{
    return walk->tail_hidden > 0 ? clamp(count - walk->remaining, walk->tail_hidden) : 0;
}

/* Everything in a whole page is hidden and more follows: no key to go on from. Cuts the range at
 * the next hexadecimal digit into 16 that are read one by one. */
static bool split_range(struct walk *walk, int64_t count, struct error *err)
{
    static const char DIGITS[] = "0123456789abcdef";
    struct key_range range = walk->ranges[walk->n_ranges - 1];
    const char *low = walk->last_key[0] != '\0' ? walk->last_key : range.from;
    size_t common = 0;
    while (low[common] != '\0' && range.to[common] == low[common]) {
        common++;
    }
    size_t depth = range.depth > common ? range.depth : common;
    if (depth >= SPLIT_DEPTH_MAX || walk->n_ranges + 16 > RANGES_MAX) {
        return error_set(err, ERROR_DENIED,
                         "table %s: more than %" PRId64 " records in a row are hidden from the "
                         "account and cannot be stepped over; give it read access",
                         walk->task->table, walk->page_size);
    }
    walk->n_ranges--;
    char low_copy[SERVICENOW_KEY_MAX + 1];
    (void)snprintf(low_copy, sizeof(low_copy), "%s", low);
    char prefix[SPLIT_DEPTH_MAX + 1];
    (void)snprintf(prefix, sizeof(prefix), "%.*s", (int)depth, low);
    for (size_t i = strlen(prefix); i < depth; i++) {
        prefix[i] = '0';
        prefix[i + 1] = '\0';
    }
    char upper[SERVICENOW_KEY_MAX + 1];
    memcpy(upper, range.to, sizeof(upper));
    /* Highest first: the stack hands out the lowest. */
    for (int digit = 15; digit >= 0; digit--) {
        char bound[SPLIT_DEPTH_MAX + 2];
        (void)snprintf(bound, sizeof(bound), "%s%c", prefix, DIGITS[digit]);
        bool below = strcmp(bound, low) <= 0 || digit == 0;
        if (!below && upper[0] != '\0' && strcmp(bound, upper) >= 0) {
            continue;
        }
        struct key_range *piece = &walk->ranges[walk->n_ranges++];
        piece->depth = (unsigned)depth + 1;
        memcpy(piece->to, upper, sizeof(piece->to));
        memcpy(piece->from, below ? low_copy : bound, below ? sizeof(low_copy) : sizeof(bound));
        piece->is_behind = below && (walk->last_key[0] != '\0' || range.is_behind);
        if (below) {
            break;
        }
        memcpy(upper, piece->from, sizeof(upper));
    }
    walk->hidden -= counted_again(walk, count); /* the pieces count them once more */
    start_range(walk);
    return true;
}

/* A longer look over hidden records, which cost the source little. */
static bool widen_page(struct walk *walk)
{
    int64_t wider = walk->page_size * 4;
    wider = wider < PAGE_SIZE_KEYS ? wider : PAGE_SIZE_KEYS;
    if (wider <= walk->page_size || (walk->page_size_bad > 0 && wider >= walk->page_size_bad)) {
        return false;
    }
    walk->page_size = wider;
    walk->count_next = true;
    return true;
}

/* An empty page may have been a slip: once more before it is believed. */
static bool is_first_empty(struct walk *walk)
{
    bool is_first = !walk->seen_empty;
    walk->seen_empty = true;
    walk->count_next = true;
    return is_first;
}

static bool settle_empty_page(struct walk *walk, int64_t count, struct error *err)
{
    int64_t again = counted_again(walk, count);
    if (count > again && is_first_empty(walk)) {
        return true;
    }
    if (count > walk->page_size) {
        return widen_page(walk) || split_range(walk, count, err);
    }
    walk->hidden += count - again;
    finish_range(walk);
    return true;
}

/* Rows in key order. Returns false with err, or sets *ret_keep: the batch's rows count. */
static bool settle_key_page(struct walk *walk,
                            const struct page_context *page,
                            bool with_count,
                            bool *ret_keep,
                            struct error *err)
{
    int64_t rows = page->records;
    bool is_short = rows < walk->page_size;
    *ret_keep = rows > 0;
    if (is_short && !with_count) {
        walk->count_next = true; /* the same page again, counted */
        *ret_keep = false;
        return true;
    }
    if (rows == 0) {
        return settle_empty_page(walk, page->count, err);
    }
    memcpy(walk->last_key, page->key, sizeof(walk->last_key));
    if (page->count == NO_COUNT) { /* a full page, so nothing of it is hidden */
        walk->remaining = walk->remaining == NO_COUNT ? NO_COUNT : walk->remaining - rows;
        walk->tail_hidden = 0;
        walk->count_next = false;
    } else {
        int64_t covered = page->count < walk->page_size ? page->count : walk->page_size;
        int64_t hidden_here = clamp(covered - rows - counted_again(walk, page->count), covered);
        walk->hidden += hidden_here;
        walk->tail_hidden = hidden_here;
        walk->remaining = page->count - covered;
        walk->count_next = hidden_here > 0;
    }
    if (walk->remaining != NO_COUNT && walk->remaining <= walk->page_size) {
        walk->count_next = true;
    }
    if (walk->page_size > walk->page_size_max) {
        walk->page_size = walk->page_size_max; /* behind the hidden block */
    }
    note_good_page(walk);
    return true;
}

/* A page of changes without a row although more than a page of them is counted: steps over the
 * hidden ones by reading a shorter window first. */
static bool step_over_hidden_changes(struct walk *walk, struct error *err)
{
    if (widen_page(walk)) {
        return true;
    }
    int64_t low = walk->has_last_time ? walk->last_us : walk->partition->from_us;
    int64_t half_s = (walk->until_us - low) / US_PER_S / 2;
    if (walk->part == CHANGES_DRAIN || half_s == 0) {
        return error_set(err, ERROR_DENIED,
                         "table %s: more than %" PRId64
                         " changes of one second are hidden from the "
                         "account and cannot be stepped over; give it read access",
                         walk->task->table, walk->page_size);
    }
    walk->until_us = low + half_s * US_PER_S;
    walk->count_next = true;
    return true;
}

/* Nothing is left of the part of the window that was being read. */
static void finish_change_part(struct walk *walk)
{
    walk->count_next = true;
    walk->seen_empty = false;
    walk->tail_hidden = 0;
    if (walk->part == CHANGES_DRAIN) {
        walk->part = CHANGES_BEHIND;
    } else if (walk->until_us < walk->partition->to_us) {
        walk->last_us = walk->until_us;
        walk->has_last_time = true;
        walk->until_us = walk->partition->to_us;
    } else {
        walk->finished = true;
    }
}

/* A page that is not the last has hidden rows: those behind its last row are counted again, first
 * as the rest of that second, then as what lies behind it. What is left lies between its rows. */
static void settle_doubtful(struct walk *walk, int64_t count)
{
    if (!walk->has_doubtful_hidden) {
        return;
    }
    if (walk->part == CHANGES_BEHIND) {
        walk->hidden += clamp(walk->doubtful_rest - count, walk->doubtful_hidden);
        walk->has_doubtful_hidden = false;
    } else if (!walk->has_drain_count) {
        walk->doubtful_rest -= count;
        walk->has_drain_count = true;
    }
}

static void count_hidden_changes(struct walk *walk, int64_t count, int64_t rows, bool is_rest)
{
    int64_t covered = count < walk->page_size ? count : walk->page_size;
    int64_t again = walk->part == CHANGES_DRAIN ? counted_again(walk, count) : 0;
    int64_t hidden_here = clamp(covered - rows - again, covered);
    if (walk->part == CHANGES_DRAIN || is_rest) {
        walk->hidden += hidden_here;
        walk->tail_hidden = hidden_here;
        walk->remaining = count - covered;
    } else if (hidden_here > 0) {
        walk->has_doubtful_hidden = true;
        walk->has_drain_count = false;
        walk->doubtful_hidden = hidden_here;
        walk->doubtful_rest = count - rows;
    }
}

/* Rows in the order of time and key; results as for settle_key_page. Every page is counted. */
static bool settle_change_page(struct walk *walk,
                               const struct page_context *page,
                               bool *ret_keep,
                               struct error *err)
{
    int64_t rows = page->records;
    *ret_keep = rows > 0;
    if (rows == 0 && page->count > 0 && is_first_empty(walk)) {
        return true;
    }
    settle_doubtful(walk, page->count);
    if (rows == 0 && page->count > walk->page_size) {
        return step_over_hidden_changes(walk, err);
    }
    bool is_rest = page->count <= walk->page_size;
    count_hidden_changes(walk, page->count, rows, is_rest);
    if (rows > 0) {
        memcpy(walk->last_key, page->key, sizeof(walk->last_key));
        walk->last_us = page->time_us;
        walk->has_last_time = true;
        note_good_page(walk);
    }
    if (is_rest) {
        finish_change_part(walk);
    } else if (walk->part == CHANGES_BEHIND) {
        walk->part = CHANGES_DRAIN; /* first the rest of the second this page ended in */
        walk->tail_hidden = 0;
    }
    walk->count_next = true;
    if (walk->page_size > walk->page_size_max) {
        walk->page_size = walk->page_size_max; /* behind the hidden block */
    }
    return true;
}

static bool settle_given_page(struct walk *walk, const struct page_context *page, bool *ret_keep)
{
    *ret_keep = page->records > 0;
    walk->given_done += walk->given_chunk;
    walk->hidden += page->count - page->records;
    walk->finished = walk->given_done >= walk->partition->n_keys;
    return true;
}

/* Without an honest count nothing proves that rows are not hidden: no end, no deletions. A count
 * below the rows may come from a row that was inserted meanwhile: a few more tries. */
static bool
check_count(struct walk *walk, const struct page_context *page, bool *ret_again, struct error *err)
{
    *ret_again = page->count < page->records && ++walk->doubts < COUNT_TRIES_MAX;
    if (page->count >= page->records) {
        walk->doubts = 0;
        return true;
    }
    return *ret_again ||
           error_set(err, ERROR_DATA,
                     page->count == NO_COUNT
                         ? "table %s: the answer has no X-Total-Count, so nothing proves that it "
                           "is whole; let the proxies on the way pass that header"
                         : "table %s: X-Total-Count is lower than the number of rows beside it, so "
                           "nothing proves that the answer is whole; ask the vendor",
                     walk->task->table);
}

enum page_result servicenow_walk_fetch(struct walk *walk,
                                       struct http_client *http,
                                       struct row_batch *batch,
                                       struct error *err)
{
    if (walk->partition->kind == WALK_GIVEN && walk->partition->n_keys == 0) {
        walk->finished = true;
    }
    while (!walk->finished) {
        bool with_count =
            walk->count_next || walk->partition->kind == WALK_GIVEN || is_by_time(walk);
        struct page_context page;
        if (!request_page(walk, http, batch, with_count, &page, err)) {
            return PAGE_ERROR;
        }
        bool keep = false;
        bool again = false;
        if (with_count && !check_count(walk, &page, &again, err)) {
            return PAGE_ERROR;
        }
        if (again) {
            continue;
        }
        bool settled = walk->partition->kind == WALK_GIVEN ? settle_given_page(walk, &page, &keep)
                       : is_by_time(walk) ? settle_change_page(walk, &page, &keep, err)
                                          : settle_key_page(walk, &page, with_count, &keep, err);
        if (!settled) {
            return PAGE_ERROR;
        }
        if (keep) {
            walk->records += page.records;
            row_batch_finish(batch);
            return PAGE_READY;
        }
    }
    return PAGE_END;
}
