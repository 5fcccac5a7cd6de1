#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/alloc.h"

static void xcalloc_gives_zeroed_memory(void **state)
{
    (void)state;
    unsigned char *bytes CLEANUP(xfreep) = xcalloc(100, 3);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(bytes[i], 0);
    }
}

static void size_zero_is_a_pointer_that_can_be_freed(void **state)
{
    (void)state;
    void *memory CLEANUP(xfreep) = xmalloc(0);
    void *counted CLEANUP(xfreep) = xcalloc(0, 8);
    assert_non_null(memory);
    assert_non_null(counted);
    xfree(NULL);
}

static void xstrndup_terminates_what_it_cuts(void **state)
{
    (void)state;
    char *text CLEANUP(xfreep) = xstrndup("abcdef", 3);
    assert_string_equal(text, "abc");
    char *none CLEANUP(xfreep) = xstrndup(NULL, 0);
    assert_string_equal(none, "");
}

static void xrealloc_keeps_the_content(void **state)
{
    (void)state;
    char *text = xstrdup("kept");
    text = xrealloc(text, 10000);
    assert_string_equal(text, "kept");
    xfree(text);
}

static void xasprintf_measures_before_it_writes(void **state)
{
    (void)state;
    char *text CLEANUP(xfreep) = xasprintf("%s-%0500d", "x", 7);
    assert_int_equal(strlen(text), 502);
    assert_string_equal(text + 499, "007");
}

static void take_leaves_null_behind(void **state)
{
    (void)state;
    char *text CLEANUP(xfreep) = xstrdup("moved");
    char *moved CLEANUP(xfreep) = TAKE(text);
    assert_null(text);
    assert_string_equal(moved, "moved");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xcalloc_gives_zeroed_memory),
        cmocka_unit_test(size_zero_is_a_pointer_that_can_be_freed),
        cmocka_unit_test(xstrndup_terminates_what_it_cuts),
        cmocka_unit_test(xrealloc_keeps_the_content),
        cmocka_unit_test(xasprintf_measures_before_it_writes),
        cmocka_unit_test(take_leaves_null_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
