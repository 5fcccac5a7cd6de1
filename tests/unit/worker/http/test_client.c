#include <string.h>

#include "client_fixture.h"
#include "cmocka_all.h"
#include "common/base/clock.h"

static void client_sends_the_request_and_hands_out_the_answer(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 200,
                .headers = "Content-Type: application/json\nDate: Tue, 14 Jul 2026 00:30:28 GMT",
                .body = "{}",
                .takes_us = 7});
    assert_true(get(&f));
    assert_int_equal(f.response.status, 200);
    assert_string_equal(f.response.body->ptr, "{}");
    assert_true(str_equal_c(f.response.content_type, "application/json"));
    assert_int_equal(f.response.date_us, INT64_C(1783989028) * US_PER_S);
    assert_int_equal(f.response.elapsed_us, 7);
    assert_true(str_equal_c(http_response_header(&f.response, "content-TYPE"), "application/json"));
    assert_string_equal(f.wire.requests[0].url, "https://acme.example/api/x?q=1");
    assert_string_equal(f.wire.requests[0].credential, "s3cret");
    assert_int_equal(f.wire.requests[0].timeout_us, 60 * US_PER_S);
    struct http_counters counters;

    http_client_counters(f.client, &counters);
    assert_int_equal(counters.requests, 1);
    assert_int_equal(counters.retries, 0);
    assert_int_equal(counters.bytes_received, 2);
    assert_int_equal(counters.fetch_us, 7);
    tear_down(&f);
}

static void client_judges_every_status_as_declared(void **state)
{
    static const struct {
        int status;
        enum error_code code;
        size_t n_requests; /* with six attempts */
    } cases[] = {
        {200, ERROR_NONE, 1},      {204, ERROR_NONE, 1},      {202, ERROR_TRANSIENT, 6},
        {401, ERROR_DENIED, 1},    {403, ERROR_DENIED, 1},    {429, ERROR_THROTTLED, 6},
        {408, ERROR_TRANSIENT, 6}, {499, ERROR_TRANSIENT, 6}, {500, ERROR_TRANSIENT, 6},
        {502, ERROR_TRANSIENT, 6}, {503, ERROR_TRANSIENT, 6}, {504, ERROR_TRANSIENT, 6},
        {302, ERROR_CONFIG, 1},    {400, ERROR_CONFIG, 1},    {404, ERROR_CONFIG, 1},
        {414, ERROR_CONFIG, 1},    {501, ERROR_CONFIG, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct fake_answer answers[] = {{.status = cases[i].status}};
        struct fixture f;

        set_up_with(&f, fake_config(), answers, 1);
        assert_int_equal(get(&f), cases[i].code == ERROR_NONE);
        assert_int_equal(f.err.code, cases[i].code);
        assert_int_equal(f.wire.n_requests, cases[i].n_requests);
        if (cases[i].code != ERROR_NONE) {
            assert_int_equal(f.err.http_status, cases[i].status);
            assert_says(&f, "GET /api/x: ");
            assert_null(strstr(f.err.msg, "q=1"));
            assert_null(strstr(f.err.msg, "s3cret"));
        }
        if (cases[i].n_requests == 6) {
            assert_says(&f, "6 tries at acme.example");
        }
        tear_down(&f);
    }
}

static void client_survives_what_passes_within_the_attempts(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 500}, {.result = TRANSPORT_BROKEN, .code = ERROR_TRANSIENT},
           {.result = TRANSPORT_TIMED_OUT, .code = ERROR_TRANSIENT},
           {.result = TRANSPORT_UNREACHABLE, .code = ERROR_TRANSIENT}, {.status = 502},
           {.status = 200});
    assert_true(get(&f));
    assert_int_equal(f.wire.n_requests, 6);
    /* full jitter below base * 2^n: 0.5 + 1 + 2 + 4 + 8 s at most, and not all nothing */
    int64_t took_us = f.wire.requests[5].sent_us - f.wire.requests[0].sent_us;

    assert_in_range(took_us, 1, 15500 * US_PER_MS);
    struct http_counters counters;

    http_client_counters(f.client, &counters);
    assert_int_equal(counters.requests, 5); /* one never reached the wire */
    assert_int_equal(counters.retries, 5);
    assert_int_equal(counters.throttled_us, 0);
    tear_down(&f);
}

