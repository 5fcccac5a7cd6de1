#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/glpi/refs.h"
#include "tests/sim/glpi/system.h"
#include "tests/sim/glpi/view.h"

/* GET /:itemtype and GET /Ticket/:id/:itemtype. */

enum { FILTERS_MAX = 16, DEFAULT_ROWS = 15 };

struct filter {
    int column;
    bool is_null, from_start, to_end;
    char *text; /* owned */
};

struct list_query {
    int64_t start, end; /* as asked for */
    bool has_range;
    bool descending;
    int sort;
    int mask;
    struct filter filters[FILTERS_MAX];
    int n_filters;
    struct row_options row;
};

/* What the scan found and wrote. */
struct page {
    int64_t matched; /* so far */
    int64_t written;
    size_t first_len; /* bytes of the first row in the body */
};

static void release_query(struct list_query *query)
{
    for (int i = 0; i < query->n_filters; i++) {
        xfree(query->filters[i].text);
    }
}

static bool read_range(struct call *call, struct list_query *query)
{
    struct str range;

    query->start = 0;
    query->end = DEFAULT_ROWS; /* one too many, and shown so in Content-Range */
    query->has_range = request_param(call->request, "range", &range);
    if (!query->has_range) {
        return true;
    }
    struct str end = range;
    struct str start = str_cut(&end, '-');

    if (!str_to_int64(start, 0, INT64_MAX / 4, &query->start) || end.ptr == NULL ||
        !str_to_int64(end, 0, INT64_MAX / 4, &query->end) || query->end < query->start) {
        respond_glpi_refusal(call, "ERROR", "range must be in format : [start-end] with integers");
        return false;
    }
    return true;
}

/* "Group_User" is kept in groups_users. */
static const char *table_name(const char *itemtype, char out[64])
{
    size_t len = 0;

    for (const char *c = itemtype; len < 60; c++) {
        if (*c != '_' && *c != '\0') {
            out[len++] = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
            continue;
        }
        if (len > 0 && out[len - 1] == 'y') {
            out[len - 1] = 'i';
            out[len++] = 'e';
        }
        out[len++] = 's';
        if (*c == '\0') {
            break;
        }
        out[len++] = '_';
    }
    out[len] = '\0';
    return out;
}

static bool read_order(struct call *call, const struct shape *shape, struct list_query *query)
{
    struct str order = STR_LITERAL("ASC");
    struct str sort = STR_LITERAL("id");
    char name[64];
    char message[128];

    (void)request_param(call->request, "order", &order);
    (void)request_param(call->request, "sort", &sort);
    if (!str_equal_nocase(order, STR_LITERAL("ASC")) &&
        !str_equal_nocase(order, STR_LITERAL("DESC"))) {
        respond_glpi_refusal(call, "ERROR", "order must be DESC or ASC");
        return false;
    }
    query->descending = str_equal_nocase(order, STR_LITERAL("DESC"));
    query->sort = column_of(shape, sort);
    if (query->sort < 0 || !look_shows(&call->look, &shape->columns[query->sort])) {
        snprintf(message, sizeof(message), "sort param is not a field of glpi_%s",
                 table_name(shape->name, name));
        respond_glpi_refusal(call, "ERROR", message);
        return false;
    }
    return true;
}

static void add_filter(struct call *call, struct list_query *query, int column, struct str value)
{
    struct filter *filter = &query->filters[query->n_filters++];
    struct buf text;

    filter->column = column;
    filter->is_null = str_equal_nocase(value, STR_LITERAL("NULL"));
    filter->from_start = value.len > 0 && value.ptr[0] == '^';
    if (filter->from_start) {
        value = (struct str){value.ptr + 1, value.len - 1};
    }
    filter->to_end = value.len > 0 && value.ptr[value.len - 1] == '$';
    value.len -= filter->to_end ? 1 : 0;
    buf_init(&text, 65536);
    if (call->look.version11) {
        buf_add_str(&text, value);
    } else {
        look_encode(&call->look, value, &text);
    }
    filter->text = text.len > 0 ? buf_take(&text) : xstrdup("");
}

/* searchText[column]=value */
static bool read_filters(struct call *call, const struct shape *shape, struct list_query *query)
{
    char message[160];

    for (int i = 0; i < call->request->n_params; i++) {
        struct str name = call->request->params[i].name;
        struct str value = call->request->params[i].value;

        if (!str_starts_with(name, STR_LITERAL("searchText[")) || name.ptr[name.len - 1] != ']') {
            continue;
        }
        name = (struct str){name.ptr + 11, name.len - 12};
        int column = column_of(shape, name);

        if (column < 0 || !look_shows(&call->look, &shape->columns[column])) {
            snprintf(message, sizeof(message), "Field %.*s is not valid for %s item.",
                     STR_ARG(name), shape->name);
            respond_glpi_refusal(call, "ERROR_FIELD_NOT_FOUND", message);
            return false;
        }
        if (strcmp(shape->columns[column].name, "itemtype") == 0 && query->mask == MASK_ALL &&
            str_equal_c(value, "^Ticket$")) {
            query->mask = MASK_FIRST;
        } else if (query->n_filters < FILTERS_MAX) {
            add_filter(call, query, column, value);
        }
    }
    return true;
}

