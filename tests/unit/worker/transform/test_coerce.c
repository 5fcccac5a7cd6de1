#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "worker/transform/coerce.h"

struct good_case {
    enum column_type type;
    enum cell_kind kind;
    const char *text;
    const char *hex;
};

/* Golden bytes are those of PostgreSQL's send functions. */
static const struct good_case good_cases[] = {
    {COLUMN_TEXT, CELL_TEXT, "abc", "616263"},
    {COLUMN_TEXT, CELL_NUMBER, "2.50", "322e3530"},
    {COLUMN_TEXT, CELL_BOOL, "true", "74727565"},
    {COLUMN_TEXT, CELL_JSON, "[1]", "5b315d"},
    {COLUMN_INTEGER, CELL_TEXT, "3", "00000003"},
    {COLUMN_INTEGER, CELL_NUMBER, "2.0", "00000002"},
    {COLUMN_INTEGER, CELL_TEXT, "-7.000", "fffffff9"},
    {COLUMN_INTEGER, CELL_TEXT, "+7", "00000007"},
    {COLUMN_INTEGER, CELL_TEXT, "2147483647", "7fffffff"},
    {COLUMN_INTEGER, CELL_TEXT, "-2147483648", "80000000"},
    {COLUMN_BIGINT, CELL_NUMBER, "9007199254740993", "0020000000000001"},
    {COLUMN_BIGINT, CELL_TEXT, "-9223372036854775808", "8000000000000000"},
    {COLUMN_BIGINT, CELL_TEXT, "5.0", "0000000000000005"},
    {COLUMN_NUMERIC, CELL_TEXT, "12.5",
     "00020000000000"
     "01000c1388"},
    {COLUMN_BOOLEAN, CELL_TEXT, "true", "01"},
    {COLUMN_BOOLEAN, CELL_TEXT, "FALSE", "00"},
    {COLUMN_BOOLEAN, CELL_TEXT, "1", "01"},
    {COLUMN_BOOLEAN, CELL_NUMBER, "0", "00"},
    {COLUMN_BOOLEAN, CELL_BOOL, "true", "01"},
    {COLUMN_TIMESTAMPTZ, CELL_TEXT, "2000-01-01 00:00:00", "0000000000000000"},
    {COLUMN_TIMESTAMPTZ, CELL_TEXT, "2000-01-01T00:00:01.5Z", "000000000016e360"},
    {COLUMN_TIMESTAMPTZ, CELL_TEXT, "2000-01-01T01:00:00+01:00", "0000000000000000"},
    {COLUMN_TIMESTAMPTZ, CELL_TEXT, "1999-12-31 23:59:59", "fffffffffff0bdc0"},
    {COLUMN_DATE, CELL_TEXT, "2000-01-02", "00000001"},
    {COLUMN_DATE, CELL_TEXT, "1999-12-31 23:59:59", "ffffffff"},
    {COLUMN_DATE, CELL_TEXT, "2000-01-02T23:00:00-05:00", "00000001"},
    {COLUMN_INTERVAL, CELL_TEXT, "1970-01-01 00:00:01", "00000000000f42400000000000000000"},
    {COLUMN_INTERVAL, CELL_TEXT, "1970-01-03 14:33:00", "000000346dc61f000000000000000000"},
    {COLUMN_INTERVAL, CELL_TEXT, "1969-12-31 23:59:59", "fffffffffff0bdc00000000000000000"},
    {COLUMN_INTERVAL, CELL_TEXT, "62:33:00", "000000346dc61f000000000000000000"},
    {COLUMN_INTERVAL, CELL_TEXT, "-0:00:01", "fffffffffff0bdc00000000000000000"},
    {COLUMN_INTERVAL, CELL_TEXT, "225180", "000000346dc61f000000000000000000"},
    {COLUMN_INTERVAL, CELL_NUMBER, "-1.0000009", "fffffffffff0bdc00000000000000000"},
    {COLUMN_JSONB, CELL_JSON, "{}", "017b7d"},
    {COLUMN_JSONB, CELL_TEXT, "a\"", "0122615c2222"},
    {COLUMN_JSONB, CELL_NUMBER, "1.0", "01312e30"},
    {COLUMN_JSONB, CELL_BOOL, "false", "0166616c7365"},
};

static void add_hex(struct buf *out, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        buf_add_char(out, digits[byte >> 4]);
        buf_add_char(out, digits[byte & 15]);
    }
}

