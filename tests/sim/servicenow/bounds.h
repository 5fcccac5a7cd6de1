#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/servicenow/query.h"

/*
 * What a query's plain comparisons say about where matching computed rows can be: a range of
 * positions in the sorted ids and a range of indexes (which follow the change stamps). Overlay
 * rows are few and always asked one by one, so no bounds are kept for them.
 */

struct bounds {
    int64_t id_low, id_high;       /* positions, half-open */
    int64_t stamp_low, stamp_high; /* indexes, half-open */
    bool exact; /* every row in the one restricted range matches, none outside does */
};

void bounds_find(struct bounds *bounds,
                 const struct store *store,
                 const struct table *table,
                 const struct query *query);
