#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/backoff.h"

static void backoff_top_doubles_until_the_cap(void **state)
{
    (void)state;
    for (unsigned attempt = 0; attempt < 200; attempt++) {
        int64_t top_us = attempt < 4 ? INT64_C(500) << attempt : 6000;
        assert_int_equal(backoff_full_jitter_us(500, 6000, attempt, UINT64_MAX), top_us);
    }
}

static void backoff_reaches_down_to_zero(void **state)
{
    (void)state;
    assert_int_equal(backoff_full_jitter_us(500, 6000, 3, 0), 0);
}

static void backoff_is_proportional_to_its_randomness(void **state)
{
    (void)state;
    assert_int_equal(backoff_full_jitter_us(1000, 1000, 0, UINT64_C(1) << 63), 500);
}

static void backoff_survives_extremes(void **state)
{
    (void)state;
    assert_int_equal(backoff_full_jitter_us(INT64_MAX, INT64_MAX, 70, UINT64_MAX), INT64_MAX);
    assert_int_equal(backoff_full_jitter_us(10, 5, 0, UINT64_MAX), 5);
    assert_int_equal(backoff_full_jitter_us(0, 5, 0, UINT64_MAX), 0);
    assert_int_equal(backoff_full_jitter_us(5, 0, 0, UINT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_top_doubles_until_the_cap),
        cmocka_unit_test(backoff_reaches_down_to_zero),
        cmocka_unit_test(backoff_is_proportional_to_its_randomness),
        cmocka_unit_test(backoff_survives_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
