#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"

static void buf_is_a_c_string_at_any_moment(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 1000);
    assert_string_equal(buf.ptr, "");
    assert_true(buf_reserve(&buf, 10));
    assert_string_equal(buf.ptr, "");
    buf_add_c(&buf, "abc");
    buf_add_char(&buf, 'd');
    buf_add_str(&buf, STR_LITERAL("ef"));
    assert_string_equal(buf.ptr, "abcdef");
    buf_truncate(&buf, 2);
    assert_string_equal(buf.ptr, "ab");
    buf_reset(&buf);
    assert_string_equal(buf.ptr, "");
}

static void buf_refuses_to_grow_past_its_limit(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 10);
    buf_add_c(&buf, "123456789");
    buf_add_c(&buf, "ab");
    assert_true(buf.overflow);
    assert_string_equal(buf.ptr, "123456789");
    buf.overflow = false;
    buf_add_char(&buf, 'a');
    assert_false(buf.overflow);
    assert_int_equal(buf.len, 10);
    buf_addf(&buf, "%d", 1);
    assert_true(buf.overflow);
    assert_string_equal(buf.ptr, "123456789a");
    assert_false(buf_reserve(&buf, 1));
    assert_false(buf_reserve(&buf, SIZE_MAX));
    buf_reset(&buf);
    assert_false(buf.overflow);
}

static void buf_grows_by_doubling_up_to_the_limit(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 100000);
    size_t n_growths = 0;
    size_t capacity = 0;
    for (int i = 0; i < 100000; i++) {
        buf_add_char(&buf, 'x');
        n_growths += buf.capacity != capacity;
        capacity = buf.capacity;
    }
    assert_false(buf.overflow);
    assert_true(n_growths < 15);
    assert_int_equal(buf.capacity, 100000);
}

static void buf_integers_reach_both_ends(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 1000);
    static const int64_t values[] = {0, 7, -1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 5; i++) {
        buf_add_int(&buf, values[i]);
        buf_add_char(&buf, ' ');
    }
    assert_string_equal(buf.ptr, "0 7 -1 9223372036854775807 -9223372036854775808 ");
}

static void buf_big_endian_words(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 100);
    buf_add_be16(&buf, 0x0102);
    buf_add_be32(&buf, 0x03040506);
    buf_add_be64(&buf, UINT64_C(0x0708090A0B0C0D0E));
    static const unsigned char expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    assert_int_equal(buf.len, sizeof(expected));
    assert_memory_equal(buf.ptr, expected, sizeof(expected));
}

static void buf_percent_keeps_unreserved_only(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 1000);
    buf_add_percent(&buf, STR_LITERAL("aZ0-._~ /^=\0\xC3\xA7"), "/");
    assert_string_equal(buf.ptr, "aZ0-._~%20/%5E%3D%00%C3%A7");
    buf_reset(&buf);
    buf_add_percent(&buf, STR_LITERAL("a/b"), NULL);
    assert_string_equal(buf.ptr, "a%2Fb");
}

static void buf_json_escapes_what_it_must(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 1000);
    buf_add_json_string(&buf, STR_LITERAL("a\"b\\c\n\r\t\x01\0/\x7f\xC3\xA7\xF0\x9F\x8C\x8A"));
    assert_string_equal(buf.ptr,
                        "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u0000/\x7f\xC3\xA7\xF0\x9F\x8C\x8A\"");
}

static void buf_json_replaces_invalid_utf8(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 1000);
    buf_add_json_string(&buf, STR_LITERAL("a\xFFz\xC3"));
    assert_string_equal(buf.ptr, "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\"");
}

static void buf_take_hands_the_string_over(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_release) = {0};
    buf_init(&buf, 1000);
    char *empty CLEANUP(xfreep) = buf_take(&buf);
    assert_string_equal(empty, "");
    buf_add_c(&buf, "mine");
    char *taken CLEANUP(xfreep) = buf_take(&buf);
    assert_string_equal(taken, "mine");
    assert_int_equal(buf.len, 0);
    buf_add_c(&buf, "next");
    assert_string_equal(buf.ptr, "next");
}

static void buf_release_accepts_a_zeroed_struct(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_release(&buf);
    assert_int_equal(buf.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_is_a_c_string_at_any_moment),
        cmocka_unit_test(buf_refuses_to_grow_past_its_limit),
        cmocka_unit_test(buf_grows_by_doubling_up_to_the_limit),
        cmocka_unit_test(buf_integers_reach_both_ends),
        cmocka_unit_test(buf_big_endian_words),
        cmocka_unit_test(buf_percent_keeps_unreserved_only),
        cmocka_unit_test(buf_json_escapes_what_it_must),
        cmocka_unit_test(buf_json_replaces_invalid_utf8),
        cmocka_unit_test(buf_take_hands_the_string_over),
        cmocka_unit_test(buf_release_accepts_a_zeroed_struct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
