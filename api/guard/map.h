#pragma once

#include "common/base/alloc.h"

/* uthash with our allocator: its buckets obey the same out-of-memory rule as everything else. */
#define uthash_malloc(size)    xmalloc(size)
#define uthash_free(ptr, size) xfree(ptr)
/* The default function falls through its switch without saying so, which clang reports here. */
#define HASH_FUNCTION     HASH_FNV
#define HASH_NONFATAL_OOM 0

#include <uthash.h>
