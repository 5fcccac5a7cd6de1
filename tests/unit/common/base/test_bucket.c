#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/bucket.h"

static void bucket_allows_a_burst_and_then_says_how_long(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 10, 3, 1000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bucket_take(&bucket, 1000), 0);
    }
    int64_t wait_us = bucket_take(&bucket, 1000);
    assert_in_range(wait_us, 99990, 100010);
    assert_int_equal(bucket_take(&bucket, 1000 + wait_us), 0);
    assert_true(bucket_take(&bucket, 1000 + wait_us) > 0);
}

static void bucket_waits_are_always_long_enough(void **state)
{
    (void)state;
    static const double rates[] = {0.3, 1.6666, 7, 99.9, 12345.678};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct bucket bucket;
        int64_t now_us = 0;
        bucket_init(&bucket, rates[i], 1, now_us);
        for (int turn = 0; turn < 1000; turn++) {
            now_us += bucket_take(&bucket, now_us);
            now_us += bucket_take(&bucket, now_us);
            assert_true(bucket.tokens >= -0.001);
        }
        assert_true((double)now_us / 1e6 > 990 / rates[i]);
    }
}

static void bucket_never_holds_more_than_its_capacity(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 1000, 20, 0);
    assert_int_equal(bucket_available(&bucket, INT64_C(3600000000)), 20);
}

static void bucket_without_a_rate_is_unlimited(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 0, 0, 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(bucket_take(&bucket, 0), 0);
    }
    assert_true(bucket_available(&bucket, 0) > 1000);
}

static void bucket_ignores_time_that_runs_backwards(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 1, 1, 5000000);
    assert_int_equal(bucket_take(&bucket, 5000000), 0);
    assert_true(bucket_take(&bucket, 0) > 0);
    assert_int_equal(bucket_available(&bucket, 5000000), 0);
    assert_int_equal(bucket_available(&bucket, 6000000), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bucket_allows_a_burst_and_then_says_how_long),
        cmocka_unit_test(bucket_waits_are_always_long_enough),
        cmocka_unit_test(bucket_never_holds_more_than_its_capacity),
        cmocka_unit_test(bucket_without_a_rate_is_unlimited),
        cmocka_unit_test(bucket_ignores_time_that_runs_backwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
