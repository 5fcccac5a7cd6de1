#include <sched.h>
#include <stdatomic.h>

#include "cmocka_all.h"
#include "common/base/clock.h"
#include "fake.h"

#define N_THREADS 8
#define N_TURNS   200

struct fixture {
    struct fake_clock clock;
    struct stop *stop;
    struct limiter limiter;
    int64_t throttled_us;
};

static void set_up(struct fixture *fixture, int64_t max_in_flight, double per_second)
{
    struct source_config config = fake_config();

    config.rate_limit = per_second;
    config.breaker.failures = 1;
    fake_clock_init(&fixture->clock);
    fixture->stop = stop_new(NULL);
    fixture->throttled_us = 0;
    limiter_init(&fixture->limiter, &config, max_in_flight, fixture->stop, &fixture->clock.clock);
    limiter_note_answer(&fixture->limiter); /* else an open breaker is not waited for */
}

static void tear_down(struct fixture *fixture)
{
    limiter_release(&fixture->limiter);
    stop_free(fixture->stop);
    fake_clock_release(&fixture->clock);
}

static enum limiter_result enter(struct fixture *fixture, struct limiter_permit *permit)
{
    return limiter_enter(&fixture->limiter, NULL, INT64_MIN, permit, &fixture->throttled_us);
}

struct crowd {
    struct fixture fixture;
    atomic_int in_flight;
    atomic_int most;
    atomic_int admitted;
};

static void *take_turns(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < N_TURNS; i++) {
        struct limiter_permit permit = {0};
        int64_t throttled_us = 0;

        if (limiter_enter(&crowd->fixture.limiter, NULL, INT64_MIN, &permit, &throttled_us) !=
            LIMITER_ADMITTED) {
            return NULL;
        }
        int now = atomic_fetch_add(&crowd->in_flight, 1) + 1;
        int most = atomic_load(&crowd->most);

        while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now)) {
        }
        (void)sched_yield();
        atomic_fetch_sub(&crowd->in_flight, 1);
        atomic_fetch_add(&crowd->admitted, 1);
        limiter_leave(&crowd->fixture.limiter);
        limiter_report(&crowd->fixture.limiter, permit, BREAKER_SUCCESS);
    }
    return NULL;
}

static void limiter_never_exceeds_the_budget_with_eight_threads(void **state)
{
    struct crowd crowd = {0};
    struct thread threads[N_THREADS] = {0};

    (void)state;
    set_up(&crowd.fixture, 3, 0);
    for (size_t i = 0; i < N_THREADS; i++) {
        thread_start(&threads[i], "lane", take_turns, &crowd);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(atomic_load(&crowd.admitted), N_THREADS * N_TURNS);
    assert_in_range(atomic_load(&crowd.most), 1, 3);
    assert_int_equal(crowd.fixture.limiter.in_flight, 0);
    tear_down(&crowd.fixture);
}

static void limiter_spaces_requests_by_the_rate(void **state)
{
    struct fixture fixture;
    struct limiter_permit permit = {0};

    (void)state;
    set_up(&fixture, 100, 10);
    int64_t began_us = fake_clock_now_us(&fixture.clock);

    for (int i = 0; i < 31; i++) {
        assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED);
    }
    /* one token at the start, thirty more at ten a second */
    int64_t took_us = fake_clock_now_us(&fixture.clock) - began_us;

    assert_in_range(took_us, 2999 * US_PER_MS, 3010 * US_PER_MS);
    assert_int_equal(fixture.throttled_us, 0);
    tear_down(&fixture);
}

static void limiter_keeps_silence_for_every_lane_and_counts_it(void **state)
{
    struct fixture fixture;
    struct limiter_permit permit = {0};

    (void)state;
    set_up(&fixture, 2, 0);
    limiter_silence(&fixture.limiter, 30 * US_PER_S);
    limiter_silence(&fixture.limiter, 5 * US_PER_S); /* shorter: does not end the longer one */
    int64_t began_us = fake_clock_now_us(&fixture.clock);

    assert_int_equal(limiter_silence_left_us(&fixture.limiter), 30 * US_PER_S);
    assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED);
    assert_int_equal(fake_clock_now_us(&fixture.clock) - began_us, 30 * US_PER_S);
    assert_int_equal(fixture.throttled_us, 30 * US_PER_S);
    assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED);
    assert_int_equal(fixture.throttled_us, 30 * US_PER_S);
    tear_down(&fixture);
}

static void limiter_does_not_wait_for_a_silence_beyond_max_wait(void **state)
{
    struct fixture fixture;
    struct limiter_permit permit = {0};

    (void)state;
    set_up(&fixture, 2, 0);
    limiter_silence(&fixture.limiter, 601 * US_PER_S);
    assert_int_equal(enter(&fixture, &permit), LIMITER_SILENCED);
    fake_clock_advance(&fixture.clock, US_PER_S);
    assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED);
    tear_down(&fixture);
}

