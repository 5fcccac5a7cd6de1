#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/guard/jwt.h"
#include "api/http/router.h"
#include "common/base/clock.h"
#include "common/io/crypto.h"

#define HEAD   "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"alice\",\"exp\":2000}"
#define NOW_US (1000 * US_PER_S)

static void make(struct buf *token, struct str head, struct str claims)
{
    buf_init(token, 64UL * 1024);
    crypto_base64url(head, token);
    buf_add_char(token, '.');
    crypto_base64url(claims, token);
    buf_add_c(token, ".AAAA");
}

static enum jwt_fault fault_of(struct str head, struct str claims)
{
    struct buf token CLEANUP(buf_release) = {0};
    struct jwt jwt;
    struct jwt_refusal refusal = {0};
    make(&token, head, claims);
    bool is_good = jwt_parse(&jwt, buf_str(&token), &refusal) &&
                   jwt_check(&jwt, "https://id", "foz", NOW_US, &refusal);
    jwt_release(&jwt);
    assert_true(is_good == (refusal.fault == JWT_GOOD));
    assert_true(is_good || refusal.why != NULL);
    return refusal.fault;
}

static enum jwt_fault fault_of_head(const char *head)
{
    return fault_of(str_from(head), STR_LITERAL(CLAIMS));
}

static enum jwt_fault fault_of_claims(const char *claims)
{
    return fault_of(STR_LITERAL(HEAD), str_from(claims));
}

static enum jwt_fault fault_of_token(const char *text)
{
    struct jwt jwt;
    struct jwt_refusal refusal = {0};
    (void)jwt_parse(&jwt, str_from(text), &refusal);
    jwt_release(&jwt);
    return refusal.fault;
}

static void jwt_says_what_it_holds(void **state)
{
    (void)state;
    struct buf token CLEANUP(buf_release) = {0};
    struct jwt jwt CLEANUP(jwt_release) = {0};
    struct jwt_refusal refusal = {0};
    make(&token, STR_LITERAL(HEAD),
         STR_LITERAL(
             "{\"iss\":\"i\",\"sub\":\"s\\u00e3o\",\"aud\":[\"a\",\"b\"],\"exp\":1.5,\"nbf\":1,"
             "\"iat\":0,\"scope\":\"dash.read other\",\"scp\":[\"dash.admin\"],\"x\":[{}]}"));
    assert_true(jwt_parse(&jwt, buf_str(&token), &refusal));
    assert_int_equal(jwt.alg, JOSE_RS256);
    assert_true(str_equal_c(jwt.kid, "k1"));
    assert_true(str_equal_c(jwt_subject(&jwt), "s\xc3\xa3o"));
    assert_int_equal(jwt.n_audiences, 2);
    assert_true(str_equal_c(jwt.audiences[1], "b"));
    assert_true(jwt.expiry_s > 1.4 && jwt.expiry_s < 1.6);
    assert_int_equal(jwt.scopes, SCOPE_READ | SCOPE_ADMIN);
    assert_int_equal(jwt.signature_bytes, 3);
}

static void jwt_has_exactly_three_canonical_segments(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      ".",
                                      "..",
                                      "...",
                                      "a.b",
                                      "e30.e30.",
                                      ".e30.AAAA",
                                      "e30..AAAA",
                                      "e30.e30.AAAA.",
                                      "e30.e30.AAAA.AAAA",
                                      "e30=.e30.AAAA",
                                      "e31.e30.AAAA",
                                      "e30 .e30.AAAA",
                                      "e30.e30.AAAA\n",
                                      "e30.e30.A",
                                      "e30.e3+.AAAA",
                                      "{}.{}.AAAA"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(fault_of_token(bad[i]), JWT_MALFORMED);
    }
}

static void jwt_refuses_what_is_too_long_before_it_reads(void **state)
{
    (void)state;
    char *text = test_malloc(JWT_BYTES_MAX + 2);
    struct jwt jwt;
    struct jwt_refusal refusal = {0};
    memset(text, 'A', JWT_BYTES_MAX + 1);
    assert_false(jwt_parse(&jwt, (struct str){text, JWT_BYTES_MAX + 1}, &refusal));
    assert_string_equal(refusal.why, "the token is too long");
    assert_null(jwt.head.ptr);
    jwt_release(&jwt);
    test_free(text);
}

