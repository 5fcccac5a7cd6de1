#include "worker/transform/coerce.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "worker/transform/jsonb.h"
#include "worker/transform/numeric.h"

/* PostgreSQL counts from 2000-01-01. */
static const int64_t POSTGRES_EPOCH_DAYS = 10957;
static const int64_t DAYS_OF_1901 = -25202; /* 1901-01-01 */

enum { JSONB_VERSION = 1, HOURS_DIGITS_MAX = 9, DATE_BYTES = 10 };

static enum coerce_result reject(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return COERCE_REJECT;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool are_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0;
}

/* One to nine digits and nothing else: most integers, and no overflow is possible. */
static bool read_short_integer(struct str text, uint32_t *ret_value)
{
    uint32_t value = 0;
    if (text.len == 0 || text.len > 9) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint32_t digit = (uint32_t)(unsigned char)text.ptr[i] - '0';
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

static struct str without_sign(struct str text)
{
    size_t sign_len = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+') ? 1 : 0;
    return (struct str){text.ptr + sign_len, text.len - sign_len};
}

/* Sources put "2.0" into fields that they declare as integers. */
static bool cut_zero_decimals(struct str *text)
{
    struct str rest = *text;
    struct str whole = str_cut(&rest, '.');
    if (rest.ptr == NULL) {
        return true;
    }
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] != '0') {
            return false;
        }
    }
    *text = whole;
    return rest.len > 0;
}

static enum coerce_result add_integer(struct buf *out, struct str text, const char **ret_reason)
{
    int64_t value = 0;
    uint32_t short_value = 0;
    if (read_short_integer(text, &short_value)) {
        buf_add_be32(out, short_value);
        return COERCE_VALUE;
    }
    if (!cut_zero_decimals(&text) || !are_digits(without_sign(text))) {
        return reject(ret_reason, "is not an integer");
    }
    if (!str_to_int64(text, INT32_MIN, INT32_MAX, &value)) {
        return reject(ret_reason, "is out of range for integer");
    }
    buf_add_be32(out, (uint32_t)(int32_t)value);
    return COERCE_VALUE;
}

static enum coerce_result add_bigint(struct buf *out, struct str text, const char **ret_reason)
{
    int64_t value = 0;
    if (!cut_zero_decimals(&text) || !are_digits(without_sign(text))) {
        return reject(ret_reason, "is not an integer");
    }
    if (!str_to_int64(text, INT64_MIN, INT64_MAX, &value)) {
        return reject(ret_reason, "is out of range for bigint");
    }
    buf_add_be64(out, (uint64_t)value);
    return COERCE_VALUE;
}

static enum coerce_result add_numeric(struct buf *out, struct str text, const char **ret_reason)
{
    switch (numeric_append(out, text)) {
    case NUMERIC_OK:
        return COERCE_VALUE;
    case NUMERIC_MALFORMED:
        return reject(ret_reason, "is not a number");
    case NUMERIC_TOO_LONG:
        return reject(ret_reason, "has more than 1000 digits");
    }
    return reject(ret_reason, "is not a number");
}

static enum coerce_result add_boolean(struct buf *out, struct str text, const char **ret_reason)
{
    if (text.len == 4 && memcmp(text.ptr, "true", 4) == 0) {
        buf_add_char(out, 1);
        return COERCE_VALUE;
    }
    if (text.len == 5 && memcmp(text.ptr, "false", 5) == 0) {
        buf_add_char(out, 0);
        return COERCE_VALUE;
    }
    bool is_true = str_equal_nocase(text, STR_LITERAL("true")) || str_equal(text, STR_LITERAL("1"));
    bool is_false =
        str_equal_nocase(text, STR_LITERAL("false")) || str_equal(text, STR_LITERAL("0"));
    if (!is_true && !is_false) {
        return reject(ret_reason, "is not a boolean");
    }
    buf_add_char(out, is_true ? 1 : 0);
    return COERCE_VALUE;
}

