#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/str.h"

static void error_set_records_its_origin_and_returns_false(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_false(error_is_set(&err));
    assert_false(error_set(&err, ERROR_DATA, "row %d is bad", 7));
    assert_int_equal(err.code, ERROR_DATA);
    assert_string_equal(err.msg, "row 7 is bad");
    assert_non_null(strstr(err.origin_file, "test_error.c"));
    assert_true(err.origin_line > 0);
    error_clear(&err);
    assert_false(error_is_set(&err));
    assert_string_equal(err.msg, "");
}

static void error_wrap_prepends_context(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    error_set(&err, ERROR_TRANSIENT, "refused");
    assert_false(error_wrap(&err, "task %s", "incident"));
    assert_string_equal(err.msg, "task incident: refused");
    assert_int_equal(err.code, ERROR_TRANSIENT);
}

static void error_append_joins(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    error_append(&err, "%s", "first");
    error_append(&err, "%s", "second");
    assert_string_equal(err.msg, "first; second");
}

static void error_messages_are_cut_to_whole_characters(void **state)
{
    (void)state;
    char text[700];
    for (size_t i = 0; i + 1 < sizeof(text); i += 2) {
        memcpy(text + i, "\xC3\xA7", 2);
    }
    text[sizeof(text) - 2] = '\0';
    struct error err = ERROR_INIT;
    error_set(&err, ERROR_DATA, "%s", text);
    assert_true(str_is_utf8(str_from(err.msg)));
    assert_int_equal(strlen(err.msg), 510);
    error_wrap(&err, "x");
    assert_true(str_is_utf8(str_from(err.msg)));
    error_append(&err, "%s", "never fits");
    assert_true(strlen(err.msg) < sizeof(err.msg));
    assert_true(str_is_utf8(str_from(err.msg)));
}

static void error_messages_are_one_line_of_utf8(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    error_set(&err, ERROR_DATA, "a\nb\x01%s", "\xFFz");
    assert_string_equal(err.msg, "a b ?z");
}

static void error_codes_have_the_names_the_run_log_uses(void **state)
{
    (void)state;
    static const char *const names[] = {"none",   "transient", "throttled", "denied",    "data",
                                        "config", "limit",     "uncertain", "cancelled", "bug"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_string_equal(error_code_name((enum error_code)i), names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_set_records_its_origin_and_returns_false),
        cmocka_unit_test(error_wrap_prepends_context),
        cmocka_unit_test(error_append_joins),
        cmocka_unit_test(error_messages_are_cut_to_whole_characters),
        cmocka_unit_test(error_messages_are_one_line_of_utf8),
        cmocka_unit_test(error_codes_have_the_names_the_run_log_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
