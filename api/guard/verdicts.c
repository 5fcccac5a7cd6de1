#include "api/guard/verdicts.h"

#include "api/guard/map.h"
#include "common/base/thread.h"

struct verdict {
    struct credential_digest digest;
    struct principal principal;
    bool is_granted;
    uint64_t generation;
    int64_t until_us;
    UT_hash_handle hh;
};

struct verdict_cache {
    struct mutex lock;
    size_t limit;
    struct verdict *verdicts; /* oldest first; guarded by lock */
};

struct credential_digest credential_digest(struct str credential)
{
    struct credential_digest digest;
    crypto_sha256(credential, digest.bytes);
    return digest;
}

struct verdict_cache *verdict_cache_new(size_t limit)
{
    struct verdict_cache *cache = XNEW(struct verdict_cache);
    mutex_init(&cache->lock);
    cache->limit = limit;
    return cache;
}

static void drop(struct verdict_cache *cache, struct verdict *verdict)
{
    HASH_DEL(cache->verdicts, verdict);
    xfree(verdict);
}

void verdict_cache_free(struct verdict_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    struct verdict *verdict = NULL;
    struct verdict *next = NULL;
    HASH_ITER (hh, cache->verdicts, verdict, next) {
        drop(cache, verdict);
    }
    mutex_release(&cache->lock);
    xfree(cache);
}

/* NOLINTNEXTLINE(readability-function-size): the depth is that of uthash's macros */
enum verdict_result verdict_cache_get(struct verdict_cache *cache,
                                      const struct credential_digest *digest,
                                      uint64_t generation,
                                      int64_t now_us,
                                      struct principal *ret_principal)
{
    MUTEX_GUARD(&cache->lock);
    struct verdict *verdict = NULL;
    HASH_FIND(hh, cache->verdicts, digest, sizeof(*digest), verdict);
    if (verdict == NULL || now_us >= verdict->until_us || verdict->generation != generation) {
        return VERDICT_UNKNOWN;
    }
    if (!verdict->is_granted) {
        return VERDICT_REFUSED;
    }
    *ret_principal = verdict->principal;
    return VERDICT_GRANTED;
}

/* NOLINTNEXTLINE(readability-function-size): the depth is that of uthash's macros */
void verdict_cache_put(struct verdict_cache *cache,
                       const struct credential_digest *digest,
                       uint64_t generation,
                       const struct principal *principal,
                       int64_t until_us)
{
    MUTEX_GUARD(&cache->lock);
    struct verdict *verdict = NULL;
    HASH_FIND(hh, cache->verdicts, digest, sizeof(*digest), verdict);
    if (verdict != NULL) {
        drop(cache, verdict);
    } else if (HASH_COUNT(cache->verdicts) >= cache->limit) {
        drop(cache, cache->verdicts);
    }
    verdict = XNEW(struct verdict);
    verdict->digest = *digest;
    verdict->is_granted = principal != NULL;
    if (principal != NULL) {
        verdict->principal = *principal;
    }
    verdict->generation = generation;
    verdict->until_us = until_us;
    HASH_ADD(hh, cache->verdicts, digest, sizeof(verdict->digest), verdict);
}
