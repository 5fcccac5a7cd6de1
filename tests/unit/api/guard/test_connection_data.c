#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/guard/connection_data.h"

#define JANE "22157d54-1821-6536-a446-928b06348385"
#define ACME "2ad38d1e-3eaf-4769-931c-3a2da67bbb01"
#define JSON "application/json; charset=utf-8; api-version=7.1-preview.1"
#define GOOD                                                                                       \
    "{\"authenticatedUser\":{\"id\":\"22157D54-1821-6536-A446-928B06348385\",\"isActive\":true,"   \
    "\"providerDisplayName\":\"Jane\",\"properties\":{\"Account\":{\"$type\":\"System.String\","   \
    "\"$value\":\"jane@acme.com\"}}},\"instanceId\":\"" ACME "\"}"

static enum connection_result
read_it(int status, const char *type, const char *body, struct connection_data *data)
{
    struct fetch_answer answer CLEANUP(fetch_answer_release);
    const char *why = NULL;
    fetch_answer_init(&answer, 64UL * 1024);
    answer.status = status;
    (void)snprintf(answer.content_type, sizeof(answer.content_type), "%s", type);
    buf_add_c(&answer.body, body);
    enum connection_result result = connection_data_read(&answer, data, &why);
    assert_non_null(why);
    return result;
}

static enum connection_result read_body(const char *body)
{
    struct connection_data data;
    return read_it(200, JSON, body, &data);
}

static void connection_data_names_person_and_organisation(void **state)
{
    (void)state;
    struct connection_data data;
    assert_int_equal(read_it(200, JSON, GOOD, &data), CONNECTION_KNOWN);
    assert_string_equal(data.user_id, JANE);
    assert_string_equal(data.organisation_id, ACME);
    assert_string_equal(data.account, "jane@acme.com");
    assert_int_equal(read_it(200, "application/json", "\xef\xbb\xbf" GOOD, &data),
                     CONNECTION_KNOWN);
    assert_int_equal(read_it(200, JSON,
                             "{\"authenticatedUser\":{\"id\":\"" JANE
                             "\",\"providerDisplayName\":\"Build\"},\"instanceId\":\"" ACME "\"}",
                             &data),
                     CONNECTION_KNOWN);
    assert_string_equal(data.account, "Build");
    assert_int_equal(
        read_body("{\"authenticatedUser\":{\"id\":\"" JANE "\"},\"instanceId\":\"" ACME "\"}"),
        CONNECTION_KNOWN);
}

static void sign_in_pages_are_refusals(void **state)
{
    (void)state;
    struct connection_data data;
    assert_int_equal(read_it(401, "", "", &data), CONNECTION_REFUSED);
    assert_int_equal(read_it(203, "text/html; charset=utf-8", "<html>", &data), CONNECTION_REFUSED);
    assert_int_equal(read_it(203, JSON, GOOD, &data), CONNECTION_REFUSED);
    assert_int_equal(read_it(302, "text/html", "<html>", &data), CONNECTION_REFUSED);
    assert_int_equal(read_it(200, "text/html", "<html>", &data), CONNECTION_REFUSED);
    assert_int_equal(read_it(403, JSON, "{\"message\":\"no\"}", &data), CONNECTION_REFUSED);
}

static void nobody_and_the_inactive_are_refused(void **state)
{
    (void)state;
    static const char *const users[] = {
        "{\"id\":\"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa\"}",
        "{\"id\":\"AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA\",\"isActive\":true}",
        "{\"id\":\"00000000-0000-0000-0000-000000000000\"}",
        "{\"id\":\"\"}",
        "{}",
        "{\"id\":\"22157d54-1821-6536-a446-928b0634838\"}",
        "{\"id\":\"22157d54-1821-6536-a446-928b0634838g\"}",
        "{\"id\":\"22157d54a1821-6536-a446-928b06348385\"}",
        "{\"id\":\"" JANE "\",\"isActive\":false}",
        "{\"id\":\"" JANE "\",\"isActive\":\"yes\"}",
        "{\"id\":\"" JANE "\",\"isActive\":null}",
    };
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        char body[512];
        (void)snprintf(body, sizeof(body), "{\"authenticatedUser\":%s,\"instanceId\":\"%s\"}",
                       users[i], ACME);
        if (read_body(body) != CONNECTION_REFUSED) {
            fail_msg("%s", users[i]);
        }
    }
}

static void trouble_is_no_verdict(void **state)
{
    (void)state;
    struct connection_data data;
    static const int statuses[] = {204, 301, 400, 404, 429, 500, 503};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        assert_int_equal(read_it(statuses[i], JSON, GOOD, &data), CONNECTION_UNAVAILABLE);
    }
    assert_int_equal(read_it(403, JSON, "{\"message\":\"TF400733: slow down\"}", &data),
                     CONNECTION_UNAVAILABLE);
    assert_int_equal(read_it(200, "text/plain", GOOD, &data), CONNECTION_UNAVAILABLE);
    static const char *const bodies[] = {"",
                                         "[]",
                                         "{}",
                                         "null",
                                         "{\"instanceId\":\"" ACME "\"}",
                                         GOOD "x",
                                         "{\"authenticatedUser\":{\"id\":\"" JANE "\"}}",
                                         "{\"authenticatedUser\":{\"id\":\"" JANE
                                         "\"},\"instanceId\":7}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_int_equal(read_body(bodies[i]), CONNECTION_UNAVAILABLE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_data_names_person_and_organisation),
        cmocka_unit_test(sign_in_pages_are_refusals),
        cmocka_unit_test(nobody_and_the_inactive_are_refused),
        cmocka_unit_test(trouble_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
