#include "worker/transform/jsonb.h"

#include <string.h>

/* numeric takes 131072 digits before the point and 16383 behind it: both bounds together stay well
 * inside whatever the digits and the exponent are. */
enum { NUMBER_BYTES_MAX = 5000, EXPONENT_MAX = 10000 };

static const struct str nul_escape = {"\\u0000", 6};

static bool is_number_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || byte == '.' || byte == '-' || byte == '+' ||
           byte == 'e' || byte == 'E';
}

static bool number_fits(struct str number)
{
    if (number.len > NUMBER_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < number.len; i++) {
        if (number.ptr[i] == 'e' || number.ptr[i] == 'E') {
            int64_t exponent = 0;
            struct str digits = {number.ptr + i + 1, number.len - i - 1};
            return str_to_int64(digits, -EXPONENT_MAX, EXPONENT_MAX, &exponent);
        }
    }
    return true;
}

/* `at` stands behind the opening quote; returns the offset behind the closing one. */
static size_t skip_string(struct str text, size_t at)
{
    while (at < text.len && text.ptr[at] != '"') {
        at += text.ptr[at] == '\\' ? 2 : 1;
    }
    return at + 1;
}

static bool numbers_fit(struct str text)
{
    size_t at = 0;
    while (at < text.len) {
        char byte = text.ptr[at];
        if (byte == '"') {
            at = skip_string(text, at + 1);
            continue;
        }
        size_t start = at++;
        if (byte != '-' && (byte < '0' || byte > '9')) {
            continue;
        }
        while (at < text.len && is_number_byte(text.ptr[at])) {
            at++;
        }
        if (!number_fits((struct str){text.ptr + start, at - start})) {
            return false;
        }
    }
    return true;
}

bool jsonb_append_document(struct buf *out, struct str text, int64_t *removed_nul)
{
    if (!numbers_fit(text)) {
        return false;
    }
    if (memmem(text.ptr, text.len, nul_escape.ptr, nul_escape.len) == NULL) {
        buf_add_str(out, text);
        return true;
    }
    /* Backslashes stand in strings only; an escaped one may stand before "u0000". */
    size_t kept_from = 0;
    size_t at = 0;
    while (at < text.len) {
        if (text.ptr[at] != '\\') {
            at++;
            continue;
        }
        if (!str_starts_with((struct str){text.ptr + at, text.len - at}, nul_escape)) {
            at += 2;
            continue;
        }
        buf_add(out, text.ptr + kept_from, at - kept_from);
        at += nul_escape.len;
        kept_from = at;
        *removed_nul += 1;
    }
    buf_add(out, text.ptr + kept_from, text.len - kept_from);
    return true;
}

void jsonb_append_without_nul(struct buf *out, struct str text, int64_t *removed_nul)
{
    struct str rest = text;
    while (rest.len > 0) {
        struct str kept = str_cut(&rest, '\0');
        buf_add_str(out, kept);
        *removed_nul += rest.ptr != NULL ? 1 : 0;
    }
}

void jsonb_append_string(struct buf *out, struct str text, int64_t *removed_nul)
{
    if (text.len == 0 || memchr(text.ptr, '\0', text.len) == NULL) {
        buf_add_json_string(out, text);
        return;
    }
    struct buf kept CLEANUP(buf_release) = {0};
    buf_init(&kept, text.len);
    jsonb_append_without_nul(&kept, text, removed_nul);
    buf_add_json_string(out, buf_str(&kept));
}
