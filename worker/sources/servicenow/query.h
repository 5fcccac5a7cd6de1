#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/conf/catalog.h"

/*
 * ServiceNow's encoded queries and the URLs of its Table API. Pure text.
 *
 * `^NQ` separates complete filters, so a term appended to a query must be appended to every branch;
 * `^EQ`, `^ORDERBY` and `^GROUPBY` copied from the user interface are cut, for the walk alone owns
 * the order.
 */

#define SERVICENOW_URL_MAX_BYTES 8000 /* the platform refuses URIs from about 8,190 bytes */

/* Checks a configured filter: no control characters, no empty term, every term is a field, directly
 * followed by an operator the platform publishes, and a value where the operator wants one: what it
 * does not understand it drops, and the filter widens. ERROR_CONFIG quotes the term. */
bool servicenow_filter_check(struct str filter, struct error *err);

/* Calls on_field for the first segment of each term's field name ("task" of task.sys_class_name);
 * terms without a plain field (text search, RLQUERY) are skipped. */
void servicenow_filter_fields(struct str filter,
                              void (*on_field)(void *arg, struct str field),
                              void *arg);

/* A term `field=value` that holds for every row of the filter, so that rows can be checked against
 * it: false when the filter is not a single plain equality. */
bool servicenow_filter_equality(struct str filter, struct str *ret_field, struct str *ret_value);

/* filter (may be empty) AND terms ("^"-joined, not starting with "^"), then the order ("" or
 * "ORDERBYa^ORDERBYb"). Not percent-encoded. */
void servicenow_query_join(struct buf *out, struct str filter, struct str terms, struct str order);

struct servicenow_page_request {
    const struct task_def *task;
    struct str query; /* unencoded */
    bool keys_only;
    bool all_fields; /* no sysparm_fields: to learn which there are */
    bool count;
    int64_t limit;
    const char *extra_field; /* one more field to ask for, NULL if none */
};

/* "/api/now/v2/table/T?..." into `out`. */
void servicenow_page_url(struct buf *out, const struct servicenow_page_request *request);

/* Does any field of the task want its display value? */
bool servicenow_wants_display(const struct task_def *task);
