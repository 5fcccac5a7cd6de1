#include "api/http/cursor.h"

#include <string.h>

#include "common/io/crypto.h"

#define CHECK_BYTES 9

static void checksum(struct str question, struct str position, uint8_t out[SHA256_BYTES])
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 64UL * 1024);
    buf_addf(&text, "foz cursor 1\n%zu\n", question.len);
    buf_add_str(&text, question);
    buf_add_str(&text, position);
    crypto_sha256(buf_str(&text), out);
}

void cursor_write(struct str question, struct str position, struct buf *out)
{
    uint8_t check[SHA256_BYTES];
    checksum(question, position, check);
    struct buf raw CLEANUP(buf_release) = {0};
    buf_init(&raw, CHECK_BYTES + CURSOR_POSITION_MAX);
    buf_add(&raw, check, CHECK_BYTES);
    buf_add_str(&raw, position);
    crypto_base64url(buf_str(&raw), out);
}

bool cursor_read(struct str question, struct str text, struct buf *out)
{
    struct buf raw CLEANUP(buf_release) = {0};
    buf_init(&raw, CHECK_BYTES + CURSOR_POSITION_MAX);
    if (!crypto_base64url_decode(text, &raw) || raw.overflow || raw.len <= CHECK_BYTES) {
        return false;
    }
    struct str position = {raw.ptr + CHECK_BYTES, raw.len - CHECK_BYTES};
    uint8_t check[SHA256_BYTES];
    checksum(question, position, check);
    if (!crypto_equal(check, raw.ptr, CHECK_BYTES)) {
        return false;
    }
    buf_add_str(out, position);
    return true;
}
