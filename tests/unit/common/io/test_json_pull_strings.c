#include "tests/unit/common/io/test_json_pull.h"

static void json_pull_replaces_every_escape(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("\"\\\"\\\\\\/\"", "\"\"\\/\" "),
        READING("\"\\b\\f\\n\\r\\t\"", "\"\b\f\n\r\t\" "),
        READING("\"\\u0041\"", "\"A\" "),
        READING("\"\\u007f\"", "\"\x7f\" "),
        READING("\"\\u0080\"", "\"\xc2\x80\" "),
        READING("\"\\u00e9\\u00E9\"", "\"\xc3\xa9\xc3\xa9\" "),
        READING("\"\\u07ff\\u0800\"", "\"\xdf\xbf\xe0\xa0\x80\" "),
        READING("\"\\u20ac\"", "\"\xe2\x82\xac\" "),
        READING("\"\\ud7ff\\ue000\"", "\"\xed\x9f\xbf\xee\x80\x80\" "),
        READING("\"\\uffff\\uFFFE\"", "\"\xef\xbf\xbf\xef\xbf\xbe\" "),
        READING("\"a\\nb\\nc\"", "\"a\nb\nc\" "),
        READING("\"\\\\u0041\"", "\"\\u0041\" "),
        READING("\"\\\\\\\"\"", "\"\\\"\" "),
        READING("{\"a\\tb\":1}", "{ a\tb= #1 } "),
        READING("\"\\u0061 then 16 bytes or more of plain text \\u0062 c\"",
                "\"a then 16 bytes or more of plain text b c\" "),
        READING("\"\\n12345678\\n123456789012\\n1234567890123456\\n1\"",
                "\"\n12345678\n123456789012\n1234567890123456\n1\" "),
    };
    assert_all_accepted(readings);
}

static void json_pull_joins_surrogate_pairs(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\" "),
        READING("\"\\uD83D\\uDE00\"", "\"\xf0\x9f\x98\x80\" "),
        READING("\"\\ud800\\udc00\"", "\"\xf0\x90\x80\x80\" "),
        READING("\"\\udbff\\udfff\"", "\"\xf4\x8f\xbf\xbf\" "),
        READING("\"a\\ud801\\udc37b\"", "\"a\xf0\x90\x90\xb7"
                                        "b\" "),
    };
    assert_all_accepted(readings);
}

static void json_pull_refuses_lone_surrogates(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("\"\\ud800\"", "byte 1: a high surrogate without its low one"),
        READING("\"\\ud800a\"", "byte 1: a high surrogate without its low one"),
        READING("\"\\ud800\\n\"", "byte 1: a high surrogate without its low one"),
        READING("\"\\ud800\\u0041\"", "byte 1: a high surrogate without its low one"),
        READING("\"\\ud800\\ud800\"", "byte 1: a high surrogate without its low one"),
        READING("\"\\ud800\\ue000\"", "byte 1: a high surrogate without its low one"),
        READING("\"ab\\udc00\"", "byte 3: a low surrogate without its high one"),
        READING("\"\\udfff\\ud800\"", "byte 1: a low surrogate without its high one"),
        READING("\"\\ud800\\u1\"", "byte 10: expected four hex digits behind \\u, found '\"'"),
        READING("{\"\\ud800\":1}", "{ byte 2: a high surrogate without its low one"),
    };
    assert_all_refused(readings);
}

