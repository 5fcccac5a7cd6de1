#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/str.h"

/* Reads what worker/transform/row.c writes: PostgreSQL's binary COPY format, tuple by tuple. Used
 * by the tests of the connectors and by their fuzzers. */

#define COPY_FIELDS_MAX 128

struct copy_stream {
    struct str rest;
    bool is_broken;
};

struct copy_tuple {
    int n_fields;
    struct str fields[COPY_FIELDS_MAX]; /* ptr NULL = NULL; further ones are only counted */
};

static inline uint32_t copy_take(struct copy_stream *stream, size_t n)
{
    uint32_t value = 0;

    if (stream->is_broken || stream->rest.len < n) {
        stream->is_broken = true;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        value = value << 8 | (unsigned char)stream->rest.ptr[i];
    }
    stream->rest.ptr += n;
    stream->rest.len -= n;
    return value;
}

static inline void copy_stream_init(struct copy_stream *stream, struct str bytes)
{
    static const char SIGNATURE[11] = "PGCOPY\n\377\r\n";

    *stream = (struct copy_stream){.rest = bytes};
    if (bytes.len < sizeof(SIGNATURE) || memcmp(bytes.ptr, SIGNATURE, sizeof(SIGNATURE)) != 0) {
        stream->is_broken = true;
        return;
    }
    stream->rest.ptr += sizeof(SIGNATURE);
    stream->rest.len -= sizeof(SIGNATURE);
    stream->is_broken = copy_take(stream, 4) != 0 || copy_take(stream, 4) != 0;
}

/* False at the trailer, which must be the end, or when the stream is broken. */
static inline bool copy_stream_next(struct copy_stream *stream, struct copy_tuple *tuple)
{
    int16_t n = (int16_t)copy_take(stream, 2);

    if (stream->is_broken || n == -1) {
        stream->is_broken = stream->is_broken || stream->rest.len != 0;
        return false;
    }
    *tuple = (struct copy_tuple){.n_fields = n};
    stream->is_broken = n < 0;
    for (int i = 0; i < n && !stream->is_broken; i++) {
        int32_t len = (int32_t)copy_take(stream, 4);
        struct str field = STR_NONE;

        if (len < -1 || (len > 0 && (size_t)len > stream->rest.len)) {
            stream->is_broken = true;
        } else if (len >= 0) {
            field = (struct str){stream->rest.ptr, (size_t)len};
            stream->rest.ptr += len;
            stream->rest.len -= (size_t)len;
        }
        if (i < COPY_FIELDS_MAX) {
            tuple->fields[i] = field;
        }
    }
    return !stream->is_broken;
}
