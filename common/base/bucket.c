#include "common/base/bucket.h"

#include "common/base/clock.h"

/* Refills are sums of doubles: without this, a caller that waited exactly as told might find
 * 0.9999999999 of a token. */
static const double TOKEN_TOLERANCE = 1e-6;

void bucket_init(struct bucket *bucket, double per_second, double capacity, int64_t now_us)
{
    double burst = capacity < 1 ? 1 : capacity;
    *bucket = (struct bucket){
        .per_second = per_second,
        .capacity = burst,
        .tokens = burst,
        .updated_us = now_us,
    };
}

static void refill(struct bucket *bucket, int64_t now_us)
{
    if (now_us <= bucket->updated_us) {
        return;
    }
    double elapsed_s = (double)(now_us - bucket->updated_us) / (double)US_PER_S;
    bucket->tokens += elapsed_s * bucket->per_second;
    if (bucket->tokens > bucket->capacity) {
        bucket->tokens = bucket->capacity;
    }
    bucket->updated_us = now_us;
}

int64_t bucket_take(struct bucket *bucket, int64_t now_us)
{
    if (bucket->per_second <= 0) {
        return 0;
    }
    refill(bucket, now_us);
    if (bucket->tokens + TOKEN_TOLERANCE >= 1) {
        bucket->tokens -= 1;
        return 0;
    }
    double wait_us = (1 - bucket->tokens) / bucket->per_second * (double)US_PER_S;
    return wait_us >= (double)US_PER_DAY ? US_PER_DAY : (int64_t)wait_us + 1;
}

int64_t bucket_available(struct bucket *bucket, int64_t now_us)
{
    if (bucket->per_second <= 0) {
        return INT64_MAX;
    }
    refill(bucket, now_us);
    return (int64_t)(bucket->tokens + TOKEN_TOLERANCE);
}
