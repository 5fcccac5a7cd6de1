#pragma once

#include <stdint.h>

#include "common/base/str.h"

/*
 * The wrapper of xxHash: XXH3 with 128 bits, of data that is whole in memory. Used as the content
 * hash of a landed row (two versions of one row are equal if their hashes are), never for security.
 */

struct hash128 {
    uint8_t bytes[16]; /* canonical (big-endian) form */
};

struct hash128 hash128_of(struct str data);