static bool read_query(struct call *call, const struct shape *shape, struct list_query *query)
{
    query->mask = MASK_ALL;
    if (column_of(shape, STR_LITERAL("is_deleted")) >= 0) {
        query->mask = glpi_flag(call->request, "is_deleted", false) ? MASK_SECOND : MASK_FIRST;
    }
    query->row = (struct row_options){
        .links = glpi_flag(call->request, "get_hateoas", true),
        .expand = glpi_flag(call->request, "expand_dropdowns", false),
        .only_id = glpi_flag(call->request, "only_id", false),
    };
    return read_range(call, query) && read_order(call, shape, query) &&
           read_filters(call, shape, query);
}

static bool filter_matches(struct call *call, const struct filter *filter, struct item *item)
{
    struct look look = call->look;
    struct buf text CLEANUP(buf_release) = {0};
    char scratch[CELL_TEXT_MAX];
    struct cell cell = glpi_cell(&look, item, filter->column, scratch);
    struct str needle = str_from(filter->text);

    look.decoded = false;
    buf_init(&text, 1 << 20);
    if (!look_text(&look, &item->table->shape->columns[filter->column], &cell, &text)) {
        return filter->is_null;
    }
    struct str value = buf_str(&text);

    if (filter->from_start && filter->to_end) {
        return str_equal_nocase(value, needle);
    }
    if (filter->from_start) {
        return str_starts_with_nocase(value, needle);
    }
    if (filter->to_end) {
        return value.len >= needle.len &&
               str_equal_nocase((struct str){value.ptr + value.len - needle.len, needle.len},
                                needle);
    }
    return !filter->is_null && (needle.len == 0 || str_contains_nocase(value, needle));
}

static bool matches(struct call *call, const struct list_query *query, struct item *item)
{
    for (int i = 0; i < query->n_filters; i++) {
        if (!filter_matches(call, &query->filters[i], item)) {
            return false;
        }
    }
    return glpi_rights_allow(call, item);
}

static int64_t last_row(const struct list_query *query)
{
    return query->has_range ? query->end : query->end - 1;
}

static void
write_row(struct call *call, const struct list_query *query, struct page *page, struct item *item)
{
    struct buf *body = &call->reply->body;

    buf_add_c(body, page->written > 0 ? "," : "");
    glpi_write_row(call, item, &query->row, body);
    if (page->written++ == 0) {
        page->first_len = body->len - 1;
    }
}

static void
meet(struct call *call, const struct list_query *query, struct page *page, struct item *item)
{
    if (page->matched >= query->start && page->matched <= last_row(query)) {
        write_row(call, query, page, item);
    }
    page->matched++;
}

static enum item_order native_order(const struct shape *shape, int column)
{
    if (column == 0) {
        return ORDER_ID;
    }
    return strcmp(shape->columns[column].name, "date_mod") == 0 ? ORDER_STAMP : N_ORDERS;
}

/* Nothing hides a row: straight to the page. */
static void walk(struct call *call,
                 const struct list_query *query,
                 const struct item_table *table,
                 struct page *page)
{
    struct item item = {0};
    struct view view;

    view_open(&view, table, native_order(table->shape, query->sort), query->mask,
              query->descending);
    page->matched = view.total;
    if (query->start < view.total) {
        view_seek(&view, query->start);
        for (int64_t i = query->start; i <= last_row(query) && view_next(&view, &item); i++) {
            write_row(call, query, page, &item);
        }
    }
    view_close(&view);
}

/* Every row is looked at. */
static void scan(struct call *call,
                 const struct list_query *query,
                 const struct item_table *table,
                 struct page *page)
{
    enum item_order order = native_order(table->shape, query->sort);
    struct refs refs CLEANUP(refs_release) = {0};
    struct item item = {0};
    struct view view;

    view_open(&view, table, order == N_ORDERS ? ORDER_ID : order, query->mask,
              order != N_ORDERS && query->descending);
    while (view_next(&view, &item)) {
        if (!matches(call, query, &item)) {
            continue;
        }
        if (order == N_ORDERS) {
            refs_add(&refs, &item);
        } else {
            meet(call, query, page, &item);
        }
    }
    view_close(&view);
    if (order == N_ORDERS) {
        refs_sort(&refs, table, query->sort, query->descending);
        for (int64_t i = 0; i < refs.n; i++) {
            refs_get(&refs, table, i, &item);
            meet(call, query, page, &item);
        }
    }
}

/* The rows of one parent. */
static void scan_children(struct call *call,
                          const struct list_query *query,
                          const struct item_table *table,
                          struct item *parent,
                          struct page *page)
{
    struct refs all CLEANUP(refs_release) = {0};
    struct refs found CLEANUP(refs_release) = {0};
    struct item item = {0};
    int key = -1;

