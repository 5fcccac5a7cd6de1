#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

/*
 * A statement of schema/queries cut down to what is asked. A line that begins with `--$n` counts
 * only where parameter n is given; what is not there need not be parsed and planned, and a plan
 * that is kept may use the indexes of what is. To psql such lines are comments: the file as it is
 * answers the question without filters.
 */

#define NARROW_PARAMS_MAX 32

struct narrowed {
    struct buf text;
    const char *params[NARROW_PARAMS_MAX]; /* those that the text still mentions; borrowed */
    size_t n_params;
    uint32_t given; /* bit n - 1: parameter n is not NULL. The same bits, the same text */
};

/* The last parameter, a number of rows in digits, is written into the text, for a plan has to know
 * it. At most NARROW_PARAMS_MAX parameters; NULL is SQL's NULL. Release with narrowed_release(). */
void narrow(const char *sql,
            const char *const *params,
            size_t n_params,
            struct narrowed *ret_narrowed);

void narrowed_release(struct narrowed *narrowed);
