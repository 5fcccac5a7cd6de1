#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * One token bucket a principal. Memory is bounded: when the table is full the longest unseen goes,
 * which at worst gives a principal a fresh bucket.
 */

struct limiter;

struct limiter *limiter_new(void);
void limiter_free(struct limiter *limiter); /* accepts NULL */

struct limiter_verdict {
    bool is_granted;
    int64_t remaining; /* requests that would be granted now */
    int64_t wait_us;   /* until the next one would be granted; 0 while some are left */
};

/* Takes one request of `name` out of a bucket of `burst`, refilled at per_minute. Thread-safe. */
struct limiter_verdict limiter_take(
    struct limiter *limiter, const char *name, int64_t per_minute, int64_t burst, int64_t now_us);
