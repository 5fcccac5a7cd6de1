#pragma once

#include <stdint.h>

/*
 * Full-jitter exponential backoff: a uniformly random wait in [0, min(cap, base * 2^attempt)].
 * Pure: the caller brings the randomness.
 */

/* attempt counts from 0; random is 64 uniform bits. */
int64_t backoff_full_jitter_us(int64_t base_us, int64_t cap_us, unsigned attempt, uint64_t random);
