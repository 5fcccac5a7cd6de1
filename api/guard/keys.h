#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/guard/principal.h"
#include "api/guard/verdicts.h"
#include "common/base/error.h"
#include "common/base/str.h"

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

/* Fresh key, NUL-terminated. */
void key_generate(char out[KEY_LEN + 1]);
bool key_is_well_formed(struct str text);

/* 1-64 of letters, digits, '.', '_', '-', starting with a letter or digit; "anonymous" is taken. */
bool key_name_is_valid(struct str name);

enum key_result { KEY_ERROR = -1, KEY_UNKNOWN, KEY_VALID };

/* Looks a key up; a revoked one is unknown. May block. */
enum key_result key_find(struct db *db,
                         const struct credential_digest *digest,
                         struct principal *ret_principal,
                         struct error *err);

/* Notes that the key is in use, at most once a minute. Best effort. */
void key_touch(struct db *db, const struct principal *principal);

/* ERROR_CONFIG when the name exists. per_minute 0 = the configured limit. */
bool key_insert(struct db *db,
                const char *name,
                const struct credential_digest *digest,
                unsigned scopes,
                int64_t per_minute,
                struct error *err);

/* *ret_found: a key of that name existed and was not revoked yet. */
bool key_revoke(struct db *db, const char *name, bool *ret_found, struct error *err);
