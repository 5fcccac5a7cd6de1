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

static void key_cache_forgets_in_time_for_a_revocation(void **state)
{
    (void)state;
    struct key_cache *cache = key_cache_new();
    struct key_digest digest = key_digest(STR_LITERAL("foz_x"));
    struct principal found = {0};
    struct principal given = {.name = "grafana", .scopes = 5, .per_minute = 7};
    assert_int_equal(key_cache_get(cache, &digest, 0, &found), KEY_CACHE_MISS);
    key_cache_put(cache, &digest, &given, 1000);
    assert_int_equal(key_cache_get(cache, &digest, 1000, &found), KEY_CACHE_VALID);
    assert_string_equal(found.name, "grafana");
    assert_int_equal(found.scopes, 5);
    assert_int_equal(key_cache_get(cache, &digest, 1000 + 10000000, &found), KEY_CACHE_MISS);
    key_cache_put(cache, &digest, NULL, 1000);
    assert_int_equal(key_cache_get(cache, &digest, 1000, &found), KEY_CACHE_UNKNOWN);
    assert_int_equal(key_cache_get(cache, &digest, 1000 + KEY_UNKNOWN_FOR_US, &found),
                     KEY_CACHE_MISS);
    key_cache_free(cache);
}

static void key_cache_stays_bounded(void **state)
{
    (void)state;
    struct key_cache *cache = key_cache_new();
    struct principal found = {0};
    for (int i = 0; i < 10000; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%d", i);
        struct key_digest digest = key_digest(str_from(text));
        key_cache_put(cache, &digest, NULL, 0);
    }
    struct key_digest first = key_digest(STR_LITERAL("0"));
    struct key_digest last = key_digest(STR_LITERAL("9999"));
    assert_int_equal(key_cache_get(cache, &first, 1, &found), KEY_CACHE_MISS);
    assert_int_equal(key_cache_get(cache, &last, 1, &found), KEY_CACHE_UNKNOWN);
    key_cache_free(cache);
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
        cmocka_unit_test(key_cache_forgets_in_time_for_a_revocation),
        cmocka_unit_test(key_cache_stays_bounded),
        cmocka_unit_test(limiter_gives_each_its_burst_and_refills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
