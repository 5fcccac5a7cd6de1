#pragma once

#include <stdint.h>

#include "common/base/thread.h"

/*
 * Time and waiting as the HTTP side sees them. Every wait of a source goes through here, so that it
 * can be told a stop within WAIT_CLOCK_SLICE_US and tests can run without sleeping.
 */

#define WAIT_CLOCK_SLICE_US INT64_C(100000)
#define WAIT_FOREVER_US     INT64_MAX

struct wait_clock {
    int64_t (*monotonic_us)(void *arg);
    int64_t (*wall_us)(void *arg);
    /* Gives up `mutex` and returns, holding it again, when `condition` is signalled, when
     * `deadline_us` (monotonic) has come, or earlier: the caller looks at its predicate and its
     * stop token and waits again. */
    void (*wait)(void *arg, struct condition *condition, struct mutex *mutex, int64_t deadline_us);
    void *arg;
};

/* The machine's clocks; waits in slices of WAIT_CLOCK_SLICE_US. */
extern const struct wait_clock wait_clock_system;

static inline int64_t wait_clock_now_us(const struct wait_clock *clock)
{
    return clock->monotonic_us(clock->arg);
}