static void coerce_gives_postgresql_binary(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good_cases); i++) {
        const struct good_case *good = &good_cases[i];
        struct buf out CLEANUP(buf_release) = {0};
        struct buf hex CLEANUP(buf_release) = {0};
        buf_init(&out, 1000);
        buf_init(&hex, 1000);
        struct cell cell = {good->kind, false, str_from(good->text)};
        const char *reason = NULL;
        int64_t removed = 0;
        enum coerce_result result = coerce_append(&out, good->type, &cell, &reason, &removed);
        add_hex(&hex, buf_str(&out));
        if (result != COERCE_VALUE || strcmp(hex.ptr, good->hex) != 0) {
            fail_msg("%s as type %d gives %s (%s)", good->text, (int)good->type, hex.ptr,
                     reason != NULL ? reason : "");
        }
        assert_int_equal(removed, 0);
    }
}

struct bad_case {
    enum column_type type;
    enum cell_kind kind;
    const char *text;
    const char *reason;
};

static const struct bad_case bad_cases[] = {
    {COLUMN_INTEGER, CELL_TEXT, "abc", "is not an integer"},
    {COLUMN_INTEGER, CELL_TEXT, "2.5", "is not an integer"},
    {COLUMN_INTEGER, CELL_TEXT, "2.", "is not an integer"},
    {COLUMN_INTEGER, CELL_TEXT, ".0", "is not an integer"},
    {COLUMN_INTEGER, CELL_TEXT, "-", "is not an integer"},
    {COLUMN_INTEGER, CELL_TEXT, " 1", "is not an integer"},
    {COLUMN_INTEGER, CELL_BOOL, "true", "is not an integer"},
    {COLUMN_INTEGER, CELL_JSON, "[1]", "is not an integer"},
    {COLUMN_INTEGER, CELL_TEXT, "2147483648", "is out of range for integer"},
    {COLUMN_INTEGER, CELL_TEXT, "-2147483649", "is out of range for integer"},
    {COLUMN_INTEGER, CELL_TEXT, "99999999999999999999", "is out of range for integer"},
    {COLUMN_BIGINT, CELL_TEXT, "1e3", "is not an integer"},
    {COLUMN_BIGINT, CELL_TEXT, "9223372036854775808", "is out of range for bigint"},
    {COLUMN_NUMERIC, CELL_TEXT, "1,5", "is not a number"},
    {COLUMN_NUMERIC, CELL_TEXT, "1e5000", "has more than 1000 digits"},
    {COLUMN_NUMERIC, CELL_JSON, "{}", "is not a number"},
    {COLUMN_BOOLEAN, CELL_TEXT, "yes", "is not a boolean"},
    {COLUMN_BOOLEAN, CELL_NUMBER, "2", "is not a boolean"},
    {COLUMN_TIMESTAMPTZ, CELL_TEXT, "06/02/2020 14:19:51", "is not a timestamp"},
    {COLUMN_TIMESTAMPTZ, CELL_TEXT, "2020-02-30 00:00:00", "is not a timestamp"},
    {COLUMN_TIMESTAMPTZ, CELL_TEXT, "2020-02-03T00:00:00", "is not a timestamp"},
    {COLUMN_DATE, CELL_TEXT, "2020-02-30", "is not a date"},
    {COLUMN_DATE, CELL_TEXT, "2020-02-03x", "is not a date"},
    {COLUMN_DATE, CELL_TEXT, "2020", "is not a date"},
    {COLUMN_INTERVAL, CELL_TEXT, "3 Days", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, "1:60:00", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, "1:00:60", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, ":00:00", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, "1:+1:00", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, "1234567890:00:00", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, "5.", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, "1e3", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, "-", "is not a duration"},
    {COLUMN_INTERVAL, CELL_TEXT, "9223372036854", "is out of range for interval"},
    {COLUMN_JSONB, CELL_NUMBER, "1e400000", "holds a number too large for jsonb"},
};

static void coerce_rejects_with_words_and_appends_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad_cases); i++) {
        const struct bad_case *bad = &bad_cases[i];
        struct buf out CLEANUP(buf_release) = {0};
        buf_init(&out, 1000);
        buf_add_c(&out, "before");
        struct cell cell = {bad->kind, false, str_from(bad->text)};
        const char *reason = "";
        int64_t removed = 0;
        enum coerce_result result = coerce_append(&out, bad->type, &cell, &reason, &removed);
        if (result != COERCE_REJECT || strcmp(reason, bad->reason) != 0) {
            fail_msg("%s as type %d: %s", bad->text, (int)bad->type, reason);
        }
        assert_string_equal(out.ptr, "before");
    }
}

static void coerce_takes_empty_null_and_absent_as_null_for_every_type(void **state)
{
    (void)state;
    for (int type = COLUMN_TEXT; type <= COLUMN_JSONB; type++) {
        static const struct cell cells[] = {{CELL_ABSENT, false, {NULL, 0}},
                                            {CELL_NULL, false, {NULL, 0}},
                                            {CELL_TEXT, false, {"", 0}}};
        for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
            struct buf out CLEANUP(buf_release) = {0};
            buf_init(&out, 10);
            const char *reason = NULL;
            int64_t removed = 0;
            assert_int_equal(
                coerce_append(&out, (enum column_type)type, &cells[i], &reason, &removed),
                COERCE_NULL);
            assert_int_equal(out.len, 0);
        }
    }
}

