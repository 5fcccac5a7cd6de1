#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/http/response.h"
#include "common/io/json.h"
#include "tests/unit/api/request_fixture.h"

static const char *header_of(const struct response *response, const char *name)
{
    for (size_t i = 0; i < response->n_headers; i++) {
        if (strcmp(response->headers[i].name, name) == 0) {
            return response->headers[i].value;
        }
    }
    return NULL;
}

static void response_answers_304_to_its_own_tag_only(void **state)
{
    (void)state;

    static const struct {
        const char *line;
        bool matches;
    } cases[] = {
        {"If-None-Match: W/\"v1\"", true}, {"If-None-Match: \"v1\"", true},
        {"If-None-Match: *", true},        {"If-None-Match: \"a\", W/\"v1\"", true},
        {"If-None-Match: v1", false},      {"If-None-Match: \"v2\"", false},
        {"If-None-Match:", false},         {"If-Match: \"v1\"", false},
        {"If-None-Match: \"v1", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request_fixture fixture;
        request_fixture_init(&fixture, "GET", "/", LINES(cases[i].line));
        struct response response;
        response_init(&response);
        buf_add_c(&response.body, "body");
        assert_int_equal(response_validate(&response, &fixture.request, STR_LITERAL("v1"), 60),
                         cases[i].matches);
        assert_int_equal(response.status, cases[i].matches ? 304 : 200);
        assert_int_equal(response.body.len, cases[i].matches ? 0 : 4);
        assert_string_equal(header_of(&response, "ETag"), "W/\"v1\"");
        assert_string_equal(header_of(&response, "Cache-Control"), "private, max-age=60");
        response_release(&response);
        request_fixture_release(&fixture);
    }
}

static void response_digest_follows_the_content(void **state)
{
    (void)state;
    char one[RESPONSE_ETAG_MAX];
    char two[RESPONSE_ETAG_MAX];
    response_digest(STR_LITERAL("a"), one);
    response_digest(STR_LITERAL("b"), two);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), 32);
}

static void response_problem_is_rfc_9457_and_replaces_all(void **state)
{
    (void)state;
    struct request_fixture fixture;
    request_fixture_init(&fixture, "GET", "/", NULL);
    struct response response;
    response_init(&response);
    buf_add_c(&response.body, "half an answer");
    response_header(&response, &fixture.request, "ETag", "x");
    struct problem problem = {.retry_after_s = 3};
    assert_false(problem_set_parameter(&problem, STR_LITERAL("mode"), "invalid_parameter",
                                       "say \"%s\"\n", "full"));
    response_problem(&response, &fixture.request, &problem);
    struct error err = ERROR_INIT;
    struct json *document = json_parse(buf_str(&response.body), &err);
    assert_non_null(document);
    assert_string_equal(json_find_string(document, "detail"), "say \"full\"\n");
    assert_string_equal(json_find_string(document, "parameter"), "mode");
    assert_string_equal(json_find_string(document, "title"), "Bad Request");
    assert_string_equal(json_find_string(document, "trace_id"), fixture.request.trace.trace_id);
    assert_string_equal(header_of(&response, "Retry-After"), "3");
    assert_null(header_of(&response, "ETag"));
    json_free(document);
    response_release(&response);
    request_fixture_release(&fixture);
}

static void response_drops_headers_that_would_split(void **state)
{
    (void)state;
    struct request_fixture fixture;
    request_fixture_init(&fixture, "GET", "/", NULL);
    struct response response;
    response_init(&response);
    response_header(&response, &fixture.request, "Location", "/a%s", "\r\nSet-Cookie: x");
    assert_int_equal(response.n_headers, 0);
    response_release(&response);
    request_fixture_release(&fixture);
}

static void response_keeps_headers_as_long_as_they_are(void **state)
{
    (void)state;
    struct request_fixture fixture;
    request_fixture_init(&fixture, "GET", "/", NULL);
    struct response response;
    response_init(&response);
    char text[9000];
    memset(text, 'x', sizeof(text));
    response_header_text(&response, &fixture.request, "Link", (struct str){text, sizeof(text)},
                         false);
    assert_int_equal(strlen(header_of(&response, "Link")), sizeof(text));
    response_release(&response);
    request_fixture_release(&fixture);
}

static void problem_cuts_long_texts_between_characters(void **state)
{
    (void)state;
    char text[2000];
    for (size_t i = 0; i + 1 < sizeof(text); i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    text[sizeof(text) - 1] = '\0';
    text[sizeof(text) - 2] = '\0';
    struct problem problem = {0};
    assert_false(problem_set(&problem, 400, "x", "%s", text));
    assert_true(str_is_utf8(str_from(problem.detail)));
    assert_true(strlen(problem.detail) > 600);
}

static void problem_of_an_error_never_quotes_the_connection(void **state)
{
    (void)state;

    static const struct {
        enum error_code code;
        const char *sqlstate;
        int status;
        const char *word;
    } cases[] = {
        {ERROR_TRANSIENT, "08006", 503, "database_unavailable"},
        {ERROR_TRANSIENT, "57014", 503, "query_timeout"},
        {ERROR_BUG, "42P01", 503, "schema_mismatch"},
        {ERROR_CONFIG, "25006", 503, "database_read_only"},
        {ERROR_CONFIG, "3D000", 503, "database_unavailable"},
        {ERROR_CONFIG, "55000", 503, "database_unavailable"},
        {ERROR_UNCERTAIN, "", 503, "outcome_unknown"},
        {ERROR_DENIED, "28000", 503, "database_denied"},
        {ERROR_BUG, "XX000", 500, "internal_error"},
        {ERROR_DATA, "22P02", 500, "internal_error"},
        {ERROR_LIMIT, "", 422, "answer_too_large"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_INIT;
        error_set(&err, cases[i].code, "host secret.example refused");
        (void)snprintf(err.sqlstate, sizeof(err.sqlstate), "%s", cases[i].sqlstate);
        struct problem problem = {0};
        assert_false(problem_from_error(&problem, &err));
        assert_int_equal(problem.status, cases[i].status);
        assert_string_equal(problem.code, cases[i].word);
        assert_null(strstr(problem.detail, "secret.example"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(response_answers_304_to_its_own_tag_only),
        cmocka_unit_test(response_digest_follows_the_content),
        cmocka_unit_test(response_problem_is_rfc_9457_and_replaces_all),
        cmocka_unit_test(response_drops_headers_that_would_split),
        cmocka_unit_test(response_keeps_headers_as_long_as_they_are),
        cmocka_unit_test(problem_cuts_long_texts_between_characters),
        cmocka_unit_test(problem_of_an_error_never_quotes_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
