#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/base/str.h"
#include "common/io/zone.h"

static int64_t us(const char *text)
{
    int64_t value = 0;
    assert_true(instant_parse_plain(str_from(text), &value));
    return value;
}

static struct zone *open_zone(const char *name)
{
    struct error err = ERROR_INIT;
    struct zone *zone = zone_open(name, &err);
    if (zone == NULL) {
        fail_msg("%s", err.msg);
    }
    return zone;
}

static void
assert_instants(const char *name, const char *local, const char *first, const char *last)
{
    struct zone *zone = open_zone(name);
    int64_t first_us = 0;
    int64_t last_us = 0;
    char text[INSTANT_TEXT_MAX];
    zone_instants(zone, us(local), &first_us, &last_us);
    assert_string_equal(first, instant_format_plain(first_us, text));
    assert_string_equal(last, instant_format_plain(last_us, text));
    zone_close(zone);
}

static void zone_tells_the_instant_of_a_reading(void **state)
{
    (void)state;
    static const char *const CASES[][3] = {
        {"UTC", "2026-11-22 12:00:00", "2026-11-22 12:00:00"},
        {"America/Sao_Paulo", "2026-10-13 03:43:47", "2026-10-13 06:43:47"},
        {"America/Sao_Paulo", "2018-12-01 12:00:00", "2018-12-01 14:00:00"}, /* summer then */
        {"Europe/Berlin", "2026-07-01 12:00:00", "2026-07-01 10:00:00"},
        {"Europe/Berlin", "2026-01-01 00:30:00", "2025-12-31 23:30:00"},
        {"Asia/Kathmandu", "2026-01-01 00:00:00", "2025-12-31 18:15:00"},
        {"Pacific/Kiritimati", "2026-01-01 14:00:00", "2026-01-01 00:00:00"},
        {"-03:00", "2026-10-13 03:43:47", "2026-10-13 06:43:47"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        assert_instants(CASES[i][0], CASES[i][1], CASES[i][2], CASES[i][2]);
    }
}

static void zone_gives_both_instants_of_an_hour_that_comes_twice(void **state)
{
    (void)state;
    assert_instants("Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25 00:30:00",
                    "2026-10-25 01:30:00");
    assert_instants("America/New_York", "2026-11-01 01:00:00", "2026-11-01 05:00:00",
                    "2026-11-01 06:00:00");
    /* just outside of it */
    assert_instants("Europe/Berlin", "2026-10-25 01:59:59", "2026-10-24 23:59:59",
                    "2026-10-24 23:59:59");
    assert_instants("Europe/Berlin", "2026-10-25 03:00:00", "2026-10-25 02:00:00",
                    "2026-10-25 02:00:00");
}

static void zone_counts_on_through_an_hour_that_is_left_out(void **state)
{
    (void)state;
    assert_instants("Europe/Berlin", "2026-03-29 02:30:00", "2026-03-29 01:30:00",
                    "2026-03-29 01:30:00");
    assert_instants("Europe/Berlin", "2026-03-29 03:00:00", "2026-03-29 01:00:00",
                    "2026-03-29 01:00:00");
    assert_instants("Europe/Berlin", "2026-03-29 01:59:59", "2026-03-29 00:59:59",
                    "2026-03-29 00:59:59");
}

static void zone_and_offset_agree_all_year_round(void **state)
{
    (void)state;
    struct zone *zone = open_zone("America/New_York");
    for (int64_t at = us("2026-01-01 00:00:00"); at < us("2027-01-01 00:00:00");
         at += 1700 * US_PER_S) {
        int64_t first_us = 0;
        int64_t last_us = 0;
        zone_instants(zone, at + zone_offset_us(zone, at), &first_us, &last_us);
        assert_true(first_us == at || last_us == at);
    }
    zone_close(zone);
}

static void zone_is_the_same_under_another_name(void **state)
{
    (void)state;
    int64_t since_us = us("2026-01-01 00:00:00");
    struct zone *one = open_zone("America/Sao_Paulo");
    struct zone *other = open_zone("Brazil/East");
    struct zone *offset = open_zone("-03:00");
    struct zone *far = open_zone("America/New_York");
    struct zone *utc = open_zone("UTC");
    assert_true(zone_is_same(one, other, since_us));
    assert_true(zone_is_same(one, offset, since_us)); /* no summer time there any more */
    assert_false(zone_is_same(one, offset, us("2010-01-01 00:00:00")));
    assert_false(zone_is_same(one, far, since_us));
    assert_true(zone_is_utc(utc));
    assert_false(zone_is_utc(one));
    zone_close(one);
    zone_close(other);
    zone_close(offset);
    zone_close(far);
    zone_close(utc);
}

static void zone_names_what_it_does_not_know(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"", "Atlantis/Centre", "/etc/passwd", "../../etc/passwd",
                                        ":UTC"};
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
        struct error err = ERROR_INIT;
        assert_null(zone_open(NAMES[i], &err));
        assert_int_equal(ERROR_CONFIG, err.code);
        assert_non_null(strstr(err.msg, NAMES[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zone_tells_the_instant_of_a_reading),
        cmocka_unit_test(zone_gives_both_instants_of_an_hour_that_comes_twice),
        cmocka_unit_test(zone_counts_on_through_an_hour_that_is_left_out),
        cmocka_unit_test(zone_and_offset_agree_all_year_round),
        cmocka_unit_test(zone_is_the_same_under_another_name),
        cmocka_unit_test(zone_names_what_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
