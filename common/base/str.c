#include "common/base/str.h"

#include <string.h>

struct str str_from(const char *text)
{
    return text != NULL ? (struct str){text, strlen(text)} : STR_NONE;
}

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_equal_c(struct str a, const char *text)
{
    return str_equal(a, str_from(text));
}

static unsigned char lower(char byte)
{
    unsigned char code = (unsigned char)byte;
    return (unsigned char)(code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code);
}

bool str_equal_nocase(struct str a, struct str b)
{
    return a.len == b.len && str_compare_nocase(a, b) == 0;
}

static int compare_lengths(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

int str_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    return order != 0 ? order : compare_lengths(a.len, b.len);
}

int str_compare_nocase(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < common; i++) {
        int order = lower(a.ptr[i]) - lower(b.ptr[i]);
        if (order != 0) {
            return order;
        }
    }
    return compare_lengths(a.len, b.len);
}

bool str_starts_with(struct str text, struct str prefix)
{
    return text.len >= prefix.len && str_equal((struct str){text.ptr, prefix.len}, prefix);
}

bool str_starts_with_nocase(struct str text, struct str prefix)
{
    return text.len >= prefix.len && str_equal_nocase((struct str){text.ptr, prefix.len}, prefix);
}

bool str_ends_with(struct str text, struct str suffix)
{
    if (suffix.len == 0) {
        return true;
    }
    return text.len >= suffix.len &&
           str_equal((struct str){text.ptr + (text.len - suffix.len), suffix.len}, suffix);
}

bool str_contains_nocase(struct str text, struct str needle)
{
    if (needle.len == 0) {
        return true;
    }
    for (size_t i = 0; i + needle.len <= text.len; i++) {
        if (str_equal_nocase((struct str){text.ptr + i, needle.len}, needle)) {
            return true;
        }
    }
    return false;
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

struct str str_trim(struct str text)
{
    while (text.len > 0 && is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

struct str str_cut(struct str *rest, char separator)
{
    struct str whole = *rest;
    const char *found = whole.len > 0 ? memchr(whole.ptr, separator, whole.len) : NULL;
    if (found == NULL) {
        *rest = STR_NONE;
        return whole;
    }
    size_t before = (size_t)(found - whole.ptr);
    *rest = (struct str){found + 1, whole.len - before - 1};
    return (struct str){whole.ptr, before};
}

bool str_to_int64(struct str text, int64_t min, int64_t max, int64_t *ret_value)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    size_t at = text.len > 0 && (negative || text.ptr[0] == '+') ? 1 : 0;
    if (at == text.len) {
        return false;
    }
    /* Collected below zero, where there is room for INT64_MIN. */
    int64_t value = 0;
    for (; at < text.len; at++) {
        int digit = text.ptr[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value)) {
            return false;
        }
    }
    if (!negative && __builtin_sub_overflow(0, value, &value)) {
        return false;
    }
    if (value < min || value > max) {
        return false;
    }
    *ret_value = value;
    return true;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

size_t str_utf8_step(struct str text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    if (text.len == 0) {
        return 0;
    }
    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] < 0xC2 || at[0] > 0xF4) {
        return 0;
    }
    size_t size = at[0] < 0xE0 ? 2 : (at[0] < 0xF0 ? 3 : 4);
    if (text.len < size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (!is_continuation(at[i])) {
            return 0;
        }
    }
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xED && at[1] > 0x9F;
    bool beyond_unicode = at[0] == 0xF4 && at[1] > 0x8F;
    return overlong || surrogate || beyond_unicode ? 0 : size;
}

static bool starts_with_8_ascii(struct str text)
{
    uint64_t eight = 0;
    if (text.len < sizeof(eight)) {
        return false;
    }
    memcpy(&eight, text.ptr, sizeof(eight));
    return (eight & UINT64_C(0x8080808080808080)) == 0;
}

bool str_is_utf8(struct str text)
{
    while (text.len > 0) {
        size_t step = starts_with_8_ascii(text) ? 8 : str_utf8_step(text);
        if (step == 0) {
            return false;
        }
        text = (struct str){text.ptr + step, text.len - step};
    }
    return true;
}

struct str str_shorten(struct str text, size_t max_bytes)
{
    if (text.len <= max_bytes) {
        return text;
    }
    size_t len = max_bytes;
    /* At most three steps back: more continuation bytes in a row are no UTF-8 anyway. */
    while (len > 0 && max_bytes - len < 3 && is_continuation((unsigned char)text.ptr[len])) {
        len--;
    }
    return (struct str){text.ptr, is_continuation((unsigned char)text.ptr[len]) ? max_bytes : len};
}

enum { NEAREST_WORD_BYTES_MAX = 64 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein, one row at a time, ASCII case ignored; `b` at most NEAREST_WORD_BYTES_MAX long. */
static size_t edit_distance(struct str a, struct str b)
{
    size_t row[NEAREST_WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t replaced = diagonal + (lower(a.ptr[i - 1]) != lower(b.ptr[j - 1]) ? 1 : 0);
            row[j] = min3(above + 1, row[j - 1] + 1, replaced);
            diagonal = above;
        }
    }
    return row[b.len];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t n_candidates)
{
    struct str wanted = str_from(word);
    if (wanted.len > NEAREST_WORD_BYTES_MAX) {
        return NULL;
    }
    const char *nearest = NULL;
    /* About one slip in three characters; further away is another word. */
    size_t best = (wanted.len + 1) / 3 + 1;
    for (size_t i = 0; i < n_candidates; i++) {
        struct str candidate = str_from(candidates[i]);
        if (candidate.len > NEAREST_WORD_BYTES_MAX) {
            continue;
        }
        size_t distance = edit_distance(wanted, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
