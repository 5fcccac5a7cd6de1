#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/pem.h>

#include "api/guard/tokens.h"
#include "api/http/router.h"
#include "common/base/clock.h"
#include "common/base/thread.h"
#include "signer.h"

#define SECRET "a secret of more than thirty-two bytes"

/* A service's view: two public keys in a file, a secret in the environment. */
static struct signer rsa;
static struct signer ec;
static struct signer stranger; /* nobody knows it */
static struct signer p384;
static char jwks_path[64];
static struct jwt_config config;
static struct tokens *tokens;

static void write_jwks(const char *first, const char *second)
{
    FILE *file = fopen(jwks_path, "w");
    assert_non_null(file);
    (void)fprintf(file, "{\"keys\":[%s%s%s]}", first, second != NULL ? "," : "",
                  second != NULL ? second : "");
    assert_int_equal(fclose(file), 0);
}

static void start(void)
{
    struct error err = ERROR_INIT;
    tokens = tokens_start(&config, &err);
    if (tokens == NULL) {
        fail_msg("%s", err.msg);
    }
}

static int make_keys(void **state)
{
    (void)state;
    signer_init_rsa(&rsa, "r1", 2048);
    signer_init_ec(&ec, "e1", "P-256");
    signer_init_rsa(&stranger, "r1", 2048);
    signer_init_ec(&p384, "e1", "P-384");
    (void)snprintf(jwks_path, sizeof(jwks_path), "/tmp/foz-jwks-XXXXXX");
    int descriptor = mkstemp(jwks_path);
    assert_true(descriptor >= 0);
    assert_int_equal(close(descriptor), 0);
    assert_int_equal(setenv("FOZ_TEST_JWT_SECRET", SECRET, 1), 0);
    config = (struct jwt_config){.issuer = "https://id",
                                 .audience = "foz",
                                 .jwks_file = jwks_path,
                                 .jwks_refresh_us = US_PER_H,
                                 .jwks_cooldown_us = 0,
                                 .hs256_secret = "env:FOZ_TEST_JWT_SECRET"};
    return 0;
}

static int drop_keys(void **state)
{
    (void)state;
    signer_release(&rsa);
    signer_release(&ec);
    signer_release(&stranger);
    signer_release(&p384);
    return unlink(jwks_path);
}

static int set_up(void **state)
{
    (void)state;
    write_jwks(rsa.jwk, ec.jwk);
    start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tokens_free(tokens);
    return 0;
}

static const char *claims(const char *more)
{
    static char text[512];
    long long now_s = clock_wall_us() / US_PER_S;
    (void)snprintf(
        text, sizeof(text),
        "{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"alice\",\"exp\":%lld,\"scope\":"
        "\"dash.read\"%s}",
        now_s + 600, more);
    return text;
}

static enum token_result judge(struct buf *token, struct token_verdict *verdict)
{
    enum token_result result = tokens_judge(tokens, buf_str(token), false, verdict);
    buf_release(token);
    return result;
}

static enum token_result judge_signed(const struct signer *signer, const char *head)
{
    struct buf token;
    struct token_verdict verdict;
    signer_sign(signer, SIGNER_AS_RFC, head, claims(""), &token);
    return judge(&token, &verdict);
}

static void each_algorithm_is_good_with_its_key(void **state)
{
    (void)state;
    struct buf token;
    struct token_verdict verdict;
    signer_sign(&rsa, SIGNER_AS_RFC, "{\"alg\":\"RS256\",\"kid\":\"r1\"}", claims(""), &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_GRANTED);
    assert_string_equal(verdict.principal.name, "jwt:alice");
    assert_int_equal(verdict.principal.kind, PRINCIPAL_JWT);
    assert_int_equal(verdict.principal.scopes, SCOPE_READ);
    assert_int_equal(judge_signed(&rsa, "{\"alg\":\"RS256\"}"), TOKEN_GRANTED);
    assert_int_equal(judge_signed(&ec, "{\"alg\":\"ES256\",\"kid\":\"e1\"}"), TOKEN_GRANTED);
    signer_hmac(STR_LITERAL(SECRET), "{\"alg\":\"HS256\"}", claims(""), &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_GRANTED);
}

