#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"

#define S(literal) STR_LITERAL(literal)

static void str_comparisons_do_not_depend_on_nul(void **state)
{
    (void)state;
    assert_true(str_equal(S("a\0b"), S("a\0b")));
    assert_false(str_equal(S("a\0b"), S("a\0c")));
    assert_true(str_equal(STR_NONE, S("")));
    assert_true(str_equal_c(STR_NONE, NULL));
    assert_true(str_compare(S("a"), S("ab")) < 0);
    assert_true(str_compare(S("b"), S("ab")) > 0);
    assert_true(str_compare(S("\xFF"), S("a")) > 0);
    assert_int_equal(str_compare(STR_NONE, STR_NONE), 0);
    assert_int_equal(str_compare_nocase(S("AbC"), S("aBc")), 0);
    assert_true(str_compare_nocase(S("ABC"), S("abd")) < 0);
    assert_false(str_equal_nocase(S("\xC3\xA7"), S("\xC3\x87")));
}

static void str_finds_prefix_suffix_and_content(void **state)
{
    (void)state;
    assert_true(str_starts_with(S("incident"), S("inc")));
    assert_false(str_starts_with(S("in"), S("inc")));
    assert_true(str_starts_with(S("x"), STR_NONE));
    assert_true(str_starts_with_nocase(S("Application/JSON"), S("application/")));
    assert_true(str_ends_with(S("a.yaml"), S(".yaml")));
    assert_false(str_ends_with(S("yaml"), S(".yaml")));
    assert_true(str_ends_with(STR_NONE, STR_NONE));
    assert_true(str_contains_nocase(S("The Transaction was CANCELLED"), S("cancelled")));
    assert_false(str_contains_nocase(S("cancel"), S("cancelled")));
    assert_true(str_contains_nocase(STR_NONE, STR_NONE));
}

static void str_trim_takes_white_space_off_both_ends(void **state)
{
    (void)state;
    assert_true(str_equal(str_trim(S(" \t\r\n\v\fa b \n")), S("a b")));
    assert_int_equal(str_trim(S("  ")).len, 0);
    assert_int_equal(str_trim(STR_NONE).len, 0);
}

static void str_cut_walks_all_parts(void **state)
{
    (void)state;
    struct str rest = S("a,,b,");
    assert_true(str_equal(str_cut(&rest, ','), S("a")));
    assert_true(str_equal(str_cut(&rest, ','), S("")));
    assert_true(str_equal(str_cut(&rest, ','), S("b")));
    assert_non_null(rest.ptr);
    assert_true(str_equal(str_cut(&rest, ','), S("")));
    assert_null(rest.ptr);
}

static void str_to_int64_takes_whole_numbers_in_range_only(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"+7", true, 7},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+", false, 0},
        {"--1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t value = 42;
        bool good = str_to_int64(str_from(cases[i].text), INT64_MIN, INT64_MAX, &value);
        assert_int_equal(good, cases[i].good);
        assert_int_equal(value, cases[i].good ? cases[i].value : 42);
    }
    int64_t value = 0;
    assert_true(str_to_int64(S("10"), 1, 10, &value));
    assert_false(str_to_int64(S("11"), 1, 10, &value));
    assert_false(str_to_int64(S("0"), 1, 10, &value));
}

static void str_is_utf8_is_rfc_3629(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain ascii text longer than eight",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "abcdefgh\xC3\xA7ijklmnopq"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\xAF",
                                      "\xC1\xBF",
                                      "\xC3",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xE2\x82",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "abcdefgh\xC3"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(str_is_utf8(str_from(good[i])));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(str_is_utf8(str_from(bad[i])));
    }
    assert_int_equal(str_utf8_step(STR_NONE), 0);
}

static void str_shorten_never_cuts_a_character(void **state)
{
    (void)state;
    struct str text = S("a\xC3\xA7\xF0\x9F\x8C\x8A");
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 3, 7, 7};
    for (size_t max = 0; max < ARRAY_SIZE(expected); max++) {
        assert_int_equal(str_shorten(text, max).len, expected[max]);
    }
    assert_int_equal(str_shorten(S("\x80\x80\x80\x80\x80\x80"), 5).len, 5);
}

static void str_nearest_suggests_a_slip_but_not_another_word(void **state)
{
    (void)state;
    static const char *const keys[] = {"page_size", "parallel", "timeout", "url"};
    assert_string_equal(str_nearest("page_sise", keys, 4), "page_size");
    assert_string_equal(str_nearest("pagesize", keys, 4), "page_size");
    assert_string_equal(str_nearest("PARALEL", keys, 4), "parallel");
    assert_string_equal(str_nearest("timeuot", keys, 4), "timeout");
    assert_string_equal(str_nearest("ur", keys, 4), "url");
    assert_null(str_nearest("database", keys, 4));
    assert_null(str_nearest("x", keys, 4));
    assert_null(str_nearest("", keys, 4));
    assert_null(str_nearest("url", keys, 0));
    char lengthy[200];
    memset(lengthy, 'a', sizeof(lengthy));
    lengthy[sizeof(lengthy) - 1] = '\0';
    assert_null(str_nearest(lengthy, keys, 4));
    const char *const long_key[] = {lengthy};
    assert_null(str_nearest("aaa", long_key, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(str_comparisons_do_not_depend_on_nul),
        cmocka_unit_test(str_finds_prefix_suffix_and_content),
        cmocka_unit_test(str_trim_takes_white_space_off_both_ends),
        cmocka_unit_test(str_cut_walks_all_parts),
        cmocka_unit_test(str_to_int64_takes_whole_numbers_in_range_only),
        cmocka_unit_test(str_is_utf8_is_rfc_3629),
        cmocka_unit_test(str_shorten_never_cuts_a_character),
        cmocka_unit_test(str_nearest_suggests_a_slip_but_not_another_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
