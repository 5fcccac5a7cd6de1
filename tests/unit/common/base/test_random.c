#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/random.h"

static void random_next_is_splitmix64(void **state)
{
    (void)state;
    /* The published first values for the seed 1234567. */
    uint64_t seed = 1234567;
    assert_true(random_next(&seed) == UINT64_C(6457827717110365317));
    assert_true(random_next(&seed) == UINT64_C(3203168211198807973));
    assert_true(random_next(&seed) == UINT64_C(9817491932198370423));
}

static void random_below_covers_its_range_and_no_more(void **state)
{
    (void)state;
    uint64_t seed = 1;
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t value = random_below(&seed, 7);
        assert_true(value < 7);
        seen[value]++;
    }
    for (size_t i = 0; i < 7; i++) {
        assert_in_range(seen[i], 800, 1200);
    }
    assert_true(random_below(&seed, 1) == 0);
}

static void random_bytes_differ_from_call_to_call(void **state)
{
    (void)state;
    unsigned char first[32] = {0};
    unsigned char second[32] = {0};
    random_bytes(first, sizeof(first));
    random_bytes(second, sizeof(second));
    assert_memory_not_equal(first, second, sizeof(first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_next_is_splitmix64),
        cmocka_unit_test(random_below_covers_its_range_and_no_more),
        cmocka_unit_test(random_bytes_differ_from_call_to_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
