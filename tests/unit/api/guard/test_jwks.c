#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/guard/jwks.h"
#include "signer.h"

static struct signer rsa;
static struct signer small;
static struct signer p256;
static struct signer p384;

static int make_keys(void **state)
{
    (void)state;
    signer_init_rsa(&rsa, "r", 2048);
    signer_init_rsa(&small, "small", 1024);
    signer_init_ec(&p256, "e", "P-256");
    signer_init_ec(&p384, "wide", "P-384");
    return 0;
}

static int drop_keys(void **state)
{
    (void)state;
    signer_release(&rsa);
    signer_release(&small);
    signer_release(&p256);
    signer_release(&p384);
    return 0;
}

/* `jwk` with more members: {"a":1} and `"b":2` give {"a":1,"b":2}. */
static const char *with(const struct signer *signer, const char *more)
{
    static char text[2048];
    (void)snprintf(text, sizeof(text), "%.*s,%s}", (int)strlen(signer->jwk) - 1, signer->jwk, more);
    return text;
}

/* How many keys are taken; -1 = the document is refused. */
static int taken(const char *first, const char *second)
{
    struct buf document CLEANUP(buf_release) = {0};
    struct error err = ERROR_INIT;
    struct key_set *set CLEANUP(key_set_dropp) = key_set_new();
    buf_init(&document, 16384);
    buf_addf(&document, "{\"keys\":[%s%s%s]}", first, second != NULL ? "," : "",
             second != NULL ? second : "");
    if (!key_set_add_jwks(set, buf_str(&document), &err)) {
        assert_int_equal(err.code, ERROR_DATA);
        return -1;
    }
    return (int)key_set_size(set);
}

static void jwks_takes_rsa_and_p256_for_signatures(void **state)
{
    (void)state;
    assert_int_equal(taken(rsa.jwk, p256.jwk), 2);
    assert_int_equal(
        taken(with(&rsa, "\"use\":\"sig\",\"alg\":\"RS256\",\"key_ops\":[\"verify\"]"), NULL), 1);
    assert_int_equal(
        taken(with(&p256, "\"use\":\"sig\",\"alg\":\"ES256\",\"x5c\":[\"MII\"]"), NULL), 1);
}

static void jwks_passes_over_what_is_not_for_it(void **state)
{
    (void)state;
    static const char *const more[] = {
        "\"use\":\"enc\"",           "\"alg\":\"RS512\"", "\"alg\":\"ES256\"", "\"alg\":\"HS256\"",
        "\"key_ops\":[\"encrypt\"]", "\"key_ops\":[]",    "\"d\":\"AQ\""};
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        assert_int_equal(taken(with(&rsa, more[i]), NULL), -1);
        assert_int_equal(taken(with(&rsa, more[i]), p256.jwk), 1);
    }
    static const char *const others[] = {
        "{\"kty\":\"oct\",\"kid\":\"o\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
        "{\"kty\":\"RSA\"}",
        "{}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":7,\"e\":\"AQAB\"}"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(taken(p256.jwk, others[i]), 1);
    }
}

static void jwks_refuses_weak_and_wrong_keys(void **state)
{
    (void)state;
    assert_int_equal(taken(small.jwk, NULL), -1);
    assert_int_equal(taken(p384.jwk, NULL), -1);
    assert_int_equal(taken("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}", NULL),
                     -1);
    /* The right length, but not on the curve. */
    char *off = test_malloc(sizeof(p256.jwk));
    memcpy(off, p256.jwk, sizeof(p256.jwk));
    char *x = strstr(off, "\"x\":\"") + 5;
    x[3] = x[3] == 'A' ? 'B' : 'A';
    assert_int_equal(taken(off, NULL), -1);
    /* An even modulus, and an exponent of one. */
    memcpy(off, rsa.jwk, sizeof(rsa.jwk));
    char *e = strstr(off, "\"e\":\"") + 5;
    memcpy(e, "AAAB", 4);
    assert_int_equal(taken(off, NULL), -1);
    test_free(off);
}

static void jwks_refuses_garbage_and_ambiguity(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"keys\":{}}",
                                      "{\"keys\":[]}",
                                      "{\"keys\":[7]}",
                                      "<html>",
                                      "{\"keys\":[",
                                      "{\"keys\":[],\"keys\":[]}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = ERROR_INIT;
        struct key_set *set CLEANUP(key_set_dropp) = key_set_new();
        assert_false(key_set_add_jwks(set, str_from(bad[i]), &err));
    }
    assert_int_equal(taken(rsa.jwk, rsa.jwk), -1);
    assert_int_equal(taken(with(&rsa, "\"kty\":\"RSA\""), NULL), -1);
    assert_int_equal(taken(with(&rsa, "\"kid\":\"r\""), p256.jwk), -1);
}

