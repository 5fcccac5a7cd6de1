#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/http/cursor.h"

static const struct str question = {"/v1/executions?load=incidents", 29};

static void cursor_gives_back_its_position(void **state)
{
    (void)state;
    static const char *const positions[] = {"1", "9223372036854775807", "a b/\xc3\xa4"};
    for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
        struct buf text CLEANUP(buf_release) = {0};
        struct buf position CLEANUP(buf_release) = {0};
        buf_init(&text, 1024);
        buf_init(&position, 1024);
        cursor_write(question, str_from(positions[i]), &text);
        assert_true(cursor_read(question, buf_str(&text), &position));
        assert_string_equal(position.ptr, positions[i]);
        assert_int_equal(strspn(text.ptr, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                          "0123456789-_"),
                         text.len);
    }
}

static void cursor_refuses_every_altered_character(void **state)
{
    (void)state;
    struct buf text CLEANUP(buf_release) = {0};
    struct buf position CLEANUP(buf_release) = {0};
    buf_init(&text, 1024);
    buf_init(&position, 1024);
    cursor_write(question, STR_LITERAL("12345"), &text);
    for (size_t i = 0; i < text.len; i++) {
        char kept = text.ptr[i];
        for (int c = 1; c < 256; c++) {
            text.ptr[i] = (char)c;
            if ((char)c != kept) {
                assert_false(cursor_read(question, buf_str(&text), &position));
            }
        }
        text.ptr[i] = kept;
        assert_false(cursor_read(question, (struct str){text.ptr, i}, &position));
    }
    assert_int_equal(position.len, 0);
}

static void cursor_belongs_to_one_question(void **state)
{
    (void)state;
    struct buf text CLEANUP(buf_release) = {0};
    struct buf position CLEANUP(buf_release) = {0};
    buf_init(&text, 1024);
    buf_init(&position, 1024);
    cursor_write(question, STR_LITERAL("17"), &text);
    assert_false(cursor_read(STR_LITERAL("/v1/executions?"), buf_str(&text), &position));
    /* The border between question and position counts too. */
    assert_false(
        cursor_read(STR_LITERAL("/v1/executions?load=incidents1"), buf_str(&text), &position));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursor_gives_back_its_position),
        cmocka_unit_test(cursor_refuses_every_altered_character),
        cmocka_unit_test(cursor_belongs_to_one_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