static void the_public_key_is_no_secret(void **state)
{
    (void)state;
    struct buf token;
    struct token_verdict verdict;
    BIO *memory = BIO_new(BIO_s_mem());
    char *pem = NULL;
    assert_int_equal(PEM_write_bio_PUBKEY(memory, rsa.key), 1);
    long len = BIO_get_mem_data(memory, &pem);
    const struct str forms[] = {{pem, (size_t)len}, {pem, (size_t)len - 1}, str_from(rsa.jwk)};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        signer_hmac(forms[i], "{\"alg\":\"HS256\",\"kid\":\"r1\"}", claims(""), &token);
        assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
        signer_hmac(forms[i], "{\"alg\":\"RS256\",\"kid\":\"r1\"}", claims(""), &token);
        assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    }
    (void)BIO_free(memory);
}

static void no_key_is_good_for_another_algorithm(void **state)
{
    (void)state;
    struct buf token;
    struct token_verdict verdict;
    /* The signature is right for the bytes; the header claims another algorithm for them. */
    assert_int_equal(judge_signed(&rsa, "{\"alg\":\"ES256\",\"kid\":\"r1\"}"), TOKEN_REFUSED);
    assert_int_equal(judge_signed(&rsa, "{\"alg\":\"HS256\",\"kid\":\"r1\"}"), TOKEN_REFUSED);
    assert_int_equal(judge_signed(&ec, "{\"alg\":\"RS256\",\"kid\":\"e1\"}"), TOKEN_REFUSED);
    assert_int_equal(judge_signed(&rsa, "{\"alg\":\"none\",\"kid\":\"r1\"}"), TOKEN_REFUSED);
    assert_int_equal(judge_signed(&rsa, "{\"alg\":\"PS256\",\"kid\":\"r1\"}"), TOKEN_REFUSED);
    buf_init(&token, 8192);
    signer_add_segment(&token, "{\"alg\":\"none\"}");
    signer_add_segment(&token, claims(""));
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    assert_int_equal(verdict.refusal.fault, JWT_MALFORMED);
}

static void keys_of_others_and_other_names_are_refused(void **state)
{
    (void)state;
    assert_int_equal(judge_signed(&stranger, "{\"alg\":\"RS256\",\"kid\":\"r1\"}"), TOKEN_REFUSED);
    assert_int_equal(judge_signed(&rsa, "{\"alg\":\"RS256\",\"kid\":\"r2\"}"), TOKEN_REFUSED);
    assert_int_equal(judge_signed(&rsa, "{\"alg\":\"RS256\",\"kid\":\"e1\"}"), TOKEN_REFUSED);
    assert_int_equal(judge_signed(&p384, "{\"alg\":\"ES256\",\"kid\":\"e1\"}"), TOKEN_REFUSED);
    /* A key that the token brings along. */
    char head[2000];
    (void)snprintf(head, sizeof(head), "{\"alg\":\"RS256\",\"jwk\":%s}", stranger.jwk);
    assert_int_equal(judge_signed(&stranger, head), TOKEN_REFUSED);
}

