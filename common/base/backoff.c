#include "common/base/backoff.h"

int64_t backoff_full_jitter_us(int64_t base_us, int64_t cap_us, unsigned attempt, uint64_t random)
{
    if (base_us <= 0 || cap_us <= 0) {
        return 0;
    }
    /* base * 2^attempt > cap, said without overflow */
    int64_t top_us = cap_us;
    if (attempt < 63 && base_us <= cap_us >> attempt) {
        top_us = base_us << attempt;
    }
    /* The high half of a product maps 64 random bits onto [0, top] evenly. */
    return (int64_t)(((unsigned __int128)random * ((uint64_t)top_us + 1)) >> 64);
}
