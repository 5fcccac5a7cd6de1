#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/transform/jsonb.h"

static void expect_document(const char *text, const char *expected, int64_t expected_removed)
{
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 100000);
    int64_t removed = 0;
    assert_true(jsonb_append_document(&out, str_from(text), &removed));
    assert_string_equal(out.ptr, expected);
    assert_int_equal(removed, expected_removed);
}

static void jsonb_documents_lose_only_their_nul_escapes(void **state)
{
    (void)state;
    expect_document("{\"a\":[1,-2.5e3,\"x\"]}", "{\"a\":[1,-2.5e3,\"x\"]}", 0);
    expect_document("{\"a\\u0000b\":\"\\u0000\"}", "{\"ab\":\"\"}", 2);
    expect_document("\"\\u0000\\u0000c\"", "\"c\"", 2);
    /* An escaped backslash before u0000 is text, not an escape. */
    expect_document("\"\\\\u0000\"", "\"\\\\u0000\"", 0);
    expect_document("\"\\\\\\u0000\"", "\"\\\\\"", 1);
    expect_document("\"\\u00001\\u0001\"", "\"1\\u0001\"", 1);
}

static void jsonb_refuses_numbers_beyond_numeric(void **state)
{
    (void)state;
    static const char *const cases[] = {"1e400000", "[1,-1E-20000]",
                                        "{\"a\":1e99999999999999999999}"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out CLEANUP(buf_release) = {0};
        buf_init(&out, 1000);
        int64_t removed = 0;
        assert_false(jsonb_append_document(&out, str_from(cases[i]), &removed));
        assert_int_equal(out.len, 0);
    }
    expect_document("[1e308,-1e-308]", "[1e308,-1e-308]", 0);
    expect_document("{\"1e400000\":\"1e400000 \\\" 1e400000\"}",
                    "{\"1e400000\":\"1e400000 \\\" 1e400000\"}", 0);
}

static void jsonb_strings_are_escaped_and_free_of_nul(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 1000);
    int64_t removed = 0;
    jsonb_append_string(&out, STR_LITERAL("a\0\"b\"\0"), &removed);
    assert_string_equal(out.ptr, "\"a\\\"b\\\"\"");
    assert_int_equal(removed, 2);
}

static void text_without_nul_counts_what_went(void **state)
{
    (void)state;

    static const struct {
        struct str text;
        const char *kept;
        int64_t removed;
    } cases[] = {
        {{"abc", 3}, "abc", 0},   {{"\0abc", 4}, "abc", 1}, {{"abc\0", 4}, "abc", 1},
        {{"a\0\0c", 4}, "ac", 2}, {{"\0", 1}, "", 1},       {{NULL, 0}, "", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out CLEANUP(buf_release) = {0};
        buf_init(&out, 1000);
        int64_t removed = 0;
        jsonb_append_without_nul(&out, cases[i].text, &removed);
        assert_string_equal(out.ptr, cases[i].kept);
        assert_int_equal(removed, cases[i].removed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jsonb_documents_lose_only_their_nul_escapes),
        cmocka_unit_test(jsonb_refuses_numbers_beyond_numeric),
        cmocka_unit_test(jsonb_strings_are_escaped_and_free_of_nul),
        cmocka_unit_test(text_without_nul_counts_what_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