static void es256_signatures_are_raw_not_der(void **state)
{
    (void)state;
    struct buf token;
    struct token_verdict verdict;
    signer_sign(&ec, SIGNER_DER, "{\"alg\":\"ES256\",\"kid\":\"e1\"}", claims(""), &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    assert_string_equal(verdict.refusal.why, "the signature is wrong");
}

static void a_zero_signature_is_wrong(void **state)
{
    (void)state;
    struct buf token;
    struct token_verdict verdict;
    static const char zeros[64];
    buf_init(&token, 8192);
    signer_add_segment(&token, "{\"alg\":\"ES256\",\"kid\":\"e1\"}");
    signer_add_segment(&token, claims(""));
    crypto_base64url((struct str){zeros, sizeof(zeros)}, &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
}

/* Every character of every segment, replaced by another of the alphabet or dropped. */
static void check_tampering(struct buf *token)
{
    struct token_verdict verdict;
    assert_int_equal(tokens_judge(tokens, buf_str(token), false, &verdict), TOKEN_GRANTED);
    for (size_t i = 0; i < token->len; i++) {
        char kept = token->ptr[i];
        token->ptr[i] = kept == 'A' ? 'B' : 'A';
        enum token_result result = tokens_judge(tokens, buf_str(token), false, &verdict);
        token->ptr[i] = kept;
        if (result == TOKEN_GRANTED) {
            fail_msg("changed at %zu: %s", i, token->ptr);
        }
    }
    for (size_t len = 0; len < token->len; len++) {
        assert_int_not_equal(tokens_judge(tokens, (struct str){token->ptr, len}, false, &verdict),
                             TOKEN_GRANTED);
    }
    static const char *const tails[] = {"A", "=", "==", " ", "\n", ".", ".AAAA", "AAAA"};
    size_t len = token->len;
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        buf_add_c(token, tails[i]);
        assert_int_not_equal(tokens_judge(tokens, buf_str(token), false, &verdict), TOKEN_GRANTED);
        buf_truncate(token, len);
    }
    assert_int_equal(tokens_judge(tokens, buf_str(token), false, &verdict), TOKEN_GRANTED);
    buf_release(token);
}

static void a_token_changed_anywhere_is_refused(void **state)
{
    (void)state;
    struct buf token;
    signer_sign(&rsa, SIGNER_AS_RFC, "{\"alg\":\"RS256\",\"kid\":\"r1\"}", claims(""), &token);
    check_tampering(&token);
    signer_sign(&ec, SIGNER_AS_RFC, "{\"alg\":\"ES256\",\"kid\":\"e1\"}", claims(""), &token);
    check_tampering(&token);
    signer_hmac(STR_LITERAL(SECRET), "{\"alg\":\"HS256\"}", claims(""), &token);
    check_tampering(&token);
}

static void claims_are_checked_behind_the_signature(void **state)
{
    (void)state;
    struct buf token;
    struct token_verdict verdict;
    const char *head = "{\"alg\":\"RS256\",\"kid\":\"r1\"}";
    signer_sign(&rsa, SIGNER_AS_RFC, head,
                "{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":1}", &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    assert_int_equal(verdict.refusal.fault, JWT_EXPIRED);
    signer_sign(&stranger, SIGNER_AS_RFC, head,
                "{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":1}", &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    assert_int_equal(verdict.refusal.fault, JWT_INVALID);
    signer_sign(&rsa, SIGNER_AS_RFC, head, claims(",\"nbf\":99999999999"), &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    signer_sign(&rsa, SIGNER_AS_RFC, head, claims(",\"sub\":\"root\""), &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    assert_int_equal(verdict.refusal.fault, JWT_MALFORMED);
}

static void sign_of(const char *names, struct buf *token)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "{\"iss\":\"https://id\",\"aud\":\"foz\",\"exp\":%lld%s}",
                   (long long)(clock_wall_us() / US_PER_S + 600), names);
    signer_sign(&rsa, SIGNER_AS_RFC, "{\"alg\":\"RS256\",\"kid\":\"r1\"}", text, token);
}

static void a_token_without_a_subject_is_named_by_what_it_has(void **state)
{
    (void)state;

    static const struct {
        const char *names;
        const char *shown;
    } cases[] = {
        {",\"sub\":\"alice\",\"client_id\":\"etl\"", "jwt:alice"},
        {",\"client_id\":\"etl\",\"appid\":\"a1\"", "jwt:etl"},
        {",\"azp\":\"web\"", "jwt:web"},
        {",\"appid\":\"a1\"", "jwt:a1"},
        {"", "jwt:https://id"},
        {",\"sub\":\"https://id\"", "jwt:https://id"},
    };

    char ids[ARRAY_SIZE(cases)][PRINCIPAL_ID_MAX + 1];
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf token;
        struct token_verdict verdict;
        sign_of(cases[i].names, &token);
        assert_int_equal(judge(&token, &verdict), TOKEN_GRANTED);
        assert_string_equal(verdict.principal.name, cases[i].shown);
        memcpy(ids[i], verdict.principal.id, sizeof(ids[i]));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(ids[i], ids[k]);
        }
    }
}

