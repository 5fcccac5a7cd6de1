#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/instant.h"

/* Numbers and instants as parameters of a statement. */

struct number {
    char text[24];
};

static inline struct number number_of(int64_t value)
{
    struct number number;
    (void)snprintf(number.text, sizeof(number.text), "%" PRId64, value);
    return number;
}

/* NULL for "none" and for "open". */
static inline const char *instant_param(int64_t us, char out[INSTANT_TEXT_MAX])
{
    return us == INT64_MIN || us == INT64_MAX ? NULL : instant_format_rfc3339(us, out);
}
