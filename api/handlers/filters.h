#pragma once

#include <stdbool.h>

#include "api/http/params.h"
#include "common/base/instant.h"

/*
 * From parameters to those of statements: lists as arrays, spans of time as two instants. One
 * vocabulary for all routes that read tickets.
 */

struct call;

/* Priorities and states as filters take them; end with NULL. */
extern const char *const filter_priorities[];
extern const char *const filter_statuses[];

#define FILTER_SOURCE                                                                              \
    {                                                                                              \
        .name = "source", .type = PARAM_LIST, .help = "Only these sources."                        \
    }
#define FILTER_QUEUE                                                                               \
    {                                                                                              \
        .name = "queue", .type = PARAM_LIST, .help = "Only these queues."                          \
    }
#define FILTER_CATEGORY                                                                            \
    {                                                                                              \
        .name = "category", .type = PARAM_LIST, .help = "Only these categories."                   \
    }
#define FILTER_PRIORITY                                                                            \
    {                                                                                              \
        .name = "priority", .type = PARAM_LIST, .choices = filter_priorities,                      \
        .help = "Only these priorities: 1 (critical) to 5, unknown. Repeat it, or separate by "    \
                "commas."                                                                          \
    }
#define FILTER_KIND                                                                                \
    {                                                                                              \
        .name = "kind", .type = PARAM_LIST, .help = "Only these kinds: incident, request, Bug..."  \
    }
#define FILTER_STATUS                                                                              \
    {                                                                                              \
        .name = "status", .type = PARAM_LIST, .choices = filter_statuses,                          \
        .help = "Only these states. Repeat it, or separate by commas."                             \
    }
#define FILTER_ASSIGNEE                                                                            \
    {                                                                                              \
        .name = "assignee", .type = PARAM_LIST,                                                    \
        .help = "Only tickets of these people: technician ids or e-mail addresses."                \
    }
#define FILTER_TEAM                                                                                \
    {                                                                                              \
        .name = "team", .type = PARAM_LIST, .help = "Only these teams."                            \
    }

/* The values as an array literal in the call's arena; NULL when absent. */
const char *filter_array(struct call *call, const char *name);

/* The same in lower case. */
const char *filter_array_lower(struct call *call, const char *name);

struct span {
    char from[INSTANT_TEXT_MAX];
    char to[INSTANT_TEXT_MAX];
};

/* `from` and `to` (half-open), or `period_name` ("30d", "12h", "2w") until now; without any, or
 * without `from`, `default_days`. False: the problem is set. */
bool filter_span(struct call *call,
                 const char *period_name,
                 int default_days,
                 struct span *ret_span);

/* `from` before `to`, where both are given. */
bool filter_order(struct call *call, const char *from_name, const char *to_name);