static void json_pull_refuses_what_is_no_escape(void **state)
{
    (void)state;
#define EXPECTED "expected one of \" \\ / b f n r t u behind a backslash, found "
    static const struct reading readings[] = {
        READING("\"\\a\"", "byte 2: " EXPECTED "'a'"),
        READING("\"\\x41\"", "byte 2: " EXPECTED "'x'"),
        READING("\"\\'\"", "byte 2: " EXPECTED "'''"),
        READING("\"\\U0041\"", "byte 2: " EXPECTED "'U'"),
        READING("\"\\N\"", "byte 2: " EXPECTED "'N'"),
        READING("\"\\0\"", "byte 2: " EXPECTED "'0'"),
        READING("\"\\\n\"", "byte 2: " EXPECTED "byte 0x0a"),
        READING("\"\\\0\"", "byte 2: " EXPECTED "byte 0x00"),
        READING("\"\\\xc3\xa9\"", "byte 2: " EXPECTED "byte 0xc3"),
        READING("\"\\u\"", "byte 3: expected four hex digits behind \\u, found '\"'"),
        READING("\"\\u00A\"", "byte 6: expected four hex digits behind \\u, found '\"'"),
        READING("\"\\u00g0\"", "byte 5: expected four hex digits behind \\u, found 'g'"),
        READING("\"\\u 041\"", "byte 3: expected four hex digits behind \\u, found byte 0x20"),
        READING("\"\\u+041\"", "byte 3: expected four hex digits behind \\u, found '+'"),
        READING("\"\\u00\xc3\xa9\"",
                "byte 5: expected four hex digits behind \\u, found byte 0xc3"),
    };
#undef EXPECTED
    assert_all_refused(readings);
}

static void json_pull_refuses_every_bare_control_character(void **state)
{
    (void)state;
    for (unsigned control = 0; control < 0x20; control++) {
        char document[] = "[\"ab?c\"]";
        char expected[120];
        document[4] = (char)control;
        (void)snprintf(expected, sizeof(expected),
                       "[ byte 4: the control character 0x%02x stands bare in a string: it must be "
                       "escaped",
                       control);
        assert_reads_str((struct str){document, 8}, false, expected);
    }
}

static void json_pull_takes_every_other_ascii_character(void **state)
{
    (void)state;
    for (unsigned byte = 0x20; byte < 0x80; byte++) {
        if (byte == '"' || byte == '\\') {
            continue;
        }
        char document[] = "\"?\"";
        char expected[] = "\"?\" ";
        document[1] = (char)byte;
        expected[1] = (char)byte;
        assert_reads_str((struct str){document, 3}, true, expected);
    }
}

static void json_pull_takes_the_edges_of_utf8(void **state)
{
    (void)state;
    static const char *const sequences[] = {
        "\xc2\x80",         "\xc3\xa9",         "\xdf\xbf",         "\xe0\xa0\x80",
        "\xe2\x82\xac",     "\xec\xbf\xbf",     "\xed\x80\x80",     "\xed\x9f\xbf",
        "\xee\x80\x80",     "\xef\xbb\xbf",     "\xef\xbf\xbf",     "\xf0\x90\x80\x80",
        "\xf0\x9f\x98\x80", "\xf3\xbf\xbf\xbf", "\xf4\x80\x80\x80", "\xf4\x8f\xbf\xbf",
    };
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
        char document[32];
        char expected[32];
        int len = snprintf(document, sizeof(document), "\"%s\"", sequences[i]);
        (void)snprintf(expected, sizeof(expected), "\"%s\" ", sequences[i]);
        assert_reads_str((struct str){document, (size_t)len}, true, expected);
    }
}

static void json_pull_refuses_invalid_utf8(void **state)
{
    (void)state;
    static const char *const sequences[] = {
        "\x80",             /* a continuation byte alone */
        "\xbf",             /* another */
        "\xc0\x80",         /* overlong NUL */
        "\xc0\xaf",         /* overlong slash */
        "\xc1\xbf",         /* overlong DEL */
        "\xc2",             /* a continuation byte is missing */
        "\xc2\xc2\x80",     /* likewise */
        "\xdf\x7f",         /* no continuation byte */
        "\xe0\x80\x80",     /* overlong */
        "\xe0\x9f\xbf",     /* the last overlong form of three bytes */
        "\xe2\x82",         /* cut */
        "\xe2\x28\xa1",     /* no continuation byte */
        "\xe2\x82\xc0",     /* likewise */
        "\xed\xa0\x80",     /* U+D800 */
        "\xed\xbf\xbf",     /* U+DFFF */
        "\xf0\x80\x80\x80", /* overlong */
        "\xf0\x8f\xbf\xbf", /* the last overlong form of four bytes */
        "\xf0\x9f\x98",     /* cut */
        "\xf0\x28\x8c\xbc", /* no continuation byte */
        "\xf0\x90\x28\xbc", /* likewise */
        "\xf0\x90\x8c\x28", /* likewise */
        "\xf4\x90\x80\x80", /* U+110000 */
        "\xf5\x80\x80\x80", /* beyond */
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
    };
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
        char document[32];
        char expected[120];
        /* Behind a valid sequence, so that the run before it is not blamed. */
        int len = snprintf(document, sizeof(document), "\"\xc3\xa9%s\"", sequences[i]);
        (void)snprintf(expected, sizeof(expected),
                       "byte 3: a string holds invalid UTF-8, starting with 0x%02x",
                       (unsigned char)sequences[i][0]);
        assert_reads_str((struct str){document, (size_t)len}, false, expected);
    }
}

