#include "organisation_fixture.h"
#include "worker/sources/azure_devops/request.h"

/* What answers that are not data mean: who must act, and how long to wait. */

struct answer_case {
    int status;
    const char *headers;
    const char *body;
    enum error_code code;
    const char *words;
    size_t n_requests; /* until it is given up */
};

#define JSON_TYPE "Content-Type: application/json; charset=utf-8"
#define HTML_TYPE "Content-Type: text/html; charset=utf-8"

static const char OFFLINE[] =
    "\xEF\xBB\xBF{\"message\":\"TF24668: The following team project collection is stopped: X.\"}";

static const struct answer_case CASES[] = {
    {203, HTML_TYPE, "<!DOCTYPE html><html>Sign In", ERROR_DENIED, "PAT expired or invalid", 1},
    {200, HTML_TYPE, "<html>Sign In", ERROR_DENIED, "PAT expired or invalid", 1},
    {203, JSON_TYPE, "{\"value\":[]}", ERROR_DENIED, "PAT expired or invalid", 1},
    {302, HTML_TYPE "\nLocation: https://spsprod.vssps.visualstudio.com/_signin?realm=x",
     "<html><head><title>Object moved", ERROR_DENIED, "PAT expired or invalid", 1},
    {301, HTML_TYPE "\nLocation: https://elsewhere.test/x", "", ERROR_CONFIG, "elsewhere.test", 1},
    {401,
     "X-TFS-ServiceError: Access%20Denied%3A%20The%20Personal%20Access%20Token%20used%20has%20"
     "expired.",
     "", ERROR_DENIED, "The Personal Access Token used has expired.", 1},
    {401, JSON_TYPE, "{\"message\":\"TF400813: The user '' is not authorized.\"}", ERROR_DENIED,
     "TF400813", 1},
    {403, JSON_TYPE, "{\"message\":\"no right\"}", ERROR_DENIED, "vso.work", 1},
    {403, JSON_TYPE, "{\"message\":\"TF400733: The request has been canceled\"}", ERROR_THROTTLED,
     "TF400733", 6},
    {404, "Content-Type: text/plain; charset=utf-8",
     "The controller for path '/x' was not found or does not implement IController.", ERROR_CONFIG,
     "url must be that of the organisation", 1},
    {404, JSON_TYPE, "{\"message\":\"TF200016: The following project does not exist: X.\"}",
     ERROR_CONFIG, "TF200016", 1},
    {429, NULL, "", ERROR_THROTTLED, "slow down", 6},
    {429, HTML_TYPE, "<html>Too many", ERROR_THROTTLED, "slow down", 6},
    {503, "Content-Type: application/json", OFFLINE, ERROR_CONFIG, "TF24668", 1},
    {503, "X-VSS-HostOfflineError: x", "", ERROR_CONFIG, "stopped", 1},
    {503, NULL, "", ERROR_TRANSIENT, "unavailable", 6},
    {500, JSON_TYPE, "{\"message\":\"oops\"}", ERROR_TRANSIENT, "internally", 6},
    {408, NULL, "", ERROR_TRANSIENT, "waited", 6},
    {200, JSON_TYPE, "{\"value\":[", ERROR_TRANSIENT, "broken answer", 6},
    {200, JSON_TYPE, "", ERROR_TRANSIENT, "not JSON", 6},
    {200, "Content-Type: text/plain", "hello", ERROR_TRANSIENT, "not JSON", 6},
    {202, JSON_TYPE, "{}", ERROR_DATA, "no answer of the REST API", 1},
    {204, NULL, "", ERROR_DATA, "no answer of the REST API", 1},
    {400, JSON_TYPE, "{\"message\":\"VS402337: The number of work items returned exceeds\"}",
     ERROR_LIMIT, "VS402337", 1},
    {400, JSON_TYPE, "{\"message\":\"VS402335: The timeout period (30 seconds) elapsed\"}",
     ERROR_TRANSIENT, "VS402335", 6},
    {400, JSON_TYPE, "{\"message\":\"VS402490: too many concurrent users\"}", ERROR_THROTTLED,
     "VS402490", 6},
    {400, JSON_TYPE, "{\"count\":1,\"value\":{\"Message\":\"malformed\"}}", ERROR_CONFIG,
     "malformed", 1},
    {400, JSON_TYPE,
     "{\"message\":\"The requested REST API version of 7.1 is out of range for this server. The "
     "latest REST API version this server supports is 6.0.\"}",
     ERROR_CONFIG, "Azure DevOps Server 2022.1", 1},
    {400, JSON_TYPE, "{\"message\":\"No api-version was supplied for the \\\"GET\\\" request.\"}",
     ERROR_CONFIG, "drops or changes it", 1},
};

