#include "tests/sim/servicenow/cursor.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"

void cursor_open(struct cursor *cursor,
                 const struct store *store,
                 const struct table *table,
                 const struct bounds *bounds,
                 enum cursor_order order,
                 bool descending)
{
    cursor->store = store;
    cursor->table = table;
    cursor->order = order;
    cursor->descending = descending;
    cursor->low = order == CURSOR_BY_ID ? bounds->id_low : bounds->stamp_low;
    cursor->high = order == CURSOR_BY_ID ? bounds->id_high : bounds->stamp_high;
    cursor->over_low = 0;
    cursor->over_high = table->n_live;
}

void cursor_close(struct cursor *cursor)
{
    xfree(cursor->group);
    cursor->group = NULL;
}

static int compare_positions(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return left < right ? -1 : left > right ? 1 : 0;
}

/* Takes the next run of equal stamps off [low, high) and sorts it by id. */
static bool load_group(struct cursor *c)
{
    if (c->low >= c->high) {
        return false;
    }
    int64_t first = c->low;
    int64_t end = c->high;
    int64_t stamp = table_stamp_s(c->table, c->descending ? c->high - 1 : c->low);

    if (c->descending) {
        for (first = c->high - 1; first > c->low && table_stamp_s(c->table, first - 1) == stamp;) {
            first--;
        }
        c->high = first;
    } else {
        for (end = c->low + 1; end < c->high && table_stamp_s(c->table, end) == stamp;) {
            end++;
        }
        c->low = end;
    }
    c->n_group = end - first;
    c->at_group = 0;
    if (c->n_group > c->group_capacity) {
        c->group_capacity = c->n_group * 2;
        c->group = xrealloc(c->group, (size_t)c->group_capacity * sizeof(*c->group));
    }
    for (int64_t i = 0; i < c->n_group; i++) {
        c->group[i] = table_position(c->table, first + i);
    }
    if (c->n_group > 1) {
        qsort(c->group, (size_t)c->n_group, sizeof(*c->group), compare_positions);
    }
    return true;
}

static bool next_position(struct cursor *c, int64_t *ret_position)
{
    if (c->order == CURSOR_BY_ID) {
        if (c->low >= c->high) {
            return false;
        }
        *ret_position = c->descending ? --c->high : c->low++;
        return true;
    }
    if (c->at_group >= c->n_group && !load_group(c)) {
        return false;
    }
    int64_t i = c->at_group++;

    *ret_position = c->group[c->descending ? c->n_group - 1 - i : i];
    return true;
}

static void fetch_base(struct cursor *c)
{
    int64_t position;

    while (!c->has_base && next_position(c, &position)) {
        c->base_index = table_index_at(c->table, position);
        if (table_is_covered(c->table, c->base_index)) {
            continue;
        }
        c->has_base = true;
        if (c->over_low < c->over_high) {
            table_id_at(c->table, position, c->base_id);
            c->base_stamp = table_stamp_s(c->table, c->base_index);
        }
    }
}

/* Is the overlay row due before the computed one? */
static bool overlay_first(const struct cursor *c, const struct overlay_row *over)
{
    if (c->order == CURSOR_BY_STAMP && over->updated_s != c->base_stamp) {
        return (over->updated_s < c->base_stamp) != c->descending;
    }
    return (strcmp(over->id, c->base_id) < 0) != c->descending;
}

bool cursor_next(struct cursor *c, struct row *row)
{
    struct overlay_row **rows = c->order == CURSOR_BY_ID ? c->table->by_id : c->table->by_updated;

    fetch_base(c);
    if (c->over_low < c->over_high) {
        const struct overlay_row *over = rows[c->descending ? c->over_high - 1 : c->over_low];

        if (!c->has_base || overlay_first(c, over)) {
            if (c->descending) {
                c->over_high--;
            } else {
                c->over_low++;
            }
            row_set_overlay(row, c->store, c->table, over);
            return true;
        }
    }
    if (!c->has_base) {
        return false;
    }
    c->has_base = false;
    row_set_base(row, c->store, c->table, c->base_index);
    return true;
}

int64_t cursor_count_base(const struct table *table, const struct bounds *bounds)
{
    bool by_id = bounds->id_low > 0 || bounds->id_high < table->n_base;
    int64_t count =
        by_id ? bounds->id_high - bounds->id_low : bounds->stamp_high - bounds->stamp_low;

    if (count <= 0 || table->covered == NULL) {
        return count;
    }
    for (int64_t word = 0; word <= table->n_base / 64; word++) {
        for (uint64_t bits = table->covered[word]; bits != 0; bits &= bits - 1) {
            int64_t index = word * 64 + __builtin_ctzll(bits);
            int64_t position = by_id ? table_position(table, index) : index;
            bool inside = by_id ? position >= bounds->id_low && position < bounds->id_high
                                : position >= bounds->stamp_low && position < bounds->stamp_high;

            count -= inside ? 1 : 0;
        }
    }
    return count;
}

int64_t cursor_count_overlay(const struct store *store,
                             const struct table *table,
                             const struct query *query)
{
    int64_t count = 0;
    struct row row;

    for (int64_t i = 0; i < table->n_live; i++) {
        row_set_overlay(&row, store, table, table->by_id[i]);
        count += query_matches(query, &row) ? 1 : 0;
    }
    return count;
}
