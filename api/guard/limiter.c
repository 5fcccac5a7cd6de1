#include "api/guard/limiter.h"

#include <stdio.h>
#include <string.h>

#include "api/guard/map.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"
#include "common/base/thread.h"

#define NAME_MAX_BYTES 80
#define TABLE_LIMIT    4096

struct allowance {
    char name[NAME_MAX_BYTES];
    struct bucket bucket;
    UT_hash_handle hh;
};

struct limiter {
    struct mutex lock;
    struct allowance *allowances; /* longest unseen first; guarded by lock */
};

struct limiter *limiter_new(void)
{
    struct limiter *limiter = XNEW(struct limiter);
    mutex_init(&limiter->lock);
    return limiter;
}

static void drop_allowance(struct limiter *limiter, struct allowance *allowance)
{
    HASH_DEL(limiter->allowances, allowance);
    xfree(allowance);
}

void limiter_free(struct limiter *limiter)
{
    if (limiter == NULL) {
        return;
    }
    struct allowance *allowance = NULL;
    struct allowance *next = NULL;
    HASH_ITER (hh, limiter->allowances, allowance, next) {
        drop_allowance(limiter, allowance);
    }
    mutex_release(&limiter->lock);
    xfree(limiter);
}

/* The bucket of `name`, moved to the end of the table. */
/* NOLINTNEXTLINE(readability-function-size): the depth is that of uthash's macros */
static struct allowance *find_allowance(struct limiter *limiter, const char *name)
{
    struct allowance *allowance = NULL;
    HASH_FIND_STR(limiter->allowances, name, allowance);
    if (allowance != NULL && allowance->hh.next == NULL) {
        return allowance;
    }
    if (allowance != NULL) {
        HASH_DEL(limiter->allowances, allowance);
    } else {
        if (HASH_COUNT(limiter->allowances) >= TABLE_LIMIT) {
            drop_allowance(limiter, limiter->allowances);
        }
        allowance = XNEW(struct allowance);
        (void)snprintf(allowance->name, sizeof(allowance->name), "%s", name);
    }
    HASH_ADD_STR(limiter->allowances, name, allowance);
    return allowance;
}

/* Of a bucket that was just emptied: until it has a whole token again. */
static int64_t refill_us(const struct bucket *bucket)
{
    double missing = 1 - bucket->tokens;
    return missing > 0 ? (int64_t)(missing / bucket->per_second * (double)US_PER_S) : 0;
}

struct limiter_verdict limiter_take(
    struct limiter *limiter, const char *name, int64_t per_minute, int64_t burst, int64_t now_us)
{
    double per_second = (double)per_minute / 60.0;
    MUTEX_GUARD(&limiter->lock);
    struct allowance *allowance = find_allowance(limiter, name);
    struct bucket *bucket = &allowance->bucket;
    /* The limit of a key may have been changed: doubles that came the same way compare equal. */
    if (bucket->per_second < per_second || bucket->per_second > per_second ||
        bucket->capacity < (double)burst || bucket->capacity > (double)burst) {
        bucket_init(bucket, per_second, (double)burst, now_us);
    }
    struct limiter_verdict verdict = {.wait_us = bucket_take(bucket, now_us)};
    verdict.is_granted = verdict.wait_us == 0;
    verdict.remaining = bucket_available(bucket, now_us);
    if (verdict.is_granted && verdict.remaining == 0) {
        verdict.wait_us = refill_us(bucket);
    }
    return verdict;
}
