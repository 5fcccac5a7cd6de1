#include <stdlib.h>

#include "client_fixture.h"
#include "common/base/clock.h"

static struct source_config oauth_config(void)
{
    struct source_config config = fake_config();

    config.auth = (struct auth_config){.method = AUTH_OAUTH_PASSWORD,
                                       .client_id = "cid",
                                       .client_secret = "env:FOZ_TEST_SECRET",
                                       .username = "foz",
                                       .password = "env:FOZ_TEST_SECRET"};
    return config;
}

#define TOKEN(name)                                                                                \
    {                                                                                              \
        .status = 200,                                                                             \
        .body = "{\"access_token\":\"" name "\",\"token_type\":\"Bearer\",\"expires_in\":1799}"    \
    }

static void client_fetches_a_token_before_it_sends(void **state)
{
    static const struct fake_answer answers[] = {TOKEN("A"), {.status = 200}};
    struct fixture f;

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    assert_string_equal(f.wire.requests[0].method, "POST");
    assert_string_equal(f.wire.requests[0].url, "https://acme.example/oauth_token.do");
    assert_string_equal(f.wire.requests[0].content_type, "application/x-www-form-urlencoded");
    assert_string_equal(f.wire.requests[0].credential, "");
    assert_string_equal(f.wire.requests[0].body,
                        "grant_type=password&client_id=cid&client_secret=s3cret&username=foz&"
                        "password=s3cret");
    assert_string_equal(f.wire.requests[1].credential, "Bearer A");
    tear_down(&f);
}

static void client_renews_once_after_a_401_and_goes_on(void **state)
{
    static const struct fake_answer answers[] = {
        TOKEN("A"), {.status = 401}, TOKEN("B"), {.status = 200}};
    struct fixture f;

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    assert_int_equal(f.wire.n_requests, 4);
    assert_string_equal(f.wire.requests[3].credential, "Bearer B");
    tear_down(&f);
}

static void client_fails_when_the_renewed_credential_is_refused_too(void **state)
{
    static const struct fake_answer answers[] = {
        TOKEN("A"), {.status = 401}, TOKEN("B"), {.status = 401}};
    struct fixture f;

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_false(get(&f));
    assert_int_equal(f.err.code, ERROR_DENIED);
    assert_int_equal(f.err.http_status, 401);
    assert_says(&f, "user foz at acme.example refused: wrong password, locked or");
    assert_int_equal(f.wire.n_requests, 4);
    tear_down(&f);
}

static void client_names_all_five_causes_of_a_refused_token(void **state)
{
    static const struct fake_answer answers[] = {
        {.status = 401,
         .body = "{\"error_description\":\"access_denied\",\"error\":\"server_error\"}"}};
    static const char *const causes[] = {"client_secret", "password", "grant", "scope", "locked"};
    struct fixture f;

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_false(get(&f));
    assert_int_equal(f.err.code, ERROR_DENIED);
    for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
        assert_says(&f, causes[i]);
    }
    assert_null(strstr(f.err.msg, "s3cret"));
    assert_int_equal(f.wire.n_requests, 1);
    tear_down(&f);
}

static void client_retries_the_token_endpoint_like_any_other(void **state)
{
    static const struct fake_answer answers[] = {
        {.status = 503},
        {.result = TRANSPORT_BROKEN, .code = ERROR_TRANSIENT},
        TOKEN("A"),
        {.status = 200}};
    struct fixture f;

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    assert_int_equal(f.wire.n_requests, 4);
    tear_down(&f);
}

static void client_refuses_a_token_answer_that_is_none(void **state)
{
    static const char *const bodies[] = {"<html>Instance Hibernating page</html>", "{}",
                                         "{\"access_token\":5}", "{\"access_token\":\"\"}",
                                         "{\"access_token\":\"a\\r\\nb\"}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        const struct fake_answer answers[] = {{.status = 200, .body = bodies[i]}};
        struct fixture f;

        set_up_with(&f, oauth_config(), answers, 1);
        assert_false(get(&f));
        assert_int_equal(f.err.code, ERROR_CONFIG);
        assert_says(&f, "oauth_token.do");
        tear_down(&f);
    }
}

