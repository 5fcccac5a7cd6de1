#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/guard/principal.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

/*
 * What was found out about credentials, for a while, so that a request costs no statement, no
 * signature and no question elsewhere. Keyed by SHA-256: no credential is kept. Bounded; when it is
 * full the oldest goes. Thread-safe, never blocks for long.
 */

struct credential_digest {
    uint8_t bytes[SHA256_BYTES];
};

struct credential_digest credential_digest(struct str credential);

struct verdict_cache;

struct verdict_cache *verdict_cache_new(size_t limit);
void verdict_cache_free(struct verdict_cache *cache); /* accepts NULL */

enum verdict_result { VERDICT_UNKNOWN, VERDICT_REFUSED, VERDICT_GRANTED };

/* `generation`: of what the verdict rests on; one of another generation is forgotten. */
enum verdict_result verdict_cache_get(struct verdict_cache *cache,
                                      const struct credential_digest *digest,
                                      uint64_t generation,
                                      int64_t now_us,
                                      struct principal *ret_principal);

/* principal NULL: refused. The verdict counts until until_us (monotonic). */
void verdict_cache_put(struct verdict_cache *cache,
                       const struct credential_digest *digest,
                       uint64_t generation,
                       const struct principal *principal,
                       int64_t until_us);
