#include "common/base/buf.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"

enum { BUF_FIRST_BYTES = 64 };

/* What `ptr` of an empty buffer points to; never written. */
static char empty_string[1];

void buf_init(struct buf *buf, size_t limit_bytes)
{
    *buf = (struct buf){.ptr = empty_string, .limit = limit_bytes};
}

void buf_release(struct buf *buf)
{
    if (buf->capacity > 0) {
        xfree(buf->ptr);
    }
    buf_init(buf, buf->limit);
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (len < buf->len) {
        buf->len = len;
        buf->ptr[len] = '\0';
    }
}

void buf_reset(struct buf *buf)
{
    buf_truncate(buf, 0);
    buf->overflow = false;
}

bool buf_reserve(struct buf *buf, size_t extra)
{
    if (extra <= buf->capacity - buf->len) {
        return true;
    }
    if (extra > buf->limit - buf->len) {
        return false;
    }
    size_t needed = buf->len + extra;
    size_t capacity = buf->capacity < BUF_FIRST_BYTES / 2 ? BUF_FIRST_BYTES : buf->capacity * 2;
    capacity = capacity < needed ? needed : capacity;
    capacity = capacity > buf->limit ? buf->limit : capacity;
    buf->ptr = xrealloc(buf->capacity > 0 ? buf->ptr : NULL, capacity + 1);
    buf->ptr[buf->len] = '\0';
    buf->capacity = capacity;
    return true;
}

/* Room for an append, or the latch. */
static bool make_room(struct buf *buf, size_t len)
{
    if (buf_reserve(buf, len)) {
        return true;
    }
    buf->overflow = true;
    return false;
}

/* Inline, so that words of a fixed size cost a comparison and a move: rows are made of them. */
static inline void append(struct buf *buf, const void *bytes, size_t len)
{
    if (len > buf->capacity - buf->len && !make_room(buf, len)) {
        return;
    }
    memcpy(buf->ptr + buf->len, bytes, len);
    buf->len += len;
    buf->ptr[buf->len] = '\0';
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    if (len > 0) {
        append(buf, bytes, len);
    }
}

void buf_add_str(struct buf *buf, struct str text)
{
    buf_add(buf, text.ptr, text.len);
}

void buf_add_c(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char byte)
{
    append(buf, &byte, 1);
}

void buf_add_int(struct buf *buf, int64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    buf_add(buf, digits + at, sizeof(digits) - at);
}

void buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_addv(buf, format, args);
    va_end(args);
}

void buf_addv(struct buf *buf, const char *format, va_list args)
{
    va_list measured;
    va_copy(measured, args);
    int len = vsnprintf(NULL, 0, format, measured);
    va_end(measured);
    if (len < 0) {
        buf->overflow = true;
        return;
    }
    if (len == 0 || !make_room(buf, (size_t)len)) {
        return;
    }
    (void)vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, args);
    buf->len += (size_t)len;
}

static bool is_unreserved(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

void buf_add_percent(struct buf *buf, struct str text, const char *also_safe)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        bool safe = is_unreserved(byte) ||
                    (also_safe != NULL && byte != 0 && strchr(also_safe, byte) != NULL);
        if (safe) {
            buf_add(buf, &byte, 1);
        } else {
            const char encoded[3] = {'%', hex[byte >> 4], hex[byte & 15]};
            buf_add(buf, encoded, sizeof(encoded));
        }
    }
}

static void add_json_escape(struct buf *buf, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    switch (byte) {
    case '"':
        buf_add(buf, "\\\"", 2);
        return;
    case '\\':
        buf_add(buf, "\\\\", 2);
        return;
    case '\n':
        buf_add(buf, "\\n", 2);
        return;
    case '\r':
        buf_add(buf, "\\r", 2);
        return;
    case '\t':
        buf_add(buf, "\\t", 2);
        return;
    default:
        break;
    }
    const char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    buf_add(buf, escape, sizeof(escape));
}

void buf_add_json_string(struct buf *buf, struct str text)
{
    buf_add_char(buf, '"');
    size_t plain_from = 0;
    size_t at = 0;
    while (at < text.len) {
        unsigned char byte = (unsigned char)text.ptr[at];
        size_t step = byte < 0x80 ? 1 : str_utf8_step((struct str){text.ptr + at, text.len - at});
        if (step > 0 && byte >= 0x20 && byte != '"' && byte != '\\') {
            at += step;
            continue;
        }
        if (at > plain_from) {
            buf_add(buf, text.ptr + plain_from, at - plain_from);
        }
        if (step == 0) {
            buf_add(buf, "\xEF\xBF\xBD", 3);
        } else {
            add_json_escape(buf, byte);
        }
        at++;
        plain_from = at;
    }
    if (at > plain_from) {
        buf_add(buf, text.ptr + plain_from, at - plain_from);
    }
    buf_add_char(buf, '"');
}

void buf_add_be16(struct buf *buf, uint16_t value)
{
    uint16_t swapped = __builtin_bswap16(value);
    append(buf, &swapped, sizeof(swapped));
}

void buf_add_be32(struct buf *buf, uint32_t value)
{
    uint32_t swapped = __builtin_bswap32(value);
    append(buf, &swapped, sizeof(swapped));
}

void buf_add_be64(struct buf *buf, uint64_t value)
{
    uint64_t swapped = __builtin_bswap64(value);
    append(buf, &swapped, sizeof(swapped));
}

char *buf_take(struct buf *buf)
{
    char *taken = buf->capacity > 0 ? buf->ptr : xstrdup("");
    buf_init(buf, buf->limit);
    return taken;
}
