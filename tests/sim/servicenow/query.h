#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"
#include "tests/sim/store.h"

/*
 * ServiceNow's encoded queries: parsed with all their forgiveness (what is not understood is
 * dropped, so that the query widens), then asked row by row. Values are views of the query's text,
 * which must outlive the query.
 */

enum { PATH_MAX_STEPS = 4, QUERY_MAX_TERMS = 600, QUERY_MAX_SORTS = 8 };

enum query_operator {
    OP_EQUAL,
    OP_NOT_EQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_GREATER,
    OP_GREATER_EQUAL,
    OP_LIKE,
    OP_NOT_LIKE,
    OP_STARTS_WITH,
    OP_ENDS_WITH,
    OP_IN,
    OP_NOT_IN,
    OP_IS_EMPTY,
    OP_IS_NOT_EMPTY,
    OP_EMPTY_STRING,
    OP_ANYTHING,
    OP_BETWEEN,
    OP_NOT_BETWEEN,
    OP_SAME_AS,
    OP_NOT_SAME_AS,
    OP_GREATER_FIELD,
    OP_LESS_FIELD,
    OP_GREATER_EQUAL_FIELD,
    OP_LESS_EQUAL_FIELD,
    OP_NEVER, /* a value the column cannot hold */
};

/* caller_id.company.name: a column, then columns of the records it refers to. */
struct path {
    int n_steps;
    int columns[PATH_MAX_STEPS];
    const struct table *tables[PATH_MAX_STEPS]; /* NULL: `task`, found by looking in all of them */
};

struct term {
    struct path path;
    struct path other; /* of field-to-field operators */
    enum query_operator op;
    enum column_type type;
    struct str value, upper;
    double number, upper_number;
    bool is_or;        /* joined to the term before it by ^OR */
    bool is_new_query; /* first of a branch after ^NQ */
    char computed[48]; /* backs `value` where it came from javascript: */
    char computed_upper[48];
};

struct sort {
    struct path path;
    bool descending;
};

/* Who asks, and what is bent for this request. Field names may be NULL. */
struct query_rules {
    int64_t now_s;
    int64_t user_offset_s;          /* the session user's time zone */
    bool invalid_returns_none;      /* glide.invalid_query.returns_no_rows */
    const char *widened_field;      /* "*": every range term on sys_id and stamps */
    const char *range_denied_field; /* range operators and sorting on it are ignored */
    const char *unreadable_field;   /* using it makes the query forbidden */
};

struct query {
    struct term *terms;
    int n_terms;
    struct sort sorts[QUERY_MAX_SORTS];
    int n_sorts;
    bool nothing;   /* returns_no_rows met an invalid term */
    bool forbidden; /* uses the unreadable field */
    int n_dropped;
};

void query_parse(struct query *query,
                 const struct store *store,
                 const struct table *table,
                 struct str text,
                 const struct query_rules *rules);
void query_release(struct query *query);
bool query_matches(const struct query *query, struct row *row);
bool query_is_range(enum query_operator op);

/* Resolves "a" or "a.b.c"; false if any step is unknown. */
bool path_parse(struct path *path,
                const struct store *store,
                const struct table *table,
                struct str text);
const struct column *path_column(const struct path *path);
/* The value at the end of the path, "" where a reference leads nowhere. */
struct str path_cell(const struct path *path, struct row *row, char *out);
