#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/problem.h"
#include "api/http/request.h"
#include "common/base/buf.h"

/*
 * The parameters of a request: query string, form body and JSON object merged into one set, checked
 * against what the route declares. Nothing unknown passes: a parameter that is silently ignored is
 * a load of the wrong rows. Pure; values live in the request's arena.
 */

#define PARAMS_MAX 24

enum param_type {
    PARAM_TEXT,
    PARAM_LIST,    /* may be repeated, or be a JSON array of strings */
    PARAM_INSTANT, /* RFC 3339 or a bare date */
    PARAM_INTEGER, /* min..max */
    PARAM_CHOICE,  /* one of choices */
    PARAM_BOOL,    /* true or false, 1 or 0, yes or no, on or off */
};

struct param_spec {
    const char *name;
    const char *alias; /* second name for the same parameter, NULL if none */
    enum param_type type;
    int64_t min;
    int64_t max;
    const char *const *choices; /* ends with NULL; a list of choices may also be one value with
                                   commas */
    const char *fallback;       /* what absence means, for documentation; NULL = nothing */
    const char *help;
};

struct param_value {
    const char **texts;  /* NUL-terminated */
    const char *said_as; /* the name or its alias, as the request has it first */
    size_t n_texts;
    size_t capacity;
};

struct params {
    const struct param_spec *specs;
    size_t n_specs;
    struct param_value values[PARAMS_MAX]; /* by index in specs */
};

/* Collects and checks; the body is looked at only for methods that have one. The problem names the
 * parameter at fault and the nearest valid name or value. */
bool params_parse(struct params *params,
                  const struct param_spec *specs,
                  size_t n_specs,
                  const struct request *request,
                  struct problem *problem);

/* `name` must be declared. NULL when absent. */
const char *params_text(const struct params *params, const char *name);
const char *const *params_list(const struct params *params, const char *name, size_t *ret_n);
int64_t params_integer(const struct params *params, const char *name, int64_t fallback);
bool params_bool(const struct params *params, const char *name);

/* "name=value&..." in declared order, percent-encoded, without those in `except` (ends with NULL):
 * the same request always gives the same text. */
void params_write_query(const struct params *params, const char *const *except, struct buf *out);
