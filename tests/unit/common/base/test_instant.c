#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/instant.h"

enum { FIRST_DAY = -719162, LAST_DAY = 2932896 }; /* 0001-01-01 and 9999-12-31 */

static void civil_dates_round_trip_over_all_years(void **state)
{
    (void)state;
    int64_t last_year = 0;
    unsigned last_month = 12;
    unsigned last_day = 31;
    for (int64_t days = FIRST_DAY; days <= LAST_DAY; days++) {
        int64_t year = 0;
        unsigned month = 0;
        unsigned day = 0;
        instant_civil_from_days(days, &year, &month, &day);
        if (instant_days_from_civil(year, month, day) != days) {
            fail_msg("day %d does not round trip", (int)days);
        }
        bool next_day = year == last_year && month == last_month && day == last_day + 1;
        bool next_month = year == last_year && month == last_month + 1 && day == 1;
        bool next_year = year == last_year + 1 && month == 1 && last_month == 12 && day == 1;
        if (!next_day && !next_month && !next_year) {
            fail_msg("day %d does not follow the day before", (int)days);
        }
        last_year = year;
        last_month = month;
        last_day = day;
    }
    assert_int_equal(last_year, 9999);
}

static void text_round_trips_over_all_years(void **state)
{
    (void)state;
    int64_t offset_us = 0;
    for (int64_t days = FIRST_DAY; days <= LAST_DAY; days += 13) {
        offset_us = (offset_us + 7654321987) % US_PER_DAY;
        int64_t us = days * US_PER_DAY + offset_us;
        char text[INSTANT_TEXT_MAX];
        int64_t back_us = 0;
        assert_true(instant_parse_rfc3339(str_from(instant_format_rfc3339(us, text)), &back_us));
        assert_int_equal(back_us, us);
        int64_t floor_us = us - offset_us % US_PER_S;
        assert_true(instant_parse_plain(str_from(instant_format_plain(us, text)), &back_us));
        assert_int_equal(back_us, floor_us);
        assert_true(
            instant_parse_http_date(str_from(instant_format_http_date(us, text)), &back_us));
        assert_int_equal(back_us, floor_us);
        int32_t back_days = 0;
        instant_format_plain(us, text);
        assert_true(instant_parse_date((struct str){text, 10}, &back_days));
        assert_int_equal(back_days, days);
    }
}

static void rfc3339_forms_are_read(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01", 0},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2000-02-29T12:00:00Z", 951825600 * US_PER_S},
        {"2026-01-02T03:04:05.123Z", 1767323045 * US_PER_S + 123000},
        {"2026-01-02 03:04:05.123456Z", 1767323045 * US_PER_S + 123456},
        {"2026-01-02T03:04:05.123456789Z", 1767323045 * US_PER_S + 123456},
        {"2026-01-02t03:04:05z", 1767323045 * US_PER_S},
        {"2026-01-02T04:04:05+01:00", 1767323045 * US_PER_S},
        {"2026-01-01T22:34:05-04:30", 1767323045 * US_PER_S},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800) * US_PER_S},
        {"9999-12-31T23:59:59.999999Z", INT64_C(253402300800) * US_PER_S - 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t us = 42;
        if (!instant_parse_rfc3339(str_from(cases[i].text), &us) || us != cases[i].us) {
            fail_msg("%s gives %lld", cases[i].text, (long long)us);
        }
    }
}

static void malformed_rfc3339_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2026",
        "2026-1-2",
        "2026-01-0",
        "2026/01/02",
        "2026-13-01",
        "2026-00-01",
        "2026-01-00",
        "2026-01-32",
        "2026-04-31",
        "2026-02-29",
        "1900-02-29",
        "0000-01-01",
        "+026-01-01",
        "2026-01-02T",
        "2026-01-02T03",
        "2026-01-02T03:04",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04Z",
        "2026-01-02_03:04:05Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:60:00Z",
        "2026-01-02T03:04:60Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05.1234567890Z",
        "2026-01-02T03:04:05,123Z",
        "2026-01-02T03:04:05.123",
        "2026-01-02T03:04:05ZZ",
        "2026-01-02T03:04:05Z ",
        " 2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05+01",
        "2026-01-02T03:04:05+0100",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+01:60",
        "2026-01-02T03:04:05+01:0x",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "-001-01-01",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t us = 42;
        if (instant_parse_rfc3339(str_from(cases[i]), &us) || us != 42) {
            fail_msg("\"%s\" was accepted", cases[i]);
        }
    }
    int64_t us = 42;
    assert_false(instant_parse_rfc3339(STR_NONE, &us));
}

