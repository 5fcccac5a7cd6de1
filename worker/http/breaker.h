#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The circuit breaker of a source: after so many failures in a row nobody sends for a while, then
 * one probe decides. Pure: the caller brings the time and the lock.
 */

enum breaker_state {
    BREAKER_CLOSED,    /* requests flow; failures in a row are counted */
    BREAKER_OPEN,      /* nobody sends before open_until_us */
    BREAKER_HALF_OPEN, /* one probe is out; everybody else waits for its outcome */
};

enum breaker_outcome {
    BREAKER_SUCCESS, /* the source answered */
    BREAKER_FAILURE, /* no usable connection, or a 5xx */
    BREAKER_UNKNOWN, /* the attempt says nothing about the source: cancelled, never sent */
};

struct breaker {
    int64_t failures_to_open;
    int64_t open_for_us;
    enum breaker_state state;
    int64_t failures; /* in a row */
    int64_t open_until_us;
    uint64_t openings; /* since the start; moves when a probe fails */
};

void breaker_init(struct breaker *breaker, int64_t failures_to_open, int64_t open_for_us);

/* 0 when a request may be sent now, INT64_MAX while a probe is out, else the monotonic time at
 * which the next probe may go. */
int64_t breaker_blocked_until_us(const struct breaker *breaker, int64_t now_us);

/* Only when not blocked. True when the request is the probe. */
bool breaker_enter(struct breaker *breaker, int64_t now_us);

/* What became of a request that entered; late answers of requests from before the opening do not
 * move an open breaker. */
void breaker_record(struct breaker *breaker,
                    bool is_probe,
                    enum breaker_outcome outcome,
                    int64_t now_us);
