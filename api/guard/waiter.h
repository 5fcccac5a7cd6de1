#pragma once

#include "api/guard/principal.h"

/*
 * A request that is off its polling thread until somebody outside has answered: the place that
 * publishes signing keys, or Azure DevOps. Embedded in the caller's memory; lent to the guard until
 * `done` is called, once, on a thread of the guard.
 */

enum wait_outcome {
    WAIT_AGAIN,       /* the keys were renewed, or not: judge the token again */
    WAIT_GRANTED,     /* principal is set */
    WAIT_REFUSED,     /* `why` says what the log is told */
    WAIT_UNAVAILABLE, /* nobody could tell; retry_after_s */
    WAIT_STOPPED,     /* the service stops */
};

struct guard_waiter {
    void (*done)(struct guard_waiter *waiter);
    enum wait_outcome outcome;
    struct principal principal;
    const char *why; /* static string */
    int retry_after_s;
    struct guard_waiter *next; /* the guard's */
};
