#include "common/base/stop.h"

#include <stdatomic.h>
#include <stddef.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/thread.h"

/* How late a waiter may learn of a stop that could not wake it: one of an ancestor or a signal. */
static const int64_t POLL_US = 100 * US_PER_MS;

struct stop {
    struct stop *parent;
    atomic_int reason; /* enum stop_reason */
    struct mutex lock;
    struct condition requested; /* with lock */
};

struct stop *stop_new(struct stop *parent)
{
    struct stop *stop = XNEW(struct stop);
    stop->parent = parent;
    atomic_init(&stop->reason, STOP_NONE);
    mutex_init(&stop->lock);
    condition_init(&stop->requested);
    return stop;
}

void stop_free(struct stop *stop)
{
    if (stop == NULL) {
        return;
    }
    condition_release(&stop->requested);
    mutex_release(&stop->lock);
    xfree(stop);
}

static void store_first_reason(struct stop *stop, enum stop_reason reason)
{
    int none = STOP_NONE;
    (void)atomic_compare_exchange_strong(&stop->reason, &none, (int)reason);
}

void stop_request(struct stop *stop, enum stop_reason reason)
{
    store_first_reason(stop, reason);
    /* The lock closes the gap between a waiter's look at the reason and its wait. */
    MUTEX_GUARD(&stop->lock);
    condition_broadcast(&stop->requested);
}

void stop_request_from_signal(struct stop *stop)
{
    store_first_reason(stop, STOP_SIGNAL);
}

enum stop_reason stop_reason(const struct stop *stop)
{
    for (const struct stop *at = stop; at != NULL; at = at->parent) {
        int reason = atomic_load(&at->reason);
        if (reason != STOP_NONE) {
            return (enum stop_reason)reason;
        }
    }
    return STOP_NONE;
}

bool stop_is_requested(const struct stop *stop)
{
    return stop_reason(stop) != STOP_NONE;
}

bool stop_sleep_until(struct stop *stop, int64_t deadline_us)
{
    MUTEX_GUARD(&stop->lock);
    while (!stop_is_requested(stop)) {
        int64_t now_us = clock_monotonic_us();
        if (now_us >= deadline_us) {
            return true;
        }
        int64_t wake_us = deadline_us - now_us > POLL_US ? now_us + POLL_US : deadline_us;
        (void)condition_wait_until(&stop->requested, &stop->lock, wake_us);
    }
    return false;
}
