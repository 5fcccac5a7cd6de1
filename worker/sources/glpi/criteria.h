#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/str.h"

/*
 * Criteria of GLPI's search endpoint for tickets, declared as data and checked before they are
 * sent, because the endpoint forgives what it should refuse: `morethan` on a number is taken for
 * `equals`, an empty value matches everything. Pure.
 */

enum glpi_link { GLPI_AND, GLPI_OR, GLPI_AND_NOT, GLPI_OR_NOT };

enum glpi_search_type {
    GLPI_CONTAINS, /* ^ and $ tie the value to start and end */
    GLPI_NOTCONTAINS,
    GLPI_EQUALS,
    GLPI_NOTEQUALS,
    GLPI_LESSTHAN, /* strictly */
    GLPI_MORETHAN,
    GLPI_UNDER, /* a tree's branch */
    GLPI_NOTUNDER,
};

struct glpi_criterion {
    enum glpi_link link; /* to what stands before it; the first one's must be AND or AND NOT */
    int field;           /* id of a search option; 0 = a group */
    enum glpi_search_type type;
    const char *value;
    const struct glpi_criterion *group; /* in parentheses */
    size_t n_group;
};

#define GLPI_CRITERIA_DEPTH_MAX 4

/* Appends "criteria[0][link]=AND&..." percent-encoded, without a leading "&". ERROR_CONFIG names
 * the field and what is wrong with it; then `url` is as before. */
bool glpi_criteria_add(const struct glpi_criterion *criteria,
                       size_t n,
                       struct buf *url,
                       struct error *err);

enum glpi_search_data {
    GLPI_SEARCH_NONE,
    GLPI_SEARCH_BOOL,
    GLPI_SEARCH_COUNT,
    GLPI_SEARCH_DATETIME,
    GLPI_SEARCH_DECIMAL,
    GLPI_SEARCH_DROPDOWN,
    GLPI_SEARCH_EMAIL,
    GLPI_SEARCH_ITEMLINK,
    GLPI_SEARCH_ITEMTYPENAME,
    GLPI_SEARCH_NUMBER,
    GLPI_SEARCH_SPECIFIC,
    GLPI_SEARCH_STRING,
    GLPI_SEARCH_TEXT,
    GLPI_SEARCH_TIMESTAMP,
};

enum {
    SEARCH_NEVER = 0,
    SEARCH_CONTAINS = 1, /* and notcontains */
    SEARCH_EQUALS = 2,
    SEARCH_NOTEQUALS = 4,
    SEARCH_COMPARES = 8, /* lessthan, morethan */
    SEARCH_UNDER = 16,   /* and notunder */
};

struct glpi_search_option {
    int id;
    const char *what; /* "tickets.date_mod" */
    enum glpi_search_data data;
    unsigned types;
};

/* NULL if GLPI 10 has no such option. */
const struct glpi_search_option *glpi_search_option(int id);
