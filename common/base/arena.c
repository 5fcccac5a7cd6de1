#include "common/base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "common/base/alloc.h"

enum {
    ARENA_ALIGNMENT = 16,
    ARENA_FIRST_BLOCK_BYTES = 16 * 1024,
    ARENA_LARGEST_BLOCK_BYTES = 1024 * 1024, /* a single larger request gets a block of its own */
};

struct arena_block {
    struct arena_block *next; /* older */
    size_t capacity;
    size_t used;
    alignas(ARENA_ALIGNMENT) char bytes[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    arena_init_small(arena, limit_bytes, ARENA_FIRST_BLOCK_BYTES);
}

void arena_init_small(struct arena *arena, size_t limit_bytes, size_t first_block_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes, .first_block_bytes = first_block_bytes};
}

static void free_blocks_until(struct arena *arena, const struct arena_block *kept)
{
    while (arena->blocks != kept) {
        struct arena_block *next = arena->blocks->next;
        xfree(arena->blocks);
        arena->blocks = next;
    }
}

void arena_release(struct arena *arena)
{
    free_blocks_until(arena, NULL);
    arena->used_bytes = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *first = arena->blocks;
    while (first != NULL && first->next != NULL) {
        first = first->next;
    }
    free_blocks_until(arena, first);
    if (first != NULL) {
        first->used = 0;
    }
    arena->used_bytes = 0;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The tail left in the current block counts as used, so that blocks never sum up to more than the
 * cap. */
static bool add_block(struct arena *arena, size_t size)
{
    size_t tail = arena->blocks != NULL ? arena->blocks->capacity - arena->blocks->used : 0;
    assert(arena->used_bytes + tail <= arena->limit_bytes);
    size_t available = arena->limit_bytes - arena->used_bytes - tail;
    if (size > available) {
        return false;
    }
    size_t wanted = arena->blocks != NULL ? arena->blocks->capacity * 2 : arena->first_block_bytes;
    wanted = min_size(min_size(wanted, ARENA_LARGEST_BLOCK_BYTES), available);
    size_t capacity = size > wanted ? size : wanted;
    struct arena_block *block = xmalloc(sizeof(*block) + capacity);
    block->next = arena->blocks;
    block->capacity = capacity;
    block->used = 0;
    arena->blocks = block;
    arena->used_bytes += tail;
    return true;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->limit_bytes) {
        return NULL;
    }
    size_t rounded = (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (rounded == 0) {
        rounded = ARENA_ALIGNMENT;
    }
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->capacity - block->used < rounded) {
        if (!add_block(arena, rounded)) {
            return NULL;
        }
        block = arena->blocks;
    }
    void *memory = block->bytes + block->used;
    block->used += rounded;
    arena->used_bytes += rounded;
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *memory = arena_alloc(arena, size);
    if (memory != NULL) {
        memset(memory, 0, size);
    }
    return memory;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    if (len == SIZE_MAX) {
        return NULL;
    }
    char *copy = arena_alloc(arena, len + 1);
    if (copy == NULL) {
        return NULL;
    }
    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}
