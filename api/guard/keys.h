#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

/*
 * API keys: "foz_" and 40 base64url characters (240 random bits). Only the SHA-256 of a key is
 * stored; a digest of so much randomness needs no salt and no slow hash. What a key may do is kept
 * in memory for a few seconds, so that a request costs no statement and a revoked key dies soon.
 */

struct db;

#define KEY_PREFIX         "foz_"
#define KEY_LEN            44
#define KEY_NAME_MAX       64
#define KEY_CACHE_FOR_US   INT64_C(5000000)
#define KEY_UNKNOWN_FOR_US INT64_C(2000000)

/* Who asks, and what that one may do. */
struct principal {
    char name[KEY_NAME_MAX + 1];
    unsigned scopes;    /* bits of enum scope */
    int64_t per_minute; /* own rate limit; 0 = the configured one */
};

struct key_digest {
    uint8_t bytes[SHA256_BYTES];
};

/* Fresh key, NUL-terminated. */
void key_generate(char out[KEY_LEN + 1]);
bool key_is_well_formed(struct str text);
struct key_digest key_digest(struct str text);

/* 1-64 of letters, digits, '.', '_', '-', starting with a letter or digit; "anonymous" is taken. */
bool key_name_is_valid(struct str name);

enum key_result { KEY_ERROR = -1, KEY_UNKNOWN, KEY_VALID };

/* Looks a key up; a revoked one is unknown. May block. */
enum key_result key_find(struct db *db,
                         const struct key_digest *digest,
                         struct principal *ret_principal,
                         struct error *err);

/* Notes that the key is in use, at most once a minute. Best effort. */
void key_touch(struct db *db, const struct principal *principal);

/* ERROR_CONFIG when the name exists. per_minute 0 = the configured limit. */
bool key_insert(struct db *db,
                const char *name,
                const struct key_digest *digest,
                unsigned scopes,
                int64_t per_minute,
                struct error *err);

/* *ret_found: a key of that name existed and was not revoked yet. */
bool key_revoke(struct db *db, const char *name, bool *ret_found, struct error *err);

/* --- cache ------------------------------------------------------------------------------------ */

struct key_cache;

struct key_cache *key_cache_new(void);
void key_cache_free(struct key_cache *cache); /* accepts NULL */

enum key_cache_result { KEY_CACHE_MISS, KEY_CACHE_UNKNOWN, KEY_CACHE_VALID };

/* Thread-safe, does not block. */
enum key_cache_result key_cache_get(struct key_cache *cache,
                                    const struct key_digest *digest,
                                    int64_t now_us,
                                    struct principal *ret_principal);

/* principal NULL: the key is unknown. */
void key_cache_put(struct key_cache *cache,
                   const struct key_digest *digest,
                   const struct principal *principal,
                   int64_t now_us);