static void tokens_of_others_are_told_apart(void **state)
{
    (void)state;
    struct buf token;
    struct token_verdict verdict;
    const char *head = "{\"alg\":\"RS256\",\"kid\":\"r1\"}";
    signer_sign(&rsa, SIGNER_AS_RFC, head,
                "{\"iss\":\"https://other\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":1}", &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_FOREIGN);
    signer_sign(&rsa, SIGNER_AS_RFC, head, "{\"aud\":\"foz\",\"sub\":\"a\",\"exp\":1}", &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    assert_int_equal(tokens_judge(tokens, STR_LITERAL("abcdef"), false, &verdict), TOKEN_FOREIGN);
}

struct probe {
    struct guard_waiter waiter; /* first */
    struct mutex lock;
    struct condition wake;
    bool is_done;
};

static void note_done(struct guard_waiter *waiter)
{
    struct probe *probe = (struct probe *)(void *)waiter;
    MUTEX_GUARD(&probe->lock);
    probe->is_done = true;
    condition_signal(&probe->wake);
}

static enum wait_outcome wait_for_keys(void)
{
    struct probe probe = {.waiter = {.done = note_done}};
    mutex_init(&probe.lock);
    condition_init(&probe.wake);
    tokens_wait(tokens, &probe.waiter);
    mutex_lock(&probe.lock);
    while (!probe.is_done) {
        condition_wait(&probe.wake, &probe.lock);
    }
    mutex_unlock(&probe.lock);
    condition_release(&probe.wake);
    mutex_release(&probe.lock);
    return probe.waiter.outcome;
}

static enum token_result judge_and_wait(const struct signer *signer, const char *head)
{
    struct buf token;
    struct token_verdict verdict;
    signer_sign(signer, SIGNER_AS_RFC, head, claims(""), &token);
    enum token_result result = tokens_judge(tokens, buf_str(&token), true, &verdict);
    if (result == TOKEN_NEEDS_KEYS) {
        assert_int_equal(wait_for_keys(), WAIT_AGAIN);
        result = tokens_judge(tokens, buf_str(&token), false, &verdict);
    }
    buf_release(&token);
    return result;
}

static void rotated_keys_are_found_and_old_ones_forgotten(void **state)
{
    (void)state;
    struct signer next;
    signer_init_rsa(&next, "r2", 2048);
    const char *old_head = "{\"alg\":\"RS256\",\"kid\":\"r1\"}";
    const char *new_head = "{\"alg\":\"RS256\",\"kid\":\"r2\"}";
    assert_int_equal(judge_and_wait(&rsa, old_head), TOKEN_GRANTED);
    assert_int_equal(judge_and_wait(&next, new_head), TOKEN_REFUSED);
    write_jwks(next.jwk, ec.jwk);
    assert_int_equal(judge_and_wait(&next, new_head), TOKEN_GRANTED);
    assert_int_equal(judge_and_wait(&rsa, old_head), TOKEN_REFUSED);
    assert_int_equal(judge_and_wait(&ec, "{\"alg\":\"ES256\",\"kid\":\"e1\"}"), TOKEN_GRANTED);
    signer_release(&next);
}

static void a_remembered_token_dies_with_its_key(void **state)
{
    (void)state;
    struct buf token;
    struct token_verdict verdict;
    signer_sign(&rsa, SIGNER_AS_RFC, "{\"alg\":\"RS256\",\"kid\":\"r1\"}", claims(""), &token);
    assert_int_equal(tokens_judge(tokens, buf_str(&token), false, &verdict), TOKEN_GRANTED);
    assert_int_equal(tokens_judge(tokens, buf_str(&token), false, &verdict), TOKEN_GRANTED);
    write_jwks(ec.jwk, NULL);
    assert_int_equal(wait_for_keys(), WAIT_AGAIN);
    assert_int_equal(tokens_judge(tokens, buf_str(&token), false, &verdict), TOKEN_REFUSED);
    buf_release(&token);
}

static void garbage_leaves_the_last_good_keys(void **state)
{
    (void)state;
    write_jwks("<html>", NULL);
    assert_int_equal(wait_for_keys(), WAIT_AGAIN);
    assert_int_equal(judge_and_wait(&rsa, "{\"alg\":\"RS256\",\"kid\":\"r1\"}"), TOKEN_GRANTED);
    write_jwks(ec.jwk, "{\"kty\":\"RSA\",\"kid\":\"x\",\"kid\":\"y\"}");
    assert_int_equal(wait_for_keys(), WAIT_AGAIN);
    assert_int_equal(judge_and_wait(&rsa, "{\"alg\":\"RS256\",\"kid\":\"r1\"}"), TOKEN_GRANTED);
    /* The secret is renewed whatever becomes of the file. */
    assert_int_equal(setenv("FOZ_TEST_JWT_SECRET", "another secret of more than 32 bytes", 1), 0);
    assert_int_equal(wait_for_keys(), WAIT_AGAIN);
    struct buf token;
    struct token_verdict verdict;
    signer_hmac(STR_LITERAL(SECRET), "{\"alg\":\"HS256\"}", claims(""), &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_REFUSED);
    assert_int_equal(setenv("FOZ_TEST_JWT_SECRET", SECRET, 1), 0);
}

static void a_cooldown_bounds_how_often_keys_are_read(void **state)
{
    (void)state;
    struct jwt_config patient = config;
    struct tokens *usual = tokens;
    struct error err = ERROR_INIT;
    patient.jwks_cooldown_us = US_PER_H;
    tokens = tokens_start(&patient, &err);
    assert_non_null(tokens);
    struct buf token;
    struct token_verdict verdict;
    signer_sign(&rsa, SIGNER_AS_RFC, "{\"alg\":\"RS256\",\"kid\":\"new\"}", claims(""), &token);
    assert_int_equal(tokens_judge(tokens, buf_str(&token), true, &verdict), TOKEN_REFUSED);
    assert_string_equal(verdict.kid, "new");
    buf_release(&token);
    tokens_free(tokens);
    tokens = usual;
}

static void without_any_keys_nobody_is_blamed(void **state)
{
    (void)state;
    struct jwt_config remote = config;
    struct tokens *usual = tokens;
    struct error err = ERROR_INIT;
    remote.jwks_file = NULL;
    remote.jwks_url = "http://127.0.0.1:9/keys";
    remote.jwks_cooldown_us = US_PER_H;
    tokens = tokens_start(&remote, &err);
    assert_non_null(tokens);
    assert_int_equal(wait_for_keys(), WAIT_AGAIN);
    struct buf token;
    struct token_verdict verdict;
    signer_sign(&rsa, SIGNER_AS_RFC, "{\"alg\":\"RS256\",\"kid\":\"r1\"}", claims(""), &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_UNAVAILABLE);
    assert_true(verdict.retry_after_s > 3000);
    signer_hmac(STR_LITERAL(SECRET), "{\"alg\":\"HS256\"}", claims(""), &token);
    assert_int_equal(judge(&token, &verdict), TOKEN_GRANTED);
    tokens_stop(tokens);
    assert_int_equal(wait_for_keys(), WAIT_STOPPED);
    tokens_free(tokens);
    tokens = usual;
}

static void bad_settings_are_refused_at_the_start(void **state)
{
    (void)state;
    struct jwt_config cases[] = {config, config, config, config};
    static const char *const words[] = {"jwks_file", "hs256_secret", "HS256 needs", "https"};
    cases[0].jwks_file = "/nonexistent/jwks.json";
    cases[1].hs256_secret = "env:FOZ_TEST_ABSENT";
    cases[2].hs256_secret = "env:FOZ_TEST_SHORT";
    cases[3].jwks_file = NULL;
    cases[3].jwks_url = "http://127.evil.example/keys";
    assert_int_equal(setenv("FOZ_TEST_SHORT", "0123456789012345678901234567890", 1), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_INIT;
        assert_null(tokens_start(&cases[i], &err));
        assert_int_equal(err.code, ERROR_CONFIG);
        assert_non_null(strstr(err.msg, words[i]));
        assert_null(strstr(err.msg, "012345678"));
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(each_algorithm_is_good_with_its_key),
        CASE(the_public_key_is_no_secret),
        CASE(no_key_is_good_for_another_algorithm),
        CASE(keys_of_others_and_other_names_are_refused),
        CASE(es256_signatures_are_raw_not_der),
        CASE(a_zero_signature_is_wrong),
        CASE(a_token_changed_anywhere_is_refused),
        CASE(claims_are_checked_behind_the_signature),
        CASE(a_token_without_a_subject_is_named_by_what_it_has),
        CASE(tokens_of_others_are_told_apart),
        CASE(rotated_keys_are_found_and_old_ones_forgotten),
        CASE(a_remembered_token_dies_with_its_key),
        CASE(garbage_leaves_the_last_good_keys),
        CASE(a_cooldown_bounds_how_often_keys_are_read),
        CASE(without_any_keys_nobody_is_blamed),
        CASE(bad_settings_are_refused_at_the_start),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