static void jwks_has_a_bounded_size_and_count(void **state)
{
    (void)state;
    struct buf document CLEANUP(buf_release) = {0};
    struct key_set *set CLEANUP(key_set_dropp) = key_set_new();
    struct error err = ERROR_INIT;
    buf_init(&document, 1024UL * 1024);
    buf_addf(&document, "{\"keys\":[%s", p256.jwk);
    for (int i = 0; i < JWKS_KEYS_MAX; i++) {
        buf_add_c(&document, ",{}");
    }
    buf_add_c(&document, "]}");
    assert_false(key_set_add_jwks(set, buf_str(&document), &err));
    buf_reset(&document);
    buf_addf(&document, "{\"keys\":[%s],\"x\":\"", p256.jwk);
    while (document.len <= JWKS_BYTES_MAX) {
        buf_add_char(&document, 'x');
    }
    buf_add_c(&document, "\"}");
    error_clear(&err);
    assert_false(key_set_add_jwks(set, buf_str(&document), &err));
}

static void key_set_chooses_by_algorithm_and_name(void **state)
{
    (void)state;
    struct buf document CLEANUP(buf_release) = {0};
    struct key_set *set CLEANUP(key_set_dropp) = key_set_new();
    struct error err = ERROR_INIT;
    const struct jose_key *key = NULL;
    buf_init(&document, 16384);
    buf_addf(&document, "{\"keys\":[%s,%s]}", rsa.jwk, p256.jwk);
    assert_true(key_set_add_jwks(set, buf_str(&document), &err));
    assert_int_equal(key_set_choose(set, JOSE_RS256, STR_LITERAL("r"), &key), KEY_CHOSEN);
    assert_int_equal(jose_key_alg(key), JOSE_RS256);
    assert_int_equal(key_set_choose(set, JOSE_ES256, STR_LITERAL("r"), &key), KEY_NONE);
    assert_int_equal(key_set_choose(set, JOSE_RS256, STR_LITERAL("R"), &key), KEY_NONE);
    assert_int_equal(key_set_choose(set, JOSE_ES256, STR_NONE, &key), KEY_CHOSEN);
    assert_int_equal(key_set_choose(set, JOSE_HS256, STR_LITERAL("r"), &key), KEY_NONE);
    struct str secret = STR_LITERAL("0123456789abcdef0123456789abcdef");
    assert_false(key_set_add_secret(set, (struct str){secret.ptr, 31}, &err));
    error_clear(&err);
    assert_true(key_set_add_secret(set, secret, &err));
    assert_int_equal(key_set_choose(set, JOSE_HS256, STR_LITERAL("any"), &key), KEY_CHOSEN);
    assert_int_equal(jose_key_alg(key), JOSE_HS256);
}

static void key_set_without_a_kid_must_be_unambiguous(void **state)
{
    (void)state;
    struct signer other;
    struct buf document CLEANUP(buf_release) = {0};
    struct key_set *set CLEANUP(key_set_dropp) = key_set_new();
    struct error err = ERROR_INIT;
    const struct jose_key *key = NULL;
    signer_init_ec(&other, "e2", "P-256");
    buf_init(&document, 16384);
    buf_addf(&document, "{\"keys\":[%s,%s]}", other.jwk, p256.jwk);
    assert_true(key_set_add_jwks(set, buf_str(&document), &err));
    assert_int_equal(key_set_choose(set, JOSE_ES256, STR_NONE, &key), KEY_AMBIGUOUS);
    assert_int_equal(key_set_choose(set, JOSE_ES256, STR_LITERAL("e2"), &key), KEY_CHOSEN);
    signer_release(&other);
}

static void key_sets_share_and_compare(void **state)
{
    (void)state;
    struct buf document CLEANUP(buf_release) = {0};
    struct error err = ERROR_INIT;
    struct key_set *one = key_set_new();
    struct key_set *two CLEANUP(key_set_dropp) = key_set_new();
    const struct jose_key *key = NULL;
    buf_init(&document, 16384);
    buf_addf(&document, "{\"keys\":[%s]}", p256.jwk);
    assert_true(key_set_add_jwks(one, buf_str(&document), &err));
    assert_true(key_set_add_secret(one, STR_LITERAL("0123456789abcdef0123456789abcdef"), &err));
    assert_false(key_set_is_equal(one, two));
    key_set_share_public(two, one);
    assert_int_equal(key_set_size(two), 1);
    key_set_share_secret(two, one);
    assert_true(key_set_is_equal(one, two));
    key_set_drop(one);
    assert_int_equal(key_set_choose(two, JOSE_ES256, STR_LITERAL("e"), &key), KEY_CHOSEN);
    assert_int_equal(jose_signature_bytes(key), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jwks_takes_rsa_and_p256_for_signatures),
        cmocka_unit_test(jwks_passes_over_what_is_not_for_it),
        cmocka_unit_test(jwks_refuses_weak_and_wrong_keys),
        cmocka_unit_test(jwks_refuses_garbage_and_ambiguity),
        cmocka_unit_test(jwks_has_a_bounded_size_and_count),
        cmocka_unit_test(key_set_chooses_by_algorithm_and_name),
        cmocka_unit_test(key_set_without_a_kid_must_be_unambiguous),
        cmocka_unit_test(key_sets_share_and_compare),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
