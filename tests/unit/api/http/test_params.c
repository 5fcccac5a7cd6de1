#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/http/params.h"
#include "tests/unit/api/request_fixture.h"

static const char *const modes[] = {"incremental", "window", "full", NULL};

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct param_spec specs[] = {
    {.name = "from", .alias = "data_inicio", .type = PARAM_INSTANT},
    {.name = "mode", .type = PARAM_CHOICE, .choices = modes},
    {.name = "task", .type = PARAM_LIST},
    {.name = "limit", .type = PARAM_INTEGER, .min = 1, .max = 1000},
    {.name = "force", .type = PARAM_BOOL},
    {.name = "q", .type = PARAM_TEXT},
    {.name = "colour", .type = PARAM_LIST, .choices = colours},
};

#define N_SPECS (sizeof(specs) / sizeof(specs[0]))

struct attempt {
    struct request_fixture fixture;
    struct params params;
    struct problem problem;
    bool is_good;
};

static void attempt_release(struct attempt *attempt)
{
    request_fixture_release(&attempt->fixture);
}

static void
attempt_parse(struct attempt *attempt, const char *query, const char *type, const char *body)
{
    memset(attempt, 0, sizeof(*attempt));
    char target[4096];
    char line[128];
    (void)snprintf(target, sizeof(target), "/load-x/%s%s", query[0] == '\0' ? "" : "?", query);
    (void)snprintf(line, sizeof(line), "Content-Type: %s", type);
    request_fixture_init(&attempt->fixture, "POST", target, type[0] == '\0' ? NULL : LINES(line));
    attempt->fixture.request.body = str_from(body);
    attempt->is_good = params_parse(&attempt->params, specs, N_SPECS, &attempt->fixture.request,
                                    &attempt->problem);
}

#define JSON "application/json; charset=utf-8"
#define FORM "application/x-www-form-urlencoded"

static void params_merge_query_form_and_json(void **state)
{
    (void)state;

    static const struct {
        const char *query;
        const char *type;
        const char *body;
    } ways[] = {
        {"mode=full&task=a&task=b&limit=7&force=true&q=a+b%26", "", ""},
        {"", FORM, "mode=full&task=a&task=b&limit=7&force=true&q=a+b%26"},
        {"", JSON,
         "{\"mode\":\"full\",\"task\":[\"a\",\"b\"],\"limit\":7,\"force\":true,\"q\":\"a b&\"}"},
        {"mode=full&task=a", JSON,
         "{\"task\":[\"a\",\"b\"],\"limit\":\"7\",\"force\":\"true\",\"q\":\"a b&\"}"},
        {"mode=full&limit=7&q=a%20b%26", FORM, "task=a&&task=b&force=true&mode=full"},
    };

    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct attempt attempt CLEANUP(attempt_release);
        attempt_parse(&attempt, ways[i].query, ways[i].type, ways[i].body);
        assert_true(attempt.is_good);
        size_t n = 0;
        const char *const *tasks = params_list(&attempt.params, "task", &n);
        assert_int_equal(n, 2);
        assert_string_equal(tasks[0], "a");
        assert_string_equal(tasks[1], "b");
        assert_string_equal(params_text(&attempt.params, "mode"), "full");
        assert_string_equal(params_text(&attempt.params, "q"), "a b&");
        assert_int_equal(params_integer(&attempt.params, "limit", 100), 7);
        assert_true(params_bool(&attempt.params, "force"));
        assert_null(params_text(&attempt.params, "from"));
    }
}

