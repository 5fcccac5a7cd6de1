#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/servicenow/page.h"
#include "tests/sim/servicenow/scan.h"
#include "tests/sim/servicenow/system.h"

#define LIMIT_DEFAULT 10000

struct options {
    struct str query, fields;
    int64_t limit, offset;
    enum display_mode display;
    bool links, count, pagination;
};

/* A page being written, and what happens to its rows on the way. */
struct page {
    struct call *call;
    struct buf *out;
    struct page_columns columns;
    struct page_format format;
    const struct fault *hide;
    struct query hidden; /* rows matching it are not shown */
    int64_t n_matched, n_shown;
    size_t *row_ends; /* for wrong_order and partial_array */
    int64_t row_capacity;
};

static bool is_true(const struct request *request, const char *name)
{
    struct str value;

    return request_param(request, name, &value) && str_equal_c(value, "true");
}

/* Any parameter that is not sysparm_ is a condition, unless there is a sysparm_query. */
static void name_value_query(const struct request *request, struct buf *out)
{
    for (int i = 0; i < request->n_params; i++) {
        const struct param *param = &request->params[i];

        if (!str_starts_with(param->name, STR_LITERAL("sysparm_"))) {
            buf_addf(out, "%s%.*s=%.*s", out->len > 0 ? "^" : "", STR_ARG(param->name),
                     STR_ARG(param->value));
        }
    }
}

static bool parse_options(struct call *call, struct options *options, struct buf *query_text)
{
    const struct request *request = call->request;
    struct str value;

    memset(options, 0, sizeof(*options));
    options->limit = LIMIT_DEFAULT;
    if (!request_param(request, "sysparm_query", &options->query)) {
        name_value_query(request, query_text);
        options->query = buf_str(query_text);
    }
    if (request_param(request, "sysparm_fields", &value) && value.len > 0) {
        options->fields = value;
    }
    if (request_param(request, "sysparm_limit", &value) &&
        !str_to_int64(value, 1, INT64_MAX, &options->limit)) {
        respond_error(call, 400, "Invalid value given for sysparm_limit",
                      "sysparm_limit value must be a positive integer");
        return false;
    }
    if (request_param(request, "sysparm_offset", &value) &&
        !str_to_int64(value, 0, INT64_MAX / 4, &options->offset)) {
        respond_error(call, 400, "Invalid value given for sysparm_offset",
                      "sysparm_offset value must not be negative");
        return false;
    }
    options->limit = options->limit < INT64_MAX / 4 ? options->limit : INT64_MAX / 4;
    if (request_param(request, "sysparm_display_value", &value)) {
        options->display = str_equal_c(value, "all")    ? DISPLAY_ALL
                           : str_equal_c(value, "true") ? DISPLAY_TRUE
                                                        : DISPLAY_FALSE;
    }
    options->links = !is_true(request, "sysparm_exclude_reference_link");
    options->count = !is_true(request, "sysparm_no_count");
    options->pagination = !is_true(request, "sysparm_suppress_pagination_header");
    return true;
}

static void open_page(struct page *page, struct call *call, const struct options *options)
{
    const struct fault *zone = drawn_find(&call->drawn, FAULT_user_time_zone);
    struct query_rules rules = {.now_s = call->now_s};

    memset(page, 0, sizeof(*page));
    page->call = call;
    page->out = &call->reply->body;
    page_columns_init(&page->columns, &call->sn->store, call->table, options->fields, &call->drawn);
    page->format = (struct page_format){
        .display = options->display,
        .links = options->links,
        .origin = call->sn->origin,
        .user_offset_s = zone != NULL ? (int64_t)zone->seconds : 0,
        .drawn = drawn_find(&call->drawn, FAULT_bad_value) != NULL ? &call->drawn : NULL,
    };
    page->hide = drawn_find(&call->drawn, FAULT_acl_rows);
    if (page->hide != NULL && page->hide->value[0] != '\0') {
        query_parse(&page->hidden, &call->sn->store, call->table, str_from(page->hide->value),
                    &rules);
    }
}

static void close_page(struct page *page)
{
    page_columns_release(&page->columns);
    query_release(&page->hidden);
    xfree(page->row_ends);
}

/* Access rules look at a row after the limit has been applied. */
static bool is_hidden(struct page *page, struct row *row)
{
    char out[CELL_MAX];
    uint64_t hash = 7;

    if (page->call->table->empty_for_user ||
        drawn_find(&page->call->drawn, FAULT_acl_all) != NULL) {
        return true;
    }
    if (page->hide == NULL) {
        return false;
    }
    if (page->hide->value[0] != '\0') {
        return query_matches(&page->hidden, row);
    }
    struct str id = row_cell(row, row->table->col_id, out);

    for (size_t i = 0; i < id.len; i++) {
        hash = store_mix(hash, (unsigned char)id.ptr[i]);
    }
    if (page->hide->every > 1) {
        return hash % (uint64_t)page->hide->every == 0;
    }
    return (double)(hash % 1000000) < page->hide->share * 1e6;
}

