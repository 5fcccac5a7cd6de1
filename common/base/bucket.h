#pragma once

#include <stdint.h>

/*
 * Token bucket. Pure: the caller hands it the time. Not thread-safe; guard it with the owner's
 * lock.
 */

struct bucket {
    double per_second; /* refill rate; 0 = unlimited */
    double capacity;   /* burst */
    double tokens;
    int64_t updated_us; /* monotonic */
};

void bucket_init(struct bucket *bucket, double per_second, double capacity, int64_t now_us);

/* Takes one token and returns 0, or takes none and returns the microseconds until one is there. */
int64_t bucket_take(struct bucket *bucket, int64_t now_us);

/* Whole tokens available at now_us. */
int64_t bucket_available(struct bucket *bucket, int64_t now_us);
