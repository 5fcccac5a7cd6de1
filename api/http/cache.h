#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

/*
 * Good answers kept in memory, and who is computing which: so that a question that many ask at once
 * is asked of the database once. It knows nothing of HTTP or SQL: keys and answers are bytes.
 *
 * An answer is good while nothing was published since its statement began and while its slice of
 * time lasts; an old one is kept for as long as there is room, as the last good answer. Somebody
 * has to watch the database and say so (cache_settle); while nobody does, every question is asked.
 *
 * Thread-safe. Bounded by bytes; the least recently used answers go first.
 */

#define CACHE_ETAG_MAX    80
#define CACHE_INSTANT_MAX 40

/* An answer, shared by all who read it: immutable once it is in the cache. */
struct cache_answer {
    int64_t version;               /* of the projections, as its statement saw them */
    char etag[CACHE_ETAG_MAX];     /* W/"..." */
    char as_of[CACHE_INSTANT_MAX]; /* "" = unknown */
    int64_t lag_seconds;           /* at made_us; -1 = unknown */
    int64_t made_us;               /* monotonic */
    const char *content_type;      /* static */
    bool has_meta;                 /* the body lacks "meta":{...}} and a line feed at its end */
    char *link;                    /* of rel="next"; NULL = none */
    char *body;
    size_t body_len;
    uint64_t id; /* no other answer of this process has it; never 0 */
    _Atomic int n_users;
};

struct cache;
struct cache_flight;

/* Embedded in whoever waits for another's answer; lent to the cache until cache_land hands it out.
 */
struct cache_waiter {
    struct cache_waiter *next;
};

struct cache *cache_new(size_t limit_bytes); /* 0 keeps nothing but still joins questions */
void cache_free(struct cache *cache);        /* nobody may hold an answer; accepts NULL */

/* Copies key and body; the caller holds the answer. */
struct cache_answer *cache_answer_new(struct str body, struct str link);
void cache_drop(struct cache_answer *answer); /* accepts NULL */

/* The database is being watched and stands at this version: answers made from now on are good until
 * the next cache_unsettle. */
void cache_settle(struct cache *cache, int64_t version);

/* Something was published, or nobody watches any more. */
void cache_unsettle(struct cache *cache);

/* The version that answers have now; false when it is not known. */
bool cache_version(struct cache *cache, int64_t *ret_version);

/* The good answer to `key`, held for the caller; NULL if there is none. `slice`: the time slice it
 * must be of. */
struct cache_answer *cache_find(struct cache *cache, struct str key, int64_t slice);

/* The last good answer, however old; NULL if there never was one or it had to go. */
struct cache_answer *cache_find_last(struct cache *cache, struct str key);

enum cache_part {
    CACHE_HIT,  /* *ret_answer is held for the caller */
    CACHE_JOIN, /* `waiter` is handed out when somebody else has the answer */
    CACHE_LEAD, /* ask, then call cache_land with *ret_flight, whatever came of it */
};

enum cache_part cache_enter(struct cache *cache,
                            struct str key,
                            int64_t slice,
                            struct cache_waiter *waiter,
                            struct cache_answer **ret_answer,
                            struct cache_flight **ret_flight);

/* The question has been asked; `answer` (NULL: none to keep) stays the caller's to drop. Returns
 * those who waited for it. */
struct cache_waiter *
cache_land(struct cache *cache, struct cache_flight *flight, struct cache_answer *answer);

/* Holds an answer once more, for somebody else. */
void cache_hold(struct cache_answer *answer);

struct cache_counters {
    int64_t hits;
    int64_t misses; /* asked */
    int64_t joined;
    int64_t evicted;
    int64_t bytes;
    int64_t answers;
};

struct cache_counters cache_counters(struct cache *cache);
