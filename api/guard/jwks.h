#pragma once

#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/io/jose.h"

/*
 * A set of keys that tokens are checked with: the public keys of a JWKS document (RFC 7517) and, if
 * there is one, the shared secret. Each key is good for one algorithm, by its type: a public key
 * never checks an HMAC. A set is constant once it is shared, and goes with its last user.
 */

#define JWKS_BYTES_MAX (256UL * 1024)
#define JWKS_KEYS_MAX  64

struct key_set;

NODISCARD struct key_set *key_set_new(void);
struct key_set *key_set_hold(struct key_set *set); /* one more user */
void key_set_drop(struct key_set *set);            /* accepts NULL */
DEFINE_CLEANUP(struct key_set *, key_set_drop);

/* Adds the document's signature keys for RS256 and ES256. Keys for other uses, types and algorithms
 * are passed over; a document that is malformed, too large, repeats a name or a kid, or leaves no
 * key is refused (ERROR_DATA) with the reason of the last key that was passed over. */
NODISCARD bool key_set_add_jwks(struct key_set *set, struct str document, struct error *err);

/* ERROR_DATA when it is shorter than HS256 demands. */
NODISCARD bool key_set_add_secret(struct key_set *set, struct str secret, struct error *err);

/* Takes over what another set holds of the public keys, or of the secret. */
void key_set_share_public(struct key_set *set, const struct key_set *other);
void key_set_share_secret(struct key_set *set, const struct key_set *other);

size_t key_set_size(const struct key_set *set);
bool key_set_is_equal(const struct key_set *a, const struct key_set *b);

enum key_choice {
    KEY_CHOSEN,
    KEY_NONE,     /* there is no such key: newer keys may have it */
    KEY_AMBIGUOUS /* the token names no key and there are several */
};

/* The key for a token of this algorithm. kid.ptr NULL: it names none. The secret has no name, so it
 * takes any. Borrowed from the set. */
enum key_choice key_set_choose(const struct key_set *set,
                               enum jose_alg alg,
                               struct str kid,
                               const struct jose_key **ret_key);
