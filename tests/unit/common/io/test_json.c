#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/io/json.h"

DEFINE_CLEANUP(struct json *, json_free);

static struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *root = json_parse(str_from(text), &err);
    if (root == NULL) {
        print_error("%s: %s\n", text, err.msg);
    }
    assert_non_null(root);
    return root;
}

static void json_parse_refuses_what_is_not_one_strict_document(void **state)
{
    (void)state;

    static const struct {
        struct str text;
        const char *msg;
    } cases[] = {
        {{NULL, 0}, "byte 0: the document ends before its value"},
        {{"{} x", 4}, "byte 3: expected the end of the document, found 'x'"},
        {{"{}{}", 4}, "byte 2: expected the end of the document, found '{'"},
        {{"{}\0", 3}, "byte 2: expected the end of the document, found byte 0x00"},
        {{"\"a\0b\"", 5},
         "byte 2: the control character 0x00 stands bare in a string: it must be escaped"},
        {{"\"\\u0000\"", 8}, "the document holds \\u0000, which no text may contain"},
        {{"[01]", 4}, "byte 1: a number has a leading zero"},
        {{"[1,]", 4}, "byte 3: expected a value, found ']'"},
        {{"\"\n\"", 3},
         "byte 1: the control character 0x0a stands bare in a string: it must be escaped"},
        {{"\"\xff\"", 3}, "byte 1: a string holds invalid UTF-8, starting with 0xff"},
        {{"{\"a\":", 5}, "byte 5: the document ends inside an object"},
        {{"1e999", 5}, "the document holds a number beyond 1.8e308"},
        {{"[{\"a\":-1e999}]", 14}, "the document holds a number beyond 1.8e308"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = ERROR_INIT;
        assert_null(json_parse(cases[i].text, &err));
        assert_int_equal(err.code, ERROR_DATA);
        assert_string_equal(err.msg, cases[i].msg);
    }
}

static void json_parse_never_cuts_a_long_number(void **state)
{
    (void)state;
    static const char text[] =
        "[1e00000000000000000000000000000000000000000000000000000000000000000000002]";
    struct error err = ERROR_INIT;
    struct json *root CLEANUP(json_freep) = json_parse(str_from(text), &err);
    if (root == NULL) { /* an old cJSON: refused with its reason, not cut */
        assert_non_null(strstr(err.msg, "63 characters"));
        return;
    }
    int64_t value = 0;
    assert_true(json_int64(json_at(root, 0), &value));
    assert_int_equal(value, 100);
}

static void json_parse_reads_only_the_view(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct json *root CLEANUP(json_freep) = json_parse((struct str){"[1]2]", 3}, &err);
    assert_int_equal(json_size(root), 1);
}

static void json_tells_the_kind_of_every_node(void **state)
{
    (void)state;

    static const enum json_kind kinds[] = {
        JSON_KIND_NULL,   JSON_KIND_BOOL,  JSON_KIND_BOOL,   JSON_KIND_NUMBER,
        JSON_KIND_STRING, JSON_KIND_ARRAY, JSON_KIND_OBJECT,
    };
    struct json *root CLEANUP(json_freep) = parse(" [null,true,false,-0.5,\"\",[],{}] \n");
    assert_int_equal(json_kind(root), JSON_KIND_ARRAY);
    assert_int_equal(json_size(root), ARRAY_SIZE(kinds));
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        assert_int_equal(json_kind(json_at(root, i)), kinds[i]);
        assert_int_equal(json_size(json_at(root, i)), 0);
    }
    assert_null(json_at(root, ARRAY_SIZE(kinds)));
}

static void json_find_is_case_sensitive(void **state)
{
    (void)state;
    struct json *root CLEANUP(json_freep) = parse("{\"Name\":1,\"name\":\"x\",\"\":2}");
    assert_string_equal(json_find_string(root, "name"), "x");
    assert_int_equal(json_kind(json_find(root, "Name")), JSON_KIND_NUMBER);
    assert_null(json_find(root, "NAME"));
    assert_null(json_find_string(root, "Name"));
    assert_non_null(json_find(root, ""));
}

