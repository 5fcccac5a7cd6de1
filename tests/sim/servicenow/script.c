#include "tests/sim/servicenow/script.h"

#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/instant.h"
#include "tests/sim/servicenow/world.h"

#define DAY_S INT64_C(86400)

enum align { ALIGN_NONE, ALIGN_START, ALIGN_END };

struct call {
    const char *name;
    int64_t unit_s; /* of its argument, counted backwards */
    enum align align;
};

static const struct call calls[] = {
    {"daysAgoStart", DAY_S, ALIGN_START},
    {"daysAgoEnd", DAY_S, ALIGN_END},
    {"daysAgo", DAY_S, ALIGN_NONE},
    {"hoursAgo", 3600, ALIGN_NONE},
    {"minutesAgo", 60, ALIGN_NONE},
    {"beginningOfToday", 0, ALIGN_START},
    {"endOfToday", 0, ALIGN_END},
    {"nowDateTime", 0, ALIGN_NONE},
    {"now", 0, ALIGN_NONE},
};

static void finish(int64_t at_s, char out[48])
{
    struct str text = put_time(at_s, out);

    out[text.len] = '\0';
}

static bool generate_date(struct str args, int64_t user_offset_s, char out[48])
{
    struct str date = str_trim(str_cut(&args, ','));
    struct str time = str_trim(args);
    char joined[64];
    int64_t us;

    if (date.len != 12 || time.len != 10) {
        return false;
    }
    struct str plain = put_words(joined, "", "", "");

    for (size_t i = 1; i < 11; i++) {
        joined[plain.len++] = date.ptr[i];
    }
    joined[plain.len++] = ' ';
    for (size_t i = 1; i < 9; i++) {
        joined[plain.len++] = time.ptr[i];
    }
    if (!instant_parse_plain((struct str){joined, plain.len}, &us)) {
        return false;
    }
    finish(us / 1000000 - user_offset_s, out);
    return true;
}

bool script_evaluate(struct str expression, int64_t now_s, int64_t user_offset_s, char out[48])
{
    struct str rest = expression;
    int64_t count = 0;

    (void)str_cut(&rest, ':');
    if (!str_starts_with(rest, STR_LITERAL("gs.")) || rest.len < 5 ||
        rest.ptr[rest.len - 1] != ')') {
        return false;
    }
    rest = (struct str){rest.ptr + 3, rest.len - 4};
    struct str name = str_cut(&rest, '(');

    if (str_equal_c(name, "dateGenerate")) {
        return generate_date(rest, user_offset_s, out);
    }
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        if (!str_equal_c(name, calls[i].name) ||
            (rest.len > 0 && !str_to_int64(str_trim(rest), -100000, 100000, &count))) {
            continue;
        }
        int64_t local_s = now_s + user_offset_s - count * calls[i].unit_s;

        if (calls[i].align != ALIGN_NONE) {
            local_s -= local_s % DAY_S;
        }
        finish(local_s - user_offset_s + (calls[i].align == ALIGN_END ? DAY_S - 1 : 0), out);
        return true;
    }
    return false;
}

bool script_relative(struct str text, int64_t now_s, char out[48])
{
    static const struct {
        const char *name;
        int64_t unit_s;
    } units[] = {{"minute", 60},      {"hour", 3600},        {"dayofweek", DAY_S}, {"day", DAY_S},
                 {"week", 7 * DAY_S}, {"month", 30 * DAY_S}, {"year", 365 * DAY_S}};

    int64_t count;

    (void)str_cut(&text, '@');
    struct str unit = str_cut(&text, '@');
    struct str direction = str_cut(&text, '@');

    if (!str_to_int64(text, 0, 1000000, &count)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (str_equal_c(unit, units[i].name)) {
            int64_t by_s = count * units[i].unit_s;

            finish(str_equal_c(direction, "ahead") ? now_s + by_s : now_s - by_s, out);
            return true;
        }
    }
    return false;
}