static void client_keeps_the_code_of_final_transport_failures(void **state)
{
    static const struct {
        enum transport_result result;
        enum error_code code;
        size_t n_requests;
    } cases[] = {
        {TRANSPORT_UNREACHABLE, ERROR_TRANSIENT, 6}, {TRANSPORT_UNREACHABLE, ERROR_CONFIG, 6},
        {TRANSPORT_BROKEN, ERROR_TRANSIENT, 6},      {TRANSPORT_TIMED_OUT, ERROR_TRANSIENT, 6},
        {TRANSPORT_FAILED, ERROR_CONFIG, 1},         {TRANSPORT_FAILED, ERROR_LIMIT, 1},
        {TRANSPORT_FAILED, ERROR_CANCELLED, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct fake_answer answers[] = {{.result = cases[i].result, .code = cases[i].code}};
        struct fixture f;

        set_up_with(&f, fake_config(), answers, 1);
        assert_false(get(&f));
        assert_int_equal(f.err.code, cases[i].code);
        assert_int_equal(f.wire.n_requests, cases[i].n_requests);
        assert_says(&f, "GET /api/x: scripted failure");
        tear_down(&f);
    }
}

static void client_makes_a_timeout_a_limit_when_asked_to(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.result = TRANSPORT_TIMED_OUT, .code = ERROR_TRANSIENT});
    assert_false(send_request(&f, (struct http_request){.method = "GET",
                                                        .url = STR_LITERAL("/x"),
                                                        .timeout_is_limit = true,
                                                        .timeout_us = 5}));
    assert_int_equal(f.err.code, ERROR_LIMIT);
    assert_int_equal(f.wire.n_requests, 1);
    assert_int_equal(f.wire.requests[0].timeout_us, 5);
    tear_down(&f);
}

static void client_makes_a_5xx_or_a_cut_answer_a_limit_when_asked_to(void **state)
{
    static const struct {
        struct fake_answer answer;
        enum error_code code;
        size_t n_requests;
    } cases[] = {
        {{.status = 500}, ERROR_LIMIT, 2},
        {{.status = 504}, ERROR_LIMIT, 2},
        {{.result = TRANSPORT_BROKEN, .code = ERROR_TRANSIENT}, ERROR_LIMIT, 2},
        {{.result = TRANSPORT_UNREACHABLE, .code = ERROR_TRANSIENT}, ERROR_TRANSIENT, 6},
        {{.result = TRANSPORT_TIMED_OUT, .code = ERROR_TRANSIENT}, ERROR_TRANSIENT, 6},
        {{.status = 408}, ERROR_TRANSIENT, 6},
        {{.status = 503, .headers = "Retry-After: 1"}, ERROR_THROTTLED, 6},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct source_config config = fake_config();
        struct fixture f;

        config.breaker.failures = 100;
        set_up_with(&f, config, &cases[i].answer, 1);
        assert_false(send_request(&f, (struct http_request){.method = "GET",
                                                            .url = STR_LITERAL("/x"),
                                                            .tries_before_limit = 2}));
        assert_int_equal(f.err.code, cases[i].code);
        assert_int_equal(f.wire.n_requests, cases[i].n_requests);
        tear_down(&f);
    }
}

static void client_does_not_hold_a_limit_against_the_source(void **state)
{
    static const struct fake_answer answers[] = {{.status = 502}, {.status = 502}, {.status = 200}};
    struct source_config config = fake_config();
    struct fixture f;

    (void)state;
    config.breaker.failures = 2;
    set_up_with(&f, config, answers, ARRAY_SIZE(answers));
    assert_false(send_request(
        &f,
        (struct http_request){.method = "GET", .url = STR_LITERAL("/x"), .tries_before_limit = 2}));
    assert_true(get(&f));
    assert_int_equal(f.wire.requests[2].sent_us, f.wire.requests[1].sent_us);
    tear_down(&f);
}