static void json_find_looks_only_into_objects(void **state)
{
    (void)state;
    struct json *root CLEANUP(json_freep) = parse("[{\"a\":1}]");
    assert_null(json_find(root, "a"));
    assert_null(json_find(NULL, "a"));
    assert_non_null(json_find(json_at(root, 0), "a"));
}

static void json_keeps_duplicate_members(void **state)
{
    (void)state;
    struct json *root CLEANUP(json_freep) = parse("{\"a\":1,\"b\":2,\"a\":3}");
    int64_t value = 0;
    assert_int_equal(json_size(root), 3);
    assert_string_equal(json_name_at(root, 0), "a");
    assert_string_equal(json_name_at(root, 2), "a");
    assert_null(json_name_at(root, 3));
    assert_true(json_int64(json_at(root, 2), &value));
    assert_int_equal(value, 3);
    assert_true(json_int64(json_find(root, "a"), &value));
    assert_int_equal(value, 1);
}

static void json_int64_gives_exact_integers_only(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        bool is_exact;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"1e3", true, 1000},
        {"9007199254740991", true, 9007199254740991},
        {"-9007199254740991", true, -9007199254740991},
        {"9007199254740993", false, 0},
        {"-9007199254740992", false, 0},
        {"1e300", false, 0},
        {"0.5", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
        {"null", false, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct json *root CLEANUP(json_freep) = parse(cases[i].text);
        int64_t value = 77;
        assert_int_equal(json_int64(root, &value), cases[i].is_exact);
        assert_int_equal(value, cases[i].is_exact ? cases[i].value : 77);
    }
}

static void json_bool_falls_back_on_anything_else(void **state)
{
    (void)state;
    struct json *root CLEANUP(json_freep) = parse("[true,false,1,\"true\",null]");
    assert_true(json_bool(json_at(root, 0), false));
    assert_false(json_bool(json_at(root, 1), true));
    for (size_t i = 2; i < 5; i++) {
        assert_true(json_bool(json_at(root, i), true));
        assert_false(json_bool(json_at(root, i), false));
    }
    assert_true(json_bool(NULL, true));
}

static void json_string_is_null_for_anything_else(void **state)
{
    (void)state;
    struct json *root CLEANUP(json_freep) = parse("[1,null,{},\"\\u00e9\"]");
    assert_null(json_string(json_at(root, 0)));
    assert_null(json_string(json_at(root, 1)));
    assert_null(json_string(json_at(root, 2)));
    assert_null(json_string(NULL));
    assert_string_equal(json_string(json_at(root, 3)), "\xc3\xa9");
}

static void json_write_gives_the_same_document_back(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "null",
        "[]",
        "{}",
        "[[],{}]",
        "[true,false,null,\"a\\n\\\"\\\\\xc3\xa9\"]",
        "{\"a\":1,\"b\":[1,2,3],\"a\":{\"\":\"\"}}",
        "[0,-1,9007199254740991,0.5,-1.25,0.1,1e+300,0.30000000000000004]",
    };
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
        struct json *root CLEANUP(json_freep) = parse(documents[i]);
        struct buf out CLEANUP(buf_release);
        buf_init(&out, 4096);
        json_write(root, &out);
        assert_string_equal(out.ptr, documents[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_parse_refuses_what_is_not_one_strict_document),
        cmocka_unit_test(json_parse_never_cuts_a_long_number),
        cmocka_unit_test(json_parse_reads_only_the_view),
        cmocka_unit_test(json_tells_the_kind_of_every_node),
        cmocka_unit_test(json_find_is_case_sensitive),
        cmocka_unit_test(json_find_looks_only_into_objects),
        cmocka_unit_test(json_keeps_duplicate_members),
        cmocka_unit_test(json_int64_gives_exact_integers_only),
        cmocka_unit_test(json_bool_falls_back_on_anything_else),
        cmocka_unit_test(json_string_is_null_for_anything_else),
        cmocka_unit_test(json_write_gives_the_same_document_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
