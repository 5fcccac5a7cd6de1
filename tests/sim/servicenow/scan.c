#include "tests/sim/servicenow/scan.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/servicenow/bounds.h"
#include "tests/sim/servicenow/cursor.h"

#define KEYS_MAX_BYTES (UINT64_C(1) << 30)

/* One row set aside for sorting. */
struct item {
    int64_t index;
    const struct overlay_row *over;
    size_t key_offset, key_len;
    uint64_t tie;
    const char *keys; /* set just before sorting */
};

struct visitor {
    const struct scan_request *request;
    scan_visit *visit;
    void *context;
    int64_t skipped, visited;
};

/* True: go on. */
static bool offer(struct visitor *v, struct row *row)
{
    if (v->skipped < v->request->offset) {
        v->skipped++;
        return true;
    }
    if (v->request->limit >= 0 && v->visited >= v->request->limit) {
        return false;
    }
    v->visited++;
    return v->visit(v->context, row) && (v->request->limit < 0 || v->visited < v->request->limit);
}

static void add_key(struct buf *keys, struct row *row, const struct sort *sort)
{
    char out[CELL_MAX];
    struct str cell = path_cell(&sort->path, row, out);
    enum column_type type = path_column(&sort->path)->type;
    size_t start = keys->len;

    if (type == COLUMN_INTEGER || type == COLUMN_DECIMAL) {
        char copy[64] = "";

        memcpy(copy, cell.ptr, cell.len < 63 ? cell.len : 63);
        double number = cell.len == 0 ? -1e300 : strtod(copy, NULL);
        uint64_t bits;

        memcpy(&bits, &number, sizeof(bits));
        buf_add_be64(keys, bits >> 63 != 0 ? ~bits : bits | UINT64_C(1) << 63);
    } else {
        buf_add_str(keys, cell);
        buf_add_char(keys, '\0');
    }
    for (size_t i = start; sort->descending && i < keys->len; i++) {
        keys->ptr[i] = (char)~keys->ptr[i];
    }
}

static int compare_items(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;
    size_t shared = left->key_len < right->key_len ? left->key_len : right->key_len;
    int order = memcmp(left->keys + left->key_offset, right->keys + right->key_offset, shared);

    if (order != 0) {
        return order;
    }
    return left->tie < right->tie ? -1 : left->tie > right->tie ? 1 : 0;
}

static bool collect_and_sort(struct visitor *v, struct cursor *cursor)
{
    const struct scan_request *request = v->request;
    const struct query *query = request->query;
    struct buf keys CLEANUP(buf_release) = {0};
    struct item *items CLEANUP(xfreep) = NULL;
    size_t n = 0;
    size_t capacity = 0;
    struct row row;

    buf_init(&keys, KEYS_MAX_BYTES);
    while (cursor_next(cursor, &row)) {
        if (!query_matches(query, &row)) {
            continue;
        }
        if (n == capacity) {
            capacity = capacity * 2 + 1024;
            items = xrealloc(items, capacity * sizeof(*items));
        }
        struct item *item = &items[n++];

        item->index = row.index;
        item->over = row.over;
        item->key_offset = keys.len;
        item->tie = store_mix(request->tie_salt, row.over != NULL ? (uint64_t)(uintptr_t)row.over
                                                                  : (uint64_t)row.index);
        for (int i = 0; i < query->n_sorts; i++) {
            add_key(&keys, &row, &query->sorts[i]);
        }
        item->key_len = keys.len - item->key_offset;
    }
    if (keys.overflow) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        items[i].keys = keys.ptr;
    }
    if (n > 1) {
        qsort(items, n, sizeof(*items), compare_items);
    }
    for (size_t i = 0; i < n; i++) {
        if (items[i].over != NULL) {
            row_set_overlay(&row, request->store, request->table, items[i].over);
        } else {
            row_set_base(&row, request->store, request->table, items[i].index);
        }
        if (!offer(v, &row)) {
            break;
        }
    }
    return true;
}

