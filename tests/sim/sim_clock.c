#include "tests/sim/sim_clock.h"

#include "common/base/clock.h"

static int64_t now_locked(const struct sim_clock *clock)
{
    if (!clock->running) {
        return clock->shown_us;
    }
    return clock->shown_us + (clock_monotonic_us() - clock->since_us);
}

void sim_clock_init(struct sim_clock *clock, int64_t start_us, bool running)
{
    mutex_init(&clock->lock);
    clock->shown_us = start_us;
    clock->since_us = clock_monotonic_us();
    clock->running = running;
}

void sim_clock_release(struct sim_clock *clock)
{
    mutex_release(&clock->lock);
}

int64_t sim_clock_now_us(struct sim_clock *clock)
{
    MUTEX_GUARD(&clock->lock);
    return now_locked(clock);
}

void sim_clock_set(struct sim_clock *clock, int64_t to_us)
{
    MUTEX_GUARD(&clock->lock);
    clock->shown_us = to_us;
    clock->since_us = clock_monotonic_us();
}

void sim_clock_advance(struct sim_clock *clock, int64_t by_us)
{
    MUTEX_GUARD(&clock->lock);
    clock->shown_us = now_locked(clock) + by_us;
    clock->since_us = clock_monotonic_us();
}

void sim_clock_run(struct sim_clock *clock, bool running)
{
    MUTEX_GUARD(&clock->lock);
    clock->shown_us = now_locked(clock);
    clock->since_us = clock_monotonic_us();
    clock->running = running;
}

bool sim_duration_parse(struct str text, int64_t *ret_us)
{
    static const struct {
        const char *suffix;
        int64_t unit_us;
    } units[] = {{"ms", US_PER_MS}, {"s", US_PER_S},   {"m", US_PER_MIN},
                 {"h", US_PER_H},   {"d", US_PER_DAY}, {"", US_PER_S}};

    int64_t number;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct str suffix = str_from(units[i].suffix);

        if (str_ends_with(text, suffix) &&
            str_to_int64((struct str){text.ptr, text.len - suffix.len}, -1000000000, 1000000000,
                         &number)) {
            *ret_us = number * units[i].unit_us;
            return true;
        }
    }
    return false;
}
