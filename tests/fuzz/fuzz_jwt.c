/*
 * Tokens and key documents from strangers. The first byte says how the rest is read: as a whole
 * token; as "head LF claims" in plain JSON, which is encoded first so that the fuzzer gets behind
 * base64; as a JWKS document; or as the value of Authorization. Nothing may crash, nothing that was
 * never signed may verify, and what is read is read the same way twice.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "api/guard/credential.h"
#include "api/guard/jwks.h"
#include "api/guard/jwt.h"
#include "api/guard/principal.h"
#include "common/io/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* On P-256; nobody has the private key at hand. */
static const char jwks[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":"
                           "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
                           "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static struct key_set *known_keys(void)
{
    static struct key_set *set; /* made once: the fuzzer has one thread */
    if (set == NULL) {
        struct error err = ERROR_INIT;
        set = key_set_new();
        bool is_good =
            key_set_add_jwks(set, str_from(jwks), &err) &&
            key_set_add_secret(set, STR_LITERAL("nobody knows these thirty-two bytes"), &err);
        assert(is_good);
    }
    return set;
}

static void examine_token(struct str token)
{
    struct jwt jwt CLEANUP(jwt_release) = {0};
    struct jwt again CLEANUP(jwt_release) = {0};
    struct jwt_refusal refusal = {0};
    bool is_read = jwt_parse(&jwt, token, &refusal);
    assert(is_read == (refusal.fault == JWT_GOOD));
    assert(is_read == jwt_parse(&again, token, &refusal));
    if (!is_read) {
        assert(refusal.fault == JWT_MALFORMED && refusal.why != NULL);
        return;
    }
    struct str subject = jwt_subject(&jwt);
    assert(str_equal(subject, jwt_subject(&again)) && jwt.scopes == again.scopes);
    assert(jwt.n_audiences <= JWT_AUDIENCES_MAX && subject.len <= JWT_TEXT_MAX);
    assert(str_is_utf8(subject) && str_is_utf8(jwt.kid));
    (void)jwt_check(&jwt, "https://id", "foz", 0, &refusal);
    struct principal principal;
    principal_set(&principal, PRINCIPAL_JWT, subject, jwt.issuer, subject);
    assert(str_is_utf8(str_from(principal.name)));
    const struct jose_key *key = NULL;
    if (key_set_choose(known_keys(), jwt.alg, jwt.kid, &key) == KEY_CHOSEN) {
        assert(jose_key_alg(key) == jwt.alg);
        assert(!jose_verify(key, token));
    }
}

static void examine_plain(struct str claims)
{
    struct str head = str_cut(&claims, '\n');
    struct buf token CLEANUP(buf_release) = {0};
    buf_init(&token, 256UL * 1024);
    crypto_base64url(head, &token);
    buf_add_char(&token, '.');
    crypto_base64url(claims, &token);
    buf_add_c(&token, ".");
    for (int i = 0; i < 86; i++) {
        buf_add_char(&token, 'A');
    }
    examine_token(buf_str(&token));
}

static void examine_jwks(struct str document)
{
    struct error err = ERROR_INIT;
    struct key_set *set CLEANUP(key_set_dropp) = key_set_new();
    bool is_good = key_set_add_jwks(set, document, &err);
    assert(is_good == !error_is_set(&err));
    assert(!is_good || (key_set_size(set) > 0 && key_set_size(set) <= JWKS_KEYS_MAX));
    assert(key_set_is_equal(set, set));
}

static void examine_header(struct str value)
{
    struct arena arena;
    arena_init(&arena, 1024UL * 1024);
    struct header header = {STR_LITERAL("Authorization"), value};
    struct request request = {.arena = &arena, .headers = &header, .n_headers = 1};
    struct credential credential = credential_read(&request);
    bool is_sent_on = credential.kind == CREDENTIAL_BEARER || credential.kind == CREDENTIAL_BASIC;
    assert(is_sent_on == (credential.authorization.ptr != NULL));
    for (size_t i = 0; i < credential.authorization.len; i++) {
        assert(credential.authorization.ptr[i] >= ' ' && credential.authorization.ptr[i] < 127);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 64 * 1024) {
        return 0;
    }
    struct str rest = {(const char *)data + 1, size - 1};
    switch (data[0]) {
    case 't':
        examine_token(rest);
        break;
    case 'k':
        examine_jwks(rest);
        break;
    case 'a':
        examine_header(rest);
        break;
    default:
        examine_plain(rest);
        break;
    }
    return 0;
}