static void client_drops_the_cookies_after_a_202(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 202}, {.status = 500}, {.status = 200});
    assert_true(get(&f));
    assert_int_equal(f.wire.n_forgotten, 1);
    tear_down(&f);
}

static void client_obeys_retry_after_in_seconds(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 429, .headers = "Retry-After: 37"}, {.status = 200});
    assert_true(get(&f));
    assert_int_equal(f.wire.requests[1].sent_us - f.wire.requests[0].sent_us, 37 * US_PER_S);
    struct http_counters counters;

    http_client_counters(f.client, &counters);
    assert_int_equal(counters.throttled_us, 37 * US_PER_S);
    assert_int_equal(counters.retries, 1);
    tear_down(&f);
}

static void client_obeys_retry_after_as_a_date_by_the_servers_clock(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f,
           {.status = 503,
            .headers = "Date: Mon, 05 Jan 2026 10:00:00 GMT\n"
                       "Retry-After: Mon, 05 Jan 2026 10:00:30 GMT"},
           {.status = 200});
    assert_true(get(&f));
    assert_int_equal(f.wire.requests[1].sent_us - f.wire.requests[0].sent_us, 30 * US_PER_S);
    tear_down(&f);
}

static enum http_verdict
throttle_for_six_minutes(void *arg, struct http_response *response, struct error *err)
{
    (void)arg;
    if (response->status == 200) {
        return HTTP_ACCEPT;
    }
    (void)error_set(err, ERROR_THROTTLED, "slow down");
    err->retry_after_ms = 360000;
    return HTTP_THROTTLE;
}

static void client_cools_down_as_the_judge_says_but_not_past_max_delay(void **state)
{
    struct fixture f;
    struct http_response response;
    struct error err = ERROR_INIT;
    const struct http_request request = {
        .method = "GET", .url = STR_LITERAL("/y"), .judge = throttle_for_six_minutes};

    (void)state;
    SET_UP(&f, {.status = 429}, {.status = 403, .headers = "Retry-After: 7"}, {.status = 200});
    struct http_client *other = http_client_new(f.source, NULL, 1 << 20);
    int64_t max_us = f.config.retry.max_delay_us;

    assert_true(max_us > 0 && max_us < 360 * US_PER_S);
    assert_true(http_send(other, &request, &response, &err));
    assert_int_equal(f.wire.requests[1].sent_us - f.wire.requests[0].sent_us, max_us);
    assert_int_equal(f.wire.requests[2].sent_us - f.wire.requests[1].sent_us, 7 * US_PER_S);
    http_client_free(other);
    tear_down(&f);
}

static void client_silences_the_other_lanes_too(void **state)
{
    struct fixture f;
    struct http_response response;
    struct error err = ERROR_INIT;
    const struct http_request request = {.method = "GET", .url = STR_LITERAL("/y")};

    (void)state;
    SET_UP(&f, {.status = 200, .headers = "Retry-After: 20"}, {.status = 200});
    struct http_client *other = http_client_new(f.source, NULL, 1 << 20);

    assert_true(get(&f));
    assert_true(http_send(other, &request, &response, &err));
    assert_int_equal(f.wire.requests[1].sent_us - f.wire.requests[0].sent_us, 20 * US_PER_S);
    http_client_free(other);
    tear_down(&f);
}

static void client_fails_at_once_when_the_silence_is_too_long(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 429, .headers = "Retry-After: 3600"}, {.status = 200});
    assert_false(get(&f));
    assert_int_equal(f.err.code, ERROR_THROTTLED);
    assert_int_equal(f.err.retry_after_ms, 3600 * 1000);
    assert_int_equal(f.err.http_status, 429);
    assert_says(&f, "3600 s");
    assert_says(&f, "600 s");
    assert_int_equal(f.wire.n_requests, 1);
    /* and nobody else sends into that silence */
    assert_false(get(&f));
    assert_int_equal(f.err.code, ERROR_THROTTLED);
    assert_int_equal(f.err.retry_after_ms, 3600 * 1000);
    assert_int_equal(f.wire.n_requests, 1);
    tear_down(&f);
}

