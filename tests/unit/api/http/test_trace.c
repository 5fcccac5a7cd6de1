#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/http/trace.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void trace_continues_a_good_parent_under_a_new_span(void **state)
{
    (void)state;
    struct trace trace;
    trace_start(&trace, STR_LITERAL(GOOD));
    assert_string_equal(trace.trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_string_not_equal(trace.span_id, "b7ad6b7169203331");
    char text[TRACE_PARENT_LEN + 1];
    trace_format(&trace, text);
    struct trace again;
    assert_true(trace_parse(str_from(text), &again));
    assert_string_equal(again.trace_id, trace.trace_id);
    assert_string_equal(again.span_id, trace.span_id);
    assert_int_equal(again.flags, 1);
}

static void trace_refuses_what_the_recommendation_forbids(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        GOOD "-more",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct trace trace;
        assert_false(trace_parse(str_from(bad[i]), &trace));
    }
}

static void trace_reads_later_versions_with_more_behind(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_parse(
        STR_LITERAL("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what"), &trace));
}

static void trace_starts_different_traces(void **state)
{
    (void)state;
    struct trace one;
    struct trace two;
    trace_start(&one, STR_NONE);
    trace_start(&two, STR_LITERAL("bad"));
    assert_int_equal(strlen(one.trace_id), TRACE_ID_LEN);
    assert_string_not_equal(one.trace_id, two.trace_id);
}

static void trace_echoes_every_request_id_that_can_stand_in_a_header(void **state)
{
    (void)state;
    assert_true(trace_request_id_is_valid(STR_LITERAL("req-17:/x~")));
    assert_false(trace_request_id_is_valid(STR_NONE));
    assert_true(trace_request_id_is_valid(STR_LITERAL("a b\tc")));
    assert_true(trace_request_id_is_valid(STR_LITERAL("\xc3\xa4 \"x\", \xe3\x81\x82")));
    static const char *const bad[] = {"",
                                      " a",
                                      "a\t",
                                      "a\r\nb",
                                      "a\nb",
                                      "a\x01"
                                      "b",
                                      "a\x7f"
                                      "b",
                                      "\xc3",
                                      "\xff",
                                      "\xed\xa0\x80",
                                      "a\x1b[2J"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(trace_request_id_is_valid(str_from(bad[i])));
    }
    assert_false(trace_request_id_is_valid(STR_LITERAL("a\0b")));
    char longest[TRACE_REQUEST_ID_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_true(trace_request_id_is_valid((struct str){longest, TRACE_REQUEST_ID_MAX}));
    assert_false(trace_request_id_is_valid((struct str){longest, sizeof(longest)}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_continues_a_good_parent_under_a_new_span),
        cmocka_unit_test(trace_refuses_what_the_recommendation_forbids),
        cmocka_unit_test(trace_reads_later_versions_with_more_behind),
        cmocka_unit_test(trace_starts_different_traces),
        cmocka_unit_test(trace_echoes_every_request_id_that_can_stand_in_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
