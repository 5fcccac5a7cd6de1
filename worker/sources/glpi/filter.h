#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/conf/catalog.h"

/*
 * A task's filter: conditions on columns, `column=pattern` joined by `&`, as the lists' searchText
 * takes them: the pattern is contained in the text form of the value; `^` ties it to the start, `$`
 * to the end; `NULL` means empty. There is no "greater than". `itemtype=^Ticket$` is the usual one.
 */

#define GLPI_CONDITIONS_MAX 8

struct glpi_condition {
    struct str column;
    struct str pattern;
    int cell;        /* index in the task's columns, -1 if it is not one of them */
    bool is_exact;   /* ^...$ without anything special: rows can be held against it */
    struct str text; /* then: what stands between */
};

struct glpi_filter {
    struct glpi_condition conditions[GLPI_CONDITIONS_MAX];
    size_t n;
};

/* Views into task->filter. ERROR_CONFIG quotes what is wrong. */
bool glpi_filter_parse(const struct task_def *task,
                       struct glpi_filter *ret_filter,
                       struct error *err);

/* "&searchText[column]=pattern" for each condition, percent-encoded. */
void glpi_filter_add(const struct glpi_filter *filter, struct buf *url);
void glpi_filter_add_one(struct str column, struct str pattern, struct buf *url);

/* Does the row satisfy what can be told from its cells? */
struct cell;
bool glpi_filter_holds(const struct glpi_filter *filter, const struct cell *cells);
