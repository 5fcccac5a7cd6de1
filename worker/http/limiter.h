#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bucket.h"
#include "common/base/stop.h"
#include "common/base/thread.h"
#include "common/conf/config.h"
#include "worker/http/breaker.h"
#include "worker/http/wait_clock.h"

/*
 * The gate all lanes of a source pass before they send: silence the source asked for, the circuit
 * breaker, requests in flight, requests per second. It decides nothing about answers; it is told
 * their consequences. Thread-safe.
 */

struct limiter {
    const struct wait_clock *clock;
    struct stop *stop;
    struct mutex lock;
    struct condition changed;
    int64_t max_in_flight;  /* guarded by lock */
    int64_t max_wait_us;    /* guarded by lock: longest silence that is waited for */
    int64_t in_flight;      /* guarded by lock */
    int64_t not_before_us;  /* guarded by lock */
    struct bucket bucket;   /* guarded by lock */
    struct breaker breaker; /* guarded by lock */
    bool was_answered; /* guarded by lock: somebody is there, so an open breaker is waited for */
};

/* `clock` and `stop` must outlive it. max_in_flight >= 1. */
void limiter_init(struct limiter *limiter,
                  const struct source_config *config,
                  int64_t max_in_flight,
                  struct stop *stop,
                  const struct wait_clock *clock);
void limiter_release(struct limiter *limiter);

/* Goes on with the limits of `fresh`, which is in nobody's use. What the source asked for, and what
 * is known about it, stays. */
void limiter_take_limits(struct limiter *limiter, const struct limiter *fresh);

enum limiter_result {
    LIMITER_ADMITTED,     /* send, then leave, then report */
    LIMITER_STOPPED,      /* the stop token ended the wait */
    LIMITER_SILENCED,     /* the source asked for more silence than max_wait_us */
    LIMITER_PROBE_FAILED, /* waited for the breaker, and another lane's probe failed */
    LIMITER_UNREACHABLE,  /* the breaker is open, and no request was ever answered */
};

struct limiter_permit {
    bool is_probe;
};

/* Waits for admission, and in any case until not_before_us (this lane's own backoff). Adds the time
 * spent in the source's silence to *throttled_us. `stop` ends the wait; NULL = the
 * limiter's own does. Blocks. */
enum limiter_result limiter_enter(struct limiter *limiter,
                                  struct stop *stop,
                                  int64_t not_before_us,
                                  struct limiter_permit *ret_permit,
                                  int64_t *throttled_us);

/* The transfer is over: somebody else may send. */
void limiter_leave(struct limiter *limiter);

/* What the attempt says about the source; once for every admission, after limiter_leave. */
void limiter_report(struct limiter *limiter,
                    struct limiter_permit permit,
                    enum breaker_outcome outcome);

/* The source has answered, be it with an error: it exists. */
void limiter_note_answer(struct limiter *limiter);

/* Nobody sends for wait_us from now; a longer silence already ordered stays. */
void limiter_silence(struct limiter *limiter, int64_t wait_us);

/* What is left of the silence, 0 if none. */
int64_t limiter_silence_left_us(struct limiter *limiter);

/* Failures in a row if the breaker is not closed, else 0: for messages. */
int64_t limiter_open_after_failures(struct limiter *limiter);
