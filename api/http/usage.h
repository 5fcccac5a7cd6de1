#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

/*
 * Who asked for what, how often, since this process began. Bounded: once there are too many
 * combinations, what is new is counted under USAGE_OTHERS. Thread-safe.
 */

#define USAGE_OTHERS "(others)"
#define USAGE_MAX    4096

struct usage;

struct usage_row {
    char *principal; /* "" = nobody was known */
    size_t route;
    int status;
    int64_t requests;
    int64_t bytes;
    int64_t duration_us; /* sum */
};

struct usage *usage_new(void);
void usage_free(struct usage *usage); /* accepts NULL */

struct usage_event {
    struct str principal;
    size_t route;
    int status;
    size_t bytes;
    int64_t duration_us;
};

void usage_count(struct usage *usage, const struct usage_event *event);

/* A copy of all rows, by requests, most first; free with usage_rows_free. */
struct usage_row *usage_rows(struct usage *usage, size_t *ret_n_rows);
void usage_rows_free(struct usage_row *rows, size_t n_rows);