/* *bad collects what is no digit. */
static inline unsigned read_pair(const char *at, unsigned *bad)
{
    unsigned tens = (unsigned)(unsigned char)at[0] - '0';
    unsigned ones = (unsigned)(unsigned char)at[1] - '0';
    *bad |= (unsigned)(tens > 9) | (unsigned)(ones > 9);
    return tens * 10 + ones;
}

/* What instant_parse_plain reads, for the days that every month has; false says nothing. Each of a
 * million rows has half a dozen timestamps. */
static bool read_common_timestamp(struct str text, int64_t *ret_us)
{
    static const uint16_t days_before_month[] = {0,   31,  59,  90,  120, 151,
                                                 181, 212, 243, 273, 304, 334};
    const char *at = text.ptr;
    if (text.len != 19 || at[4] != '-' || at[7] != '-' || at[10] != ' ' || at[13] != ':' ||
        at[16] != ':') {
        return false;
    }
    unsigned bad = 0;
    unsigned year = read_pair(at, &bad) * 100 + read_pair(at + 2, &bad);
    unsigned month = read_pair(at + 5, &bad);
    unsigned day = read_pair(at + 8, &bad);
    unsigned hour = read_pair(at + 11, &bad);
    unsigned minute = read_pair(at + 14, &bad);
    unsigned second = read_pair(at + 17, &bad);
    /* 1901 to 2099: each fourth year is a leap year. */
    if (bad != 0 || year < 1901 || year > 2099 || month - 1 > 11 || day - 1 > 27 || hour > 23 ||
        minute > 59 || second > 59) {
        return false;
    }
    unsigned leap_days = (year - 1901) / 4 + (unsigned)(year % 4 == 0 && month > 2);
    unsigned days = (year - 1901) * 365 + leap_days + days_before_month[month - 1] + day - 1;
    *ret_us = ((int64_t)days + DAYS_OF_1901) * US_PER_DAY +
              (int64_t)(hour * 3600 + minute * 60 + second) * US_PER_S;
    return true;
}

static bool parse_timestamp(struct str text, int64_t *ret_us)
{
    return read_common_timestamp(text, ret_us) || instant_parse_plain(text, ret_us) ||
           instant_parse_rfc3339(text, ret_us);
}

static enum coerce_result add_timestamptz(struct buf *out, struct str text, const char **ret_reason)
{
    int64_t us = 0;
    if (!parse_timestamp(text, &us)) {
        return reject(ret_reason, "is not a timestamp");
    }
    buf_add_be64(out, (uint64_t)(us - POSTGRES_EPOCH_DAYS * US_PER_DAY));
    return COERCE_VALUE;
}

static enum coerce_result add_date(struct buf *out, struct str text, const char **ret_reason)
{
    int64_t us = 0;
    int32_t days = 0;
    /* The calendar day as written: an offset behind it does not move it. */
    bool whole = text.len == DATE_BYTES || (text.len > DATE_BYTES && parse_timestamp(text, &us));
    if (!whole || !instant_parse_date((struct str){text.ptr, DATE_BYTES}, &days)) {
        return reject(ret_reason, "is not a date");
    }
    buf_add_be32(out, (uint32_t)(days - (int32_t)POSTGRES_EPOCH_DAYS));
    return COERCE_VALUE;
}

/* "HHH:MM:SS" without a sign. */
static bool parse_clock(struct str text, int64_t *ret_us)
{
    struct str rest = text;
    struct str hours = str_cut(&rest, ':');
    int64_t values[3] = {0};
    if (hours.len > HOURS_DIGITS_MAX || rest.len != 5 || rest.ptr[2] != ':' || !are_digits(hours)) {
        return false;
    }
    struct str minutes = {rest.ptr, 2};
    struct str seconds = {rest.ptr + 3, 2};
    if (!str_to_int64(hours, 0, INT64_MAX, &values[0]) || !are_digits(minutes) ||
        !str_to_int64(minutes, 0, 59, &values[1]) || !are_digits(seconds) ||
        !str_to_int64(seconds, 0, 59, &values[2])) {
        return false;
    }
    *ret_us = values[0] * US_PER_H + values[1] * US_PER_MIN + values[2] * US_PER_S;
    return true;
}

