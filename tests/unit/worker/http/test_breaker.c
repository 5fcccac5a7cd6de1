#include "cmocka_all.h"
#include "worker/http/breaker.h"

#define OPEN_FOR 1000

static void fail_times(struct breaker *breaker, int times, int64_t now)
{
    for (int i = 0; i < times; i++) {
        breaker_record(breaker, breaker_enter(breaker, now), BREAKER_FAILURE, now);
    }
}

static void breaker_opens_after_failures_in_a_row_only(void **state)
{
    struct breaker breaker;

    (void)state;
    breaker_init(&breaker, 3, OPEN_FOR);
    fail_times(&breaker, 2, 10);
    breaker_record(&breaker, false, BREAKER_SUCCESS, 10);
    fail_times(&breaker, 2, 10);
    breaker_record(&breaker, false, BREAKER_UNKNOWN, 10);
    assert_int_equal(breaker_blocked_until_us(&breaker, 10), 0);
    fail_times(&breaker, 1, 10);
    assert_int_equal(breaker_blocked_until_us(&breaker, 10), 10 + OPEN_FOR);
    assert_int_equal(breaker_blocked_until_us(&breaker, 10 + OPEN_FOR), 0);
}

static void breaker_lets_one_probe_through(void **state)
{
    struct breaker breaker;

    (void)state;
    breaker_init(&breaker, 1, OPEN_FOR);
    fail_times(&breaker, 1, 0);
    assert_true(breaker_enter(&breaker, OPEN_FOR));
    assert_int_equal(breaker_blocked_until_us(&breaker, OPEN_FOR), INT64_MAX);
    breaker_record(&breaker, true, BREAKER_SUCCESS, OPEN_FOR + 1);
    assert_int_equal(breaker_blocked_until_us(&breaker, OPEN_FOR + 1), 0);
    assert_false(breaker_enter(&breaker, OPEN_FOR + 1));
}

static void breaker_opens_again_when_the_probe_fails(void **state)
{
    struct breaker breaker;

    (void)state;
    breaker_init(&breaker, 1, OPEN_FOR);
    fail_times(&breaker, 1, 0);
    uint64_t openings = breaker.openings;

    assert_true(breaker_enter(&breaker, OPEN_FOR));
    breaker_record(&breaker, true, BREAKER_FAILURE, OPEN_FOR + 5);
    assert_int_equal(breaker_blocked_until_us(&breaker, OPEN_FOR + 5), 2 * OPEN_FOR + 5);
    assert_int_equal(breaker.openings, openings + 1);
}

static void breaker_probes_again_at_once_when_a_probe_said_nothing(void **state)
{
    struct breaker breaker;

    (void)state;
    breaker_init(&breaker, 1, OPEN_FOR);
    fail_times(&breaker, 1, 0);
    assert_true(breaker_enter(&breaker, OPEN_FOR));
    breaker_record(&breaker, true, BREAKER_UNKNOWN, OPEN_FOR);
    assert_true(breaker_enter(&breaker, OPEN_FOR));
}

static void breaker_ignores_late_answers_while_open(void **state)
{
    struct breaker breaker;

    (void)state;
    breaker_init(&breaker, 2, OPEN_FOR);
    fail_times(&breaker, 2, 0);
    breaker_record(&breaker, false, BREAKER_SUCCESS, 1);
    breaker_record(&breaker, false, BREAKER_FAILURE, 500);
    assert_int_equal(breaker_blocked_until_us(&breaker, 500), OPEN_FOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaker_opens_after_failures_in_a_row_only),
        cmocka_unit_test(breaker_lets_one_probe_through),
        cmocka_unit_test(breaker_opens_again_when_the_probe_fails),
        cmocka_unit_test(breaker_probes_again_at_once_when_a_probe_said_nothing),
        cmocka_unit_test(breaker_ignores_late_answers_while_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
