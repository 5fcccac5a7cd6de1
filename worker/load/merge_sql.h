#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "worker/load/merge.h"

/*
 * The statements of a merge, composed from templates and the catalog's columns. A template is SQL
 * with {placeholders}; the list is in merge_sql.c. In the templates t is the landed table, s the
 * staged rows, k the key census, r the rejects and d pg_temp.delta. Nothing but quoted identifiers
 * and quoted literals is ever inserted.
 */

/* Of rows that are landed as they are only what is compared was sent (known.h). */
#define MERGE_IS_KNOWN "length(s.etl_absent) = 0"

struct merge_sql {
    const struct merge_request *request;
    const struct task_def *task;
    bool has_absent; /* some staged row lacks some column */
};

/* Replaces `out` by the expanded template. An unknown name in braces aborts: templates are ours. */
void merge_sql_expand(const struct merge_sql *sql, const char *template, struct buf *out);