static void json_pull_refuses_open_strings(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("\"", "byte 1: the document ends inside a string"),
        READING("\"a", "byte 2: the document ends inside a string"),
        READING("[\"abc", "[ byte 5: the document ends inside a string"),
        READING("\"\\", "byte 2: the document ends inside a string"),
        READING("\"\\\"", "byte 3: the document ends inside a string"),
        READING("\"\\u00", "byte 5: the document ends inside a string"),
        READING("\"\\ud83d", "byte 7: the document ends inside a string"),
        READING("\"\\ud83d\\", "byte 8: the document ends inside a string"),
        READING("\"\\ud83d\\ude", "byte 11: the document ends inside a string"),
        READING("\"\xc3", "byte 2: the document ends inside a string"),
        READING("\"\xe2\x82", "byte 3: the document ends inside a string"),
        READING("\"\xf0\x9f\x98", "byte 4: the document ends inside a string"),
    };
    assert_all_refused(readings);
}

static void json_pull_reports_escaped_nul(void **state)
{
    (void)state;
    char document[] = "[\"a\\u0000b\",\"c\",{\"\\u0000\":\"\"}]";
    struct error err = ERROR_INIT;
    struct json_pull pull;
    json_pull_init(&pull, document, strlen(document));
    assert_int_equal(json_pull_next(&pull, &err), JSON_ARRAY_BEGIN);
    assert_int_equal(json_pull_next(&pull, &err), JSON_STRING);
    assert_true(pull.has_nul);
    assert_true(str_equal(pull.text, STR_LITERAL("a\0b")));
    assert_int_equal(json_pull_next(&pull, &err), JSON_STRING);
    assert_false(pull.has_nul);
    assert_int_equal(json_pull_next(&pull, &err), JSON_OBJECT_BEGIN);
    assert_int_equal(json_pull_next(&pull, &err), JSON_NAME);
    assert_true(pull.has_nul);
    assert_int_equal(pull.text.len, 1);
    assert_int_equal(json_pull_next(&pull, &err), JSON_STRING);
    assert_false(pull.has_nul);
}

/* Views must outlive the tokens that follow them. */
static void json_pull_leaves_earlier_views_alone(void **state)
{
    (void)state;
    char document[] = "{\"a\\u0062\":\"c\\nd\",\"e\":\"f\"}";
    struct error err = ERROR_INIT;
    struct json_pull pull;
    json_pull_init(&pull, document, strlen(document));
    assert_int_equal(json_pull_next(&pull, &err), JSON_OBJECT_BEGIN);
    assert_int_equal(json_pull_next(&pull, &err), JSON_NAME);
    struct str name = pull.text;
    assert_int_equal(json_pull_next(&pull, &err), JSON_STRING);
    struct str value = pull.text;
    while (json_pull_next(&pull, &err) > JSON_END) {
    }
    assert_false(error_is_set(&err));
    assert_true(str_equal_c(name, "ab"));
    assert_true(str_equal_c(value, "c\nd"));
}

/* The wide scan sees blocks: whatever ends or interrupts a string must be found at every place in
 * one, with and without enough bytes behind it for another. */
