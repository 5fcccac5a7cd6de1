#include "tests/unit/common/io/test_json_pull.h"

static void json_pull_reads_every_kind_of_value(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("{}", "{ } "),
        READING("[]", "[ ] "),
        READING("\"\"", "\"\" "),
        READING("\"a\"", "\"a\" "),
        READING("0", "#0 "),
        READING("true", "true "),
        READING("false", "false "),
        READING("null", "null "),
        READING("[[]]", "[ [ ] ] "),
        READING("[{}]", "[ { } ] "),
        READING("{\"a\":[]}", "{ a= [ ] } "),
        READING("{\"a\":{}}", "{ a= { } } "),
        READING("[1,\"b\",true,false,null,[],{}]", "[ #1 \"b\" true false null [ ] { } ] "),
        READING("{\"a\":1,\"b\":\"c\",\"d\":null}", "{ a= #1 b= \"c\" d= null } "),
        READING("{\"a\":{\"b\":[{\"c\":1}]},\"d\":2}", "{ a= { b= [ { c= #1 } ] } d= #2 } "),
        READING("{\"\":0}", "{ = #0 } "),
    };
    assert_all_accepted(readings);
}

static void json_pull_keeps_duplicate_names_in_order(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("{\"a\":1,\"A\":2,\"a\":3}", "{ a= #1 A= #2 a= #3 } "),
    };
    assert_all_accepted(readings);
}

static void json_pull_keeps_numbers_as_they_are_written(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("-0", "#-0 "),
        READING("10", "#10 "),
        READING("-1", "#-1 "),
        READING("1.0", "#1.0 "),
        READING("0.10", "#0.10 "),
        READING("-0.0", "#-0.0 "),
        READING("1e1", "#1e1 "),
        READING("1E1", "#1E1 "),
        READING("1e+1", "#1e+1 "),
        READING("1e-01", "#1e-01 "),
        READING("0e0", "#0e0 "),
        READING("0E+00", "#0E+00 "),
        READING("123.456e789", "#123.456e789 "),
        READING("9007199254740993", "#9007199254740993 "),
        READING("100000000000000000000000000000000000000000000000000000000000000000000000.5",
                "#100000000000000000000000000000000000000000000000000000000000000000000000.5 "),
        READING("[1]", "[ #1 ] "),
        READING("[1 ]", "[ #1 ] "),
        READING("{\"a\":1}", "{ a= #1 } "),
    };
    assert_all_accepted(readings);
}

static void json_pull_refuses_what_is_no_number(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("01", "byte 0: a number has a leading zero"),
        READING("-01", "byte 1: a number has a leading zero"),
        READING("00", "byte 0: a number has a leading zero"),
        READING("[-]", "[ byte 2: expected a digit of a number, found ']'"),
        READING("--1", "byte 1: expected a digit of a number, found '-'"),
        READING("-a", "byte 1: expected a digit of a number, found 'a'"),
        READING("- 1", "byte 1: expected a digit of a number, found byte 0x20"),
        READING("-.5", "byte 1: expected a digit of a number, found '.'"),
        READING("+1", "byte 0: expected a value, found '+'"),
        READING(".5", "byte 0: expected a value, found '.'"),
        READING("[1.]", "[ byte 3: expected a digit of a number, found ']'"),
        READING("1.e1", "byte 2: expected a digit of a number, found 'e'"),
        READING("1.-1", "byte 2: expected a digit of a number, found '-'"),
        READING("[1e]", "[ byte 3: expected a digit of a number, found ']'"),
        READING("[1e+]", "[ byte 4: expected a digit of a number, found ']'"),
        READING("1e+-1", "byte 3: expected a digit of a number, found '-'"),
        READING("1ea", "byte 2: expected a digit of a number, found 'a'"),
        READING("1e1.5", "#1e1 byte 3: expected the end of the document, found '.'"),
        READING("1.2.3", "#1.2 byte 3: expected the end of the document, found '.'"),
        READING("0x1", "#0 byte 1: expected the end of the document, found 'x'"),
        READING("1_000", "#1 byte 1: expected the end of the document, found '_'"),
        READING("[1 000]", "[ #1 byte 3: expected ',' or ']', found '0'"),
        READING("[1+2]", "[ #1 byte 2: expected ',' or ']', found '+'"),
        READING("[1a]", "[ #1 byte 2: expected ',' or ']', found 'a'"),
        READING("[0e]", "[ byte 3: expected a digit of a number, found ']'"),
        READING("NaN", "byte 0: expected a value, found 'N'"),
        READING("Infinity", "byte 0: expected a value, found 'I'"),
        READING("-Infinity", "byte 1: expected a digit of a number, found 'I'"),
        READING("inf", "byte 0: expected a value, found 'i'"),
        READING("\xef\xbc\x91", "byte 0: expected a value, found byte 0xef"),
        READING("1\xe5", "#1 byte 1: expected the end of the document, found byte 0xe5"),
        READING("-", "byte 1: the document ends inside a number"),
        READING("1.", "byte 2: the document ends inside a number"),
        READING("1e", "byte 2: the document ends inside a number"),
        READING("1e-", "byte 3: the document ends inside a number"),
    };
    assert_all_refused(readings);
}

