#include "tests/sim/gzip.h"

#include <string.h>
#include <zlib.h>

#include "common/base/alloc.h"

#define GZIP_WINDOW (15 + 16)

static void pump(z_stream *stream, struct buf *out, int flush)
{
    unsigned char chunk[8192];

    do {
        stream->next_out = chunk;
        stream->avail_out = sizeof(chunk);
        (void)deflate(stream, flush);
        buf_add(out, chunk, sizeof(chunk) - stream->avail_out);
    } while (stream->avail_out == 0);
}

static void feed(z_stream *stream, struct buf *out, const char *bytes, size_t len, int flush)
{
    union {
        const char *read_only;
        unsigned char *input;
    } pointer = {.read_only = bytes};

    stream->next_in = pointer.input;
    stream->avail_in = (unsigned)len;
    pump(stream, out, flush);
}

static void start(z_stream *stream, int level)
{
    memset(stream, 0, sizeof(*stream));
    (void)deflateInit2(stream, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
}

void gzip_replace(struct buf *body)
{
    struct buf packed;
    z_stream stream;

    buf_init(&packed, body->limit);
    start(&stream, 1);
    feed(&stream, &packed, body->ptr, body->len, Z_FINISH);
    (void)deflateEnd(&stream);
    buf_release(body);
    *body = packed;
}

void gzip_bomb(struct buf *body, int64_t megabytes)
{
    static const char opening[] = "{\"result\":[";
    char *blanks CLEANUP(xfreep) = xmalloc(1 << 20);
    z_stream stream;

    memset(blanks, ' ', 1 << 20);
    buf_reset(body);
    start(&stream, 9);
    feed(&stream, body, opening, sizeof(opening) - 1, Z_NO_FLUSH);
    for (int64_t i = 0; i < megabytes; i++) {
        feed(&stream, body, blanks, 1 << 20, Z_NO_FLUSH);
    }
    feed(&stream, body, "]}", 2, Z_FINISH);
    (void)deflateEnd(&stream);
}

bool gzip_read_file(const char *path, struct buf *out, struct error *err)
{
    gzFile file = gzopen(path, "rb");
    char *chunk CLEANUP(xfreep) = xmalloc(1 << 20);
    int n;

    if (file == NULL) {
        return error_set(err, ERROR_CONFIG, "--data: cannot read %s", path);
    }
    while ((n = gzread(file, chunk, 1 << 20)) > 0) {
        buf_add(out, chunk, (size_t)n);
    }
    (void)gzclose(file);
    if (n < 0 || out->overflow) {
        return error_set(err, ERROR_CONFIG, "--data: %s is damaged or too large", path);
    }
    return true;
}