static void client_backs_the_source_off_after_a_429_without_header(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 429}, {.status = 429}, {.status = 429}, {.status = 200});
    assert_true(get(&f));
    assert_int_equal(f.wire.n_requests, 4);
    int64_t took_us = f.wire.requests[3].sent_us - f.wire.requests[0].sent_us;
    struct http_counters counters;

    http_client_counters(f.client, &counters);
    assert_in_range(took_us, 1, 3500 * US_PER_MS);
    assert_int_equal(counters.throttled_us, took_us);
    tear_down(&f);
}

static void client_opens_the_breaker_and_closes_it_by_a_probe(void **state)
{
    static const struct fake_answer answers[] = {
        {.status = 500},
        {.result = TRANSPORT_UNREACHABLE, .code = ERROR_TRANSIENT},
        {.status = 503},
        {.status = 200}};
    struct source_config config = fake_config();
    struct fixture f;

    (void)state;
    config.breaker.failures = 3;
    set_up_with(&f, config, answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    assert_int_equal(f.wire.n_requests, 4);
    assert_true(f.wire.requests[3].sent_us - f.wire.requests[2].sent_us >= 60 * US_PER_S);
    assert_int_equal(limiter_open_after_failures(&f.source->gate->limiter), 0);
    tear_down(&f);
}

static void client_names_the_breaker_when_it_gives_up(void **state)
{
    static const struct fake_answer answers[] = {{.status = 500}};
    struct source_config config = fake_config();
    struct fixture f;

    (void)state;
    config.breaker.failures = 2;
    config.retry.attempts = 4;
    set_up_with(&f, config, answers, ARRAY_SIZE(answers));
    assert_false(get(&f));
    assert_int_equal(f.err.code, ERROR_TRANSIENT);
    assert_int_equal(f.wire.n_requests, 4);
    assert_says(&f, "circuit breaker of source snow is open after 4 failures");
    tear_down(&f);
}

static enum http_verdict judge_word(void *arg, struct http_response *response, struct error *err)
{
    int *n_calls = arg;

    (*n_calls)++;
    if (strcmp(response->body->ptr, "good") == 0) {
        return HTTP_ACCEPT;
    }
    if (response->status != 200) {
        error_set(err, ERROR_LIMIT, "cancelled by the quota");
        return HTTP_FAIL;
    }
    error_set(err, ERROR_DATA, "half a page");
    return HTTP_RETRY;
}

static void client_lets_the_judge_decide(void **state)
{
    struct fixture f;
    int n_calls = 0;
    const struct http_request request = {
        .method = "GET", .url = STR_LITERAL("/x"), .judge = judge_word, .judge_arg = &n_calls};

    (void)state;
    SET_UP(&f, {.status = 200, .body = "half"}, {.status = 200, .body = "good"},
           {.status = 500, .body = "Transaction cancelled"});
    assert_true(send_request(&f, request));
    assert_int_equal(n_calls, 2);
    assert_false(send_request(&f, request));
    assert_int_equal(n_calls, 3);
    assert_int_equal(f.err.code, ERROR_LIMIT);
    assert_int_equal(f.err.http_status, 500);
    tear_down(&f);
}

static void client_does_not_count_a_5xx_the_judge_explains_against_the_source(void **state)
{
    static const struct fake_answer answers[] = {{.status = 500, .body = "Transaction cancelled"}};
    struct source_config config = fake_config();
    struct fixture f;
    int n_calls = 0;

    (void)state;
    config.breaker.failures = 1;
    set_up_with(&f, config, answers, 1);
    assert_false(send_request(&f, (struct http_request){.method = "GET",
                                                        .url = STR_LITERAL("/x"),
                                                        .judge = judge_word,
                                                        .judge_arg = &n_calls}));
    assert_int_equal(limiter_open_after_failures(&f.source->gate->limiter), 0);
    tear_down(&f);
}

static void client_names_the_host_of_a_redirect(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 302,
                .headers = "Location: https://developer.servicenow.com/login?token=hunter2"});
    assert_false(get(&f));
    assert_says(&f, "redirects to developer.servicenow.com,");
    assert_null(strstr(f.err.msg, "hunter2"));
    tear_down(&f);
}

