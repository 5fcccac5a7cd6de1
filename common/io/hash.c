#include "common/io/hash.h"

#include <string.h>

#include <xxhash.h>

struct hash128 hash128_of(struct str data)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data.len == 0 ? "" : data.ptr, data.len));
    struct hash128 hash;
    _Static_assert(sizeof(hash.bytes) == sizeof(canonical.digest), "a hash has 128 bits");
    memcpy(hash.bytes, canonical.digest, sizeof(hash.bytes));
    return hash;
}