static bool write_row(void *context, struct row *row)
{
    struct page *page = context;

    page->n_matched++;
    if (is_hidden(page, row)) {
        return true;
    }
    if (page->n_shown > 0) {
        buf_add_char(page->out, ',');
    }
    page_write_row(page->out, &page->columns, row, &page->format);
    if (page->n_shown >= page->row_capacity) {
        page->row_capacity = page->row_capacity * 2 + 1024;
        page->row_ends =
            xrealloc(page->row_ends, (size_t)page->row_capacity * sizeof(*page->row_ends));
    }
    page->row_ends[page->n_shown++] = page->out->len;
    return !page->out->overflow;
}

/* `rows_start` is where the first row begins. Puts the first row last. */
static void rotate_rows(struct page *page, size_t rows_start)
{
    struct buf copy CLEANUP(buf_release) = {0};

    if (page->n_shown < 2) {
        return;
    }
    buf_init(&copy, page->out->limit);
    buf_add(&copy, page->out->ptr + rows_start, page->row_ends[0] - rows_start);
    struct str rest = {page->out->ptr + page->row_ends[0] + 1,
                       page->out->len - page->row_ends[0] - 1};

    memmove(page->out->ptr + rows_start, rest.ptr, rest.len);
    buf_truncate(page->out, rows_start + rest.len);
    buf_add_char(page->out, ',');
    buf_add_str(page->out, buf_str(&copy));
}

/* The quota strikes in the middle of the array: half of the rows, then what instances really send.
 */
static void break_array(struct page *page, const struct fault *fault)
{
    static const char error[] =
        "],\"error\":{\"message\":\"Transaction cancelled: maximum execution time exceeded\","
        "\"detail\":\"Transaction cancelled: maximum execution time exceeded Check logs for error "
        "trace or enable glide.rest.debug property to verify REST request processing\"},"
        "\"status\":\"failure\"}";

    if (page->n_shown > 1) {
        buf_truncate(page->out, page->row_ends[page->n_shown / 2 - 1]);
    }
    if (fault_mode_is(fault, "invalid")) {
        buf_add_c(page->out, ",{\"number\":\"INC\",}\"\"");
    } else if (fault_mode_is(fault, "comma")) {
        buf_add_c(page->out, ",");
    } else if (!fault_mode_is(fault, "object")) {
        buf_add_c(page->out, page->n_shown > 0 ? ",\"" : "\"");
        buf_add_c(page->out, "Transaction cancelled: maximum execution time exceeded\"");
    }
    buf_add_c(page->out, error);
}

static void add_link(struct call *call,
                     struct buf *out,
                     const struct options *options,
                     int64_t offset,
                     const char *rel)
{
    const struct request *request = call->request;
    const char *path = request->path.ptr + strlen("/servicenow");

    buf_addf(out, "%s<%s%.*s?", out->len > 0 ? "," : "",
             drawn_find(&call->drawn, FAULT_foreign_link_host) != NULL
                 ? "https://other.example.invalid"
                 : call->sn->origin,
             (int)(request->path.len - strlen("/servicenow")), path);
    for (int i = 0; i < request->n_params; i++) {
        if (!str_equal_c(request->params[i].name, "sysparm_offset") &&
            !str_equal_c(request->params[i].name, "sysparm_limit")) {
            buf_add_percent(out, request->params[i].name, "");
            buf_add_char(out, '=');
            buf_add_percent(out, request->params[i].value, ",");
            buf_add_char(out, '&');
        }
    }
    buf_addf(out, "sysparm_limit=%lld&sysparm_offset=%lld>;rel=\"%s\"", (long long)options->limit,
             (long long)offset, rel);
}

static void add_pagination(struct call *call, const struct options *options, int64_t count)
{
    struct buf link CLEANUP(buf_release) = {0};

    if (!options->pagination || count <= options->limit) {
        return;
    }
    buf_init(&link, 65536);
    add_link(call, &link, options, 0, "first");
    if (options->offset > 0 || drawn_find(&call->drawn, FAULT_negative_prev) != NULL) {
        add_link(call, &link, options, options->offset - options->limit, "prev");
    }
    if (options->offset + options->limit < count) {
        add_link(call, &link, options, options->offset + options->limit, "next");
    }
    add_link(call, &link, options, (count - 1) / options->limit * options->limit, "last");
    reply_header(call->reply, "Link", "%s", link.ptr);
}