static void client_is_cancelled_before_it_sends(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 200});
    stop_request(f.stop, STOP_SIGNAL);
    assert_false(get(&f));
    assert_int_equal(f.err.code, ERROR_CANCELLED);
    assert_int_equal(f.wire.n_requests, 0);
    tear_down(&f);
}

static void cancel(void *arg, size_t index)
{
    (void)index;
    stop_request(arg, STOP_CANCELLED);
}

static void client_is_cancelled_between_attempts(void **state)
{
    struct fixture f;

    (void)state;
    SET_UP(&f, {.status = 500});
    f.wire.before = cancel;
    f.wire.before_arg = f.stop;
    assert_false(get(&f));
    assert_int_equal(f.err.code, ERROR_CANCELLED);
    assert_int_equal(f.wire.n_requests, 1);
    tear_down(&f);
}

static void source_names_what_is_wrong_with_its_configuration(void **state)
{
    struct source_config config = fake_config();
    struct stop *stop = stop_new(NULL);
    struct error err = ERROR_INIT;

    (void)state;
    config.url = "ftp://acme.example";
    assert_null(http_source_new(&config, 1, stop, &err));
    assert_int_equal(err.code, ERROR_CONFIG);
    assert_non_null(strstr(err.msg, "sources.snow.url"));
    error_clear(&err);
    config.url = "https://acme.example";
    config.auth.key = "env:FOZ_TEST_ABSENT";
    assert_null(http_source_new(&config, 1, stop, &err));
    assert_int_equal(err.code, ERROR_CONFIG);
    assert_non_null(strstr(err.msg, "FOZ_TEST_ABSENT"));
    stop_free(stop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_sends_the_request_and_hands_out_the_answer),
        cmocka_unit_test(client_judges_every_status_as_declared),
        cmocka_unit_test(client_survives_what_passes_within_the_attempts),
        cmocka_unit_test(client_keeps_the_code_of_final_transport_failures),
        cmocka_unit_test(client_makes_a_timeout_a_limit_when_asked_to),
        cmocka_unit_test(client_makes_a_5xx_or_a_cut_answer_a_limit_when_asked_to),
        cmocka_unit_test(client_does_not_hold_a_limit_against_the_source),
        cmocka_unit_test(client_drops_the_cookies_after_a_202),
        cmocka_unit_test(client_obeys_retry_after_in_seconds),
        cmocka_unit_test(client_obeys_retry_after_as_a_date_by_the_servers_clock),
        cmocka_unit_test(client_cools_down_as_the_judge_says_but_not_past_max_delay),
        cmocka_unit_test(client_silences_the_other_lanes_too),
        cmocka_unit_test(client_fails_at_once_when_the_silence_is_too_long),
        cmocka_unit_test(client_backs_the_source_off_after_a_429_without_header),
        cmocka_unit_test(client_opens_the_breaker_and_closes_it_by_a_probe),
        cmocka_unit_test(client_names_the_breaker_when_it_gives_up),
        cmocka_unit_test(client_lets_the_judge_decide),
        cmocka_unit_test(client_does_not_count_a_5xx_the_judge_explains_against_the_source),
        cmocka_unit_test(client_names_the_host_of_a_redirect),
        cmocka_unit_test(client_is_cancelled_before_it_sends),
        cmocka_unit_test(client_is_cancelled_between_attempts),
        cmocka_unit_test(source_names_what_is_wrong_with_its_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