static void jwt_refuses_heads_that_change_the_rules(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":\"rs256\"}",
        "{\"alg\":\"RS256 \"}",
        "{\"alg\":\"RS512\"}",
        "{\"alg\":\"PS256\"}",
        "{\"alg\":\"RS256\\u0000\"}",
        "{\"alg\":[\"RS256\"]}",
        "{\"alg\":null}",
        "{\"alg\":\"RS256\",\"alg\":\"none\"}",
        "{\"alg\":\"RS256\",\"\\u0061lg\":\"HS256\"}",
        "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"RS256\",\"crit\":[]}",
        "{\"alg\":\"RS256\",\"b64\":true}",
        "{\"alg\":\"RS256\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"RS256\",\"zip\":\"DEF\"}",
        "{\"alg\":\"RS256\",\"typ\":\"logout+jwt\"}",
        "{\"alg\":\"RS256\",\"typ\":7}",
        "{\"alg\":\"RS256\",\"kid\":7}",
        "{\"alg\":\"RS256\",\"kid\":\"\"}",
        "{\"alg\":\"RS256\"} ,",
        "{\"alg\":\"RS256\"}{}",
        "{\"alg\":\"RS256\",}",
        "\xef\xbb\xbf{\"alg\":\"RS256\"}",
        "{\"alg\":\"RS256\",\"x\":\"\xff\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (fault_of_head(bad[i]) != JWT_MALFORMED) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    assert_int_equal(fault_of_head("{\"alg\":\"ES256\",\"typ\":\"application/AT+jwt\"}"), JWT_GOOD);
    assert_int_equal(fault_of_head("{\"alg\":\"HS256\",\"jwk\":{},\"jku\":\"http://x\"}"),
                     JWT_GOOD);
}

