#pragma once

#include <stddef.h>

#include "common/base/str.h"

/*
 * Memory that is freed all at once: one arena per page in the worker, one per request in the API.
 * It has a hard cap and is the one allocator that may say no. Resetting keeps the first block.
 * Owned by one thread.
 */

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used_bytes;
    size_t limit_bytes;
    size_t first_block_bytes;
};

void arena_init(struct arena *arena, size_t limit_bytes);

/* The same for arenas of which there are many: the first block has that size. */
void arena_init_small(struct arena *arena, size_t limit_bytes, size_t first_block_bytes);
void arena_release(struct arena *arena);
void arena_reset(struct arena *arena);

/* 16-byte aligned, uninitialised; NULL when the cap would be passed: the caller sets ERROR_LIMIT.
 */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
char *arena_strndup(struct arena *arena, const char *text, size_t len); /* NUL-terminated */
char *arena_strdup(struct arena *arena, const char *text);
