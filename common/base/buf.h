#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"

/*
 * A growing byte buffer with a mandatory upper bound. `ptr` is never NULL and always
 * NUL-terminated, so it can be handed to C interfaces. Appending past `limit` appends nothing and
 * latches `overflow`, which is checked once at the end. Growth doubles.
 */

struct buf {
    char *ptr;
    size_t len;
    size_t capacity; /* bytes owned, without the NUL; 0 while ptr is the static empty string */
    size_t limit;
    bool overflow;
};

void buf_init(struct buf *buf, size_t limit_bytes);

/* Writes into the caller's memory of `size` bytes (NUL included) and never beyond; not to be
 * released. */
static inline void buf_borrow(struct buf *buf, char *memory, size_t size)
{
    memory[0] = '\0';
    *buf = (struct buf){.ptr = memory, .capacity = size - 1, .limit = size - 1};
}

void buf_release(struct buf *buf); /* usable again after buf_init; accepts a zeroed struct */
void buf_reset(struct buf *buf);   /* empty, overflow cleared, memory kept */
void buf_truncate(struct buf *buf, size_t len);

/* Room for `extra` more bytes at ptr + len; false when that passes the limit. */
bool buf_reserve(struct buf *buf, size_t extra);

void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_add_str(struct buf *buf, struct str text);
void buf_add_c(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char byte);
void buf_add_int(struct buf *buf, int64_t value);
void buf_addf(struct buf *buf, const char *format, ...) PRINTF_FORMAT(2, 3);
void buf_addv(struct buf *buf, const char *format, va_list args) PRINTF_FORMAT(2, 0);

/* Percent-encodes everything but RFC 3986 unreserved characters and those in `also_safe`. */
void buf_add_percent(struct buf *buf, struct str text, const char *also_safe);

/* A JSON string, quotes included, escaping only what RFC 8259 demands; invalid UTF-8 becomes
 * U+FFFD. */
void buf_add_json_string(struct buf *buf, struct str text);

/* Big-endian integers, as PostgreSQL's binary formats want them. */
void buf_add_be16(struct buf *buf, uint16_t value);
void buf_add_be32(struct buf *buf, uint32_t value);
void buf_add_be64(struct buf *buf, uint64_t value);

static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->ptr, buf->len};
}

/* Gives the heap string away and leaves the buffer empty; free with xfree(). */
char *buf_take(struct buf *buf);
