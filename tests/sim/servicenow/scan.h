#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/servicenow/query.h"
#include "tests/sim/store.h"

/*
 * Runs a query: finds the cheapest way to its rows (sorted ids, sorted change stamps, or all of a
 * range collected and sorted) and hands the rows out in the order asked for. The shared lock is
 * held throughout.
 */

/* False ends the scan. */
typedef bool scan_visit(void *context, struct row *row);

struct scan_request {
    const struct store *store;
    const struct table *table;
    const struct query *query;
    int64_t offset, limit; /* limit < 0: no limit */
    uint64_t tie_salt;     /* rows the sort does not tell apart come in an order of its own */
};

/* false: the result would not fit in memory. */
bool scan_run(const struct scan_request *request, scan_visit *visit, void *context);

/* Rows that match, whatever limit and offset. */
int64_t scan_count(const struct scan_request *request);
