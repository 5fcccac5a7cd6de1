#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/thread.h"

struct counter {
    struct mutex lock;
    struct condition changed; /* with lock */
    int value;                /* guarded by lock */
};

static void counter_init(struct counter *counter)
{
    mutex_init(&counter->lock);
    condition_init(&counter->changed);
    counter->value = 0;
}

static void counter_release(struct counter *counter)
{
    condition_release(&counter->changed);
    mutex_release(&counter->lock);
}

static void *count_to_1000(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < 1000; i++) {
        MUTEX_GUARD(&counter->lock);
        counter->value++;
        condition_signal(&counter->changed);
    }
    return NULL;
}

static void mutex_guard_keeps_increments_apart(void **state)
{
    (void)state;
    struct counter counter;
    counter_init(&counter);
    struct thread threads[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        thread_start(&threads[i], "counting", count_to_1000, &counter);
    }
    for (size_t i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        assert_false(threads[i].started);
        thread_join(&threads[i]);
    }
    assert_int_equal(counter.value, 4000);
    counter_release(&counter);
}

static void condition_wait_sees_what_another_thread_did(void **state)
{
    (void)state;
    struct counter counter;
    counter_init(&counter);
    struct thread thread = {0};
    thread_start(&thread, "counting", count_to_1000, &counter);
    {
        MUTEX_GUARD(&counter.lock);
        while (counter.value < 1000) {
            condition_wait(&counter.changed, &counter.lock);
        }
    }
    thread_join(&thread);
    assert_int_equal(counter.value, 1000);
    counter_release(&counter);
}

static void condition_wait_until_ends_at_its_deadline(void **state)
{
    (void)state;
    struct counter counter;
    counter_init(&counter);
    int64_t deadline_us = clock_monotonic_us() + 20 * US_PER_MS;
    {
        MUTEX_GUARD(&counter.lock);
        while (condition_wait_until(&counter.changed, &counter.lock, deadline_us)) {
        }
        assert_false(condition_wait_until(&counter.changed, &counter.lock, -1));
    }
    assert_true(clock_monotonic_us() >= deadline_us);
    counter_release(&counter);
}

static void *read_signal_mask(void *arg)
{
    (void)pthread_sigmask(SIG_BLOCK, NULL, arg);
    return NULL;
}

static void threads_start_with_signals_blocked(void **state)
{
    (void)state;
    sigset_t mask;
    sigemptyset(&mask);
    struct thread thread = {0};
    thread_start(&thread, "masked", read_signal_mask, &mask);
    thread_join(&thread);
    assert_int_equal(sigismember(&mask, SIGTERM), 1);
    assert_int_equal(sigismember(&mask, SIGHUP), 1);
    assert_int_equal(sigismember(&mask, SIGSEGV), 0);
    sigset_t own;
    (void)read_signal_mask(&own);
    assert_int_equal(sigismember(&own, SIGTERM), 0);
    thread_block_signals();
    (void)read_signal_mask(&own);
    assert_int_equal(sigismember(&own, SIGTERM), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_guard_keeps_increments_apart),
        cmocka_unit_test(condition_wait_sees_what_another_thread_did),
        cmocka_unit_test(condition_wait_until_ends_at_its_deadline),
        cmocka_unit_test(threads_start_with_signals_blocked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