static void limiter_waits_for_the_breaker_and_sends_a_probe(void **state)
{
    struct fixture fixture;
    struct limiter_permit permit = {0};

    (void)state;
    set_up(&fixture, 2, 0);
    assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED);
    assert_false(permit.is_probe);
    limiter_leave(&fixture.limiter);
    limiter_report(&fixture.limiter, permit, BREAKER_FAILURE);
    assert_int_equal(limiter_open_after_failures(&fixture.limiter), 1);
    int64_t opened_us = fake_clock_now_us(&fixture.clock);

    assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED);
    assert_true(permit.is_probe);
    assert_int_equal(fake_clock_now_us(&fixture.clock) - opened_us, 60 * US_PER_S);
    limiter_leave(&fixture.limiter);
    limiter_report(&fixture.limiter, permit, BREAKER_SUCCESS);
    assert_int_equal(limiter_open_after_failures(&fixture.limiter), 0);
    tear_down(&fixture);
}

struct waiter {
    struct fixture *fixture;
    atomic_bool started;
    atomic_int result;
};

static void *wait_in_line(void *arg)
{
    struct waiter *waiter = arg;
    struct limiter_permit permit = {0};
    int64_t throttled_us = 0;

    atomic_store(&waiter->started, true);
    atomic_store(&waiter->result, (int)limiter_enter(&waiter->fixture->limiter, NULL, INT64_MIN,
                                                     &permit, &throttled_us));
    return NULL;
}

static void limiter_tells_waiters_that_the_probe_failed(void **state)
{
    struct fixture fixture;
    struct limiter_permit permit = {0};
    struct thread thread = {0};

    (void)state;
    set_up(&fixture, 4, 0);
    assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED);
    limiter_leave(&fixture.limiter);
    limiter_report(&fixture.limiter, permit, BREAKER_FAILURE);
    assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED); /* the probe is out */
    struct waiter waiter = {.fixture = &fixture, .result = -1};

    thread_start(&thread, "lane", wait_in_line, &waiter);
    while (atomic_load(&fixture.clock.n_idle) == 0) {
        (void)sched_yield();
    }
    limiter_leave(&fixture.limiter);
    limiter_report(&fixture.limiter, permit, BREAKER_FAILURE);
    thread_join(&thread);
    assert_int_equal(atomic_load(&waiter.result), LIMITER_PROBE_FAILED);
    tear_down(&fixture);
}

/* On the machine's clock: what is promised here is real time. */
static void limiter_ends_every_wait_within_200_ms_of_a_stop(void **state)
{
    struct source_config config = fake_config();
    struct stop *stop = stop_new(NULL);
    struct fixture fixture = {.stop = stop};
    struct waiter waiter = {.fixture = &fixture, .result = -1};
    struct thread thread = {0};

    (void)state;
    limiter_init(&fixture.limiter, &config, 1, stop, &wait_clock_system);
    limiter_silence(&fixture.limiter, 60 * US_PER_S);
    thread_start(&thread, "lane", wait_in_line, &waiter);
    while (!atomic_load(&waiter.started)) {
        (void)sched_yield();
    }
    int64_t asked_us = clock_monotonic_us();

    stop_request(stop, STOP_CANCELLED);
    thread_join(&thread);
    assert_int_equal(atomic_load(&waiter.result), LIMITER_STOPPED);
    assert_true(clock_monotonic_us() - asked_us < 200 * US_PER_MS);
    limiter_release(&fixture.limiter);
    stop_free(stop);
}

static void limiter_stops_one_lane_and_leaves_the_source_open(void **state)
{
    struct fixture fixture;
    struct limiter_permit permit = {0};
    struct stop *own = stop_new(NULL);

    (void)state;
    set_up(&fixture, 1, 0);
    stop_request(own, STOP_CANCELLED);
    assert_int_equal(
        limiter_enter(&fixture.limiter, own, INT64_MIN, &permit, &fixture.throttled_us),
        LIMITER_STOPPED);
    assert_int_equal(enter(&fixture, &permit), LIMITER_ADMITTED);
    stop_free(own);
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limiter_never_exceeds_the_budget_with_eight_threads),
        cmocka_unit_test(limiter_spaces_requests_by_the_rate),
        cmocka_unit_test(limiter_keeps_silence_for_every_lane_and_counts_it),
        cmocka_unit_test(limiter_does_not_wait_for_a_silence_beyond_max_wait),
        cmocka_unit_test(limiter_waits_for_the_breaker_and_sends_a_probe),
        cmocka_unit_test(limiter_tells_waiters_that_the_probe_failed),
        cmocka_unit_test(limiter_ends_every_wait_within_200_ms_of_a_stop),
        cmocka_unit_test(limiter_stops_one_lane_and_leaves_the_source_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
