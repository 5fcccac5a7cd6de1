#pragma once

#include "tests/sim/glpi/items.h"

/*
 * One order of one table's rows, computed and kept ones merged, entered at any offset. Stamps
 * that are equal keep the order of ids among kept rows and of ranks among computed ones.
 */

struct view {
    const struct item_table *table;
    enum item_order order;
    int mask;
    bool descending;
    struct kept_row **kept; /* those in `mask`, ascending */
    bool owns_kept;
    int64_t n_kept, n_base, total;    /* n_base: without the covered */
    int64_t kept_before, base_before; /* the next one in ascending order */
    int64_t ordinal;                  /* of `spot`, covered ones included; -1: not known */
    struct spot spot;
};

void view_open(struct view *view,
               const struct item_table *table,
               enum item_order order,
               int mask,
               bool descending);
void view_close(struct view *view);
/* Where view_next() goes on; 0 is the first row in the view's direction. */
void view_seek(struct view *view, int64_t offset);
bool view_next(struct view *view, struct item *ret_item);
