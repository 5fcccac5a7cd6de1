#include "common/base/instant.h"

#include <stddef.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

static const int64_t MIN_US = INT64_C(-62135596800) * US_PER_S;     /* 0001-01-01T00:00:00Z */
static const int64_t MAX_US = INT64_C(253402300800) * US_PER_S - 1; /* end of 9999 */

static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const weekday_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                            "Thursday", "Friday", "Saturday"};

enum { SHORT_NAME_BYTES = 3 };

struct civil {
    int64_t year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
};

/* Both conversions count years from 1 March, which puts the leap day last: see Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms". */
int64_t instant_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t shifted = year - (month <= 2 ? 1 : 0);
    int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (int64_t)(153 * ((month + 9) % 12) + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void instant_civil_from_days(int64_t days,
                             int64_t *ret_year,
                             unsigned *ret_month,
                             unsigned *ret_day)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = (unsigned)((month_from_march + 2) % 12 + 1);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

/* Exactly n_digits at `at`; the caller made sure they are inside the text. */
static bool read_digits(const char *at, size_t n_digits, unsigned *ret_value)
{
    unsigned value = 0;
    for (size_t i = 0; i < n_digits; i++) {
        unsigned digit = (unsigned)(unsigned char)at[i] - '0';
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

static unsigned days_of_month(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool is_date(const struct civil *civil)
{
    return civil->year >= 1 && civil->year <= 9999 && civil->month >= 1 && civil->month <= 12 &&
           civil->day >= 1 && civil->day <= days_of_month(civil->year, civil->month);
}

/* "YYYY-MM-DD", 10 bytes. */
static bool read_date(const char *at, struct civil *ret_civil)
{
    unsigned year = 0;
    struct civil civil = {0};
    if (!read_digits(at, 4, &year) || at[4] != '-' || !read_digits(at + 5, 2, &civil.month) ||
        at[7] != '-' || !read_digits(at + 8, 2, &civil.day)) {
        return false;
    }
    civil.year = year;
    if (!is_date(&civil)) {
        return false;
    }
    *ret_civil = civil;
    return true;
}

/* "HH:MM:SS", 8 bytes. */
static bool read_time(const char *at, struct civil *civil)
{
    return read_digits(at, 2, &civil->hour) && at[2] == ':' &&
           read_digits(at + 3, 2, &civil->minute) && at[5] == ':' &&
           read_digits(at + 6, 2, &civil->second) && civil->hour <= 23 && civil->minute <= 59 &&
           civil->second <= 59;
}

static int64_t us_of(const struct civil *civil)
{
    int64_t days = instant_days_from_civil(civil->year, civil->month, civil->day);
    return days * US_PER_DAY + civil->hour * US_PER_H + civil->minute * US_PER_MIN +
           civil->second * US_PER_S;
}

/* "" or "." and one to nine digits: moves *text behind it. */
static bool cut_fraction(struct str *text, int64_t *ret_us)
{
    if (text->len == 0 || text->ptr[0] != '.') {
        *ret_us = 0;
        return true;
    }
    int64_t fraction_us = 0;
    int64_t weight_us = US_PER_S / 10;
    size_t at = 1;
    for (; at < text->len && text->ptr[at] >= '0' && text->ptr[at] <= '9'; at++) {
        fraction_us += weight_us * (text->ptr[at] - '0');
        weight_us /= 10;
    }
    if (at == 1 || at > 10) {
        return false;
    }
    *ret_us = fraction_us;
    *text = (struct str){text->ptr + at, text->len - at};
    return true;
}

/* "Z" or "+HH:MM", the whole of `text`. */
static bool read_offset(struct str text, int64_t *ret_us)
{
    if (text.len == 1 && (text.ptr[0] == 'Z' || text.ptr[0] == 'z')) {
        *ret_us = 0;
        return true;
    }
    unsigned hours = 0;
    unsigned minutes = 0;
    if (text.len != 6 || (text.ptr[0] != '+' && text.ptr[0] != '-') ||
        !read_digits(text.ptr + 1, 2, &hours) || text.ptr[3] != ':' ||
        !read_digits(text.ptr + 4, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    int64_t offset_us = hours * US_PER_H + minutes * US_PER_MIN;
    *ret_us = text.ptr[0] == '-' ? -offset_us : offset_us;
    return true;
}

bool instant_parse_rfc3339(struct str text, int64_t *ret_us)
{
    struct civil civil;
    if (text.len < 10 || !read_date(text.ptr, &civil)) {
        return false;
    }
    if (text.len == 10) {
        *ret_us = us_of(&civil);
        return true;
    }
    char separator = text.ptr[10];
    if (text.len < 20 || (separator != 'T' && separator != 't' && separator != ' ') ||
        !read_time(text.ptr + 11, &civil)) {
        return false;
    }
    struct str rest = {text.ptr + 19, text.len - 19};
    int64_t fraction_us = 0;
    int64_t offset_us = 0;
    if (!cut_fraction(&rest, &fraction_us) || !read_offset(rest, &offset_us)) {
        return false;
    }
    int64_t us = us_of(&civil) + fraction_us - offset_us;
    if (us < MIN_US || us > MAX_US) {
        return false;
    }
    *ret_us = us;
    return true;
}

bool instant_parse_plain(struct str text, int64_t *ret_us)
{
    struct civil civil;
    if (text.len != 19 || !read_date(text.ptr, &civil) || text.ptr[10] != ' ' ||
        !read_time(text.ptr + 11, &civil)) {
        return false;
    }
    *ret_us = us_of(&civil);
    return true;
}

bool instant_parse_date(struct str text, int32_t *ret_days)
{
    struct civil civil;
    if (text.len != 10 || !read_date(text.ptr, &civil)) {
        return false;
    }
    *ret_days = (int32_t)instant_days_from_civil(civil.year, civil.month, civil.day);
    return true;
}

static bool read_month_name(const char *at, unsigned *ret_month)
{
    for (unsigned i = 0; i < ARRAY_SIZE(month_names); i++) {
        if (memcmp(at, month_names[i], SHORT_NAME_BYTES) == 0) {
            *ret_month = i + 1;
            return true;
        }
    }
    return false;
}

static bool is_weekday(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(weekday_names); i++) {
        struct str full = str_from(weekday_names[i]);
        if (str_equal(name, full) || str_equal(name, (struct str){full.ptr, SHORT_NAME_BYTES})) {
            return true;
        }
    }
    return false;
}

/* " 06 Nov 1994 08:49:37 GMT" or " 06-Nov-94 08:49:37 GMT": what follows the comma. */
static bool read_after_comma(struct str text, struct civil *civil)
{
    bool obsolete = text.len == 23;
    if (text.len != 25 && !obsolete) {
        return false;
    }
    const char *at = text.ptr;
    char separator = obsolete ? '-' : ' ';
    size_t n_year_digits = obsolete ? 2 : 4;
    unsigned year = 0;
    if (at[0] != ' ' || !read_digits(at + 1, 2, &civil->day) || at[3] != separator ||
        !read_month_name(at + 4, &civil->month) || at[7] != separator ||
        !read_digits(at + 8, n_year_digits, &year)) {
        return false;
    }
    const char *time = at + 8 + n_year_digits;
    /* Two digits cannot mean a far future here: servers only send recent dates. */
    unsigned century = !obsolete ? 0 : (year < 70 ? 2000 : 1900);
    civil->year = century + year;
    return time[0] == ' ' && read_time(time + 1, civil) && memcmp(time + 9, " GMT", 4) == 0;
}

/* "Sun Nov  6 08:49:37 1994". */
static bool read_asctime(struct str text, struct civil *civil)
{
    const char *at = text.ptr;
    unsigned year = 0;
    if (text.len != 24 || !is_weekday((struct str){at, SHORT_NAME_BYTES}) || at[3] != ' ' ||
        !read_month_name(at + 4, &civil->month) || at[7] != ' ' || at[10] != ' ' ||
        !read_time(at + 11, civil) || at[19] != ' ' || !read_digits(at + 20, 4, &year)) {
        return false;
    }
    civil->year = year;
    return at[8] == ' ' ? read_digits(at + 9, 1, &civil->day) : read_digits(at + 8, 2, &civil->day);
}

bool instant_parse_http_date(struct str text, int64_t *ret_us)
{
    struct civil civil = {0};
    struct str rest = text;
    struct str weekday = str_cut(&rest, ',');
    bool read = rest.ptr != NULL ? is_weekday(weekday) && read_after_comma(rest, &civil)
                                 : read_asctime(text, &civil);
    if (!read || !is_date(&civil)) {
        return false;
    }
    *ret_us = us_of(&civil);
    return true;
}

static char *put_digits(char *at, uint64_t value, size_t n_digits)
{
    for (size_t i = n_digits; i-- > 0;) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + n_digits;
}

static char *put_text(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

/* Splits into days since 1970 and the microsecond of that day, both towards the past. What is
 * outside years 1 to 9999 is shown as the nearest end. */
static int64_t split_days(int64_t us, int64_t *ret_us_of_day)
{
    int64_t shown_us = us < MIN_US ? MIN_US : (us > MAX_US ? MAX_US : us);
    int64_t us_of_day = shown_us % US_PER_DAY;
    if (us_of_day < 0) {
        us_of_day += US_PER_DAY;
    }
    *ret_us_of_day = us_of_day;
    return (shown_us - us_of_day) / US_PER_DAY;
}

static char *put_date(char *at, int64_t days)
{
    int64_t year = 0;
    unsigned month = 0;
    unsigned day = 0;
    instant_civil_from_days(days, &year, &month, &day);
    at = put_digits(at, (uint64_t)year, 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    return put_digits(at, day, 2);
}

static char *put_time(char *at, int64_t us_of_day)
{
    at = put_digits(at, (uint64_t)(us_of_day / US_PER_H), 2);
    *at++ = ':';
    at = put_digits(at, (uint64_t)(us_of_day / US_PER_MIN % 60), 2);
    *at++ = ':';
    return put_digits(at, (uint64_t)(us_of_day / US_PER_S % 60), 2);
}

const char *instant_format_rfc3339(int64_t us, char out[INSTANT_TEXT_MAX])
{
    int64_t us_of_day = 0;
    int64_t days = split_days(us, &us_of_day);
    char *at = put_date(out, days);
    *at++ = 'T';
    at = put_time(at, us_of_day);
    if (us_of_day % US_PER_S != 0) {
        *at++ = '.';
        at = put_digits(at, (uint64_t)(us_of_day % US_PER_S), 6);
    }
    *at++ = 'Z';
    *at = '\0';
    return out;
}

const char *instant_format_plain(int64_t us, char out[INSTANT_TEXT_MAX])
{
    int64_t us_of_day = 0;
    int64_t days = split_days(us, &us_of_day);
    char *at = put_date(out, days);
    *at++ = ' ';
    at = put_time(at, us_of_day);
    *at = '\0';
    return out;
}

const char *instant_format_http_date(int64_t us, char out[INSTANT_TEXT_MAX])
{
    int64_t us_of_day = 0;
    int64_t days = split_days(us, &us_of_day);
    int64_t year = 0;
    unsigned month = 0;
    unsigned day = 0;
    instant_civil_from_days(days, &year, &month, &day);
    /* 1970-01-01 was a Thursday. */
    int64_t weekday = ((days + 4) % 7 + 7) % 7;
    char *at = put_text(out, weekday_names[weekday], SHORT_NAME_BYTES);
    at = put_text(at, ", ", 2);
    at = put_digits(at, day, 2);
    *at++ = ' ';
    at = put_text(at, month_names[month - 1], SHORT_NAME_BYTES);
    *at++ = ' ';
    at = put_digits(at, (uint64_t)year, 4);
    *at++ = ' ';
    at = put_time(at, us_of_day);
    at = put_text(at, " GMT", 4);
    *at = '\0';
    return out;
}
