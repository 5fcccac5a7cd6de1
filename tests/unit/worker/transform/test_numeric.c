#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/transform/numeric.h"

/* What PostgreSQL's numeric_send gives for the same text. */
static void numeric_bytes_are_those_of_numeric_send(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        const char *hex;
    } cases[] = {
        {"0", "0000000000000000"},
        {"-0.00", "0000000000000002"},
        {"0e50", "0000000000000000"},
        {"1", "00010000000000000001"},
        {"+1", "00010000000000000001"},
        {"-1", "00010000400000000001"},
        {"9999", "0001000000000000270f"},
        {"10000", "00010001000000000001"},
        {"12345", "0002000100000000"
                  "00010929"},
        {"1.50", "00020000000000020001"
                 "1388"},
        {"0.0001", "0001ffff000000040001"},
        {"0.00001", "0001fffe0000000503e8"},
        {".5", "0001ffff000000011388"},
        {"5.", "00010000000000000005"},
        {"00012.30", "000200000000000200"
                     "0c0bb8"},
        {"1e3", "000100000000000003e8"},
        {"1.5E+3", "000100000000000005dc"},
        {"1e-3", "0001ffff00000003000a"},
        {"123456789.987654321", "00060002000000090001"
                                "0929"
                                "1a85"
                                "2694"
                                "1538"
                                "03e8"},
        {"1e999", "000100f9000000"
                  "0003e8"},
    };

    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out CLEANUP(buf_release) = {0};
        buf_init(&out, 10000);
        assert_int_equal(numeric_append(&out, str_from(cases[i].text)), NUMERIC_OK);
        struct buf shown CLEANUP(buf_release) = {0};
        buf_init(&shown, 10000);
        for (size_t at = 0; at < out.len; at++) {
            unsigned char byte = (unsigned char)out.ptr[at];
            buf_add_char(&shown, hex[byte >> 4]);
            buf_add_char(&shown, hex[byte & 15]);
        }
        if (strcmp(shown.ptr, cases[i].hex) != 0) {
            fail_msg("%s gives %s", cases[i].text, shown.ptr);
        }
    }
}

static void numeric_refuses_what_is_no_number(void **state)
{
    (void)state;
    static const char *const cases[] = {"",      "-",    ".",        "e5",    "1e",   "1e+",
                                        "1.2.3", "1 ",   " 1",       "--1",   "0x10", "NaN",
                                        "1,000", "1e5.", "infinity", "1e5e5", "$12",  "1-"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out CLEANUP(buf_release) = {0};
        buf_init(&out, 100);
        if (numeric_append(&out, str_from(cases[i])) != NUMERIC_MALFORMED) {
            fail_msg("\"%s\" was not refused", cases[i]);
        }
        assert_int_equal(out.len, 0);
    }
}

static void numeric_takes_a_thousand_digits_and_no_more(void **state)
{
    (void)state;
    char text[3000];
    memset(text, '7', sizeof(text));
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 10000);
    assert_int_equal(numeric_append(&out, (struct str){text, 1000}), NUMERIC_OK);
    assert_int_equal(out.len, 8 + 2 * 250);
    assert_int_equal(numeric_append(&out, (struct str){text, 1001}), NUMERIC_TOO_LONG);
    assert_int_equal(numeric_append(&out, STR_LITERAL("1e1000")), NUMERIC_TOO_LONG);
    assert_int_equal(numeric_append(&out, STR_LITERAL("1e-1001")), NUMERIC_TOO_LONG);
    assert_int_equal(numeric_append(&out, STR_LITERAL("1e999999999999999999999")),
                     NUMERIC_TOO_LONG);
    memset(text, '0', sizeof(text));
    text[2999] = '5';
    out.len = 0;
    assert_int_equal(numeric_append(&out, (struct str){text, 3000}), NUMERIC_OK);
    assert_int_equal(out.len, 10);
    text[1] = '.';
    assert_int_equal(numeric_append(&out, (struct str){text, 3000}), NUMERIC_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_bytes_are_those_of_numeric_send),
        cmocka_unit_test(numeric_refuses_what_is_no_number),
        cmocka_unit_test(numeric_takes_a_thousand_digits_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