static void client_renews_before_sending_after_a_long_silence(void **state)
{
    static const struct fake_answer answers[] = {
        {.status = 200, .body = "{\"access_token\":\"A\",\"expires_in\":300}"},
        {.status = 429, .headers = "Retry-After: 500"},
        TOKEN("B"),
        {.status = 200}};
    struct fixture f;

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    assert_int_equal(f.wire.n_requests, 4);
    assert_string_equal(f.wire.requests[2].method, "POST");
    assert_true(f.wire.requests[2].sent_us - f.wire.requests[1].sent_us >= 500 * US_PER_S);
    assert_string_equal(f.wire.requests[3].credential, "Bearer B");
    tear_down(&f);
}

/* Each wait is longer than the life of the token, so it would never be used. */
static void client_uses_a_token_that_no_wait_leaves_alive(void **state)
{
    static const struct fake_answer answers[] = {
        {.status = 200, .body = "{\"access_token\":\"A\",\"expires_in\":0}"},
        {.status = 429, .headers = "Retry-After: 5"},
        {.status = 200, .body = "{\"access_token\":\"B\",\"expires_in\":0}"},
        {.status = 200}};
    struct fixture f;

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    assert_int_equal(f.wire.n_requests, 4);
    assert_string_equal(f.wire.requests[3].credential, "Bearer B");
    tear_down(&f);
}

static void client_does_not_repeat_a_wrong_password(void **state)
{
    static const struct fake_answer answers[] = {{.status = 401}};
    struct source_config config = fake_config();
    struct fixture f;

    (void)state;
    config.auth = (struct auth_config){
        .method = AUTH_BASIC, .username = "foz", .password = "env:FOZ_TEST_SECRET"};
    set_up_with(&f, config, answers, 1);
    assert_false(get(&f));
    assert_int_equal(f.wire.n_requests, 1);
    assert_says(&f, "user foz at acme.example refused");
    tear_down(&f);
}

static void rotate(void *arg, size_t index)
{
    (void)arg;
    (void)setenv("FOZ_TEST_SECRET", index == 0 ? "rotated" : "unused", 1);
}

static void client_picks_up_a_rotated_secret(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 401}, {.status = 200});
    f.wire.before = rotate;
    assert_true(get(&f));
    assert_string_equal(f.wire.requests[0].credential, "s3cret");
    assert_string_equal(f.wire.requests[1].credential, "rotated");
    tear_down(&f);
}

static void client_sends_the_credential_only_to_its_own_hosts(void **state)
{
    static const struct {
        const char *url;
        bool is_sent;
    } cases[] = {
        {"https://acme.example/y", true},      {"https://sub.acme.example/y", true},
        {"https://graph.example/y", true},     {"https://evil.example/y", false},
        {"http://acme.example/y", false},      {"https://acme.example.evil/y", false},
        {"https://acme.example:444/y", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        static const struct fake_answer answers[] = {{.status = 200}};
        struct source_config config = fake_config();
        struct fixture f;

        config.graph_url = "https://graph.example";
        set_up_with(&f, config, answers, 1);
        assert_int_equal(
            send_request(&f, (struct http_request){.method = "GET", .url = str_from(cases[i].url)}),
            cases[i].is_sent);
        assert_int_equal(f.wire.n_requests, cases[i].is_sent ? 1 : 0);
        if (!cases[i].is_sent) {
            assert_int_equal(f.err.code, ERROR_CONFIG);
            assert_true(send_request(&f, (struct http_request){.method = "GET",
                                                               .url = str_from(cases[i].url),
                                                               .no_credential = true}));
            assert_string_equal(f.wire.requests[0].credential, "");
        }
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_fetches_a_token_before_it_sends),
        cmocka_unit_test(client_renews_once_after_a_401_and_goes_on),
        cmocka_unit_test(client_fails_when_the_renewed_credential_is_refused_too),
        cmocka_unit_test(client_names_all_five_causes_of_a_refused_token),
        cmocka_unit_test(client_retries_the_token_endpoint_like_any_other),
        cmocka_unit_test(client_refuses_a_token_answer_that_is_none),
        cmocka_unit_test(client_uses_a_token_that_no_wait_leaves_alive),
        cmocka_unit_test(client_renews_before_sending_after_a_long_silence),
        cmocka_unit_test(client_does_not_repeat_a_wrong_password),
        cmocka_unit_test(client_picks_up_a_rotated_secret),
        cmocka_unit_test(client_sends_the_credential_only_to_its_own_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
