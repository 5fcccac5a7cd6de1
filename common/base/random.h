#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Randomness: from the kernel for secrets and seeds; a small seeded generator (SplitMix64) for
 * jitter and test data. Not for anything that must stay secret: that is random_bytes.
 */

void random_bytes(void *out, size_t len); /* getrandom(2); aborts if the kernel has none */
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t bound); /* [0, bound), bound > 0 */