static void coerce_removes_and_counts_nul(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 100);
    const char *reason = NULL;
    int64_t removed = 0;
    struct cell text = {CELL_TEXT, true, STR_LITERAL("a\0b\0")};
    assert_int_equal(coerce_append(&out, COLUMN_TEXT, &text, &reason, &removed), COERCE_VALUE);
    assert_string_equal(out.ptr, "ab");
    assert_int_equal(removed, 2);
    buf_reset(&out);
    assert_int_equal(coerce_append(&out, COLUMN_JSONB, &text, &reason, &removed), COERCE_VALUE);
    assert_string_equal(out.ptr, "\x01\"ab\"");
    assert_int_equal(removed, 4);
    buf_reset(&out);
    struct cell only_nul = {CELL_TEXT, true, STR_LITERAL("\0")};
    assert_int_equal(coerce_append(&out, COLUMN_TEXT, &only_nul, &reason, &removed), COERCE_NULL);
    assert_int_equal(removed, 5);
    struct cell json = {CELL_JSON, false, STR_LITERAL("[\"\\u0000x\"]")};
    assert_int_equal(coerce_append(&out, COLUMN_JSONB, &json, &reason, &removed), COERCE_VALUE);
    assert_string_equal(out.ptr, "\x01[\"x\"]");
    assert_int_equal(removed, 6);
}

static void coerce_latches_overflow_of_its_buffer(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 3);
    struct cell cell = {CELL_TEXT, false, STR_LITERAL("12345")};
    const char *reason = NULL;
    int64_t removed = 0;
    assert_int_equal(coerce_append(&out, COLUMN_TEXT, &cell, &reason, &removed), COERCE_VALUE);
    assert_true(out.overflow);
}

/* Coercion has a way of its own for the common form; instant.h is the authority. */
static void coerce_agrees_with_instant_on_every_day_of_three_centuries(void **state)
{
    (void)state;
    static const int64_t postgres_epoch_us = INT64_C(946684800) * US_PER_S;
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 64);
    int64_t last_us = instant_days_from_civil(2130, 1, 1) * US_PER_DAY;
    for (int64_t us = instant_days_from_civil(1870, 1, 1) * US_PER_DAY; us < last_us;
         us += US_PER_DAY + 3671 * US_PER_S) {
        char text[INSTANT_TEXT_MAX];
        struct cell cell = {CELL_TEXT, false, str_from(instant_format_plain(us, text))};
        const char *reason = NULL;
        int64_t removed = 0;
        uint64_t encoded = 0;
        buf_reset(&out);
        assert_int_equal(coerce_append(&out, COLUMN_TIMESTAMPTZ, &cell, &reason, &removed),
                         COERCE_VALUE);
        assert_int_equal(out.len, sizeof(encoded));
        memcpy(&encoded, out.ptr, sizeof(encoded));
        assert_int_equal((int64_t)__builtin_bswap64(encoded), us - postgres_epoch_us);
    }
}

/* Each byte of a good timestamp replaced by each other byte: good or not, as instant.h says. */
static void coerce_refuses_the_timestamps_that_instant_refuses(void **state)
{
    (void)state;
    static const char good[] = "2024-02-28 23:59:59";
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 64);
    for (size_t at = 0; at < sizeof(good) - 1; at++) {
        for (int byte = 1; byte < 256; byte++) {
            char text[sizeof(good)];
            memcpy(text, good, sizeof(good));
            text[at] = (char)byte;
            struct cell cell = {CELL_TEXT, false, str_from(text)};
            const char *reason = NULL;
            int64_t removed = 0;
            int64_t us = 0;
            bool is_good = instant_parse_plain(cell.text, &us);
            buf_reset(&out);
            enum coerce_result result =
                coerce_append(&out, COLUMN_TIMESTAMPTZ, &cell, &reason, &removed);
            assert_int_equal(result, is_good ? COERCE_VALUE : COERCE_REJECT);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coerce_gives_postgresql_binary),
        cmocka_unit_test(coerce_rejects_with_words_and_appends_nothing),
        cmocka_unit_test(coerce_takes_empty_null_and_absent_as_null_for_every_type),
        cmocka_unit_test(coerce_removes_and_counts_nul),
        cmocka_unit_test(coerce_agrees_with_instant_on_every_day_of_three_centuries),
        cmocka_unit_test(coerce_refuses_the_timestamps_that_instant_refuses),
        cmocka_unit_test(coerce_latches_overflow_of_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
