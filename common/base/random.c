#include "common/base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t len)
{
    char *position = out;
    while (len > 0) {
        ssize_t got = getrandom(position, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            abort();
        }
        position += got;
        len -= (size_t)got;
    }
}

uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
    assert(bound > 0);
    /* 2^64 mod bound values at the bottom would be drawn once too often. */
    uint64_t biased = (0 - bound) % bound;
    uint64_t value = random_next(state);
    while (value < biased) {
        value = random_next(state);
    }
    return value % bound;
}
