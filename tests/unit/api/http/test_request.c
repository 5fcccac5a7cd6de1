#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api/request_fixture.h"

static void request_refuses_ambiguous_messages(void **state)
{
    (void)state;

    static const struct {
        const char *method;
        const char *lines[4];
        const char *code;
    } bad[] = {
        {"POST", {"Host: x", "Content-Length: 1", "Transfer-Encoding: chunked"}, "bad_framing"},
        {"POST", {"Host: x", "Content-Length: 1", "content-length: 1"}, "bad_framing"},
        {"POST", {"Host: x", "Content-Length: +1"}, "bad_framing"},
        {"POST", {"Host: x", "Content-Length: 1,1"}, "bad_framing"},
        {"POST", {"Host: x", "Transfer-Encoding: gzip"}, "bad_framing"},
        {"GET", {"Host: x", "Content-Length: 1"}, "body_not_allowed"},
        {"GET", {"Host: x", "Transfer-Encoding: chunked"}, "body_not_allowed"},
        {"GET", {"Host: x", "Host: y"}, "bad_host"},
        {"GET", {"Accept: x"}, "bad_host"},
        {"GET", {"Host: x", "A B: c"}, "bad_header"},
        {"GET", {"Host: x", ": c"}, "bad_header"},
        {"GET", {"Host: x", "A: b\rc"}, "bad_header"},
        {"GET", {"Host: x", "A: b\x7f"}, "bad_header"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct request_fixture fixture;
        request_fixture_init(&fixture, bad[i].method, "/", bad[i].lines);
        struct problem problem = {0};
        assert_false(request_check(&fixture.request, &problem));
        assert_int_equal(problem.status, 400);
        assert_string_equal(problem.code, bad[i].code);
        request_fixture_release(&fixture);
    }
}

static void request_accepts_ordinary_messages(void **state)
{
    (void)state;

    static const struct {
        const char *method;
        const char *lines[4];
    } good[] = {
        {"GET", {"Host: x"}},
        {"GET", {"host: x", "Content-Length: 0", "A:"}},
        {"POST", {"Host: x", "Transfer-Encoding: Chunked"}},
        {"POST", {"Host: x", "Content-Length: 17", "A: b\tc"}},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct request_fixture fixture;
        request_fixture_init(&fixture, good[i].method, "/", good[i].lines);
        struct problem problem = {0};
        assert_true(request_check(&fixture.request, &problem));
        request_fixture_release(&fixture);
    }
}

static void request_cuts_targets(void **state)
{
    (void)state;

    static const struct {
        const char *target;
        const char *path;
        const char *query;
    } cases[] = {
        {"/a/b?c=d&e", "/a/b", "c=d&e"},
        {"/a", "/a", ""},
        {"/a?", "/a", ""},
        {"/a?b?c", "/a", "b?c"},
        {"http://h:1/a?b", "/a", "b"},
        {"http://h", "/", ""},
        {"*", "*", ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request request = {0};
        request_set_target(&request, str_from(cases[i].target));
        assert_true(str_equal_c(request.path, cases[i].path));
        assert_int_equal(request.query.len, strlen(cases[i].query));
        assert_memory_equal(request.query.len > 0 ? request.query.ptr : "", cases[i].query,
                            request.query.len);
    }
}

static void request_decodes_percent_and_nothing_broken(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    struct str out;
    assert_true(request_decode(&arena, STR_LITERAL("a%20b+%C3%a4%2F"), true, &out));
    assert_string_equal(out.ptr, "a b \xc3\xa4/");
    assert_true(request_decode(&arena, STR_LITERAL("a+b"), false, &out));
    assert_string_equal(out.ptr, "a+b");
    static const char *const bad[] = {"%", "%4", "a%", "%4g", "%g4", "%00", "%ff", "%c3"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(request_decode(&arena, str_from(bad[i]), true, &out));
    }
    arena_release(&arena);
}

static void request_finds_tokens_in_lists(void **state)
{
    (void)state;
    struct request_fixture fixture;
    request_fixture_init(&fixture, "GET", "/", LINES("Connection: keep-alive, Close"));
    assert_true(request_header_has(&fixture.request, "connection", "close"));
    assert_false(request_header_has(&fixture.request, "connection", "clos"));
    assert_false(request_header_has(&fixture.request, "upgrade", "close"));
    request_fixture_release(&fixture);
    request_fixture_init(&fixture, "GET", "/",
                         LINES("Connection: keep-alive", "Connection: x, Close"));
    assert_true(request_header_has(&fixture.request, "connection", "close"));
    request_fixture_release(&fixture);
}

static void request_makes_one_line_of_a_list_on_several(void **state)
{
    (void)state;
    struct request_fixture fixture;
    request_fixture_init(&fixture, "GET", "/",
                         LINES("accept: a/b", "X: 1", "Accept: c/d;q=0.5, e/f",
                               "Prefer: respond-async", "X: 2", "ACCEPT: g/h",
                               "If-None-Match: \"a\""));
    const char *one_line = fixture.headers[6].value.ptr;
    request_join_lists(&fixture.request);
    assert_true(
        str_equal_c(request_header(&fixture.request, "Accept"), "a/b, c/d;q=0.5, e/f, g/h"));
    assert_true(str_equal_c(request_header(&fixture.request, "Prefer"), "respond-async"));
    assert_true(str_equal_c(request_header(&fixture.request, "X"), "1"));
    assert_ptr_equal(request_header(&fixture.request, "If-None-Match").ptr, one_line);
    request_fixture_release(&fixture);
}

static void request_without_repeated_lists_costs_no_memory(void **state)
{
    (void)state;
    struct request_fixture fixture;
    request_fixture_init(
        &fixture, "GET", "/",
        LINES("Accept: a/b, c/d", "Prefer: wait=1", "If-None-Match: \"a\", \"b\""));
    request_join_lists(&fixture.request);
    assert_int_equal(fixture.arena.used_bytes, 0);
    request_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_refuses_ambiguous_messages),
        cmocka_unit_test(request_accepts_ordinary_messages),
        cmocka_unit_test(request_cuts_targets),
        cmocka_unit_test(request_decodes_percent_and_nothing_broken),
        cmocka_unit_test(request_finds_tokens_in_lists),
        cmocka_unit_test(request_makes_one_line_of_a_list_on_several),
        cmocka_unit_test(request_without_repeated_lists_costs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