static void answers_that_are_no_data_say_who_must_act(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        const struct answer_case *c = &CASES[i];
        const struct fake_reply reply = {"GET /_apis/x", c->status, c->headers, c->body};
        struct organisation org;
        struct buf url CLEANUP(buf_release);
        organisation_init_with(&org, "project", &reply, 1);
        org.azure.has_no_type = true;
        organisation_connect(&org);
        buf_init(&url, ADO_URL_BYTES_MAX);
        buf_add_c(&url, "/_apis/x?" ADO_VERSION);
        struct json *root = ado_get(org.client, &url, NULL, &org.err);
        json_free(root);
        if (root != NULL || org.azure.n_requests != c->n_requests) {
            fail_msg("case %zu (%d): %zu requests: %s", i, c->status, org.azure.n_requests,
                     org.err.msg);
        }
        assert_fails(&org, c->code, c->words);
        assert_null(strchr(org.err.msg, '<'));
        organisation_release(&org);
    }
}

static void documents_behind_a_byte_order_mark_are_read(void **state)
{
    static const struct fake_reply REPLY = {"GET /_apis/x", 0, JSON_TYPE,
                                            "\xEF\xBB\xBF{\"value\":[1,2]}"};

    struct organisation org;
    struct buf url CLEANUP(buf_release);
    (void)state;
    organisation_init_with(&org, "project", &REPLY, 1);
    organisation_connect(&org);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, "/_apis/x");
    struct json *root = ado_get(org.client, &url, NULL, &org.err);
    assert_non_null(root);
    assert_int_equal(json_size(ado_list(root, &org.err)), 2);
    json_free(root);
    organisation_release(&org);
}

static void refusals_without_a_time_silence_the_source(void **state)
{
    static const struct fake_reply REPLY = {"GET /_apis/x", 429, NULL, ""};

    struct organisation org;
    struct buf url CLEANUP(buf_release);
    (void)state;
    organisation_init_with(&org, "project", &REPLY, 1);
    org.config.retry.attempts = 3;
    organisation_connect(&org);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, "/_apis/x");
    int64_t before_us = fake_clock_now_us(&org.clock);
    assert_null(ado_get(org.client, &url, NULL, &org.err));
    assert_int_equal(fake_clock_now_us(&org.clock) - before_us, 2 * org.config.retry.max_delay_us);
    organisation_release(&org);
}

static void a_list_must_hold_as_many_as_it_counts(void **state)
{
    struct error err = ERROR_INIT;
    (void)state;
    struct json *root = json_parse(STR_LITERAL("{\"count\":2,\"value\":[1]}"), &err);
    assert_null(ado_list(root, &err));
    assert_int_equal(err.code, ERROR_DATA);
    json_free(root);
}

static void services_are_derived_for_azure_only(void **state)
{
    static const struct {
        const char *url;
        const char *configured;
        const char *derived;
    } URLS[] = {
        {"https://dev.azure.com/acme", NULL, "https://vsaex.dev.azure.com/acme"},
        {"https://dev.azure.com/acme", "http://x.test/y", "http://x.test/y"},
        {"https://acme.visualstudio.com", NULL, NULL},
        {"https://tfs.acme.test/tfs/Default", NULL, NULL},
        {"https://tfs.acme.test/tfs", "http://x.test/y", "http://x.test/y"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(URLS); i++) {
        struct buf url CLEANUP(buf_release);
        const struct source_config source = {.url = URLS[i].url};
        buf_init(&url, ADO_URL_BYTES_MAX);
        assert_int_equal(ado_service_url(&source, URLS[i].configured, "vsaex", &url),
                         URLS[i].derived != NULL);
        assert_string_equal(url.ptr, URLS[i].derived != NULL ? URLS[i].derived : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_are_no_data_say_who_must_act),
        cmocka_unit_test(documents_behind_a_byte_order_mark_are_read),
        cmocka_unit_test(refusals_without_a_time_silence_the_source),
        cmocka_unit_test(a_list_must_hold_as_many_as_it_counts),
        cmocka_unit_test(services_are_derived_for_azure_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
