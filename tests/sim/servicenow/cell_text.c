#include <string.h>

#include "common/base/instant.h"
#include "tests/sim/servicenow/world.h"

struct str put_int(int64_t value, char *out)
{
    char digits[24];
    size_t n = sizeof(digits);
    uint64_t rest = value < 0 ? (uint64_t)-value : (uint64_t)value;

    do {
        digits[--n] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--n] = '-';
    }
    memcpy(out, digits + n, sizeof(digits) - n);
    return (struct str){out, sizeof(digits) - n};
}

static void put_two(int64_t value, char *out)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
}

static void put_day(int64_t days, char *out)
{
    int64_t year;
    unsigned month;
    unsigned day;

    instant_civil_from_days(days, &year, &month, &day);
    put_two(year / 100, out);
    put_two(year % 100, out + 2);
    out[4] = '-';
    put_two(month, out + 5);
    out[7] = '-';
    put_two(day, out + 8);
}

static struct str put_instant(int64_t at_s, char *out)
{
    int64_t days = at_s / 86400 - (at_s % 86400 < 0 ? 1 : 0);
    int64_t rest = at_s - days * 86400;

    put_day(days, out);
    out[10] = ' ';
    put_two(rest / 3600, out + 11);
    out[13] = ':';
    put_two(rest / 60 % 60, out + 14);
    out[16] = ':';
    put_two(rest % 60, out + 17);
    return (struct str){out, 19};
}

struct str put_time(int64_t at_s, char *out)
{
    return at_s == 0 ? put_empty() : put_instant(at_s, out);
}

struct str put_date(int64_t at_s, char *out)
{
    put_day(at_s / 86400, out);
    return (struct str){out, 10};
}

struct str put_duration(int64_t seconds, char *out)
{
    return put_instant(seconds, out);
}

struct str put_ref(const struct table *table, int64_t index, char *out)
{
    if (table->n_base <= 0) {
        return put_empty();
    }
    table_id_at(table, table_position(table, index % table->n_base), out);
    return (struct str){out, 32};
}

struct str put_words(char *out, const char *first, const char *second, const char *third)
{
    const char *const parts[] = {first, second, third};
    size_t len = 0;

    for (size_t i = 0; i < 3; i++) {
        size_t part = strlen(parts[i]);

        memcpy(out + len, parts[i], part);
        len += part;
    }
    return (struct str){out, len};
}

struct str put_padded(const char *prefix, int64_t number, int digits, char *out)
{
    size_t len = strlen(prefix);
    char text[24];
    struct str plain = put_int(number, text);

    memcpy(out, prefix, len);
    for (int64_t i = (int64_t)plain.len; i < digits; i++) {
        out[len++] = '0';
    }
    memcpy(out + len, plain.ptr, plain.len);
    return (struct str){out, len + plain.len};
}
