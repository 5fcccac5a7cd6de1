#include "tests/unit/common/io/test_json_pull.h"

/* One of everything, so that cutting it or skipping in it meets every state. */
static const char sample[] =
    " {\"result\" : [ {\"sys_id\":\"a1\\n\\\"\\\\\",\"caf\xc3\xa9\":\"\xe2\x82\xac "
    "\xf0\x9f\x98\x80\","
    "\"n\":-12.5e+3,\"z\":0,\"pair\":\"\\ud83d\\ude00\\u0000\",\"t\":true,\"f\":false,"
    "\"nothing\":null,\"ref\":{\"value\":\"x\",\"link\":\"https:\\/\\/h\\/"
    "\"},\"list\":[1,[],{}]},\n"
    "\t{}, \"a string of more than sixteen bytes, of more than thirty-two even\" ] } ";

static struct str skip_member(char *document, size_t len, unsigned n_before)
{
    struct error err = ERROR_INIT;
    struct json_pull pull;
    struct str raw = STR_NONE;
    json_pull_init(&pull, document, len);
    for (unsigned i = 0; i < n_before; i++) {
        assert_int_not_equal(json_pull_next(&pull, &err), JSON_ERROR);
    }
    assert_true(json_pull_skip(&pull, &raw, &err));
    return raw;
}

static void json_pull_skip_returns_the_bytes_of_any_value(void **state)
{
    (void)state;
    static const char *const values[] = {
        "\"\"",    "\"a\\n\\u0041\"",
        "-1.50e3", "true",
        "false",   "null",
        "{}",      "[]",
        "[1, 2]",  "{ \"b\" : [ \"\\u00e9\", {} ] }",
    };
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        char document[128];
        int len = snprintf(document, sizeof(document), "{\"a\" : %s ,\"c\":1}", values[i]);
        assert_true(str_equal_c(skip_member(document, (size_t)len, 2), values[i]));
        len = snprintf(document, sizeof(document), "[ %s , 1]", values[i]);
        assert_true(str_equal_c(skip_member(document, (size_t)len, 1), values[i]));
        len = snprintf(document, sizeof(document), "[1 ,\n%s]", values[i]);
        assert_true(str_equal_c(skip_member(document, (size_t)len, 2), values[i]));
        len = snprintf(document, sizeof(document), " %s ", values[i]);
        assert_true(str_equal_c(skip_member(document, (size_t)len, 0), values[i]));
    }
}

static void json_pull_skip_leaves_the_bytes_as_they_came(void **state)
{
    (void)state;
    char document[sizeof(sample)];
    memcpy(document, sample, sizeof(sample));
    (void)skip_member(document, sizeof(sample) - 1, 0);
    assert_memory_equal(document, sample, sizeof(sample));
}

static void json_pull_goes_on_behind_a_skipped_value(void **state)
{
    (void)state;
    char document[] = "{\"a\":{\"b\":\"\\n\"},\"c\":[\"\\u0041\"],\"d\":\"\\t\"}";
    struct error err = ERROR_INIT;
    struct str raw;
    struct json_pull pull;
    json_pull_init(&pull, document, strlen(document));
    assert_int_equal(json_pull_next(&pull, &err), JSON_OBJECT_BEGIN);
    assert_int_equal(json_pull_next(&pull, &err), JSON_NAME);
    assert_true(json_pull_skip(&pull, &raw, &err));
    assert_true(str_equal_c(raw, "{\"b\":\"\\n\"}"));
    assert_int_equal(json_pull_next(&pull, &err), JSON_NAME);
    assert_true(str_equal_c(pull.text, "c"));
    assert_true(json_pull_skip(&pull, &raw, &err));
    assert_true(str_equal_c(raw, "[\"\\u0041\"]"));
    assert_int_equal(json_pull_next(&pull, &err), JSON_NAME);
    assert_int_equal(json_pull_next(&pull, &err), JSON_STRING);
    assert_true(str_equal_c(pull.text, "\t"));
    assert_int_equal(json_pull_next(&pull, &err), JSON_OBJECT_END);
    assert_int_equal(json_pull_next(&pull, &err), JSON_END);
}