    if (parent->table->shape->itemtype == ITEM_Ticket) {
        refs_add_children(&all, table, item_id(parent));
    } else {
        for (int i = 0; i < table->shape->n_columns && key < 0; i++) {
            key = strcmp(table->shape->columns[i].target, parent->table->shape->name) == 0 ? i : -1;
        }
        for (int64_t i = 0; key >= 0 && i < table->n_kept; i++) {
            if (table->by_id[i]->cells[key].number == item_id(parent)) {
                item_set_kept(&item, table, table->by_id[i]);
                refs_add(&all, &item);
            }
        }
    }
    for (int64_t i = 0; i < all.n; i++) {
        refs_get(&all, table, i, &item);
        if (matches(call, query, &item)) {
            refs_add(&found, &item);
        }
    }
    refs_sort(&found, table, query->sort, query->descending);
    for (int64_t i = 0; i < found.n; i++) {
        refs_get(&found, table, i, &item);
        meet(call, query, page, &item);
    }
}

/* What a broken server does to a page that is right. */
static void bend(struct call *call, struct page *page)
{
    struct buf *body = &call->reply->body;
    char *first CLEANUP(xfreep) = NULL;

    if (page->written == 0) {
        return;
    }
    first = xstrndup(body->ptr + 1, page->first_len);
    if (drawn_find(&call->drawn, FAULT_duplicate_rows) != NULL) {
        buf_addf(body, ",%s", first);
    }
    if (drawn_find(&call->drawn, FAULT_wrong_order) != NULL && page->written > 1) {
        size_t cut = page->first_len + 1; /* with its comma */

        memmove(body->ptr + 1, body->ptr + 1 + cut, body->len - 1 - cut);
        buf_truncate(body, body->len - cut);
        buf_addf(body, ",%s", first);
    }
    if (drawn_find(&call->drawn, FAULT_empty_page) != NULL) {
        buf_truncate(body, 1);
    }
}

/* COUNT(*) over the joins for rights, without DISTINCT. */
static int64_t shown_total(const struct call *call, const struct page *page)
{
    const struct fault *larger = drawn_find(&call->drawn, FAULT_total_larger);
    int64_t total = page->matched;

    if (call->account.limited && total > 0 && str_equal_c(call->itemtype, "Ticket")) {
        total++;
    }
    return larger == NULL ? total : total + (larger->rate > 0 ? larger->rate : 1);
}

static void finish(struct call *call,
                   const struct list_query *query,
                   const struct item_table *table,
                   struct page *page)
{
    int64_t total = shown_total(call, page);
    int64_t end = query->end > total - 1 ? total - 1 : query->end;
    char message[96];

    bool is_bare = drawn_find(&call->drawn, FAULT_empty_list) != NULL;

    if (query->has_range && query->start > total && !is_bare) {
        buf_reset(&call->reply->body);
        snprintf(message, sizeof(message), "Provided range exceed total count of data: %lld",
                 (long long)total);
        respond_glpi_refusal(call, "ERROR_RANGE_EXCEED_TOTAL", message);
        return;
    }
    bend(call, page);
    buf_add_char(&call->reply->body, ']');
    reply_header(call->reply, "Accept-Range", "%s 1000", table->shape->name);
    if (total > 0) {
        reply_header(call->reply, "Content-Range", "%lld-%lld/%lld", (long long)query->start,
                     (long long)end, (long long)total);
    }
    respond_glpi_json(call, total > 0 && end - query->start + 1 < total ? 206 : 200);
}

/* With the fault the range of the request before is answered, under this one's header. */
static void repeat(struct call *call, const struct item_table *table, struct list_query *asked)
{
    struct glpi *glpi = call->glpi;
    char *last = glpi->last_page[table->shape->itemtype];
    MUTEX_GUARD(&glpi->small);
    struct str end = str_from(last);
    struct str start = str_cut(&end, '-');
    int64_t from = asked->start;

    if (drawn_find(&call->drawn, FAULT_repeat_page) != NULL &&
        str_to_int64(start, 0, INT64_MAX, &from)) {
        asked->end = last_row(asked) - asked->start + from;
        asked->start = from;
        asked->has_range = true;
        return;
    }
    snprintf(last, sizeof(glpi->last_page[0]), "%lld-", (long long)asked->start);
}

void glpi_list_answer(struct call *call, struct item_table *table, struct item *parent)
{
    struct list_query query CLEANUP(release_query) = {0};
    struct page page = {0};

    if (!glpi_rights_may_list(call, table->shape->itemtype)) {
        respond_glpi_error(call, 403, "ERROR_RIGHT_MISSING",
                           "You don't have permission to perform this action.");
        return;
    }
    if (!read_query(call, table->shape, &query)) {
        return;
    }
    struct list_query shown = query;

    repeat(call, table, &query);
    buf_add_char(&call->reply->body, '[');
    if (drawn_find(&call->drawn, FAULT_empty_list) != NULL) {
        page.matched = 0;
    } else if (parent != NULL) {
        scan_children(call, &query, table, parent, &page);
    } else if (query.n_filters == 0 && !glpi_rights_limit(call, table->shape->itemtype) &&
               native_order(table->shape, query.sort) != N_ORDERS) {
        walk(call, &query, table, &page);
    } else {
        scan(call, &query, table, &page);
    }
    finish(call, &shown, table, &page);
}