static void json_pull_refuses_what_is_no_literal(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("True", "byte 0: expected a value, found 'T'"),
        READING("nul ", "byte 3: expected true, false or null, found byte 0x20"),
        READING("[nil]", "[ byte 2: expected true, false or null, found 'i'"),
        READING("tRUE", "byte 1: expected true, false or null, found 'R'"),
        READING("truex", "true byte 4: expected the end of the document, found 'x'"),
        READING("[truefalse]", "[ true byte 5: expected ',' or ']', found 'f'"),
        READING("fals\0", "byte 4: expected true, false or null, found byte 0x00"),
        READING("undefined", "byte 0: expected a value, found 'u'"),
        READING("t", "byte 1: the document ends inside true, false or null"),
        READING("fals", "byte 4: the document ends inside true, false or null"),
        READING("nul", "byte 3: the document ends inside true, false or null"),
    };
    assert_all_refused(readings);
}

static void json_pull_refuses_broken_arrays(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("[1,]", "[ #1 byte 3: expected a value, found ']'"),
        READING("[,1]", "[ byte 1: expected a value, found ','"),
        READING("[,]", "[ byte 1: expected a value, found ','"),
        READING("[1,,2]", "[ #1 byte 3: expected a value, found ','"),
        READING("[1 2]", "[ #1 byte 3: expected ',' or ']', found '2'"),
        READING("[\"a\" \"b\"]", "[ \"a\" byte 5: expected ',' or ']', found '\"'"),
        READING("[\"a\":1]", "[ \"a\" byte 4: expected ',' or ']', found ':'"),
        READING("[1}", "[ #1 byte 2: expected ',' or ']', found '}'"),
        READING("[}", "[ byte 1: expected a value, found '}'"),
        READING("]", "byte 0: expected a value, found ']'"),
        READING("[]]", "[ ] byte 2: expected the end of the document, found ']'"),
        READING("[1]x", "[ #1 ] byte 3: expected the end of the document, found 'x'"),
        READING("[a]", "[ byte 1: expected a value, found 'a'"),
        READING("['a']", "[ byte 1: expected a value, found '''"),
        READING("[1,\n1\n,1", "[ #1 #1 #1 byte 8: the document ends inside an array"),
        READING("[", "[ byte 1: the document ends inside an array"),
        READING("[1,", "[ #1 byte 3: the document ends inside an array"),
        READING("[{}", "[ { } byte 3: the document ends inside an array"),
    };
    assert_all_refused(readings);
}

