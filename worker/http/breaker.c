#include "worker/http/breaker.h"

#include <assert.h>

void breaker_init(struct breaker *breaker, int64_t failures_to_open, int64_t open_for_us)
{
    *breaker = (struct breaker){
        .failures_to_open = failures_to_open > 0 ? failures_to_open : 1,
        .open_for_us = open_for_us,
        .state = BREAKER_CLOSED,
    };
}

int64_t breaker_blocked_until_us(const struct breaker *breaker, int64_t now_us)
{
    switch (breaker->state) {
    case BREAKER_CLOSED:
        return 0;
    case BREAKER_OPEN:
        return now_us >= breaker->open_until_us ? 0 : breaker->open_until_us;
    case BREAKER_HALF_OPEN:
        return INT64_MAX;
    }
    return 0;
}

bool breaker_enter(struct breaker *breaker, int64_t now_us)
{
    assert(breaker_blocked_until_us(breaker, now_us) == 0);
    if (breaker->state == BREAKER_CLOSED) {
        return false;
    }
    breaker->state = BREAKER_HALF_OPEN;
    return true;
}

static void open_until(struct breaker *breaker, int64_t until_us)
{
    breaker->state = BREAKER_OPEN;
    breaker->open_until_us = until_us;
}

static void record_probe(struct breaker *breaker, enum breaker_outcome outcome, int64_t now_us)
{
    assert(breaker->state == BREAKER_HALF_OPEN);
    switch (outcome) {
    case BREAKER_SUCCESS:
        breaker->state = BREAKER_CLOSED;
        breaker->failures = 0;
        return;
    case BREAKER_FAILURE:
        breaker->failures++;
        breaker->openings++;
        open_until(breaker, now_us + breaker->open_for_us);
        return;
    case BREAKER_UNKNOWN:
        open_until(breaker, now_us); /* the next one probes */
        return;
    }
}

void breaker_record(struct breaker *breaker,
                    bool is_probe,
                    enum breaker_outcome outcome,
                    int64_t now_us)
{
    if (is_probe) {
        record_probe(breaker, outcome, now_us);
        return;
    }
    if (breaker->state != BREAKER_CLOSED || outcome == BREAKER_UNKNOWN) {
        return;
    }
    if (outcome == BREAKER_SUCCESS) {
        breaker->failures = 0;
        return;
    }
    breaker->failures++;
    if (breaker->failures >= breaker->failures_to_open) {
        breaker->openings++;
        open_until(breaker, now_us + breaker->open_for_us);
    }
}
