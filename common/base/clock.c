#include "common/base/clock.h"

#include <assert.h>
#include <time.h>

static int64_t read_clock_us(clockid_t id)
{
    struct timespec now;
    int failed = clock_gettime(id, &now);
    assert(!failed);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return read_clock_us(CLOCK_REALTIME);
}

int64_t clock_thread_cpu_us(void)
{
    return read_clock_us(CLOCK_THREAD_CPUTIME_ID);
}