static void json_pull_refuses_broken_objects(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("{\"a\":1,}", "{ a= #1 byte 7: expected a member name in quotes, found '}'"),
        READING("{,\"a\":1}", "{ byte 1: expected a member name in quotes, found ','"),
        READING("{\"a\":1,,\"b\":2}",
                "{ a= #1 byte 7: expected a member name in quotes, found ','"),
        READING("{a:1}", "{ byte 1: expected a member name in quotes, found 'a'"),
        READING("{'a':1}", "{ byte 1: expected a member name in quotes, found '''"),
        READING("{1:1}", "{ byte 1: expected a member name in quotes, found '1'"),
        READING("{null:1}", "{ byte 1: expected a member name in quotes, found 'n'"),
        READING("{[:1}", "{ byte 1: expected a member name in quotes, found '['"),
        READING("{:1}", "{ byte 1: expected a member name in quotes, found ':'"),
        READING("{\"a\"}", "{ byte 4: expected ':' behind a member name, found '}'"),
        READING("{\"a\" 1}", "{ byte 5: expected ':' behind a member name, found '1'"),
        READING("{\"a\",1}", "{ byte 4: expected ':' behind a member name, found ','"),
        READING("{\"a\"=1}", "{ byte 4: expected ':' behind a member name, found '='"),
        READING("{\"a\"::1}", "{ a= byte 5: expected a value, found ':'"),
        READING("{\"a\":}", "{ a= byte 5: expected a value, found '}'"),
        READING("{\"a\":,}", "{ a= byte 5: expected a value, found ','"),
        READING("{\"a\":1 \"b\":2}", "{ a= #1 byte 7: expected ',' or '}', found '\"'"),
        READING("{\"a\":1;\"b\":2}", "{ a= #1 byte 6: expected ',' or '}', found ';'"),
        READING("{\"a\":1]", "{ a= #1 byte 6: expected ',' or '}', found ']'"),
        READING("{]", "{ byte 1: expected a member name in quotes, found ']'"),
        READING("}", "byte 0: expected a value, found '}'"),
        READING("{}}", "{ } byte 2: expected the end of the document, found '}'"),
        READING("{\"a\":1}#", "{ a= #1 } byte 7: expected the end of the document, found '#'"),
        READING("{", "{ byte 1: the document ends inside an object"),
        READING("{\"a\"", "{ byte 4: the document ends inside an object"),
        READING("{\"a\":", "{ a= byte 5: the document ends inside an object"),
        READING("{\"a\":1,", "{ a= #1 byte 7: the document ends inside an object"),
        READING("{\"a\":[1]", "{ a= [ #1 ] byte 8: the document ends inside an object"),
    };
    assert_all_refused(readings);
}

static void json_pull_refuses_what_is_not_one_document(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("", "byte 0: the document ends before its value"),
        READING(" \n ", "byte 3: the document ends before its value"),
        READING("1 2", "#1 byte 2: expected the end of the document, found '2'"),
        READING("{}{}", "{ } byte 2: expected the end of the document, found '{'"),
        READING("{},", "{ } byte 2: expected the end of the document, found ','"),
        READING("\"a\"\"b\"", "\"a\" byte 3: expected the end of the document, found '\"'"),
        READING("{}\0", "{ } byte 2: expected the end of the document, found byte 0x00"),
        READING("\0", "byte 0: expected a value, found byte 0x00"),
        READING("[1,\0", "[ #1 byte 3: expected a value, found byte 0x00"),
        READING("<html>", "byte 0: expected a value, found '<'"),
        READING("{}//", "{ } byte 2: expected the end of the document, found '/'"),
        READING("/**/{}", "byte 0: expected a value, found '/'"),
        READING("[1/**/]", "[ #1 byte 2: expected ',' or ']', found '/'"),
        READING("[1]\n# done", "[ #1 ] byte 4: expected the end of the document, found '#'"),
    };
    assert_all_refused(readings);
}

static void json_pull_allows_the_four_kinds_of_space_everywhere(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING(" 1 ", "#1 "),
        READING("\t\r\n 1\t\r\n ", "#1 "),
        READING(" [ ] ", "[ ] "),
        READING(" { } ", "{ } "),
        READING(" [ 1 , 2 ] ", "[ #1 #2 ] "),
        READING("\n{\r\n\t\"a\"\t:\n1\r,\n\"b\" : [ true ]\n}\n", "{ a= #1 b= [ true ] } "),
    };
    assert_all_accepted(readings);
}

static void json_pull_refuses_any_other_space(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("[\f]", "[ byte 1: expected a value, found byte 0x0c"),
        READING("[\v1]", "[ byte 1: expected a value, found byte 0x0b"),
        READING("[1\b]", "[ #1 byte 2: expected ',' or ']', found byte 0x08"),
        READING("[\xc2\xa0]", "[ byte 1: expected a value, found byte 0xc2"),
        READING("\xe2\x81\xa0[]", "byte 0: expected a value, found byte 0xe2"),
    };
    assert_all_refused(readings);
}

