#include "cmocka_all.h"
#include "common/base/clock.h"
#include "worker/http/retry.h"

static const struct retry_config config = {
    .attempts = 3, .base_delay_us = 500, .max_delay_us = 1500, .max_wait_us = 10 * US_PER_S};

/* 2026-07-14T00:30:28Z */
#define DATE_US (INT64_C(1783989028) * US_PER_S)

static void retry_after_knows_both_forms(void **state)
{
    static const struct {
        const char *value;
        int64_t date_us, wall_us, expected_us;
    } cases[] = {
        {"120", 0, 0, 120 * US_PER_S},
        {" 0 ", 0, 0, 0},
        {"99999999999999999999", 0, 0, INT64_C(366) * US_PER_DAY},
        {"-5", 0, 0, RETRY_AFTER_NONE},
        {"1.5", 0, 0, RETRY_AFTER_NONE},
        {"soon", 0, 0, RETRY_AFTER_NONE},
        {"", 0, 0, RETRY_AFTER_NONE},
        /* our clock is an hour off, the server's own Date counts */
        {"Tue, 14 Jul 2026 00:31:28 GMT", DATE_US, DATE_US + US_PER_H, 60 * US_PER_S},
        {"Tue, 14 Jul 2026 00:31:28 GMT", 0, DATE_US + 10 * US_PER_S, 50 * US_PER_S},
        {"Tue, 14 Jul 2026 00:00:00 GMT", DATE_US, 0, 0},
        {"Tue, 14 Jul 2126 00:00:00 GMT", DATE_US, 0, INT64_C(366) * US_PER_DAY},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(
            retry_after_us(str_from(cases[i].value), cases[i].date_us, cases[i].wall_us),
            cases[i].expected_us);
    }
    assert_int_equal(retry_after_us(STR_NONE, 0, 0), RETRY_AFTER_NONE);
}

static void retry_decides_every_verdict_at_every_attempt(void **state)
{
    static const struct {
        enum http_verdict verdict;
        enum retry_action before_last, at_last;
    } cases[] = {
        {HTTP_ACCEPT, RETRY_GIVE_UP, RETRY_GIVE_UP},   {HTTP_RETRY, RETRY_WAIT, RETRY_GIVE_UP},
        {HTTP_RETRY_FRESH, RETRY_WAIT, RETRY_GIVE_UP}, {HTTP_REAUTH, RETRY_GIVE_UP, RETRY_GIVE_UP},
        {HTTP_THROTTLE, RETRY_SILENCE, RETRY_GIVE_UP}, {HTTP_FAIL, RETRY_GIVE_UP, RETRY_GIVE_UP},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int64_t tries = 1; tries <= 4; tries++) {
            struct retry_step step =
                retry_decide(&config, tries, cases[i].verdict, RETRY_AFTER_NONE, UINT64_MAX);

            assert_int_equal(step.action, tries < 3 ? cases[i].before_last : cases[i].at_last);
        }
    }
}

static void retry_waits_within_the_jitter_bounds(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 64; i++) {
        uint64_t random = i * (UINT64_MAX / 63);
        int64_t first = retry_decide(&config, 1, HTTP_RETRY, RETRY_AFTER_NONE, random).wait_us;
        int64_t second = retry_decide(&config, 2, HTTP_RETRY, RETRY_AFTER_NONE, random).wait_us;

        assert_in_range(first, 0, 500);
        assert_in_range(second, 0, 1000);
    }
    assert_true(retry_decide(&config, 2, HTTP_RETRY, RETRY_AFTER_NONE, UINT64_MAX).wait_us > 900);
}

static void retry_obeys_retry_after_for_the_whole_source(void **state)
{
    struct retry_step step = retry_decide(&config, 1, HTTP_THROTTLE, 7 * US_PER_S, 0);

    (void)state;
    assert_int_equal(step.action, RETRY_SILENCE);
    assert_int_equal(step.wait_us, 7 * US_PER_S);
    step = retry_decide(&config, 1, HTTP_RETRY, 7 * US_PER_S, 0);
    assert_int_equal(step.action, RETRY_SILENCE);
    step = retry_decide(&config, 3, HTTP_THROTTLE, 7 * US_PER_S, 0);
    assert_int_equal(step.action, RETRY_GIVE_UP);
    assert_int_equal(step.wait_us, 7 * US_PER_S);
    step = retry_decide(&config, 1, HTTP_THROTTLE, 10 * US_PER_S, 0);
    assert_int_equal(step.action, RETRY_SILENCE);
}

static void retry_gives_up_at_once_when_asked_for_more_than_max_wait(void **state)
{
    struct retry_step step = retry_decide(&config, 1, HTTP_THROTTLE, 10 * US_PER_S + 1, 0);

    (void)state;
    assert_int_equal(step.action, RETRY_TOO_LONG);
    assert_int_equal(step.wait_us, 10 * US_PER_S + 1);
}

static void retry_backs_off_when_retry_after_is_zero(void **state)
{
    struct retry_step step = retry_decide(&config, 1, HTTP_THROTTLE, 0, UINT64_MAX);

    (void)state;
    assert_int_equal(step.action, RETRY_SILENCE);
    assert_true(step.wait_us > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_after_knows_both_forms),
        cmocka_unit_test(retry_decides_every_verdict_at_every_attempt),
        cmocka_unit_test(retry_waits_within_the_jitter_bounds),
        cmocka_unit_test(retry_obeys_retry_after_for_the_whole_source),
        cmocka_unit_test(retry_gives_up_at_once_when_asked_for_more_than_max_wait),
        cmocka_unit_test(retry_backs_off_when_retry_after_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
