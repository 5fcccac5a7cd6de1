#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/guard/limiter.h"
#include "common/base/clock.h"

static void limiter_says_how_long_to_wait_once_nothing_is_left(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new();

    static const struct {
        int64_t now_us;
        bool is_granted;
        int64_t remaining;
        int64_t wait_us;
    } takes[] = {
        {0, true, 2, 0},
        {0, true, 1, 0},
        {5 * US_PER_S, true, 0, 15 * US_PER_S},
        {8 * US_PER_S, false, 0, 12 * US_PER_S},
        {20 * US_PER_S, true, 0, 20 * US_PER_S},
    };

    for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
        struct limiter_verdict verdict = limiter_take(limiter, "a", 3, 3, takes[i].now_us);
        assert_int_equal(verdict.is_granted, takes[i].is_granted);
        assert_int_equal(verdict.remaining, takes[i].remaining);
        assert_in_range(verdict.wait_us + 1, takes[i].wait_us, takes[i].wait_us + 2);
    }
    limiter_free(limiter);
}

static void limiter_keeps_the_word_it_gave(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new();
    static const int64_t rates[] = {1, 3, 7, 60, 100, 1000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct limiter_verdict verdict = limiter_take(limiter, "a", rates[i], 1, 0);
        assert_true(verdict.is_granted);
        /* Whole seconds, rounded up, is what is told. */
        int64_t told_us = (verdict.wait_us + US_PER_S - 1) / US_PER_S * US_PER_S;
        assert_int_equal(told_us, (60 + rates[i] - 1) / rates[i] * US_PER_S);
        assert_false(limiter_take(limiter, "a", rates[i], 1, verdict.wait_us / 2).is_granted);
        assert_true(limiter_take(limiter, "a", rates[i], 1, told_us).is_granted);
        limiter_free(limiter);
        limiter = limiter_new();
    }
    limiter_free(limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limiter_says_how_long_to_wait_once_nothing_is_left),
        cmocka_unit_test(limiter_keeps_the_word_it_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
