#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/servicenow/bounds.h"

/*
 * Walks the rows of a table that lie within bounds, computed rows and overlay rows merged, in the
 * order of ids or of (change stamp, id), up or down. Does not filter.
 */

enum cursor_order { CURSOR_NONE, CURSOR_BY_ID, CURSOR_BY_STAMP };

struct cursor {
    const struct store *store;
    const struct table *table;
    enum cursor_order order;
    bool descending;
    int64_t low, high; /* what is left of the computed rows */
    int64_t *group;    /* positions of computed rows that share one stamp */
    int64_t n_group, at_group, group_capacity;
    int64_t over_low, over_high; /* what is left of the overlay's sorted array */
    bool has_base;               /* base_index is fetched and not yet given */
    int64_t base_index;
    int64_t base_stamp;
    char base_id[33];
};

void cursor_open(struct cursor *cursor,
                 const struct store *store,
                 const struct table *table,
                 const struct bounds *bounds,
                 enum cursor_order order,
                 bool descending);
void cursor_close(struct cursor *cursor);
bool cursor_next(struct cursor *cursor, struct row *row);

/* With exact bounds: computed rows inside them that no overlay row stands for. */
int64_t cursor_count_base(const struct table *table, const struct bounds *bounds);
int64_t cursor_count_overlay(const struct store *store,
                             const struct table *table,
                             const struct query *query);
