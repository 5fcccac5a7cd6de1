#include "worker/transform/numeric.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SIGN_POSITIVE = 0x0000,
    SIGN_NEGATIVE = 0x4000,
    DIGITS_PER_GROUP = 4,
    EXPONENT_MAX = 100000, /* far beyond what NUMERIC_DIGITS_MAX lets through */
};

/* The value is 0.DIGITS * 10^point. */
struct decimal {
    bool negative;
    int64_t point;
    int64_t scale; /* decimals behind the point, as written */
    size_t n_digits;
    char digits[NUMERIC_DIGITS_MAX]; /* '0'-'9', without leading zeros */
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Moves *at over "e-12" if it stands there. */
static bool read_exponent(struct str text, size_t *at, int64_t *ret_exponent)
{
    *ret_exponent = 0;
    if (*at == text.len) {
        return true;
    }
    if (text.ptr[*at] != 'e' && text.ptr[*at] != 'E') {
        return false;
    }
    struct str rest = {text.ptr + *at + 1, text.len - *at - 1};
    size_t sign_len = rest.len > 0 && (rest.ptr[0] == '-' || rest.ptr[0] == '+') ? 1 : 0;
    if (rest.len == sign_len) {
        return false;
    }
    int64_t exponent = 0;
    for (size_t i = sign_len; i < rest.len; i++) {
        if (!is_digit(rest.ptr[i])) {
            return false;
        }
        exponent = exponent * 10 + (rest.ptr[i] - '0');
        exponent = exponent > EXPONENT_MAX ? EXPONENT_MAX : exponent;
    }
    *ret_exponent = rest.ptr[0] == '-' ? -exponent : exponent;
    *at = text.len;
    return true;
}

/* False for a digit that matters and has no room. */
static bool keep_digit(struct decimal *decimal, char digit)
{
    if (decimal->n_digits < NUMERIC_DIGITS_MAX) {
        decimal->digits[decimal->n_digits++] = digit;
        return true;
    }
    return digit == '0';
}

static void drop_trailing_zeros(struct decimal *decimal)
{
    while (decimal->n_digits > 0 && decimal->digits[decimal->n_digits - 1] == '0') {
        decimal->n_digits--;
    }
    if (decimal->n_digits == 0) {
        decimal->point = 0;
    }
}

static enum numeric_result read_decimal(struct str text, struct decimal *decimal)
{
    size_t at = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+') ? 1 : 0;
    decimal->negative = at == 1 && text.ptr[0] == '-';
    decimal->n_digits = 0;
    bool seen_point = false;
    bool seen_digit = false;
    bool too_many = false;
    int64_t n_leading_zeros = 0;
    int64_t n_whole = 0;
    int64_t n_fraction = 0;
    for (; at < text.len && (is_digit(text.ptr[at]) || (text.ptr[at] == '.' && !seen_point));
         at++) {
        if (text.ptr[at] == '.') {
            seen_point = true;
            continue;
        }
        seen_digit = true;
        *(seen_point ? &n_fraction : &n_whole) += 1;
        if (text.ptr[at] == '0' && decimal->n_digits == 0) {
            n_leading_zeros++;
            continue;
        }
        too_many = !keep_digit(decimal, text.ptr[at]) || too_many;
    }
    int64_t exponent = 0;
    if (!seen_digit || !read_exponent(text, &at, &exponent)) {
        return NUMERIC_MALFORMED;
    }
    decimal->point = n_whole - n_leading_zeros + exponent;
    decimal->scale = n_fraction > exponent ? n_fraction - exponent : 0;
    drop_trailing_zeros(decimal);
    int64_t n_written = (decimal->point > 0 ? decimal->point : 0) + decimal->scale;
    return too_many || n_written > NUMERIC_DIGITS_MAX ? NUMERIC_TOO_LONG : NUMERIC_OK;
}

/* Groups are aligned to the decimal point, so the first one may start with zeros. */
static void
add_groups(struct buf *out, const struct decimal *decimal, size_t n_pad, size_t n_groups)
{
    size_t at = 0;
    for (size_t group = 0; group < n_groups; group++) {
        unsigned value = 0;
        for (size_t i = group == 0 ? n_pad : 0; i < DIGITS_PER_GROUP; i++) {
            unsigned digit = at < decimal->n_digits ? (unsigned)(decimal->digits[at++] - '0') : 0;
            value = value * 10 + digit;
        }
        buf_add_be16(out, (uint16_t)value);
    }
}

enum numeric_result numeric_append(struct buf *out, struct str text)
{
    struct decimal decimal;
    enum numeric_result result = read_decimal(text, &decimal);
    if (result != NUMERIC_OK) {
        return result;
    }
    size_t n_groups = 0;
    size_t n_pad = 0;
    int64_t weight = 0;
    if (decimal.n_digits > 0) {
        int64_t top = decimal.point - 1; /* power of ten of the first digit */
        weight = (top >= 0 ? top : top - (DIGITS_PER_GROUP - 1)) / DIGITS_PER_GROUP;
        n_pad = (size_t)(DIGITS_PER_GROUP * weight + (DIGITS_PER_GROUP - 1) - top);
        n_groups = (n_pad + decimal.n_digits + DIGITS_PER_GROUP - 1) / DIGITS_PER_GROUP;
    }
    bool negative = decimal.negative && decimal.n_digits > 0;
    buf_add_be16(out, (uint16_t)n_groups);
    buf_add_be16(out, (uint16_t)(int16_t)weight);
    buf_add_be16(out, negative ? SIGN_NEGATIVE : SIGN_POSITIVE);
    buf_add_be16(out, (uint16_t)decimal.scale);
    add_groups(out, &decimal, n_pad, n_groups);
    return NUMERIC_OK;
}