static void json_pull_skip_reports_an_escaped_nul_anywhere_inside(void **state)
{
    (void)state;
    char document[] = "[[\"a\",{\"b\":\"\\u0000\"},\"c\"],[\"d\"]]";
    struct error err = ERROR_INIT;
    struct str raw;
    struct json_pull pull;
    json_pull_init(&pull, document, strlen(document));
    assert_int_equal(json_pull_next(&pull, &err), JSON_ARRAY_BEGIN);
    assert_true(json_pull_skip(&pull, &raw, &err));
    assert_true(pull.has_nul);
    assert_true(json_pull_skip(&pull, &raw, &err));
    assert_false(pull.has_nul);
}

static void json_pull_skip_refuses_the_end_of_an_array(void **state)
{
    (void)state;
    static const char *const documents[] = {"[ ]", "[1]"};
    for (unsigned i = 0; i < ARRAY_SIZE(documents); i++) {
        char document[4];
        struct error err = ERROR_INIT;
        struct str raw = STR_LITERAL("untouched");
        struct json_pull pull;
        memcpy(document, documents[i], sizeof(document));
        json_pull_init(&pull, document, 3);
        for (unsigned n = 0; n <= i; n++) {
            assert_int_not_equal(json_pull_next(&pull, &err), JSON_ERROR);
        }
        assert_false(json_pull_skip(&pull, &raw, &err));
        assert_string_equal(err.msg, "byte 2: expected a value, found ']'");
        assert_true(str_equal_c(raw, "untouched"));
        error_clear(&err);
        assert_int_equal(json_pull_next(&pull, &err), JSON_ERROR);
    }
}

/* Skips the whole document and claims the verdict, the byte and the words of json_pull_next. */
static void assert_skip_agrees(struct str text)
{
    struct buf line CLEANUP(buf_release);
    buf_init(&line, LINE_BYTES_MAX);
    bool accepted = read_document(text, &line);

    char *document CLEANUP(xfreep) = copy_exactly(text);
    struct error err = ERROR_INIT;
    struct str raw;
    struct json_pull pull;
    json_pull_init(&pull, document, text.len);
    bool skipped = json_pull_skip(&pull, &raw, &err) && json_pull_next(&pull, &err) == JSON_END;
    assert_int_equal(skipped, accepted);
    if (!accepted) {
        size_t msg_len = strlen(err.msg);
        assert_true(line.len >= msg_len);
        assert_string_equal(line.ptr + line.len - msg_len, err.msg);
    }
    assert_true(text.len == 0 || memcmp(document, text.ptr, text.len) == 0);
}

static void json_pull_refuses_a_document_cut_at_any_byte(void **state)
{
    (void)state;
    size_t last = strlen(sample) - 1; /* the blank behind the document */
    assert_skip_agrees((struct str){sample, last});
    for (size_t len = 0; len < last; len++) {
        struct str cut = {sample, len};
        struct buf line CLEANUP(buf_release);
        buf_init(&line, LINE_BYTES_MAX);
        assert_false(read_document(cut, &line));
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "byte %zu: the document ends %s", len,
                       len < 2 ? "before its value" : "inside ");
        /* Not strstr: the line holds the NUL of an escape. */
        assert_non_null(memmem(line.ptr, line.len, expected, strlen(expected)));
        assert_skip_agrees(cut);
    }
}

static void json_pull_skip_agrees_with_next_on_any_changed_byte(void **state)
{
    (void)state;
    static const char replacements[] = "\0\x01\n \"\\{}[]:,0-e.u\x7f\x80\xa0\xc3\xed\xf4\xff";
    for (size_t at = 0; at < strlen(sample); at++) {
        for (size_t i = 0; i < sizeof(replacements) - 1; i++) {
            char changed[sizeof(sample)];
            memcpy(changed, sample, sizeof(sample));
            changed[at] = replacements[i];
            assert_skip_agrees((struct str){changed, strlen(sample)});
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_pull_skip_returns_the_bytes_of_any_value),
        cmocka_unit_test(json_pull_skip_leaves_the_bytes_as_they_came),
        cmocka_unit_test(json_pull_goes_on_behind_a_skipped_value),
        cmocka_unit_test(json_pull_skip_reports_an_escaped_nul_anywhere_inside),
        cmocka_unit_test(json_pull_skip_refuses_the_end_of_an_array),
        cmocka_unit_test(json_pull_refuses_a_document_cut_at_any_byte),
        cmocka_unit_test(json_pull_skip_agrees_with_next_on_any_changed_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
