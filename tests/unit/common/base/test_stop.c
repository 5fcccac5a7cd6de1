#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/stop.h"
#include "common/base/thread.h"

static const int64_t FAR_US = 60 * US_PER_S;
static const int64_t SOON_US = 20 * US_PER_S; /* generous: the machine may be busy */

struct sleeper {
    struct stop *stop;
    bool reached_deadline;
};

static void *sleep_long(void *arg)
{
    struct sleeper *sleeper = arg;
    sleeper->reached_deadline = stop_sleep_until(sleeper->stop, clock_monotonic_us() + FAR_US);
    return NULL;
}

static void stop_sleep_reaches_its_deadline(void **state)
{
    (void)state;
    struct stop *stop = stop_new(NULL);
    int64_t deadline_us = clock_monotonic_us() + 150 * US_PER_MS;
    assert_true(stop_sleep_until(stop, deadline_us));
    assert_true(clock_monotonic_us() >= deadline_us);
    assert_true(stop_sleep_until(stop, 0));
    stop_free(stop);
}

static void expect_wake(struct stop *requested, struct stop *slept_on)
{
    struct sleeper sleeper = {.stop = slept_on, .reached_deadline = true};
    struct thread thread = {0};
    int64_t start_us = clock_monotonic_us();
    thread_start(&thread, "sleeper", sleep_long, &sleeper);
    stop_request(requested, STOP_CANCELLED);
    thread_join(&thread);
    assert_false(sleeper.reached_deadline);
    assert_true(clock_monotonic_us() - start_us < SOON_US);
}

static void stop_request_wakes_a_sleeper(void **state)
{
    (void)state;
    struct stop *stop = stop_new(NULL);
    expect_wake(stop, stop);
    stop_free(stop);
}

static void stop_of_an_ancestor_wakes_a_sleeper(void **state)
{
    (void)state;
    struct stop *grandparent = stop_new(NULL);
    struct stop *parent = stop_new(grandparent);
    struct stop *child = stop_new(parent);
    expect_wake(grandparent, child);
    assert_int_equal(stop_reason(child), STOP_CANCELLED);
    stop_free(child);
    stop_free(parent);
    stop_free(grandparent);
}

static void stop_of_a_child_leaves_its_parent_alone(void **state)
{
    (void)state;
    struct stop *parent = stop_new(NULL);
    struct stop *child = stop_new(parent);
    stop_request(child, STOP_LOST);
    assert_true(stop_is_requested(child));
    assert_false(stop_is_requested(parent));
    assert_false(stop_sleep_until(child, clock_monotonic_us() + FAR_US));
    stop_free(child);
    stop_free(parent);
}

static void stop_keeps_the_first_reason(void **state)
{
    (void)state;
    struct stop *stop = stop_new(NULL);
    assert_int_equal(stop_reason(stop), STOP_NONE);
    stop_request(stop, STOP_LOST);
    stop_request(stop, STOP_CANCELLED);
    stop_request_from_signal(stop);
    assert_int_equal(stop_reason(stop), STOP_LOST);
    stop_free(stop);
    stop_free(NULL);
}

static struct stop *stopped_by_signal;

static void on_signal(int number)
{
    (void)number;
    stop_request_from_signal(stopped_by_signal);
}

static void stop_from_a_signal_handler_ends_the_sleep(void **state)
{
    (void)state;
    stopped_by_signal = stop_new(NULL);
    struct sigaction action = {.sa_handler = on_signal};
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    struct sleeper sleeper = {.stop = stopped_by_signal, .reached_deadline = true};
    struct thread thread = {0};
    thread_start(&thread, "sleeper", sleep_long, &sleeper);
    assert_int_equal(raise(SIGUSR1), 0);
    thread_join(&thread);
    assert_false(sleeper.reached_deadline);
    assert_int_equal(stop_reason(stopped_by_signal), STOP_SIGNAL);
    stop_free(stopped_by_signal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_sleep_reaches_its_deadline),
        cmocka_unit_test(stop_request_wakes_a_sleeper),
        cmocka_unit_test(stop_of_an_ancestor_wakes_a_sleeper),
        cmocka_unit_test(stop_of_a_child_leaves_its_parent_alone),
        cmocka_unit_test(stop_keeps_the_first_reason),
        cmocka_unit_test(stop_from_a_signal_handler_ends_the_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