static void stream(struct visitor *v, struct cursor *cursor)
{
    struct row row;

    while (cursor_next(cursor, &row)) {
        if (query_matches(v->request->query, &row) && !offer(v, &row)) {
            return;
        }
    }
}

static bool sort_is(const struct scan_request *request, int position, int column)
{
    const struct path *path = &request->query->sorts[position].path;

    return path->n_steps == 1 && path->columns[0] == column;
}

/* The order in which a cursor gives what is asked for without sorting. */
static enum cursor_order natural_order(const struct scan_request *request)
{
    const struct query *query = request->query;
    const struct table *table = request->table;

    if (query->n_sorts == 0) {
        return CURSOR_BY_STAMP;
    }
    if (sort_is(request, 0, table->col_id)) {
        return CURSOR_BY_ID;
    }
    if (sort_is(request, 0, table->col_updated) &&
        (query->n_sorts == 1 || (sort_is(request, 1, table->col_id) &&
                                 query->sorts[0].descending == query->sorts[1].descending))) {
        return CURSOR_BY_STAMP;
    }
    return CURSOR_NONE;
}

static void open_in(struct cursor *cursor,
                    const struct scan_request *request,
                    const struct bounds *bounds,
                    enum cursor_order order,
                    bool as_asked)
{
    const struct query *query = request->query;
    bool descending = as_asked && query->n_sorts > 0 && query->sorts[0].descending;

    cursor_open(cursor, request->store, request->table, bounds, order, descending);
}

bool scan_run(const struct scan_request *request, scan_visit *visit, void *context)
{
    struct visitor v = {.request = request, .visit = visit, .context = context};
    struct bounds bounds;
    struct cursor cursor CLEANUP(cursor_close) = {0};
    enum cursor_order natural = natural_order(request);

    if (request->query->nothing) {
        return true;
    }
    bounds_find(&bounds, request->store, request->table, request->query);
    int64_t ids = bounds.id_high - bounds.id_low;
    int64_t stamps = bounds.stamp_high - bounds.stamp_low;
    int64_t fewest = ids < stamps ? ids : stamps;
    enum cursor_order cheapest = ids < stamps ? CURSOR_BY_ID : CURSOR_BY_STAMP;

    if (natural == CURSOR_NONE) {
        open_in(&cursor, request, &bounds, cheapest, false);
        return collect_and_sort(&v, &cursor);
    }
    /* Streaming ends as soon as the page is full; collecting sees the whole narrow range. */
    double range = (double)(natural == CURSOR_BY_ID ? ids : stamps);
    double wanted = request->limit < 0 ? range : (double)(request->offset + request->limit);
    double streaming = range * (wanted < (double)fewest ? wanted / ((double)fewest + 1.0) : 1.0);

    if (cheapest != natural && (double)fewest * 3.0 < streaming && request->query->n_sorts > 0) {
        open_in(&cursor, request, &bounds, cheapest, false);
        return collect_and_sort(&v, &cursor);
    }
    open_in(&cursor, request, &bounds, natural, true);
    stream(&v, &cursor);
    return true;
}

int64_t scan_count(const struct scan_request *request)
{
    struct bounds bounds;
    struct cursor cursor CLEANUP(cursor_close) = {0};
    int64_t count = 0;
    struct row row;

    if (request->query->nothing) {
        return 0;
    }
    bounds_find(&bounds, request->store, request->table, request->query);
    if (bounds.exact) {
        return cursor_count_base(request->table, &bounds) +
               cursor_count_overlay(request->store, request->table, request->query);
    }
    cursor_open(&cursor, request->store, request->table, &bounds,
                bounds.id_high - bounds.id_low < bounds.stamp_high - bounds.stamp_low
                    ? CURSOR_BY_ID
                    : CURSOR_BY_STAMP,
                false);
    while (cursor_next(&cursor, &row)) {
        count += query_matches(request->query, &row) ? 1 : 0;
    }
    return count;
}
