#include <stdio.h>

#include "cmocka_all.h"
#include "worker/http/headers.h"

static bool add(struct headers *headers, const char *line)
{
    return headers_add_line(headers, str_from(line));
}

static void headers_are_found_without_case_and_the_last_one_wins(void **state)
{
    struct headers headers;

    (void)state;
    headers_init(&headers);
    assert_true(add(&headers, "Retry-After:  7 \r\n"));
    assert_true(add(&headers, "X-Total-Count: 743\r\n"));
    assert_true(add(&headers, "retry-after: 9\r\n"));
    assert_true(add(&headers, "Empty:\r\n"));
    assert_true(add(&headers, "no field at all\r\n"));
    assert_true(add(&headers, "\r\n"));
    assert_string_equal(headers_find(&headers, "RETRY-AFTER").ptr, "9");
    assert_string_equal(headers_find(&headers, "x-total-count").ptr, "743");
    assert_int_equal(headers_find(&headers, "Empty").len, 0);
    assert_null(headers_find(&headers, "743").ptr);
    assert_null(headers_find(&headers, "Retry").ptr);
    headers_reset(&headers);
    assert_null(headers_find(&headers, "x-total-count").ptr);
    headers_release(&headers);
}

static void headers_refuse_to_grow_past_their_limit(void **state)
{
    struct headers headers;
    char line[1024];
    size_t taken = 0;

    (void)state;
    headers_init(&headers);
    (void)snprintf(line, sizeof(line), "X: %01000d", 0);
    while (add(&headers, line)) {
        taken++;
        assert_true(taken < 100);
    }
    assert_true(taken >= 64);
    headers_release(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_found_without_case_and_the_last_one_wins),
        cmocka_unit_test(headers_refuse_to_grow_past_their_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
