#include "common/base/clock.h"

#include <assert.h>
#include <errno.h>
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

int64_t clock_monotonic_coarse_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC_COARSE);
}

int64_t clock_wall_us(void)
{
    return read_clock_us(CLOCK_REALTIME);
}

int64_t clock_thread_cpu_us(void)
{
    return read_clock_us(CLOCK_THREAD_CPUTIME_ID);
}

void clock_sleep_us(int64_t duration_us)
{
    struct timespec left = {.tv_sec = duration_us / US_PER_S,
                            .tv_nsec = duration_us % US_PER_S * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
