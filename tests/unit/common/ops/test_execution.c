#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/ops/execution.h"
#include "tests/unit/common/conf/conf_files.h"

static const char yaml[] =
    "sources:\n"
    "  a: {type: servicenow, url: https://a, auth: {method: api_key, key: env:K}}\n"
    "  b: {type: servicenow, url: https://b, auth: {method: api_key, key: env:K}}\n"
    "  g: {type: glpi, url: https://g, auth: {method: user_token, user_token: env:K}}\n";

#define LIST(...)                                                                                  \
    ((const char *const[]){__VA_ARGS__}), ARRAY_SIZE(((const char *const[]){__VA_ARGS__}))

static int load_config(void **state)
{
    static struct config config;
    struct conf_files files;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    bool loaded = config_load(&config, conf_files_write(&files, "foz.yaml", yaml), NULL, &err);
    conf_files_release(&files);
    *state = &config;
    return loaded ? 0 : -1;
}

static int release_config(void **state)
{
    config_release(*state);
    return 0;
}

static struct load_order check(void **state, const struct load_request *request)
{
    struct load_order order;
    struct error err = ERROR_INIT;
    if (!load_request_check(*state, request, &order, &err)) {
        fail_msg("%s", err.msg);
    }
    return order;
}

static struct load_request
restricted(const char *const *sources, size_t n_sources, const char *const *tasks, size_t n_tasks)
{
    return (struct load_request){.load = "incidents",
                                 .sources = sources,
                                 .n_sources = n_sources,
                                 .tasks = tasks,
                                 .n_tasks = n_tasks};
}

static void a_plain_request_is_incremental(void **state)
{
    const struct load_request request = {.load = "incidents"};
    struct load_order order = check(state, &request);
    assert_string_equal(order.load->name, "incidents");
    assert_int_equal(order.mode, MODE_INCREMENTAL);
    assert_string_equal(order.params, "{}");
    assert_false(order.has_from || order.has_to);
}

static void dates_make_a_window(void **state)
{
    struct load_request request = {
        .load = "incidents", .from = "2026-01-02", .to = "2026-01-02T03:00:00+03:00"};
    struct error err = ERROR_INIT;
    struct load_order order;
    assert_false(load_request_check(*state, &request, &order, &err)); /* the same instant */
    request.to = "2026-01-03";
    order = check(state, &request);
    assert_int_equal(order.mode, MODE_WINDOW);
    assert_int_equal(order.from_us, INT64_C(1767312000000000));
    assert_int_equal(order.to_us, INT64_C(1767398400000000));
    request.to = NULL;
    request.mode = "window";
    order = check(state, &request);
    assert_true(order.has_from && !order.has_to);
}

static void equal_requests_have_equal_params(void **state)
{
    struct load_request first =
        restricted(LIST("b", "a", "b"), LIST("incident_sla", "incident", "incident"));
    struct load_request second = restricted(LIST("a", "b"), LIST("incident", "incident_sla"));
    first.allow_mass_delete = true;
    second.allow_mass_delete = true;
    struct load_order order = check(state, &first);
    assert_string_equal(order.params,
                        "{\"source\":[\"a\",\"b\"],\"task\":[\"incident\",\"incident_sla\"],"
                        "\"allow_mass_delete\":true}");
    assert_string_equal(check(state, &second).params, order.params);
}

static void params_hold_only_what_is_set(void **state)
{
    struct load_request request = {.load = "incidents", .allow_mass_delete = true};
    assert_string_equal(check(state, &request).params, "{\"allow_mass_delete\":true}");
    request = restricted(NULL, 0, LIST("incident"));
    assert_string_equal(check(state, &request).params, "{\"task\":[\"incident\"]}");
}

static void assert_refused(void **state, const struct load_request *request, const char *words)
{
    struct load_order order = {.from_us = 42};
    struct error err = ERROR_INIT;
    assert_false(load_request_check(*state, request, &order, &err));
    assert_int_equal(err.code, ERROR_CONFIG);
    assert_int_equal(order.from_us, 42); /* untouched */
    if (strstr(err.msg, words) == NULL) {
        fail_msg("said: %s", err.msg);
    }
}

static void unknown_names_are_answered_with_the_valid_ones(void **state)
{
    struct load_request request = {.load = "incidnts"};
    assert_refused(state, &request,
                   "unknown load \"incidnts\"; did you mean \"incidents\"?; valid: ");
    assert_refused(state, &request, "configurations");
    request = restricted(LIST("aa"), NULL, 0);
    assert_refused(state, &request, "unknown source \"aa\"");
    assert_refused(state, &request, "valid: a, b");
    request = restricted(NULL, 0, LIST("sys_user"));
    assert_refused(state, &request, "unknown task of load incidents \"sys_user\"");
    assert_refused(state, &request, "incident_sla");
    request = (struct load_request){.load = "incidents", .mode = "ful"};
    assert_refused(state, &request,
                   "unknown mode \"ful\"; did you mean \"full\"?; valid: full, inc");
    request.mode = "retry";
    assert_refused(state, &request, "unknown mode \"retry\"");
}

static void a_source_of_another_type_is_refused(void **state)
{
    const struct load_request request = restricted(LIST("g"), NULL, 0);
    assert_refused(state, &request,
                   "source g is of type glpi, but load incidents is for servicenow");
}

static void bad_dates_are_refused(void **state)
{
    static const struct {
        const char *mode;
        const char *from;
        const char *to;
        const char *words;
    } cases[] = {
        {NULL, "yesterday", NULL, "from is \"yesterday\", which is no date"},
        {NULL, NULL, "2026-02-30", "to is \"2026-02-30\", which is no date"},
        {NULL, "2026-01-02", "2026-01-01", "from (2026-01-02) must be before to (2026-01-01)"},
        {NULL, "2026-01-02", "2026-01-02", "must be before"},
        {"full", "2026-01-02", NULL, "from and to go with mode window, not with full"},
        {"incremental", NULL, "2026-01-02", "not with incremental"},
        {"window", NULL, NULL, "mode window needs from, to or both"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct load_request request = {
            .load = "incidents", .mode = cases[i].mode, .from = cases[i].from, .to = cases[i].to};
        assert_refused(state, &request, cases[i].words);
    }
}

static void modes_are_read_as_they_are_written(void **state)
{
    (void)state;
    enum load_mode mode = MODE_RETRY;
    for (int i = MODE_INCREMENTAL; i < MODE_RETRY; i++) {
        assert_true(load_mode_parse(load_mode_name((enum load_mode)i), &mode));
        assert_int_equal(mode, i);
    }
    assert_string_equal(load_mode_name(MODE_RETRY), "retry");
    assert_false(load_mode_parse("Full", &mode));
    assert_false(load_mode_parse("", &mode));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_incremental),
        cmocka_unit_test(dates_make_a_window),
        cmocka_unit_test(equal_requests_have_equal_params),
        cmocka_unit_test(params_hold_only_what_is_set),
        cmocka_unit_test(unknown_names_are_answered_with_the_valid_ones),
        cmocka_unit_test(a_source_of_another_type_is_refused),
        cmocka_unit_test(bad_dates_are_refused),
        cmocka_unit_test(modes_are_read_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, load_config, release_config);
}
