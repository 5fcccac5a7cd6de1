#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/guard/keys.h"
#include "api/guard/limiter.h"

static void key_is_well_formed_and_never_the_same(void **state)
{
    (void)state;
    char one[KEY_LEN + 1];
    char two[KEY_LEN + 1];
    key_generate(one);
    key_generate(two);
    assert_string_not_equal(one, two);
    assert_true(key_is_well_formed(str_from(one)));
    assert_false(key_is_well_formed((struct str){one, KEY_LEN - 1}));
    one[0] = 'x';
    assert_false(key_is_well_formed(str_from(one)));
    two[10] = '+';
    assert_false(key_is_well_formed(str_from(two)));
    assert_false(key_is_well_formed(STR_NONE));
}

static void key_names_are_plain(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "grafana-1", "A.b_c"};
    static const char *const bad[] = {
        "",          "-a",
        ".a",        "a b",
        "anonymous", "a\n",
        "\xc3\xa4",  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(key_name_is_valid(str_from(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(key_name_is_valid(str_from(bad[i])));
    }
}

static struct credential_digest digest_of(const char *text)
{
    return credential_digest(str_from(text));
}

static void verdicts_are_forgotten_in_time(void **state)
{
    (void)state;
    struct verdict_cache *cache = verdict_cache_new(16);
    struct credential_digest digest = digest_of("foz_x");
    struct principal found = {0};
    struct principal given = {.name = "key:grafana", .scopes = 5, .per_minute = 7};
    assert_int_equal(verdict_cache_get(cache, &digest, 0, 0, &found), VERDICT_UNKNOWN);
    verdict_cache_put(cache, &digest, 0, &given, 1000);
    assert_int_equal(verdict_cache_get(cache, &digest, 0, 999, &found), VERDICT_GRANTED);
    assert_string_equal(found.name, "key:grafana");
    assert_int_equal(found.scopes, 5);
    assert_int_equal(verdict_cache_get(cache, &digest, 0, 1000, &found), VERDICT_UNKNOWN);
    verdict_cache_put(cache, &digest, 0, NULL, 2000);
    assert_int_equal(verdict_cache_get(cache, &digest, 0, 1999, &found), VERDICT_REFUSED);
    assert_int_equal(verdict_cache_get(cache, &digest, 0, 2000, &found), VERDICT_UNKNOWN);
    verdict_cache_free(cache);
}

static void verdicts_of_another_generation_do_not_count(void **state)
{
    (void)state;
    struct verdict_cache *cache = verdict_cache_new(16);
    struct credential_digest digest = digest_of("a.b.c");
    struct principal found = {0};
    struct principal given = {.name = "jwt:alice"};
    verdict_cache_put(cache, &digest, 1, &given, 1000);
    assert_int_equal(verdict_cache_get(cache, &digest, 1, 0, &found), VERDICT_GRANTED);
    assert_int_equal(verdict_cache_get(cache, &digest, 2, 0, &found), VERDICT_UNKNOWN);
    verdict_cache_free(cache);
}

static void verdicts_stay_bounded(void **state)
{
    (void)state;
    struct verdict_cache *cache = verdict_cache_new(100);
    struct principal found = {0};
    for (int i = 0; i < 1000; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%d", i);
        struct credential_digest digest = digest_of(text);
        verdict_cache_put(cache, &digest, 0, NULL, 1000);
    }
    struct credential_digest gone = digest_of("899");
    struct credential_digest kept = digest_of("900");
    assert_int_equal(verdict_cache_get(cache, &gone, 0, 1, &found), VERDICT_UNKNOWN);
    assert_int_equal(verdict_cache_get(cache, &kept, 0, 1, &found), VERDICT_REFUSED);
    verdict_cache_free(cache);
}

static void limiter_gives_each_its_burst_and_refills(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new();
    for (int i = 0; i < 5; i++) {
        struct limiter_verdict verdict = limiter_take(limiter, "a", 60, 5, 0);
        assert_true(verdict.is_granted);
        assert_int_equal(verdict.remaining, 4 - i);
    }
    struct limiter_verdict verdict = limiter_take(limiter, "a", 60, 5, 0);
    assert_false(verdict.is_granted);
    assert_in_range(verdict.wait_us, 999000, 1001000);
    assert_true(limiter_take(limiter, "b", 60, 5, 0).is_granted);
    assert_true(limiter_take(limiter, "a", 60, 5, 1001000).is_granted);
    assert_false(limiter_take(limiter, "a", 60, 5, 1001000).is_granted);
    /* A changed limit counts at once. */
    assert_true(limiter_take(limiter, "a", 600, 5, 1001000).is_granted);
    limiter_free(limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_is_well_formed_and_never_the_same),
        cmocka_unit_test(key_names_are_plain),
        cmocka_unit_test(verdicts_are_forgotten_in_time),
        cmocka_unit_test(verdicts_of_another_generation_do_not_count),
        cmocka_unit_test(verdicts_stay_bounded),
        cmocka_unit_test(limiter_gives_each_its_burst_and_refills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