static void jwt_refuses_claims_of_wrong_types_and_twice(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "7",
        "{\"exp\":\"2000\"}",
        "{\"exp\":null}",
        "{\"exp\":-1}",
        "{\"exp\":1e400}",
        "{\"exp\":99999999999999}",
        "{\"exp\":2000,\"exp\":9000}",
        "{\"exp\":2000,\"\\u0065xp\":9000}",
        "{\"sub\":\"\"}",
        "{\"sub\":7}",
        "{\"sub\":\"a\\u0000b\"}",
        "{\"iss\":[\"https://id\"]}",
        "{\"aud\":7}",
        "{\"aud\":[7]}",
        "{\"aud\":[\"foz\",{}]}",
        "{\"aud\":[[\"foz\"]]}",
        "{\"scope\":7}",
        "{\"scp\":{\"a\":1}}",
        "{\"scope\":[\"dash.read\",1]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (fault_of_claims(bad[i]) != JWT_MALFORMED) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void jwt_has_bounded_members_depth_and_audiences(void **state)
{
    (void)state;
    struct buf claims CLEANUP(buf_release) = {0};
    buf_init(&claims, 8192);
    buf_add_c(&claims, "{\"sub\":\"alice\"");
    for (int i = 0; i < 64; i++) {
        buf_addf(&claims, ",\"m%d\":0", i);
    }
    buf_add_char(&claims, '}');
    assert_int_equal(fault_of_claims(claims.ptr), JWT_MALFORMED);
    buf_reset(&claims);
    buf_add_c(&claims, "{\"aud\":[\"foz\"");
    for (int i = 0; i < JWT_AUDIENCES_MAX; i++) {
        buf_add_c(&claims, ",\"x\"");
    }
    buf_add_c(&claims, "]}");
    assert_int_equal(fault_of_claims(claims.ptr), JWT_MALFORMED);
    buf_reset(&claims);
    buf_add_c(&claims, "{\"x\":");
    for (int i = 0; i < 1000; i++) {
        buf_add_char(&claims, '[');
    }
    assert_int_equal(fault_of_claims(claims.ptr), JWT_MALFORMED);
}

static void jwt_is_named_by_the_best_name_it_has(void **state)
{
    (void)state;

    static const struct {
        const char *claims;
        const char *name; /* NULL = none */
    } cases[] = {
        {"{\"appid\":\"d\",\"azp\":\"c\",\"client_id\":\"b\",\"sub\":\"a\"}", "a"},
        {"{\"appid\":\"d\",\"azp\":\"c\",\"client_id\":\"b\"}", "b"},
        {"{\"appid\":\"d\",\"azp\":\"c\"}", "c"},
        {"{\"appid\":\"d\\u00e3\"}", "d\xc3\xa3"},
        {"{}", NULL},
        /* What says nothing readable is passed over, as any claim of others. */
        {"{\"client_id\":{\"a\":[1]},\"azp\":7,\"appid\":\"d\"}", "d"},
        {"{\"client_id\":\"\",\"azp\":\"\\u0000\",\"appid\":null}", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf token CLEANUP(buf_release) = {0};
        struct jwt jwt CLEANUP(jwt_release) = {0};
        struct jwt_refusal refusal = {0};
        make(&token, STR_LITERAL(HEAD), str_from(cases[i].claims));
        assert_true(jwt_parse(&jwt, buf_str(&token), &refusal));
        struct str name = jwt_subject(&jwt);
        assert_true(cases[i].name != NULL ? str_equal_c(name, cases[i].name) : name.ptr == NULL);
    }
    assert_int_equal(fault_of_claims("{\"azp\":\"a\",\"azp\":\"b\"}"), JWT_MALFORMED);
    assert_int_equal(fault_of_claims("{\"azp\":[1,}"), JWT_MALFORMED);
}

static void jwt_claims_must_fit_this_service_and_this_moment(void **state)
{
    (void)state;

    static const struct {
        const char *claims;
        enum jwt_fault fault;
    } cases[] = {
        {CLAIMS, JWT_GOOD},
        {"{\"iss\":\"https://id\",\"aud\":[\"x\",\"foz\"],\"sub\":\"a\",\"exp\":2000}", JWT_GOOD},
        {"{\"iss\":\"https://id/\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":2000}", JWT_INVALID},
        {"{\"iss\":\"https://i\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":2000}", JWT_INVALID},
        {"{\"aud\":\"foz\",\"sub\":\"a\",\"exp\":2000}", JWT_INVALID},
        {"{\"iss\":\"https://id\",\"aud\":\"fo\",\"sub\":\"a\",\"exp\":2000}", JWT_INVALID},
        {"{\"iss\":\"https://id\",\"aud\":\"foz \",\"sub\":\"a\",\"exp\":2000}", JWT_INVALID},
        {"{\"iss\":\"https://id\",\"aud\":[],\"sub\":\"a\",\"exp\":2000}", JWT_INVALID},
        {"{\"iss\":\"https://id\",\"sub\":\"a\",\"exp\":2000}", JWT_INVALID},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"exp\":2000}", JWT_GOOD},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"client_id\":\"etl\"}", JWT_INVALID},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"client_id\":\"etl\",\"exp\":1}", JWT_EXPIRED},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\"}", JWT_INVALID},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":0}", JWT_EXPIRED},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":970}", JWT_EXPIRED},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":971}", JWT_GOOD},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":2000,\"nbf\":1030}",
         JWT_GOOD},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":2000,\"nbf\":1031}",
         JWT_INVALID},
        {"{\"iss\":\"https://id\",\"aud\":\"foz\",\"sub\":\"a\",\"exp\":2000,\"iat\":1031}",
         JWT_INVALID},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (fault_of_claims(cases[i].claims) != cases[i].fault) {
            fail_msg("%s", cases[i].claims);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jwt_says_what_it_holds),
        cmocka_unit_test(jwt_has_exactly_three_canonical_segments),
        cmocka_unit_test(jwt_refuses_what_is_too_long_before_it_reads),
        cmocka_unit_test(jwt_refuses_heads_that_change_the_rules),
        cmocka_unit_test(jwt_refuses_claims_of_wrong_types_and_twice),
        cmocka_unit_test(jwt_has_bounded_members_depth_and_audiences),
        cmocka_unit_test(jwt_is_named_by_the_best_name_it_has),
        cmocka_unit_test(jwt_claims_must_fit_this_service_and_this_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
