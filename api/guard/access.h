#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/guard/keys.h"
#include "api/guard/limiter.h"
#include "api/http/problem.h"
#include "api/http/request.h"
#include "api/http/router.h"

/*
 * Who asks, may they, and how often. Credentials are read in one place (read_credential); each kind
 * has one function that judges it, from memory if it can, else with a database connection on a
 * pool thread.
 */

struct db;
struct config;

struct guard {
    const struct config *config;
    struct key_cache *keys;
    struct limiter *limiter;
};

void guard_init(struct guard *guard, const struct config *config);
void guard_release(struct guard *guard);

enum access_result {
    ACCESS_REFUSED, /* problem is set */
    ACCESS_GRANTED, /* the principal is known */
    ACCESS_ASK,     /* only the database knows: call access_ask on a pool thread */
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