static void plain_form_is_exact(void **state)
{
    (void)state;
    int64_t us = 42;
    assert_true(instant_parse_plain(STR_LITERAL("2026-01-02 03:04:05"), &us));
    assert_int_equal(us, 1767323045 * US_PER_S);
    static const char *const cases[] = {"",
                                        "2026-01-02",
                                        "2026-01-02T03:04:05",
                                        "2026-01-02 03:04:05Z",
                                        "2026-01-02 03:04:05.1",
                                        "2026-01-02 3:04:05 ",
                                        "2026-01-02 03-04-05",
                                        "2026-02-30 03:04:05",
                                        "2026-01-02 25:04:05",
                                        "02/01/2026 03:04:05"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        us = 42;
        assert_false(instant_parse_plain(str_from(cases[i]), &us));
        assert_int_equal(us, 42);
    }
}

static void date_form_is_exact(void **state)
{
    (void)state;
    int32_t days = 0;
    assert_true(instant_parse_date(STR_LITERAL("2000-03-01"), &days));
    assert_int_equal(days, 11017);
    assert_true(instant_parse_date(STR_LITERAL("2400-02-29"), &days));
    assert_false(instant_parse_date(STR_LITERAL("2100-02-29"), &days));
    assert_false(instant_parse_date(STR_LITERAL("2000-03-01 "), &days));
    assert_false(instant_parse_date(STR_LITERAL("2000-3-01"), &days));
    assert_false(instant_parse_date(STR_NONE, &days));
}

static void http_dates_are_read_in_three_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        int64_t us = 0;
        assert_true(instant_parse_http_date(str_from(forms[i]), &us));
        assert_int_equal(us, 784111777 * US_PER_S);
    }
    int64_t us = 0;
    assert_true(instant_parse_http_date(STR_LITERAL("Tuesday, 14-Jul-26 00:30:28 GMT"), &us));
    char text[INSTANT_TEXT_MAX];
    assert_string_equal(instant_format_http_date(us, text), "Tue, 14 Jul 2026 00:30:28 GMT");
}

static void malformed_http_dates_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "120",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37  GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 66 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun, 06 Nov 1994 08:49:37 GMT,",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t us = 42;
        if (instant_parse_http_date(str_from(cases[i]), &us) || us != 42) {
            fail_msg("\"%s\" was accepted", cases[i]);
        }
    }
}

static void formats_have_the_documented_shape(void **state)
{
    (void)state;
    char text[INSTANT_TEXT_MAX];
    assert_string_equal(instant_format_rfc3339(0, text), "1970-01-01T00:00:00Z");
    assert_string_equal(instant_format_rfc3339(-1, text), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(instant_format_rfc3339(1500, text), "1970-01-01T00:00:00.001500Z");
    assert_string_equal(instant_format_plain(-1, text), "1969-12-31 23:59:59");
    assert_string_equal(instant_format_http_date(0, text), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(instant_format_http_date(-1, text), "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_string_equal(instant_format_plain(INT64_MIN, text), "0001-01-01 00:00:00");
    assert_string_equal(instant_format_plain(INT64_MAX, text), "9999-12-31 23:59:59");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(civil_dates_round_trip_over_all_years),
        cmocka_unit_test(text_round_trips_over_all_years),
        cmocka_unit_test(rfc3339_forms_are_read),
        cmocka_unit_test(malformed_rfc3339_is_refused),
        cmocka_unit_test(plain_form_is_exact),
        cmocka_unit_test(date_form_is_exact),
        cmocka_unit_test(http_dates_are_read_in_three_forms),
        cmocka_unit_test(malformed_http_dates_are_refused),
        cmocka_unit_test(formats_have_the_documented_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
