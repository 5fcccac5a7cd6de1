#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/http/openapi.h"
#include "api/http/router.h"
#include "common/io/json.h"
#include "tests/unit/api/request_fixture.h"

static const struct param_spec params[] = {
    {.name = "limit", .type = PARAM_INTEGER, .min = 1, .max = 9, .help = "Say \"how\"."}};

static const struct route routes[] = {
    {.method = "GET",
     .pattern = "/",
     .operation = "a",
     .summary = "A",
     .schema = "Health",
     .status = 200},
    {.method = "POST",
     .pattern = "/load-{load}[/]",
     .scope = SCOPE_ADMIN,
     .operation = "b",
     .summary = "B",
     .schema = "Accepted",
     .status = 200,
     .params = params,
     .n_params = 1},
    {.method = "GET",
     .pattern = "/v1/x/fixed",
     .operation = "c",
     .summary = "C",
     .schema = "Health",
     .status = 200},
    {.method = "GET",
     .pattern = "/v1/x/{id}",
     .operation = "d",
     .summary = "D",
     .schema = "Health",
     .status = 200,
     .is_list = true},
    {.method = "POST",
     .pattern = "/v1/x/{id}",
     .operation = "e",
     .summary = "E",
     .schema = "Health",
     .status = 200},
    {.method = "POST",
     .pattern = "/v1/x/{id}/y/{part}",
     .operation = "f",
     .summary = "F",
     .schema = "Health",
     .status = 200},
};

#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

static void find(const char *method,
                 const char *target,
                 enum route_result wanted,
                 int index,
                 const char *first,
                 const char *allow)
{
    struct request_fixture fixture;
    request_fixture_init(&fixture, method, target, NULL);
    struct buf methods CLEANUP(buf_release) = {0};
    buf_init(&methods, 100);
    struct route_match match = {0};
    assert_int_equal(route_find(routes, N_ROUTES, &fixture.request, &match, &methods), wanted);
    if (wanted == ROUTE_FOUND) {
        assert_ptr_equal(match.route, &routes[index]);
        if (first != NULL) {
            assert_string_equal(match.values[0].ptr, first);
        }
    }
    if (wanted == ROUTE_WRONG_METHOD) {
        assert_string_equal(methods.ptr, allow);
    }
    request_fixture_release(&fixture);
}

static void router_matches_patterns(void **state)
{
    (void)state;
    find("GET", "/", ROUTE_FOUND, 0, NULL, NULL);
    find("HEAD", "/?a=b", ROUTE_FOUND, 0, NULL, NULL);
    find("POST", "/load-incidents", ROUTE_FOUND, 1, "incidents", NULL);
    find("POST", "/load-incidents/", ROUTE_FOUND, 1, "incidents", NULL);
    find("POST", "/load-work-items/", ROUTE_FOUND, 1, "work-items", NULL);
    find("POST", "/load-a%2Fb/", ROUTE_FOUND, 1, "a/b", NULL);
    find("GET", "/v1/x/fixed", ROUTE_FOUND, 2, NULL, NULL);
    find("GET", "/v1/x/17", ROUTE_FOUND, 3, "17", NULL);
    find("POST", "/v1/x/17/y/z", ROUTE_FOUND, 5, "17", NULL);
}

static void router_tells_unknown_paths_from_wrong_methods(void **state)
{
    (void)state;
    find("GET", "/load-incidents/", ROUTE_WRONG_METHOD, 0, NULL, "POST, OPTIONS");
    find("DELETE", "/v1/x/17", ROUTE_WRONG_METHOD, 0, NULL, "GET, HEAD, POST, OPTIONS");
    find("get", "/", ROUTE_WRONG_METHOD, 0, NULL, "GET, HEAD, OPTIONS");
    static const char *const unknown[] = {
        "",       "//",        "/load-", "/load-/",  "/load-a//",  "/load-a/b",      "/v1/x",
        "/v1/x/", "/v1/x/17/", "/v1//y", "/V1/x/17", "/v1/x/17/y", "/v1/x/17/y/z/w", "*"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        find("GET", unknown[i], ROUTE_UNKNOWN_PATH, 0, NULL, NULL);
    }
    find("GET", "/v1/x/%ff", ROUTE_BAD_PATH, 0, NULL, NULL);
    find("GET", "/v1/x/%00", ROUTE_BAD_PATH, 0, NULL, NULL);
}

static void router_lists_a_method_once_where_several_patterns_fit(void **state)
{
    (void)state;
    struct request_fixture fixture CLEANUP(request_fixture_release);
    request_fixture_init(&fixture, "DELETE", "/v1/x/fixed", NULL);
    struct buf allow CLEANUP(buf_release) = {0};
    buf_init(&allow, 127);
    struct route_match match = {0};
    assert_int_equal(route_find(routes, ARRAY_SIZE(routes), &fixture.request, &match, &allow),
                     ROUTE_WRONG_METHOD);
    assert_string_equal(allow.ptr, "GET, HEAD, POST, OPTIONS");
}

static void router_reads_back_its_scopes(void **state)
{
    (void)state;

    static const enum scope all[] = {SCOPE_READ, SCOPE_ADMIN, SCOPE_OBSERVABILITY};

    for (size_t i = 0; i < 3; i++) {
        enum scope scope = SCOPE_NONE;
        assert_true(scope_parse(str_from(scope_name(all[i])), &scope));
        assert_int_equal(scope, all[i]);
    }
    enum scope scope = SCOPE_NONE;
    assert_false(scope_parse(STR_LITERAL("dash.rea"), &scope));
    assert_false(scope_parse(STR_LITERAL(""), &scope));
}

static void openapi_of_a_table_is_json_with_one_entry_a_path(void **state)
{
    (void)state;
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 100000);
    openapi_write(routes, N_ROUTES, &text);
    struct error err = ERROR_INIT;
    struct json *document = json_parse(buf_str(&text), &err);
    assert_non_null(document);
    const struct json *paths = json_find(document, "paths");
    assert_int_equal(json_size(paths), 5);
    const struct json *load = json_find(json_find(paths, "/load-{load}/"), "post");
    assert_int_equal(json_size(json_find(load, "parameters")), 2);
    assert_non_null(json_find(load, "requestBody"));
    assert_int_equal(json_size(json_find(paths, "/v1/x/{id}")), 2);
    json_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(router_matches_patterns),
        cmocka_unit_test(router_tells_unknown_paths_from_wrong_methods),
        cmocka_unit_test(router_lists_a_method_once_where_several_patterns_fit),
        cmocka_unit_test(router_reads_back_its_scopes),
        cmocka_unit_test(openapi_of_a_table_is_json_with_one_entry_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
