#include "worker/http/wait_clock.h"

#include "common/base/clock.h"

static int64_t system_monotonic_us(void *arg)
{
    (void)arg;
    return clock_monotonic_us();
}

static int64_t system_wall_us(void *arg)
{
    (void)arg;
    return clock_wall_us();
}

static void
system_wait(void *arg, struct condition *condition, struct mutex *mutex, int64_t deadline_us)
{
    (void)arg;
    int64_t slice_end_us = clock_monotonic_us() + WAIT_CLOCK_SLICE_US;

    (void)condition_wait_until(condition, mutex,
                               deadline_us < slice_end_us ? deadline_us : slice_end_us);
}

const struct wait_clock wait_clock_system = {
    .monotonic_us = system_monotonic_us,
    .wall_us = system_wall_us,
    .wait = system_wait,
};
