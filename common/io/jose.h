#pragma once

#include <stdbool.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/str.h"

/*
 * The wrapper of cjose: keys that are good for one algorithm each, and the check of a compact JWS
 * against one of them. Which key a token is checked with and what a token must say is the caller's;
 * cjose reads headers leniently, so whoever hands a token in has parsed it strictly before.
 *
 * A key is constant after it was made and may be used by several threads at once.
 */

struct jose_key;

enum jose_alg { JOSE_RS256, JOSE_ES256, JOSE_HS256 };

#define JOSE_RSA_BITS_MIN     2048
#define JOSE_RSA_BITS_MAX     8192
#define JOSE_SECRET_BYTES_MIN 32

/* "RS256". Static string. */
const char *jose_alg_name(enum jose_alg alg);
/* Exactly one of the three names. */
bool jose_alg_parse(struct str name, enum jose_alg *ret_alg);

/* Keys from raw big-endian bytes. NULL and ERROR_DATA when too short, too long, or no key. */
void jose_key_free(struct jose_key *key); /* accepts NULL */
NODISCARD struct jose_key *jose_key_rsa(struct str modulus, struct str exponent, struct error *err)
    OWNED_BY(jose_key_free);
NODISCARD struct jose_key *jose_key_p256(struct str x, struct str y, struct error *err)
    OWNED_BY(jose_key_free);
NODISCARD struct jose_key *jose_key_secret(struct str secret, struct error *err)
    OWNED_BY(jose_key_free);

enum jose_alg jose_key_alg(const struct jose_key *key);

/* Bytes that a signature by this key has. */
size_t jose_signature_bytes(const struct jose_key *key);

/* Did this key sign the token, by the one algorithm the key is for? A token whose header names
 * another algorithm is not verified. */
NODISCARD bool jose_verify(const struct jose_key *key, struct str token);