static void params_refuse_and_name_the_culprit(void **state)
{
    (void)state;

    static const struct {
        const char *query;
        const char *type;
        const char *body;
        int status;
        const char *code;
        const char *parameter;
        const char *word;
    } bad[] = {
        {"mod=full", "", "", 400, "unknown_parameter", "mod", "did you mean \"mode\""},
        {"xyzzy=1", "", "", 400, "unknown_parameter", "xyzzy", "from, mode, task"},
        {"mode=ful", "", "", 400, "invalid_parameter", "mode", "did you mean \"full\""},
        {"mode", "", "", 400, "invalid_parameter", "mode", "empty"},
        {"mode=full&mode=window", "", "", 400, "conflicting_parameter", "mode", "two different"},
        {"from=2026-01-01&data_inicio=2026-01-02", "", "", 400, "conflicting_parameter",
         "data_inicio", "alias"},
        {"from=soon", "", "", 400, "invalid_parameter", "from", "2026-01-31"},
        {"limit=0", "", "", 400, "invalid_parameter", "limit", "1 to 1000"},
        {"limit=1e3", "", "", 400, "invalid_parameter", "limit", "1e3"},
        {"force=maybe", "", "", 400, "invalid_parameter", "force", "true or false"},
        {"q=%zz", "", "", 400, "bad_encoding", "q", "percent"},
        {"q=%c3", "", "", 400, "bad_encoding", "q", "UTF-8"},
        {"q=a%00b", "", "", 400, "bad_encoding", "q", "percent"},
        {"", JSON, "{\"limit\":1.5}", 400, "invalid_parameter", "limit", "whole number"},
        {"", JSON, "{\"limit\":true}", 400, "invalid_parameter", "limit", "whole number"},
        {"", JSON, "{\"task\":[[\"a\"]]}", 400, "invalid_parameter", "task", "list of strings"},
        {"", JSON, "{\"mode\":{}}", 400, "invalid_parameter", "mode", "string"},
        {"", JSON, "{\"mode\":\"full\",\"mode\":\"window\"}", 400, "conflicting_parameter", "mode",
         "two different"},
        {"", JSON, "[]", 400, "bad_json", "", "object"},
        {"", JSON, "{", 400, "bad_json", "", "JSON"},
        {"", FORM, "{\"mode\":\"full\"}", 400, "unknown_parameter", "", "application/json"},
        {"", "text/plain", "mode=full", 415, "unsupported_media_type", "", "application/json"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct attempt attempt CLEANUP(attempt_release);
        attempt_parse(&attempt, bad[i].query, bad[i].type, bad[i].body);
        assert_false(attempt.is_good);
        assert_int_equal(attempt.problem.status, bad[i].status);
        assert_string_equal(attempt.problem.code, bad[i].code);
        assert_string_equal(attempt.problem.parameter, bad[i].parameter);
        assert_non_null(strstr(attempt.problem.detail, bad[i].word));
    }
}

static void params_take_an_alias_and_a_repetition_for_the_same(void **state)
{
    (void)state;
    struct attempt attempt CLEANUP(attempt_release);
    attempt_parse(&attempt, "from=2026-01-01&data_inicio=2026-01-01&task=a&task=a", "", "");
    assert_true(attempt.is_good);
    size_t n = 0;
    (void)params_list(&attempt.params, "task", &n);
    assert_int_equal(n, 1);
    assert_string_equal(params_text(&attempt.params, "from"), "2026-01-01");
}

static void params_repair_an_offset_whose_plus_became_a_blank(void **state)
{
    (void)state;
    struct attempt attempt CLEANUP(attempt_release);
    attempt_parse(&attempt, "from=2026-01-01T10:00:00+01:00", "", "");
    assert_true(attempt.is_good);
    assert_string_equal(params_text(&attempt.params, "from"), "2026-01-01T10:00:00+01:00");
}

static void params_bound_the_number_of_values(void **state)
{
    (void)state;
    char query[2048] = "";
    size_t len = 0;
    for (int i = 0; i < 65; i++) {
        len +=
            (size_t)snprintf(query + len, sizeof(query) - len, "%stask=t%d", i == 0 ? "" : "&", i);
    }
    struct attempt attempt CLEANUP(attempt_release);
    attempt_parse(&attempt, query, "", "");
    assert_false(attempt.is_good);
    assert_string_equal(attempt.problem.parameter, "task");
}

static void params_write_the_same_question_the_same_way(void **state)
{
    (void)state;
    static const char *const except[] = {"limit", NULL};
    static const char *const queries[] = {"task=a%26&limit=3&mode=full",
                                          "mode=full&task=a%26&limit=9"};
    for (size_t i = 0; i < 2; i++) {
        struct attempt attempt CLEANUP(attempt_release);
        attempt_parse(&attempt, queries[i], "", "");
        struct buf text CLEANUP(buf_release) = {0};
        buf_init(&text, 256);
        params_write_query(&attempt.params, except, &text);
        assert_string_equal(text.ptr, "mode=full&task=a%26");
    }
}

static void params_take_lists_of_choices_repeated_or_with_commas(void **state)
{
    (void)state;
    struct attempt attempt CLEANUP(attempt_release);
    attempt_parse(&attempt, "colour=red,blue&colour=green&colour=red&task=a,b", "", "");
    assert_true(attempt.is_good);
    size_t n_values = 0;
    const char *const *values = params_list(&attempt.params, "colour", &n_values);
    assert_int_equal(n_values, 3);
    assert_string_equal(values[0], "red");
    assert_string_equal(values[1], "blue");
    assert_string_equal(values[2], "green");
    (void)params_list(&attempt.params, "task", &n_values);
    assert_int_equal(n_values, 1);
}

static void params_refuse_a_wrong_one_among_choices(void **state)
{
    (void)state;
    static const char *const queries[] = {"colour=rde", "colour=red,rde", "colour=red,",
                                          "colour=,"};
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        struct attempt attempt CLEANUP(attempt_release);
        attempt_parse(&attempt, queries[i], "", "");
        assert_false(attempt.is_good);
        assert_string_equal(attempt.problem.code, "invalid_parameter");
        assert_string_equal(attempt.problem.parameter, "colour");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(params_merge_query_form_and_json),
        cmocka_unit_test(params_refuse_and_name_the_culprit),
        cmocka_unit_test(params_take_an_alias_and_a_repetition_for_the_same),
        cmocka_unit_test(params_repair_an_offset_whose_plus_became_a_blank),
        cmocka_unit_test(params_bound_the_number_of_values),
        cmocka_unit_test(params_write_the_same_question_the_same_way),
        cmocka_unit_test(params_take_lists_of_choices_repeated_or_with_commas),
        cmocka_unit_test(params_refuse_a_wrong_one_among_choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
