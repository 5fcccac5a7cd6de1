#include "api/http/cache.h"

#include <stdatomic.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/thread.h"
#include "common/io/hash.h"

#define N_BUCKETS 1024
/* What an answer costs beside its bytes. */
#define OVERHEAD_BYTES 512
/* One answer alone may not push all others out. */
#define SHARE_MAX 4

struct entry {
    struct entry *chain; /* same bucket */
    struct entry *newer; /* by last use */
    struct entry *older;
    struct cache_answer *answer;
    int64_t generation;
    int64_t slice;
    size_t bucket;
    size_t cost_bytes;
    size_t key_len;
    char key[];
};

struct cache_flight {
    struct cache_flight *chain;
    struct cache_waiter *waiters;
    int64_t generation;
    int64_t slice;
    size_t bucket;
    bool may_be_joined;
    size_t key_len;
    char key[];
};

struct cache {
    size_t limit_bytes;
    struct mutex lock;
    /* all below: guarded by lock */
    bool is_settled;
    int64_t version;
    int64_t generation; /* grows with each change of what is true */
    struct entry *entries[N_BUCKETS];
    struct cache_flight *flights[N_BUCKETS];
    struct entry *newest;
    struct entry *oldest;
    size_t used_bytes;
    struct cache_counters counters;
};

static size_t bucket_of(struct str key)
{
    struct hash128 hash = hash128_of(key);
    return (((size_t)hash.bytes[0] << 8) | hash.bytes[1]) % N_BUCKETS;
}

struct cache *cache_new(size_t limit_bytes)
{
    struct cache *cache = XNEW(struct cache);
    cache->limit_bytes = limit_bytes;
    mutex_init(&cache->lock);
    return cache;
}

static _Atomic uint64_t n_answers;

struct cache_answer *cache_answer_new(struct str body, struct str link)
{
    struct cache_answer *answer = XNEW(struct cache_answer);
    answer->body = xstrndup(body.len > 0 ? body.ptr : "", body.len);
    answer->body_len = body.len;
    answer->link = link.len > 0 ? xstrndup(link.ptr, link.len) : NULL;
    answer->id = atomic_fetch_add(&n_answers, 1) + 1;
    atomic_init(&answer->n_users, 1);
    return answer;
}

static void free_answer(struct cache_answer *answer)
{
    xfree(answer->body);
    xfree(answer->link);
    xfree(answer);
}

static void drop(struct cache_answer *answer)
{
    if (atomic_fetch_sub(&answer->n_users, 1) == 1) {
        free_answer(answer);
    }
}

void cache_drop(struct cache_answer *answer)
{
    if (answer != NULL) {
        drop(answer);
    }
}

void cache_hold(struct cache_answer *answer)
{
    atomic_fetch_add(&answer->n_users, 1);
}

/* --- by last use ------------------------------------------------------------------------------ */

