#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/http/list.h"
#include "common/base/buf.h"
#include "common/conf/config.h"

struct db_result;

/* How old the copies are: one vocabulary for the API and the metrics. */

/* A task whose last good publish is older than this is not fresh. */
#define FRESH_SECONDS 300

/* The same for texts. */
#define FRESHNESS_QUOTE(number)  #number
#define FRESHNESS_EXPAND(number) FRESHNESS_QUOTE(number)
#define FRESH_SECONDS_TEXT       FRESHNESS_EXPAND(FRESH_SECONDS)

/* Columns of api_freshness.sql. */
enum freshness_column {
    FRESHNESS_LOAD,
    FRESHNESS_SOURCE,
    FRESHNESS_TASK,
    FRESHNESS_VERSION,
    FRESHNESS_CHANGED_AT,
    FRESHNESS_AS_OF,
    FRESHNESS_LAG_SECONDS,
    FRESHNESS_WATERMARK,
    FRESHNESS_LAST_EXECUTION,
    FRESHNESS_LAST_STATUS,
    FRESHNESS_LAST_ERROR,
    FRESHNESS_FEEDS_TICKETS,
};

/* From FRESHNESS_VERSION on, as the API names them. */
extern const struct list_column freshness_columns[];
extern const size_t freshness_columns_count;

/* Is the task of this row of api_freshness.sql fresh? One that was never loaded is not. */
bool freshness_is_fresh(const struct db_result *rows, size_t row);

/* The parameters of api_loads.sql and api_freshness.sql: JSON arrays of the catalog's loads and of
 * every enabled {load, source, task}. Initialises both. */
void freshness_describe(const struct config *config, struct buf *ret_loads, struct buf *ret_tasks);
