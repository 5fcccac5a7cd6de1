#include "api/guard/tokens.h"

#include <stdio.h>
#include <string.h>

#include "api/guard/verdicts.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"

#define CACHE_LIMIT  4096
#define CACHE_MAX_US (60 * US_PER_S)

struct tokens {
    const struct jwt_config *jwt;
    struct keyring *ring;
    struct verdict_cache *cache;
};

struct tokens *tokens_start(const struct jwt_config *jwt, struct error *err)
{
    struct keyring *ring = keyring_start(jwt, err);
    if (ring == NULL) {
        return NULL;
    }
    struct tokens *tokens = XNEW(struct tokens);
    tokens->jwt = jwt;
    tokens->ring = ring;
    tokens->cache = verdict_cache_new(CACHE_LIMIT);
    return tokens;
}

void tokens_stop(struct tokens *tokens)
{
    if (tokens != NULL) {
        keyring_stop(tokens->ring);
    }
}

void tokens_free(struct tokens *tokens)
{
    if (tokens != NULL) {
        keyring_free(tokens->ring);
        verdict_cache_free(tokens->cache);
        xfree(tokens);
    }
}

void tokens_wait(struct tokens *tokens, struct guard_waiter *waiter)
{
    keyring_wait(tokens->ring, waiter);
}

static void remember(struct tokens *tokens,
                     const struct credential_digest *digest,
                     uint64_t generation,
                     const struct jwt *jwt,
                     const struct principal *principal)
{
    double left_s = jwt->expiry_s + JWT_SKEW_S - (double)clock_wall_us() / (double)US_PER_S;
    int64_t for_us = CACHE_MAX_US;
    if (left_s < (double)CACHE_MAX_US / (double)US_PER_S) {
        for_us = (int64_t)(left_s * (double)US_PER_S);
    }
    verdict_cache_put(tokens->cache, digest, generation, principal, clock_monotonic_us() + for_us);
}

static enum token_result
no_key(struct tokens *tokens, const struct jwt *jwt, bool may_wait, struct token_verdict *verdict)
{
    int64_t now_us = clock_monotonic_us();
    bool is_public = jwt->alg != JOSE_HS256;
    if (is_public && may_wait && keyring_may_renew(tokens->ring, now_us)) {
        return TOKEN_NEEDS_KEYS;
    }
    if (is_public && !keyring_is_complete(tokens->ring)) {
        verdict->retry_after_s = keyring_retry_after_s(tokens->ring, now_us);
        return TOKEN_UNAVAILABLE;
    }
    (void)jwt_refuse(&verdict->refusal, JWT_INVALID, "no key of this kid and algorithm is known");
    return TOKEN_REFUSED;
}

/* The key by what the header says, the signature by the key, then the claims. */
static enum token_result judge(struct tokens *tokens,
                               const struct jwt *jwt,
                               struct str token,
                               bool may_wait,
                               struct token_verdict *verdict)
{
    uint64_t generation = 0;
    struct key_set *set CLEANUP(key_set_dropp) = keyring_get(tokens->ring, &generation);
    const struct jose_key *key = NULL;
    switch (key_set_choose(set, jwt->alg, jwt->kid, &key)) {
    case KEY_CHOSEN:
        break;
    case KEY_NONE:
        return no_key(tokens, jwt, may_wait, verdict);
    case KEY_AMBIGUOUS:
        (void)jwt_refuse(&verdict->refusal, JWT_INVALID,
                         "the token has no kid and there are several keys");
        return TOKEN_REFUSED;
    }
    if (jwt->signature_bytes != jose_signature_bytes(key) || !jose_verify(key, token)) {
        (void)jwt_refuse(&verdict->refusal, JWT_INVALID, "the signature is wrong");
        return TOKEN_REFUSED;
    }
    if (!jwt_check(jwt, tokens->jwt->issuer, tokens->jwt->audience, clock_wall_us(),
                   &verdict->refusal)) {
        return TOKEN_REFUSED;
    }
    /* Whoever is not named is one caller with all such: the issuer stands for them. */
    struct str subject = jwt_subject(jwt);
    struct str shown = subject.ptr != NULL ? subject : jwt->issuer;
    verdict->principal = (struct principal){.scopes = jwt->scopes};
    principal_set(&verdict->principal, PRINCIPAL_JWT, shown, jwt->issuer, subject);
    struct credential_digest digest = credential_digest(token);
    remember(tokens, &digest, generation, jwt, &verdict->principal);
    return TOKEN_GRANTED;
}

enum token_result tokens_judge(struct tokens *tokens,
                               struct str token,
                               bool may_wait,
                               struct token_verdict *ret_verdict)
{
    *ret_verdict = (struct token_verdict){0};
    if (memchr(token.ptr, '.', token.len) == NULL) {
        (void)jwt_refuse(&ret_verdict->refusal, JWT_MALFORMED, "the token is no JWT");
        return TOKEN_FOREIGN;
    }
    uint64_t generation = 0;
    key_set_drop(keyring_get(tokens->ring, &generation));
    struct credential_digest digest = credential_digest(token);
    if (verdict_cache_get(tokens->cache, &digest, generation, clock_monotonic_us(),
                          &ret_verdict->principal) == VERDICT_GRANTED) {
        return TOKEN_GRANTED;
    }
    struct jwt jwt CLEANUP(jwt_release) = {0};
    if (!jwt_parse(&jwt, token, &ret_verdict->refusal)) {
        return TOKEN_REFUSED;
    }
    (void)snprintf(ret_verdict->kid, sizeof(ret_verdict->kid), "%.*s",
                   STR_ARG(str_shorten(jwt.kid, sizeof(ret_verdict->kid) - 1)));
    if (jwt.issuer.ptr == NULL) {
        (void)jwt_refuse(&ret_verdict->refusal, JWT_INVALID, "iss is missing");
        return TOKEN_REFUSED;
    }
    /* Not yet proven; but whoever calls it another's cannot want it to be taken for ours. */
    if (!str_equal_c(jwt.issuer, tokens->jwt->issuer)) {
        (void)jwt_refuse(&ret_verdict->refusal, JWT_INVALID, "iss is not the configured issuer");
        return TOKEN_FOREIGN;
    }
    return judge(tokens, &jwt, token, may_wait, ret_verdict);
}
