#pragma once

#include <stdint.h>

#include "api/guard/jwt.h"
#include "api/guard/keyring.h"
#include "api/guard/principal.h"

/*
 * Judges bearer tokens that are JWTs of the configured issuer: form, key, signature, claims, in
 * this order. A token that was found good is remembered for at most a minute, and only as long as
 * the keys stay the same.
 */

struct tokens;

/* ERROR_CONFIG: see keyring_start. `jwt` must outlive it. */
NODISCARD struct tokens *tokens_start(const struct jwt_config *jwt, struct error *err);
void tokens_stop(struct tokens *tokens); /* see keyring_stop; accepts NULL */
void tokens_free(struct tokens *tokens); /* stops it first; accepts NULL */

enum token_result {
    TOKEN_GRANTED,
    TOKEN_REFUSED,
    TOKEN_FOREIGN,     /* no JWT at all, or one of another issuer: not for us to judge */
    TOKEN_NEEDS_KEYS,  /* unknown key: tokens_wait, then judge again */
    TOKEN_UNAVAILABLE, /* there were never any keys to judge it by */
};

struct token_verdict {
    struct principal principal;
    struct jwt_refusal refusal;
    char kid[48]; /* for the log; "" = none */
    int retry_after_s;
};

/* Never blocks. `may_wait`: TOKEN_NEEDS_KEYS is a possible answer. */
enum token_result tokens_judge(struct tokens *tokens,
                               struct str token,
                               bool may_wait,
                               struct token_verdict *ret_verdict);

/* Has the keys renewed, then calls waiter->done, perhaps on this thread. */
void tokens_wait(struct tokens *tokens, struct guard_waiter *waiter);
