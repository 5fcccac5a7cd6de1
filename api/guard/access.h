#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/guard/keys.h"
#include "api/guard/limiter.h"
#include "api/guard/verdicts.h"
#include "api/guard/waiter.h"
#include "api/http/problem.h"
#include "api/http/request.h"
#include "api/http/router.h"

/*
 * Who asks, may they, and how often. Each kind of credential has one function that judges it, from
 * memory if it can; else it says who must be asked: the database (access_ask, on a pool thread), or
 * somebody outside (access_wait).
 */

struct db;
struct config;
struct tokens;
struct azure;

struct guard {
    const struct config *config;
    struct verdict_cache *keys;
    struct limiter *limiter;
    struct tokens *tokens; /* NULL = JWTs are not taken */
    struct azure *azure;   /* NULL = Azure DevOps credentials are not taken */
};

/* Starts the threads that judge what is configured. ERROR_CONFIG names a key, secret or address
 * that cannot be used; guard_stop is due all the same. */
NODISCARD bool guard_start(struct guard *guard, const struct config *config, struct error *err);

/* Requests that wait are finished first, as refused. Later ones are judged from memory only. */
void guard_stop(struct guard *guard);
void guard_release(struct guard *guard);

enum access_result {
    ACCESS_REFUSED,  /* problem is set */
    ACCESS_GRANTED,  /* the principal is known */
    ACCESS_ASK,      /* only the database knows: call access_ask on a pool thread */
    ACCESS_ASK_KEYS, /* newer keys or Azure DevOps might tell: call access_wait */
    ACCESS_ASK_AZURE,
};

/* From memory; never blocks. 401 without or with a bad credential, 403 for a browser page of
 * another origin while authentication is off. */
enum access_result access_check(struct guard *guard,
                                const struct request *request,
                                struct principal *ret_principal,
                                struct problem *problem);

/* The same with the database's help. `err` is set (and problem is not) when it could not be asked.
 */
bool access_ask(struct guard *guard,
                const struct request *request,
                struct db *reader,
                struct principal *ret_principal,
                struct problem *problem,
                struct error *err);

/* While the database is away: was this key good when it was last asked for, not too long ago? Then
 * its owner may see the last good answers. */
bool access_remember(struct guard *guard,
                     const struct request *request,
                     struct principal *ret_principal);

/* After ACCESS_ASK_KEYS or _AZURE: calls waiter->done when there is more to know, on another thread
 * or this one. */
void access_wait(struct guard *guard,
                 enum access_result asked,
                 const struct request *request,
                 struct guard_waiter *waiter);

/* Then: ACCESS_GRANTED or ACCESS_REFUSED. */
enum access_result access_conclude(struct guard *guard,
                                   const struct request *request,
                                   const struct guard_waiter *waiter,
                                   struct principal *ret_principal,
                                   struct problem *problem);

/* The value of WWW-Authenticate for a 401, or for the 403 of a missing scope; "" for others. */
void access_challenge(const struct guard *guard,
                      const struct principal *principal,
                      const struct problem *problem,
                      struct buf *out);

/* 403 when the scope is missing. */
bool access_permits(const struct principal *principal, enum scope scope, struct problem *problem);

/* "RateLimit" and "RateLimit-Policy" of the last decision; empty when there is no limit. */
struct rate_headers {
    char limit[64];
    char policy[64];
};

/* Takes one request from the principal's allowance. 429 when there is none. */
bool access_rate(struct guard *guard,
                 const struct principal *principal,
                 struct rate_headers *ret_headers,
                 struct problem *problem);

/* Is this Origin one of the configured ones? */
bool access_origin_is_allowed(const struct guard *guard, struct str origin);
