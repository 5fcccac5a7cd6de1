#pragma once

#include <stdint.h>

#include "common/base/str.h"
#include "common/conf/config.h"
#include "worker/http/client.h"

/*
 * What follows an attempt that was not accepted. Pure: time, randomness and the answer's headers
 * are arguments.
 */

#define RETRY_AFTER_NONE INT64_C(-1)

/* Retry-After in microseconds: seconds, or an HTTP date relative to the answer's own Date
 * (date_us), so that a wrong clock of ours does not matter; without a Date relative to wall_us.
 * RETRY_AFTER_NONE if absent or malformed; a date in the past is 0. Huge values are cut to a year.
 */
int64_t retry_after_us(struct str value, int64_t date_us, int64_t wall_us);

enum retry_action {
    RETRY_GIVE_UP,  /* attempts used up, or the verdict is final */
    RETRY_WAIT,     /* this lane tries again after wait_us */
    RETRY_SILENCE,  /* the whole source is silent for wait_us, then this lane tries again */
    RETRY_TOO_LONG, /* the source asks for wait_us, more than max_wait: give up at once */
};

struct retry_step {
    enum retry_action action;
    int64_t wait_us;
};

/* `tries` counts the attempts so far, this one included (from 1). `random` is 64 uniform bits.
 * HTTP_REAUTH is not its business: the caller renews first and asks only for other verdicts. */
struct retry_step retry_decide(const struct retry_config *config,
                               int64_t tries,
                               enum http_verdict verdict,
                               int64_t retry_after,
                               uint64_t random);
