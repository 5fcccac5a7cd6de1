#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/handlers/narrow.h"

static const char sql[] = "-- A comment with $1 in it.\n"
                          "SELECT a FROM t($1) WHERE true\n"
                          "--$1   AND b = ANY ($1::text[])\n"
                          "--$2   AND (c, d) < ($2, $3)\n"
                          "--$10  AND e = $10\n"
                          " LIMIT $11\n";

static void narrow_leaves_out_what_is_not_asked(void **state)
{
    (void)state;
    struct narrowed narrowed CLEANUP(narrowed_release);
    narrow(sql, (const char *const[11]){[10] = "101"}, 11, &narrowed);
    assert_string_equal(narrowed.text.ptr, "SELECT a FROM t($1) WHERE true\nLIMIT 101\n");
    assert_int_equal(narrowed.n_params, 1);
    assert_null(narrowed.params[0]);
    assert_int_equal(narrowed.given, 1 << 10);
}

static void narrow_numbers_the_rest_anew(void **state)
{
    (void)state;
    struct narrowed narrowed CLEANUP(narrowed_release);
    narrow(sql, (const char *const[11]){[1] = "two", [2] = "three", [9] = "ten", [10] = "1"}, 11,
           &narrowed);
    assert_string_equal(narrowed.text.ptr, "SELECT a FROM t($1) WHERE true\n"
                                           "AND (c, d) < ($2, $3)\n"
                                           "AND e = $4\n"
                                           "LIMIT 1\n");
    assert_int_equal(narrowed.n_params, 4);
    assert_null(narrowed.params[0]);
    assert_string_equal(narrowed.params[1], "two");
    assert_string_equal(narrowed.params[2], "three");
    assert_string_equal(narrowed.params[3], "ten");
}

static void narrow_gives_a_parameter_one_place_however_often_it_is_named(void **state)
{
    (void)state;
    struct narrowed narrowed CLEANUP(narrowed_release);
    narrow(sql, (const char *const[11]){[0] = "{x}", [10] = "1"}, 11, &narrowed);
    assert_string_equal(narrowed.text.ptr, "SELECT a FROM t($1) WHERE true\n"
                                           "AND b = ANY ($1::text[])\n"
                                           "LIMIT 1\n");
    assert_int_equal(narrowed.n_params, 1);
    assert_string_equal(narrowed.params[0], "{x}");
}

static void narrow_never_writes_a_value_but_the_rows_into_the_text(void **state)
{
    (void)state;
    struct narrowed narrowed CLEANUP(narrowed_release);
    narrow(sql, (const char *const[11]){[0] = "'; DROP TABLE t; --$2", [10] = "7"}, 11, &narrowed);
    assert_string_equal(narrowed.text.ptr, "SELECT a FROM t($1) WHERE true\n"
                                           "AND b = ANY ($1::text[])\n"
                                           "LIMIT 7\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(narrow_leaves_out_what_is_not_asked),
        cmocka_unit_test(narrow_numbers_the_rest_anew),
        cmocka_unit_test(narrow_gives_a_parameter_one_place_however_often_it_is_named),
        cmocka_unit_test(narrow_never_writes_a_value_but_the_rows_into_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
