#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/cleanup.h"

static void arena_alignment_is_16(void **state)
{
    (void)state;
    struct arena arena CLEANUP(arena_release) = {0};
    arena_init(&arena, 1 << 20);
    for (size_t size = 0; size < 200; size++) {
        void *memory = arena_alloc(&arena, size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        memset(memory, 0xAB, size);
    }
}

static void arena_says_no_at_its_cap(void **state)
{
    (void)state;
    struct arena arena CLEANUP(arena_release) = {0};
    arena_init(&arena, 100 * 1024);
    size_t n = 0;
    while (arena_alloc(&arena, 1024) != NULL) {
        n++;
    }
    assert_int_equal(n, 100);
    assert_true(arena.used_bytes <= arena.limit_bytes);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 8));
    assert_null(arena_strndup(&arena, "", SIZE_MAX));
}

static void arena_gives_one_large_piece_up_to_the_cap(void **state)
{
    (void)state;
    struct arena arena CLEANUP(arena_release) = {0};
    arena_init(&arena, 4 << 20);
    char *large = arena_zalloc(&arena, 4 << 20);
    assert_non_null(large);
    assert_int_equal(large[(4 << 20) - 1], 0);
    assert_null(arena_alloc(&arena, 1));
}

static void arena_reset_makes_all_of_it_available_again(void **state)
{
    (void)state;
    struct arena arena CLEANUP(arena_release) = {0};
    arena_init(&arena, 100 * 1024);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 80; i++) {
            assert_non_null(arena_alloc(&arena, 1024));
        }
        arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
}

static void arena_reset_keeps_the_first_block(void **state)
{
    (void)state;
    struct arena arena CLEANUP(arena_release) = {0};
    arena_init(&arena, 1 << 20);
    void *first = arena_alloc(&arena, 8);
    (void)arena_alloc(&arena, 500 * 1024);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 8), first);
}

static void arena_strings_are_terminated_copies(void **state)
{
    (void)state;
    struct arena arena CLEANUP(arena_release) = {0};
    arena_init(&arena, 1024);
    assert_string_equal(arena_strndup(&arena, "abcdef", 2), "ab");
    assert_string_equal(arena_strdup(&arena, "whole"), "whole");
    assert_string_equal(arena_strndup(&arena, NULL, 0), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_alignment_is_16),
        cmocka_unit_test(arena_says_no_at_its_cap),
        cmocka_unit_test(arena_gives_one_large_piece_up_to_the_cap),
        cmocka_unit_test(arena_reset_makes_all_of_it_available_again),
        cmocka_unit_test(arena_reset_keeps_the_first_block),
        cmocka_unit_test(arena_strings_are_terminated_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
