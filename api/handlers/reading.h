#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/cache.h"
#include "api/http/list.h"

/*
 * Answers that say what is in the database: their age, their ETag, and the cache in front of them.
 * A handler builds the body up to `meta` and calls reading_note; the rest happens here, the same
 * for a fresh answer, one from memory, and one that another request has just asked for.
 */

struct call;
struct db_result;

/* What `meta` says. */
struct meta {
    const char *as_of; /* RFC 3339, NULL = unknown */
    int64_t version;
    int64_t lag_seconds; /* -1 = unknown */
    bool is_fresh;
};

struct reading {
    enum list_format format; /* of lists */
    struct str key;          /* of the cache; ptr NULL = this route is not cached */
    int64_t slice;
    struct cache_flight *flight; /* this call asks for all who wait */
    struct cache_waiter waiter;
    bool is_noted;
    bool has_meta;
    int64_t version;
    char as_of[CACHE_INSTANT_MAX];
    int64_t lag_seconds;
    struct str link;  /* of the next page */
    struct str basis; /* of the ETag of an answer that is not cached; ptr NULL = the whole body */
    struct cache_answer *given; /* its body is to be sent; held */
    struct meta given_meta;
};

/* Settles what the answer depends on: format, key, slice. False: the problem is set. */
bool reading_prepare(struct call *call);

/* The answer, if memory has it. Never blocks. */
bool reading_from_memory(struct call *call);

/* For a call that is off its polling thread. CACHE_HIT: answered. CACHE_JOIN: do not touch the call
 * any more. CACHE_LEAD: ask the database, then reading_finish. */
enum cache_part reading_enter(struct call *call);

/* By handlers: the last three columns of this row are those of `meta`. */
void reading_note(struct call *call, const struct db_result *result);

/* The end of a JSON object that is no list: `meta` follows. */
void reading_end(struct call *call);

/* The whole answer is the first column of the first row: JSON made by the statement. */
void reading_document(struct call *call, const struct db_result *result);

/* Completes the answer. Returns the calls that waited for it, which have theirs as well, by `next`.
 */
struct cache_waiter *reading_finish(struct call *call);

/* On the polling thread, before the answer is sent: those who waited for one answer do not each
 * keep a copy of it meanwhile. */
void reading_write(struct call *call);

/* Gives back what the call still holds. */
void reading_release(struct call *call);

/* The call that lent this to the cache. */
struct call *reading_waiting_call(struct cache_waiter *waiter);
