#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/http/usage.h"

static void count(struct usage *usage, const char *principal, size_t route, int status)
{
    usage_count(usage, &(struct usage_event){.principal = str_from(principal),
                                             .route = route,
                                             .status = status,
                                             .bytes = 10,
                                             .duration_us = 5});
}

static void usage_counts_by_caller_route_and_status(void **state)
{
    (void)state;
    struct usage *usage = usage_new();
    for (int i = 0; i < 3; i++) {
        count(usage, "key:a", 1, 200);
    }
    count(usage, "key:a", 1, 404);
    count(usage, "key:b", 1, 200);
    count(usage, "", 2, 401);
    size_t n_rows = 0;
    struct usage_row *rows = usage_rows(usage, &n_rows);
    assert_int_equal(n_rows, 4);
    assert_string_equal(rows[0].principal, "key:a");
    assert_int_equal(rows[0].requests, 3);
    assert_int_equal(rows[0].bytes, 30);
    assert_int_equal(rows[0].duration_us, 15);
    usage_rows_free(rows, n_rows);
    usage_free(usage);
}

static void usage_is_bounded_and_loses_no_request(void **state)
{
    (void)state;
    struct usage *usage = usage_new();
    for (int i = 0; i < 3 * USAGE_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "key:%d", i);
        count(usage, name, 1, 200);
    }
    size_t n_rows = 0;
    struct usage_row *rows = usage_rows(usage, &n_rows);
    assert_int_equal(n_rows, USAGE_MAX + 1);
    assert_string_equal(rows[0].principal, USAGE_OTHERS);
    assert_int_equal(rows[0].requests, 2 * USAGE_MAX);
    usage_rows_free(rows, n_rows);
    usage_free(usage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_counts_by_caller_route_and_status),
        cmocka_unit_test(usage_is_bounded_and_loses_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
