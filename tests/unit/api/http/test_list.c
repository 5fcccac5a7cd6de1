#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/http/list.h"
#include "api/http/metrics.h"
#include "tests/unit/api/request_fixture.h"

static void list_quotes_csv_fields_only_where_needed(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        const char *field;
    } cases[] = {
        {"plain", "plain"},           {"", ""},
        {"a,b", "\"a,b\""},           {"say \"x\"", "\"say \"\"x\"\"\""},
        {"a\nb", "\"a\nb\""},         {"a\rb", "\"a\rb\""},
        {"\xc3\xa4;'", "\xc3\xa4;'"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out CLEANUP(buf_release) = {0};
        buf_init(&out, 100);
        list_write_csv_field(&out, str_from(cases[i].text));
        assert_string_equal(out.ptr, cases[i].field);
    }
}

static void list_writes_instants_as_rfc_3339(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 100);
    list_write_instant(&out, STR_LITERAL("2026-01-02 03:04:05.123+00"));
    assert_string_equal(out.ptr, "2026-01-02T03:04:05.123Z");
}

static void list_negotiates_by_format_then_accept(void **state)
{
    (void)state;

    static const struct {
        const char *format;
        const char *accept;
        int wanted; /* -1 = 406 */
    } cases[] = {
        {NULL, "", LIST_JSON},
        {NULL, "Accept: */*", LIST_JSON},
        {NULL, "Accept: text/csv", LIST_CSV},
        {"ndjson", "Accept: text/csv", LIST_NDJSON},
        {NULL, "Accept: TEXT/*", LIST_CSV},
        {NULL, "Accept: application/json;q=0.5, text/csv;q=0.9", LIST_CSV},
        {NULL, "Accept: text/csv;q=0, */*;q=0.1", LIST_JSON},
        {NULL, "Accept: application/x-ndjson, application/json;q=0.9", LIST_NDJSON},
        {NULL, "Accept: application/*", LIST_JSON},
        {NULL, "Accept: text/html", -1},
        {NULL, "Accept: application/json;q=0", -1},
        {NULL, "Accept: text/html, */*;q=0.001", LIST_JSON},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request_fixture fixture;
        request_fixture_init(&fixture, "GET", "/",
                             cases[i].accept[0] == '\0' ? NULL : LINES(cases[i].accept));
        enum list_format format = LIST_JSON;
        struct problem problem = {0};
        bool is_good = list_negotiate(&fixture.request, cases[i].format, &format, &problem);
        assert_int_equal(is_good, cases[i].wanted >= 0);
        if (is_good) {
            assert_int_equal(format, cases[i].wanted);
        } else {
            assert_int_equal(problem.status, 406);
        }
        request_fixture_release(&fixture);
    }
}

static void metrics_escape_labels(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 100);
    metrics_label(&out, STR_LITERAL("a\"b\\c\nd"));
    assert_string_equal(out.ptr, "a\\\"b\\\\c\\nd");
}

static void metrics_count_into_cumulative_buckets(void **state)
{
    (void)state;
    static const char *const names[] = {"/a"};
    struct http_metrics *metrics = http_metrics_new(names, 1);
    http_metrics_count(metrics, 0, 200, 900, 10);
    http_metrics_count(metrics, 0, 200, 1000, 10);
    http_metrics_count(metrics, 0, 503, 60000000, 5);
    http_metrics_count(metrics, 1, 799, 1, 0);
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 100000);
    http_metrics_write(metrics, &out);
    static const char *const lines[] = {
        "\nfoz_http_requests_total{route=\"/a\",status=\"200\"} 2\n",
        "\nfoz_http_requests_total{route=\"/a\",status=\"503\"} 1\n",
        "\nfoz_http_requests_total{route=\"none\",status=\"0\"} 1\n",
        "\nfoz_http_request_duration_seconds_bucket{route=\"/a\",le=\"0.001\"} 2\n",
        "\nfoz_http_request_duration_seconds_bucket{route=\"/a\",le=\"10\"} 2\n",
        "\nfoz_http_request_duration_seconds_bucket{route=\"/a\",le=\"+Inf\"} 3\n",
        "\nfoz_http_request_duration_seconds_count{route=\"/a\"} 3\n",
        "\nfoz_http_response_bytes_total{route=\"/a\"} 25\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_non_null(strstr(out.ptr, lines[i]));
    }
    http_metrics_free(metrics);
}

static void list_marks_text_that_a_spreadsheet_would_run(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        const char *field;
    } cases[] = {
        {"=1+1", "'=1+1"},   {"+1", "'+1"},  {"-1", "'-1"}, {"@x", "'@x"},
        {"\tx", "'\tx"},     {"a=1", "a=1"}, {"", ""},      {"=a,\"b\"", "\"'=a,\"\"b\"\"\""},
        {"\rx", "\"'\rx\""}, {"'=1", "'=1"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out CLEANUP(buf_release) = {0};
        buf_init(&out, 100);
        list_write_csv_text(&out, str_from(cases[i].text));
        assert_string_equal(out.ptr, cases[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_quotes_csv_fields_only_where_needed),
        cmocka_unit_test(list_marks_text_that_a_spreadsheet_would_run),
        cmocka_unit_test(list_writes_instants_as_rfc_3339),
        cmocka_unit_test(list_negotiates_by_format_then_accept),
        cmocka_unit_test(metrics_escape_labels),
        cmocka_unit_test(metrics_count_into_cumulative_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
