#include "api/http/trace.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "common/base/random.h"

#define DRAW_BYTES ((TRACE_ID_LEN + TRACE_SPAN_LEN) / 2)

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return -1;
}

static bool is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (hex_value(text[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool is_zero(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '0') {
            return false;
        }
    }
    return true;
}

static void write_hex(const uint8_t *bytes, char *out, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len / 2; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[len] = '\0';
}

bool trace_parse(struct str traceparent, struct trace *ret_trace)
{
    const char *text = traceparent.ptr;
    if (traceparent.len < TRACE_PARENT_LEN || text[2] != '-' || text[35] != '-' ||
        text[52] != '-') {
        return false;
    }
    if (!is_hex(text, 2) || memcmp(text, "ff", 2) == 0 || !is_hex(text + 3, TRACE_ID_LEN) ||
        !is_hex(text + 36, TRACE_SPAN_LEN) || !is_hex(text + 53, 2)) {
        return false;
    }
    if (is_zero(text + 3, TRACE_ID_LEN) || is_zero(text + 36, TRACE_SPAN_LEN)) {
        return false;
    }
    bool is_first_version = memcmp(text, "00", 2) == 0;
    if (traceparent.len > TRACE_PARENT_LEN && (is_first_version || text[55] != '-')) {
        return false;
    }
    memcpy(ret_trace->trace_id, text + 3, TRACE_ID_LEN);
    ret_trace->trace_id[TRACE_ID_LEN] = '\0';
    memcpy(ret_trace->span_id, text + 36, TRACE_SPAN_LEN);
    ret_trace->span_id[TRACE_SPAN_LEN] = '\0';
    ret_trace->flags = (unsigned)(hex_value(text[53]) * 16 + hex_value(text[54]));
    return true;
}

/* A request needs 24 bytes: the kernel is asked for those of a hundred at once. */
static void draw(uint8_t *out, size_t len)
{
    static _Thread_local uint8_t drawn[100 * DRAW_BYTES];
    static _Thread_local size_t n_left;
    assert(len <= sizeof(drawn));
    if (n_left < len) {
        random_bytes(drawn, sizeof(drawn));
        n_left = sizeof(drawn);
    }
    n_left -= len;
    memcpy(out, drawn + n_left, len);
}

void trace_start(struct trace *trace, struct str traceparent)
{
    uint8_t bytes[DRAW_BYTES];
    bool is_continued = trace_parse(traceparent, trace);
    do {
        draw(bytes, sizeof(bytes));
        if (!is_continued) {
            write_hex(bytes, trace->trace_id, TRACE_ID_LEN);
            trace->flags = 0;
        }
        write_hex(bytes + TRACE_ID_LEN / 2, trace->span_id, TRACE_SPAN_LEN);
    } while (is_zero(trace->trace_id, TRACE_ID_LEN) || is_zero(trace->span_id, TRACE_SPAN_LEN));
}

void trace_format(const struct trace *trace, char out[TRACE_PARENT_LEN + 1])
{
    memcpy(out, "00-", 4); /* the version */
    memcpy(out + 3, trace->trace_id, TRACE_ID_LEN);
    out[35] = '-';
    memcpy(out + 36, trace->span_id, TRACE_SPAN_LEN);
    /* Only the sampled bit is defined by version 00. */
    memcpy(out + 52, (trace->flags & 1U) != 0 ? "-01" : "-00", 4);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool trace_request_id_is_valid(struct str text)
{
    if (text.len == 0 || text.len > TRACE_REQUEST_ID_MAX || is_blank(text.ptr[0]) ||
        is_blank(text.ptr[text.len - 1])) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return str_is_utf8(text);
}