static void assert_found_at(size_t place, size_t n_behind, struct str special, const char *meaning)
{
    struct buf document CLEANUP(buf_release);
    struct buf expected CLEANUP(buf_release);
    buf_init(&document, 4096);
    buf_init(&expected, 4096);
    buf_add_char(&document, '"');
    buf_add_char(&expected, '"');
    for (size_t i = 0; i < place; i++) {
        buf_add_char(&document, (char)('a' + i % 26));
        buf_add_char(&expected, (char)('a' + i % 26));
    }
    buf_add_str(&document, special);
    buf_add_c(&expected, meaning);
    for (size_t i = 0; i < n_behind; i++) {
        buf_add_char(&document, 'z');
        buf_add_char(&expected, 'z');
    }
    buf_add_char(&document, '"');
    buf_add_c(&expected, "\" ");
    assert_reads_str(buf_str(&document), true, expected.ptr);
}

static void json_pull_finds_what_is_special_at_every_place(void **state)
{
    (void)state;

    static const struct {
        struct str special;
        const char *meaning;
    } specials[] = {
        {{"", 0}, ""},
        {{"\\n", 2}, "\n"},
        {{"\xc3\xa9", 2}, "\xc3\xa9"},
        {{"\xc3\xa9\xc2\x80\xdf\xbf", 6}, "\xc3\xa9\xc2\x80\xdf\xbf"},
        {{"\xc3\xa0 \xe2\x82\xac\xc3\xa8", 8}, "\xc3\xa0 \xe2\x82\xac\xc3\xa8"},
        {{"\\u00e9\xf0\x9f\x98\x80\\\\", 12}, "\xc3\xa9\xf0\x9f\x98\x80\\"},
        {{"!#[]~\x7f", 6}, "!#[]~\x7f"}, /* the neighbours of what is special */
    };

    for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
        for (size_t place = 0; place < 70; place++) {
            for (size_t n_behind = 0; n_behind < 40; n_behind += 3) {
                assert_found_at(place, n_behind, specials[i].special, specials[i].meaning);
            }
        }
    }
}

/* The wide scan passes pairs of bytes: never one that is none. */
static void json_pull_refuses_half_a_pair_at_every_place(void **state)
{
    (void)state;

    static const struct {
        const char *bytes;
        size_t culprit;
    } halves[] = {
        {"\xc3", 0},         {"\xa9", 0},     {"\xc3\xc3\xa9", 0},
        {"\xc3\xa9\xa9", 2}, {"\xc1\x81", 0}, {"\xe0\x80", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(halves); i++) {
        for (size_t place = 0; place < 70; place++) {
            char document[128];
            char expected[120];
            int len = snprintf(document, sizeof(document), "\"%.*s%s%.*s\"", (int)place,
                               "........................................................."
                               "...................",
                               halves[i].bytes, (int)(place % 20), "....................");
            (void)snprintf(expected, sizeof(expected),
                           "byte %zu: a string holds invalid UTF-8, starting with 0x%02x",
                           1 + place + halves[i].culprit,
                           (unsigned char)halves[i].bytes[halves[i].culprit]);
            assert_reads_str((struct str){document, (size_t)len}, false, expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_pull_replaces_every_escape),
        cmocka_unit_test(json_pull_joins_surrogate_pairs),
        cmocka_unit_test(json_pull_refuses_lone_surrogates),
        cmocka_unit_test(json_pull_refuses_what_is_no_escape),
        cmocka_unit_test(json_pull_refuses_every_bare_control_character),
        cmocka_unit_test(json_pull_takes_every_other_ascii_character),
        cmocka_unit_test(json_pull_takes_the_edges_of_utf8),
        cmocka_unit_test(json_pull_refuses_invalid_utf8),
        cmocka_unit_test(json_pull_refuses_open_strings),
        cmocka_unit_test(json_pull_reports_escaped_nul),
        cmocka_unit_test(json_pull_leaves_earlier_views_alone),
        cmocka_unit_test(json_pull_finds_what_is_special_at_every_place),
        cmocka_unit_test(json_pull_refuses_half_a_pair_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
