#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/io/hash.h"

/* Published vectors of XXH3_128bits, seed 0. A change would make every landed row differ. */
static void the_hash_is_xxh3_128_in_canonical_form(void **state)
{
    (void)state;
    static const uint8_t of_nothing[16] = {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,
                                           0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
    struct hash128 hash = hash128_of(STR_NONE);
    assert_memory_equal(hash.bytes, of_nothing, 16);
    hash = hash128_of(STR_LITERAL(""));
    assert_memory_equal(hash.bytes, of_nothing, 16);
}

static void every_byte_counts(void **state)
{
    (void)state;
    char data[1000] = {0};
    struct hash128 plain = hash128_of((struct str){data, sizeof(data)});
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = 1;
        struct hash128 other = hash128_of((struct str){data, sizeof(data)});
        assert_memory_not_equal(plain.bytes, other.bytes, 16);
        data[i] = 0;
    }
    struct hash128 shorter = hash128_of((struct str){data, sizeof(data) - 1});
    assert_memory_not_equal(plain.bytes, shorter.bytes, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_xxh3_128_in_canonical_form),
        cmocka_unit_test(every_byte_counts),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
