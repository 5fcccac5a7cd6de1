#include "worker/http/limiter.h"

#include <assert.h>

/* One token: a rate limit of N never lets more than N + 1 requests into any second. */
#define BURST_REQUESTS 1.0

void limiter_init(struct limiter *limiter,
                  const struct source_config *config,
                  int64_t max_in_flight,
                  struct stop *stop,
                  const struct wait_clock *clock)
{
    assert(max_in_flight >= 1);
    *limiter = (struct limiter){
        .clock = clock,
        .stop = stop,
        .max_in_flight = max_in_flight,
        .max_wait_us = config->retry.max_wait_us,
        .not_before_us = INT64_MIN,
    };
    mutex_init(&limiter->lock);
    condition_init(&limiter->changed);
    bucket_init(&limiter->bucket, config->rate_limit, BURST_REQUESTS, wait_clock_now_us(clock));
    breaker_init(&limiter->breaker, config->breaker.failures, config->breaker.open_for_us);
}

void limiter_release(struct limiter *limiter)
{
    condition_release(&limiter->changed);
    mutex_release(&limiter->lock);
}

void limiter_take_limits(struct limiter *limiter, const struct limiter *fresh)
{
    MUTEX_GUARD(&limiter->lock);
    limiter->max_in_flight = fresh->max_in_flight;
    limiter->max_wait_us = fresh->max_wait_us;
    /* What has been saved up until now was saved up at the old rate. */
    (void)bucket_available(&limiter->bucket, wait_clock_now_us(limiter->clock));
    limiter->bucket.per_second = fresh->bucket.per_second;
    limiter->breaker.failures_to_open = fresh->breaker.failures_to_open;
    limiter->breaker.open_for_us = fresh->breaker.open_for_us;
    condition_broadcast(&limiter->changed);
}

enum obstacle { OBSTACLE_NONE, OBSTACLE_SILENCE, OBSTACLE_BREAKER, OBSTACLE_OTHER };

/* What keeps a lane from sending now, and until when; takes a token of the rate if nothing does. */
static enum obstacle find_obstacle(struct limiter *limiter,
                                   int64_t lane_not_before_us,
                                   int64_t now_us,
                                   int64_t *ret_until_us)
{
    if (limiter->not_before_us > now_us) {
        *ret_until_us = limiter->not_before_us;
        return OBSTACLE_SILENCE;
    }
    if (lane_not_before_us > now_us) {
        *ret_until_us = lane_not_before_us;
        return OBSTACLE_OTHER;
    }
    int64_t breaker_until_us = breaker_blocked_until_us(&limiter->breaker, now_us);

    if (breaker_until_us > 0) {
        *ret_until_us = breaker_until_us;
        return OBSTACLE_BREAKER;
    }
    if (limiter->in_flight >= limiter->max_in_flight) {
        *ret_until_us = WAIT_FOREVER_US;
        return OBSTACLE_OTHER;
    }
    int64_t token_in_us = bucket_take(&limiter->bucket, now_us);

    if (token_in_us > 0) {
        *ret_until_us = now_us + token_in_us;
        return OBSTACLE_OTHER;
    }
    return OBSTACLE_NONE;
}

enum limiter_result limiter_enter(struct limiter *limiter,
                                  struct stop *stop,
                                  int64_t not_before_us,
                                  struct limiter_permit *ret_permit,
                                  int64_t *throttled_us)
{
    MUTEX_GUARD(&limiter->lock);
    bool saw_breaker = false;
    uint64_t openings_seen = 0;

    while (true) {
        int64_t now_us = wait_clock_now_us(limiter->clock);
        int64_t until_us = 0;

        if (stop_is_requested(stop != NULL ? stop : limiter->stop)) {
            return LIMITER_STOPPED;
        }
        if (saw_breaker && limiter->breaker.openings != openings_seen) {
            return LIMITER_PROBE_FAILED;
        }
        enum obstacle obstacle = find_obstacle(limiter, not_before_us, now_us, &until_us);

        if (obstacle == OBSTACLE_NONE) {
            limiter->in_flight++;
            ret_permit->is_probe = breaker_enter(&limiter->breaker, now_us);
            return LIMITER_ADMITTED;
        }
        if (obstacle == OBSTACLE_SILENCE && until_us - now_us > limiter->max_wait_us) {
            return LIMITER_SILENCED;
        }
        if (obstacle == OBSTACLE_BREAKER) {
            /* A wrong host does not get better by waiting; an outage may. */
            if (!limiter->was_answered && limiter->breaker.state == BREAKER_OPEN) {
                return LIMITER_UNREACHABLE;
            }
            saw_breaker = true;
            openings_seen = limiter->breaker.openings;
        }
        limiter->clock->wait(limiter->clock->arg, &limiter->changed, &limiter->lock, until_us);
        if (obstacle == OBSTACLE_SILENCE) {
            *throttled_us += wait_clock_now_us(limiter->clock) - now_us;
        }
    }
}

void limiter_leave(struct limiter *limiter)
{
    MUTEX_GUARD(&limiter->lock);
    assert(limiter->in_flight > 0);
    limiter->in_flight--;
    condition_broadcast(&limiter->changed);
}

void limiter_report(struct limiter *limiter,
                    struct limiter_permit permit,
                    enum breaker_outcome outcome)
{
    MUTEX_GUARD(&limiter->lock);
    breaker_record(&limiter->breaker, permit.is_probe, outcome, wait_clock_now_us(limiter->clock));
    condition_broadcast(&limiter->changed);
}

void limiter_note_answer(struct limiter *limiter)
{
    MUTEX_GUARD(&limiter->lock);
    limiter->was_answered = true;
}

void limiter_silence(struct limiter *limiter, int64_t wait_us)
{
    MUTEX_GUARD(&limiter->lock);
    int64_t until_us = wait_clock_now_us(limiter->clock) + wait_us;

    if (until_us > limiter->not_before_us) {
        limiter->not_before_us = until_us;
    }
}

int64_t limiter_silence_left_us(struct limiter *limiter)
{
    MUTEX_GUARD(&limiter->lock);
    int64_t now_us = wait_clock_now_us(limiter->clock);

    return limiter->not_before_us > now_us ? limiter->not_before_us - now_us : 0;
}

int64_t limiter_open_after_failures(struct limiter *limiter)
{
    MUTEX_GUARD(&limiter->lock);
    return limiter->breaker.state == BREAKER_CLOSED ? 0 : limiter->breaker.failures;
}