static int64_t us_of_decimals(struct str digits)
{
    int64_t us = 0;
    int64_t weight_us = US_PER_S / 10;
    for (size_t i = 0; i < digits.len && weight_us > 0; i++) {
        us += (digits.ptr[i] - '0') * weight_us;
        weight_us /= 10;
    }
    return us;
}

/* "123" or "123.5" seconds without a sign; false if malformed, *ret_fits tells the rest. */
static bool parse_seconds(struct str text, int64_t *ret_us, bool *ret_fits)
{
    struct str fraction = text;
    struct str whole = str_cut(&fraction, '.');
    if (!are_digits(whole) || (fraction.ptr != NULL && !are_digits(fraction))) {
        return false;
    }
    int64_t fraction_us = fraction.ptr != NULL ? us_of_decimals(fraction) : 0;
    int64_t seconds = 0;
    *ret_fits = str_to_int64(whole, 0, INT64_MAX / US_PER_S - 1, &seconds);
    *ret_us = seconds * US_PER_S + fraction_us;
    return true;
}

static enum coerce_result add_interval(struct buf *out, struct str text, const char **ret_reason)
{
    int64_t us = 0;
    bool fits = true;
    if (!instant_parse_plain(text, &us)) {
        struct str magnitude = without_sign(text);
        if (!parse_clock(magnitude, &us) && !parse_seconds(magnitude, &us, &fits)) {
            return reject(ret_reason, "is not a duration");
        }
        us = str_starts_with(text, STR_LITERAL("-")) ? -us : us;
    }
    if (!fits) {
        return reject(ret_reason, "is out of range for interval");
    }
    buf_add_be64(out, (uint64_t)us);
    buf_add_be32(out, 0); /* days */
    buf_add_be32(out, 0); /* months */
    return COERCE_VALUE;
}

static enum coerce_result add_text(struct buf *out, const struct cell *cell, int64_t *removed_nul)
{
    if (!cell->has_nul) {
        buf_add_str(out, cell->text);
        return COERCE_VALUE;
    }
    size_t start = out->len;
    jsonb_append_without_nul(out, cell->text, removed_nul);
    return out->len > start || out->overflow ? COERCE_VALUE : COERCE_NULL;
}

static enum coerce_result
add_jsonb(struct buf *out, const struct cell *cell, const char **ret_reason, int64_t *removed_nul)
{
    size_t start = out->len;
    buf_add_char(out, JSONB_VERSION);
    if (cell->kind == CELL_TEXT) {
        jsonb_append_string(out, cell->text, removed_nul);
    } else if (!jsonb_append_document(out, cell->text, removed_nul)) {
        buf_truncate(out, start);
        return reject(ret_reason, "holds a number too large for jsonb");
    }
    return COERCE_VALUE;
}

enum coerce_result coerce_append(struct buf *out,
                                 enum column_type type,
                                 const struct cell *cell,
                                 const char **ret_reason,
                                 int64_t *removed_nul)
{
    if (cell->kind == CELL_ABSENT || cell->kind == CELL_NULL || cell->text.len == 0) {
        return COERCE_NULL;
    }
    switch (type) {
    case COLUMN_TEXT:
        return add_text(out, cell, removed_nul);
    case COLUMN_INTEGER:
        return add_integer(out, cell->text, ret_reason);
    case COLUMN_BIGINT:
        return add_bigint(out, cell->text, ret_reason);
    case COLUMN_NUMERIC:
        return add_numeric(out, cell->text, ret_reason);
    case COLUMN_BOOLEAN:
        return add_boolean(out, cell->text, ret_reason);
    case COLUMN_TIMESTAMPTZ:
        return add_timestamptz(out, cell->text, ret_reason);
    case COLUMN_DATE:
        return add_date(out, cell->text, ret_reason);
    case COLUMN_INTERVAL:
        return add_interval(out, cell->text, ret_reason);
    case COLUMN_JSONB:
        return add_jsonb(out, cell, ret_reason, removed_nul);
    }
    return reject(ret_reason, "has a column type this version does not know");
}