static void unlink_use(struct cache *cache, struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(struct cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void remove_entry(struct cache *cache, struct entry *entry)
{
    struct entry **place = &cache->entries[entry->bucket];
    while (*place != entry) {
        place = &(*place)->chain;
    }
    *place = entry->chain;
    unlink_use(cache, entry);
    cache->used_bytes -= entry->cost_bytes;
    cache->counters.answers--;
    drop(entry->answer);
    xfree(entry);
}

static struct entry *find_entry(struct cache *cache, struct str key, size_t bucket)
{
    struct entry *entry = cache->entries[bucket];
    while (entry != NULL && !str_equal((struct str){entry->key, entry->key_len}, key)) {
        entry = entry->chain;
    }
    return entry;
}

static struct cache_answer *use(struct cache *cache, struct entry *entry)
{
    if (cache->newest != entry) {
        unlink_use(cache, entry);
        link_newest(cache, entry);
    }
    cache_hold(entry->answer);
    return entry->answer;
}

static bool is_good(const struct cache *cache, const struct entry *entry, int64_t slice)
{
    return entry != NULL && cache->is_settled && entry->generation == cache->generation &&
           entry->slice == slice;
}

static void
keep(struct cache *cache, const struct cache_flight *flight, struct cache_answer *answer)
{
    struct str key = {flight->key, flight->key_len};
    size_t cost_bytes = answer->body_len + key.len + OVERHEAD_BYTES;
    struct entry *before = find_entry(cache, key, flight->bucket);
    /* An older answer may land last; it does not replace the newer one. */
    if (cost_bytes > cache->limit_bytes / SHARE_MAX ||
        (before != NULL && before->generation > flight->generation)) {
        return;
    }
    if (before != NULL) {
        remove_entry(cache, before);
    }
    while (cache->used_bytes + cost_bytes > cache->limit_bytes) {
        remove_entry(cache, cache->oldest);
        cache->counters.evicted++;
    }
    struct entry *entry = xcalloc(1, sizeof(*entry) + key.len + 1);
    memcpy(entry->key, key.ptr, key.len);
    entry->key_len = key.len;
    entry->bucket = flight->bucket;
    entry->generation = flight->generation;
    entry->slice = flight->slice;
    entry->cost_bytes = cost_bytes;
    entry->answer = answer;
    cache_hold(answer);
    entry->chain = cache->entries[entry->bucket];
    cache->entries[entry->bucket] = entry;
    link_newest(cache, entry);
    cache->used_bytes += cost_bytes;
    cache->counters.answers++;
}

/* --- what is true ----------------------------------------------------------------------------- */

void cache_settle(struct cache *cache, int64_t version)
{
    MUTEX_GUARD(&cache->lock);
    cache->generation++;
    cache->version = version;
    cache->is_settled = true;
}

void cache_unsettle(struct cache *cache)
{
    MUTEX_GUARD(&cache->lock);
    cache->generation++;
    cache->is_settled = false;
}

bool cache_version(struct cache *cache, int64_t *ret_version)
{
    MUTEX_GUARD(&cache->lock);
    *ret_version = cache->version;
    return cache->is_settled;
}

/* --- questions -------------------------------------------------------------------------------- */

struct cache_answer *cache_find(struct cache *cache, struct str key, int64_t slice)
{
    size_t bucket = bucket_of(key);
    MUTEX_GUARD(&cache->lock);
    struct entry *entry = find_entry(cache, key, bucket);
    if (!is_good(cache, entry, slice)) {
        return NULL;
    }
    cache->counters.hits++;
    return use(cache, entry);
}

struct cache_answer *cache_find_last(struct cache *cache, struct str key)
{
    size_t bucket = bucket_of(key);
    MUTEX_GUARD(&cache->lock);
    struct entry *entry = find_entry(cache, key, bucket);
    return entry != NULL ? use(cache, entry) : NULL;
}

static struct cache_flight *
find_flight(struct cache *cache, struct str key, size_t bucket, int64_t slice)
{
    struct cache_flight *flight = cache->flights[bucket];
    while (flight != NULL && !(flight->may_be_joined && flight->generation == cache->generation &&
                               flight->slice == slice &&
                               str_equal((struct str){flight->key, flight->key_len}, key))) {
        flight = flight->chain;
    }
    return flight;
}

enum cache_part cache_enter(struct cache *cache,
                            struct str key,
                            int64_t slice,
                            struct cache_waiter *waiter,
                            struct cache_answer **ret_answer,
                            struct cache_flight **ret_flight)
{
    size_t bucket = bucket_of(key);
    MUTEX_GUARD(&cache->lock);
    struct entry *entry = find_entry(cache, key, bucket);
    if (is_good(cache, entry, slice)) {
        cache->counters.hits++;
        *ret_answer = use(cache, entry);
        return CACHE_HIT;
    }
    struct cache_flight *flight = find_flight(cache, key, bucket, slice);
    if (flight != NULL) {
        cache->counters.joined++;
        waiter->next = flight->waiters;
        flight->waiters = waiter;
        return CACHE_JOIN;
    }
    cache->counters.misses++;
    flight = xcalloc(1, sizeof(*flight) + key.len + 1);
    memcpy(flight->key, key.ptr, key.len);
    flight->key_len = key.len;
    flight->bucket = bucket;
    flight->slice = slice;
    flight->generation = cache->generation;
    /* While nobody watches, an answer under way may be older than the question. */
    flight->may_be_joined = cache->is_settled;
    flight->chain = cache->flights[bucket];
    cache->flights[bucket] = flight;
    *ret_flight = flight;
    return CACHE_LEAD;
}

struct cache_waiter *
cache_land(struct cache *cache, struct cache_flight *flight, struct cache_answer *answer)
{
    MUTEX_GUARD(&cache->lock);
    struct cache_flight **place = &cache->flights[flight->bucket];
    while (*place != flight) {
        place = &(*place)->chain;
    }
    *place = flight->chain;
    if (answer != NULL) {
        keep(cache, flight, answer);
    }
    struct cache_waiter *waiters = flight->waiters;
    xfree(flight);
    return waiters;
}

struct cache_counters cache_counters(struct cache *cache)
{
    MUTEX_GUARD(&cache->lock);
    cache->counters.bytes = (int64_t)cache->used_bytes;
    return cache->counters;
}

void cache_free(struct cache *cache)
{
    if (cache == NULL) {
        return;
    }
    while (cache->oldest != NULL) {
        remove_entry(cache, cache->oldest);
    }
    mutex_release(&cache->lock);
    xfree(cache);
}
