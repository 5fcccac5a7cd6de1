#pragma once

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "tests/sim/azure_devops/value.h"

/*
 * WIQL, as far as flat queries go: SELECT, FROM WorkItems, WHERE with AND, OR, NOT, brackets and
 * the usual operators, ORDER BY, ASOF. Link queries (FROM WorkItemLinks) are refused.
 */

enum wiql_operator {
    WIQL_EQ,
    WIQL_NE,
    WIQL_LT,
    WIQL_LE,
    WIQL_GT,
    WIQL_GE,
    WIQL_CONTAINS,
    WIQL_NOT_CONTAINS,
    WIQL_UNDER,
    WIQL_NOT_UNDER,
    WIQL_IN,
    WIQL_NOT_IN,
    WIQL_EVER,
    WIQL_AND,
    WIQL_OR,
    WIQL_NOT
};

enum { WIQL_VALUES_MAX = 1024, WIQL_COLUMNS_MAX = 64 };

struct wiql_value {
    struct str text;
    int64_t number; /* with is_number, or an instant with is_time */
    bool is_number, is_time;
};

struct wiql_node {
    enum wiql_operator op;
    int field;
    const struct wiql_node *left, *right;
    const struct wiql_value *values;
    int n_values;
};

struct wiql_query {
    int columns[WIQL_COLUMNS_MAX];
    int n_columns;
    const struct wiql_node *where; /* NULL: everything */
    int order[WIQL_COLUMNS_MAX];
    bool descending[WIQL_COLUMNS_MAX];
    int n_order;
    int64_t as_of_us; /* AZURE_NEVER: now */
};

struct wiql_context {
    struct arena *arena;
    const char *project; /* @project; NULL: none in the path */
    const char *me;      /* @me: a unique name */
    int64_t now_us;
    bool time_precision;
    const char *refused; /* fields that cannot be queried, joined by ';', or NULL */
};

/* False with a message for the client. */
bool wiql_parse(struct str text,
                const struct wiql_context *context,
                struct wiql_query *ret,
                struct error *err);
bool wiql_matches(const struct wiql_node *node,
                  const struct azure_items *items,
                  const struct azure_revision *r);
/* The smallest id that the condition lets through; 1 when it says nothing about it. */
int64_t wiql_lowest_id(const struct wiql_node *node);
