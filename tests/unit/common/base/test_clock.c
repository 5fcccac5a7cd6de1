#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"

static void clock_monotonic_never_goes_back(void **state)
{
    (void)state;
    int64_t last_us = clock_monotonic_us();
    for (int i = 0; i < 10000; i++) {
        int64_t now_us = clock_monotonic_us();
        assert_true(now_us >= last_us);
        last_us = now_us;
    }
}

static void clock_wall_counts_from_1970(void **state)
{
    (void)state;
    int64_t years = clock_wall_us() / US_PER_DAY / 365;
    assert_in_range(years, 50, 200);
}

static void clock_thread_cpu_moves_with_work(void **state)
{
    (void)state;
    int64_t start_us = clock_thread_cpu_us();
    int64_t deadline_us = clock_monotonic_us() + 30 * US_PER_S;
    while (clock_thread_cpu_us() == start_us) {
        assert_true(clock_monotonic_us() < deadline_us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_monotonic_never_goes_back),
        cmocka_unit_test(clock_wall_counts_from_1970),
        cmocka_unit_test(clock_thread_cpu_moves_with_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