static bool count_shown(void *context, struct row *row)
{
    struct page *page = context;

    page->n_matched += is_hidden(page, row) ? 0 : 1;
    return true;
}

/* ACL-blind, unless the fault says that this instance counts honestly. */
static int64_t total_count(struct page *page, const struct scan_request *scan)
{
    const struct fault *all = drawn_find(&page->call->drawn, FAULT_acl_all);
    struct scan_request whole = *scan;

    if (page->call->table->empty_for_user) {
        return 0;
    }
    if (!((page->hide != NULL && fault_mode_is(page->hide, "honest")) ||
          (all != NULL && all->mode[0] != '\0' && !fault_mode_is(all, "blind")))) {
        return scan_count(scan);
    }
    whole.offset = 0;
    whole.limit = -1;
    page->n_matched = 0;
    (void)scan_run(&whole, count_shown, page);
    return page->n_matched;
}

static void write_page(struct call *call, const struct options *options, const struct query *query)
{
    struct page page CLEANUP(close_page) = {0};
    struct scan_request scan = {&call->sn->store, call->table,    query,
                                options->offset,  options->limit, call->transaction};
    const struct fault *fault;

    open_page(&page, call, options);
    buf_add_c(page.out, drawn_find(&call->drawn, FAULT_extra_top_level) != NULL
                            ? "{\"session\":{\"debug_logs\":[{\"line\":\"x\"}]},\"result\":["
                            : "{\"result\":[");
    size_t rows_start = page.out->len;
    bool empty = drawn_find(&call->drawn, FAULT_empty_page) != NULL;

    if (!empty && !scan_run(&scan, write_row, &page)) {
        page.out->overflow = true;
    }
    if (page.out->overflow) {
        /* What the 60 s quota would do to a page of this size. */
        respond_error(call, 500, "Transaction cancelled: maximum execution time exceeded",
                      "Transaction cancelled: maximum execution time exceeded");
        return;
    }
    if (drawn_find(&call->drawn, FAULT_wrong_order) != NULL) {
        rotate_rows(&page, rows_start);
    }
    int64_t shown = page.n_shown;

    if ((fault = drawn_find(&call->drawn, FAULT_partial_array)) != NULL) {
        break_array(&page, fault);
    } else {
        buf_add_c(page.out, "]}");
    }
    if (call->version == 1 && shown == 0) {
        respond_error(call, 404, "No Record found",
                      "Record doesn't exist or ACL restricts the record retrieval");
        return;
    }
    if (options->count) {
        int64_t count = total_count(&page, &scan);

        reply_header(call->reply, "X-Total-Count", "%lld", (long long)count);
        add_pagination(call, options, count);
    }
    respond_json(call, 200);
}

static void write_record(struct call *call, const struct options *options)
{
    struct page page CLEANUP(close_page) = {0};
    struct row row;

    open_page(&page, call, options);
    if (!store_find(&call->sn->store, call->table, call->record_id, &row) ||
        is_hidden(&page, &row)) {
        respond_error(call, 404, "No Record found",
                      "Record doesn't exist or ACL restricts the record retrieval");
        return;
    }
    buf_add_c(page.out, "{\"result\":");
    page_write_row(page.out, &page.columns, &row, &page.format);
    buf_add_c(page.out, "}");
    respond_json(call, 200);
}

/* The fault repeat_page answers with the query asked before. */
static void repeat_query(struct call *call, struct options *options, char previous[512])
{
    size_t slot = (size_t)(call->table - call->sn->store.tables) % 64;
    MUTEX_GUARD(&call->sn->lock);

    snprintf(previous, 512, "%s", call->sn->last_query[slot]);
    if (drawn_find(&call->drawn, FAULT_repeat_page) != NULL && previous[0] != '\0') {
        options->query = str_from(previous);
        return;
    }
    snprintf(call->sn->last_query[slot], 512, "%.*s", STR_ARG(options->query));
}

void table_answer(struct call *call)
{
    struct buf query_text CLEANUP(buf_release) = {0};
    struct query query CLEANUP(query_release) = {0};
    struct query_rules rules;
    struct options options;
    char previous[512];

    buf_init(&query_text, 65536);
    if (!parse_options(call, &options, &query_text)) {
        return;
    }
    if (call->record_id.len > 0) {
        write_record(call, &options);
        return;
    }
    repeat_query(call, &options, previous);
    respond_rules(call, &rules);
    query_parse(&query, &call->sn->store, call->table, options.query, &rules);
    if (query.forbidden || call->table->forbidden_for_user) {
        respond_error(call, 403, "Insufficient rights to query records",
                      "Field(s) present in the query do not have permission to be read");
        return;
    }
    write_page(call, &options, &query);
}
