#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf/option_value.h"

static void durations_of_every_unit_are_microseconds(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {{"0", 0},
                 {"0s", 0},
                 {"500ms", 500000},
                 {"30s", 30000000},
                 {"10m", 600000000},
                 {"24h", 86400000000},
                 {"7d", 604800000000}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t us = -1;
        assert_true(option_parse_duration(str_from(cases[i].text), &us));
        assert_int_equal(us, cases[i].us);
    }
}

static void durations_without_unit_or_out_of_form_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",  "10", "s", "-1s", "+1s", "1.5s", "1 s", "1S", "1w", "1s2", "9223372036854775807d",
        "ms"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t us = 7;
        assert_false(option_parse_duration(str_from(cases[i]), &us));
        assert_int_equal(us, 7);
    }
}

static void sizes_are_binary_units_or_plain_bytes(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {{"0", 0}, {"17", 17}, {"64KiB", 65536}, {"16MiB", 16777216}, {"1GiB", 1073741824}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t bytes = -1;
        assert_true(option_parse_size(str_from(cases[i].text), &bytes));
        assert_int_equal(bytes, cases[i].bytes);
    }
    static const char *const bad[] = {"", "KiB", "1KB", "1kib", "-1", "+1", "1.5MiB", "1 KiB"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t bytes = 0;
        assert_false(option_parse_size(str_from(bad[i]), &bytes));
    }
}

static void quantities_are_written_in_their_largest_whole_unit(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out;
    buf_init(&out, 200);
    option_format_duration(0, &out);
    buf_add_char(&out, ' ');
    option_format_duration(90000000, &out);
    buf_add_char(&out, ' ');
    option_format_duration(86400000000, &out);
    buf_add_char(&out, ' ');
    option_format_size(65536, &out);
    buf_add_char(&out, ' ');
    option_format_size(1000, &out);
    assert_string_equal(out.ptr, "0 90s 1d 64KiB 1000");
}

static void numbers_have_no_sign_exponent_or_bare_point(void **state)
{
    (void)state;
    double number = 0;
    assert_true(option_parse_float("0.3", &number));
    assert_true(number > 0.29 && number < 0.31);
    static const char *const bad[] = {"",   ".",  ".5",  "5.",  "1e3",
                                      "-1", "+1", "0x1", "nan", "1.2.3"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(option_parse_float(bad[i], &number));
    }
}

static void good_urls_pass(void **state)
{
    (void)state;
    static const char *const good[] = {
        "https://acme.service-now.com", "http://127.0.0.1:8080/servicenow", "https://[::1]:8443/x/",
        "https://glpi.acme.com/apirest.php", "https://dev.azure.com/acme%20corp"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_null(option_url_fault(good[i]));
    }
}

static void bad_urls_are_named_without_being_repeated(void **state)
{
    (void)state;

    static const struct {
        const char *url;
        const char *fault;
    } cases[] = {
        {"ftp://x", "must begin with"},
        {"acme.com", "must begin with"},
        {"https://", "no valid host"},
        {"https://a:b@c/", "user name"},
        {"https://x/?q=1", "query"},
        {"https://x/#f", "query"},
        {"https://x:0/", "port"},
        {"https://x:70000", "port"},
        {"https://x:", "port"},
        {"https://x y", "character"},
        {"https://x/\xc3\xa9", "character"},
        {"https://[::1", "no valid host"},
        {"https://[zz]/", "no valid host"},
        {"https://[::1]x/", "no valid host"},
        {"https://ho$t/", "no valid host"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *fault = option_url_fault(cases[i].url);
        assert_non_null(fault);
        assert_non_null(strstr(fault, cases[i].fault));
    }
}

static void listen_addresses_need_host_and_port(void **state)
{
    (void)state;
    assert_null(option_listen_fault("127.0.0.1:8080"));
    assert_null(option_listen_fault("[::1]:0"));
    assert_null(option_listen_fault("localhost:65535"));
    static const char *const bad[] = {"",      "8080",  ":8080", "127.0.0.1", "h:65536",
                                      "[::1]", "[x]:1", "h:-1",  "h:",        "a b:1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_non_null(option_listen_fault(bad[i]));
    }
}

static void only_loopback_addresses_are_loopback(void **state)
{
    (void)state;
    assert_true(option_listen_is_loopback("127.0.0.1:80"));
    assert_true(option_listen_is_loopback("127.9.9.9:80"));
    assert_true(option_listen_is_loopback("[::1]:80"));
    assert_true(option_listen_is_loopback("LocalHost:80"));
    assert_false(option_listen_is_loopback("0.0.0.0:80"));
    assert_false(option_listen_is_loopback("[::]:80"));
    assert_false(option_listen_is_loopback("127.0.0.1.example.com:80"));
    assert_false(option_listen_is_loopback("10.0.0.1:80"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_of_every_unit_are_microseconds),
        cmocka_unit_test(durations_without_unit_or_out_of_form_are_refused),
        cmocka_unit_test(sizes_are_binary_units_or_plain_bytes),
        cmocka_unit_test(quantities_are_written_in_their_largest_whole_unit),
        cmocka_unit_test(numbers_have_no_sign_exponent_or_bare_point),
        cmocka_unit_test(good_urls_pass),
        cmocka_unit_test(bad_urls_are_named_without_being_repeated),
        cmocka_unit_test(listen_addresses_need_host_and_port),
        cmocka_unit_test(only_loopback_addresses_are_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
