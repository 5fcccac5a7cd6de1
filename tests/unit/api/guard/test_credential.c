#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../request_fixture.h"
#include "api/guard/credential.h"
#include "api/guard/principal.h"
#include "api/http/loopback.h"

static enum credential_kind kind_of(const char *const *lines, char *authorization, size_t size)
{
    struct request_fixture fixture;
    request_fixture_init(&fixture, "GET", "/", lines);
    struct credential credential = credential_read(&fixture.request);
    (void)snprintf(authorization, size, "%.*s", STR_ARG(credential.authorization));
    request_fixture_release(&fixture);
    return credential.kind;
}

static void credential_is_read_where_it_is_written(void **state)
{
    (void)state;

    static const struct {
        const char *lines[3];
        enum credential_kind kind;
        const char *authorization;
    } cases[] = {
        {{NULL}, CREDENTIAL_NONE, ""},
        {{"X-API-Key: foz_x", NULL}, CREDENTIAL_KEY, ""},
        {{"x-api-key: foz_x", "Authorization: Bearer a", NULL}, CREDENTIAL_AMBIGUOUS, ""},
        {{"Authorization: Bearer a", "authorization: Bearer a", NULL}, CREDENTIAL_AMBIGUOUS, ""},
        {{"Authorization: Bearer a.b-c_d~e+f/g==", NULL},
         CREDENTIAL_BEARER,
         "Bearer a.b-c_d~e+f/g=="},
        {{"Authorization: bearer   a", NULL}, CREDENTIAL_BEARER, "Bearer a"},
        {{"Authorization: Bearer a b", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: Bearer a,b", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: Bearer =", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: Bearer a=b", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: Bearer", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: ", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: Digest x", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: Bearer foz_abc", NULL}, CREDENTIAL_MISPLACED, ""},
        /* ":pat" */
        {{"Authorization: Basic OnBhdA==", NULL}, CREDENTIAL_BASIC, "Basic OnBhdA=="},
        {{"Authorization: BASIC OnBhdA==", NULL}, CREDENTIAL_BASIC, "Basic OnBhdA=="},
        {{"Authorization: Basic OnBhdA", NULL}, CREDENTIAL_OTHER, ""},   /* no padding */
        {{"Authorization: Basic OnBhdB==", NULL}, CREDENTIAL_OTHER, ""}, /* spare bits */
        {{"Authorization: Basic OnBhdA===", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: Basic OnBh-A==", NULL}, CREDENTIAL_OTHER, ""},
        {{"Authorization: Basic Og==", NULL}, CREDENTIAL_OTHER, ""},         /* ":" */
        {{"Authorization: Basic amFuZTpwYXQ=", NULL}, CREDENTIAL_OTHER, ""}, /* "jane:pat" */
        {{"Authorization: Basic cGF0", NULL}, CREDENTIAL_OTHER, ""},         /* "pat" */
        {{"Authorization: Basic OnAKdA==", NULL}, CREDENTIAL_OTHER, ""},     /* ":p\nt" */
        {{"Authorization: Basic OmZvel94", NULL}, CREDENTIAL_MISPLACED, ""}, /* ":foz_x" */
        {{"Authorization: Basic Zm96X3g6", NULL}, CREDENTIAL_MISPLACED, ""}, /* "foz_x:" */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char authorization[64];
        enum credential_kind kind = kind_of(cases[i].lines, authorization, sizeof(authorization));
        if (kind != cases[i].kind || strcmp(authorization, cases[i].authorization) != 0) {
            fail_msg("case %zu: %u \"%s\"", i, kind, authorization);
        }
    }
}

static void credential_of_any_length_is_only_so_long(void **state)
{
    (void)state;
    static char line[CREDENTIAL_BYTES_MAX + 64];
    char authorization[64];
    int n = snprintf(line, sizeof(line), "Authorization: Bearer ");
    memset(line + n, 'a', sizeof(line) - (size_t)n - 1);
    assert_int_equal(kind_of(LINES(line), authorization, sizeof(authorization)), CREDENTIAL_OTHER);
    line[n + CREDENTIAL_BYTES_MAX] = '\0';
    assert_int_equal(kind_of(LINES(line), authorization, sizeof(authorization)), CREDENTIAL_BEARER);
}

static void principal_names_are_readable_and_ids_unique(void **state)
{
    (void)state;
    struct principal one;
    struct principal two;
    principal_set(&one, PRINCIPAL_JWT, STR_LITERAL("alice"), STR_LITERAL("a"), STR_LITERAL("bc"));
    principal_set(&two, PRINCIPAL_JWT, STR_LITERAL("alice"), STR_LITERAL("ab"), STR_LITERAL("c"));
    assert_string_equal(one.name, "jwt:alice");
    assert_string_not_equal(one.id, two.id);
    principal_set(&two, PRINCIPAL_AZURE, STR_LITERAL("alice"), STR_LITERAL("a"), STR_LITERAL("bc"));
    assert_string_equal(two.name, "azure:alice");
    assert_string_not_equal(one.id, two.id);
    principal_set(&one, PRINCIPAL_KEY, STR_LITERAL("grafana"), STR_NONE, STR_LITERAL("grafana"));
    assert_string_equal(one.name, "key:grafana");
    assert_string_equal(principal_key_name(&one), "grafana");
}

static void principal_names_that_cannot_be_shown_stay_apart(void **state)
{
    (void)state;
    struct principal one;
    struct principal two;
    struct str bad[] = {STR_LITERAL("a\nb"), STR_LITERAL("a\tb")};
    principal_set(&one, PRINCIPAL_JWT, bad[0], STR_NONE, bad[0]);
    principal_set(&two, PRINCIPAL_JWT, bad[1], STR_NONE, bad[1]);
    assert_null(strpbrk(one.name, "\n\t"));
    assert_memory_equal(one.name, "jwt:a?b~", 8);
    assert_string_not_equal(one.name, two.name);
    static char text[256];
    memset(text, 'x', 255);
    principal_set(&one, PRINCIPAL_JWT, str_from(text), STR_NONE, str_from(text));
    text[254] = 'y';
    principal_set(&two, PRINCIPAL_JWT, str_from(text), STR_NONE, str_from(text));
    assert_int_equal(strlen(one.name), PRINCIPAL_NAME_MAX);
    assert_string_not_equal(one.name, two.name);
}

static void loopback_is_an_address_and_not_a_name_like_one(void **state)
{
    (void)state;
    static const char *const good[] = {"localhost", "LOCALHOST:80", "127.0.0.1", "127.8.9.1:8080",
                                       "[::1]",     "[::1]:80",     "::1",       "foz.localhost"};
    static const char *const bad[] = {"",
                                      "127.evil.example",
                                      "127.0.0.1.evil.example",
                                      "127.",
                                      "localhost.evil.example",
                                      "evillocalhost",
                                      ".localhost",
                                      "[::2]",
                                      "128.0.0.1",
                                      "10.0.0.1",
                                      "[127.0.0.1]"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(host_is_loopback(str_from(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(host_is_loopback(str_from(bad[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credential_is_read_where_it_is_written),
        cmocka_unit_test(credential_of_any_length_is_only_so_long),
        cmocka_unit_test(principal_names_are_readable_and_ids_unique),
        cmocka_unit_test(principal_names_that_cannot_be_shown_stay_apart),
        cmocka_unit_test(loopback_is_an_address_and_not_a_name_like_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