static void json_pull_refuses_a_byte_order_mark(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("\xef\xbb\xbf{}",
                "byte 0: expected a value, found a byte order mark: strip it first"),
        READING("\xef\xbb\xbf",
                "byte 0: expected a value, found a byte order mark: strip it first"),
        READING("\xef\xbb{}", "byte 0: expected a value, found byte 0xef"),
        READING("\xef", "byte 0: expected a value, found byte 0xef"),
        READING("[\xef\xbb\xbf]", "[ byte 1: expected a value, found byte 0xef"),
        READING("\xff\xfe{\0}\0", "byte 0: expected a value, found byte 0xff"),
    };
    assert_all_refused(readings);
}

/* `levels` of arrays and objects in turn. */
static void add_nested(struct buf *document, unsigned levels)
{
    for (unsigned i = 0; i < levels; i++) {
        buf_add_c(document, i % 2 == 0 ? "[" : "{\"a\":");
    }
    buf_add_char(document, '1');
    for (unsigned i = levels; i > 0; i--) {
        buf_add_char(document, (i - 1) % 2 == 0 ? ']' : '}');
    }
}

static void json_pull_follows_64_levels_and_no_more(void **state)
{
    (void)state;
    struct buf document CLEANUP(buf_release);
    struct buf line CLEANUP(buf_release);
    buf_init(&document, 4096);
    buf_init(&line, 4096);
    add_nested(&document, 64);
    assert_true(read_document(buf_str(&document), &line));

    buf_reset(&document);
    buf_reset(&line);
    add_nested(&document, 65);
    assert_false(read_document(buf_str(&document), &line));
    const char *expected = "byte 192: nested deeper than the 64 levels allowed";
    assert_string_equal(line.ptr + line.len - strlen(expected), expected);
}

static void json_pull_stays_at_the_end(void **state)
{
    (void)state;
    char document[] = "1 ";
    struct error err = ERROR_INIT;
    struct json_pull pull;
    json_pull_init(&pull, document, 2);
    assert_int_equal(json_pull_next(&pull, &err), JSON_NUMBER);
    assert_int_equal(json_pull_offset(&pull), 1);
    assert_int_equal(json_pull_next(&pull, &err), JSON_END);
    assert_int_equal(json_pull_next(&pull, &err), JSON_END);
    assert_int_equal(json_pull_offset(&pull), 2);
    assert_false(error_is_set(&err));
}

static void json_pull_stays_refused_at_the_same_byte(void **state)
{
    (void)state;
    char document[] = "[1,}";
    struct error err = ERROR_INIT;
    struct str raw;
    struct json_pull pull;
    json_pull_init(&pull, document, strlen(document));
    assert_int_equal(json_pull_next(&pull, &err), JSON_ARRAY_BEGIN);
    assert_int_equal(json_pull_next(&pull, &err), JSON_NUMBER);
    assert_int_equal(json_pull_next(&pull, &err), JSON_ERROR);
    assert_string_equal(err.msg, "byte 3: expected a value, found '}'");

    /* An error still in hand is kept, a fresh one is told. */
    assert_int_equal(json_pull_next(&pull, &err), JSON_ERROR);
    assert_string_equal(err.msg, "byte 3: expected a value, found '}'");
    error_clear(&err);
    assert_int_equal(json_pull_next(&pull, &err), JSON_ERROR);
    assert_string_equal(err.msg, "byte 3: the document was refused here before");
    error_clear(&err);
    assert_false(json_pull_skip(&pull, &raw, &err));
    assert_int_equal(json_pull_offset(&pull), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_pull_reads_every_kind_of_value),
        cmocka_unit_test(json_pull_keeps_duplicate_names_in_order),
        cmocka_unit_test(json_pull_keeps_numbers_as_they_are_written),
        cmocka_unit_test(json_pull_refuses_what_is_no_number),
        cmocka_unit_test(json_pull_refuses_what_is_no_literal),
        cmocka_unit_test(json_pull_refuses_broken_arrays),
        cmocka_unit_test(json_pull_refuses_broken_objects),
        cmocka_unit_test(json_pull_refuses_what_is_not_one_document),
        cmocka_unit_test(json_pull_allows_the_four_kinds_of_space_everywhere),
        cmocka_unit_test(json_pull_refuses_any_other_space),
        cmocka_unit_test(json_pull_refuses_a_byte_order_mark),
        cmocka_unit_test(json_pull_follows_64_levels_and_no_more),
        cmocka_unit_test(json_pull_stays_at_the_end),
        cmocka_unit_test(json_pull_stays_refused_at_the_same_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
