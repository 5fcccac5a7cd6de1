#include <stdlib.h>

#include "client_fixture.h"
#include "common/base/clock.h"

/* A second source after a reload, in the place of the fixture's, and a client of its own. */
struct heir {
    struct source_config config;
    struct http_source *source;
    struct http_client *client;
};

static void inherit(struct heir *heir, struct fixture *f, struct source_config config)
{
    const struct http_seams seams = fake_seams(&f->clock, &f->wire);

    heir->config = config;
    heir->source = http_source_new_with(&heir->config, 4, f->stop, &seams, &f->err);
    assert_non_null(heir->source);
    http_source_continue(heir->source, f->source);
    heir->client = http_client_new(heir->source, NULL, 1 << 20);
}

static void heir_release(struct heir *heir)
{
    http_client_free(heir->client);
    http_source_free(heir->source);
}

static bool heir_get(struct heir *heir, struct fixture *f)
{
    const struct http_request request = {.method = "GET", .url = STR_LITERAL("/api/x")};

    error_clear(&f->err);
    return http_send(heir->client, &request, &f->response, &f->err);
}

/* The old configuration goes with its last user, before the new source is used. */
static void forget_the_old(struct fixture *f)
{
    http_client_free(TAKE(f->client));
    http_source_free(TAKE(f->source));
    memset(&f->config, 0x5a, sizeof(f->config));
}

static void source_keeps_a_silence_over_a_reload(void **state)
{
    struct fixture f;
    struct heir heir;
    struct source_config changed = fake_config();

    (void)state;
    SET_UP(&f, {.status = 200, .headers = "Retry-After: 7"}, {.status = 200});
    assert_true(get(&f));
    int64_t answered_us = fake_clock_now_us(&f.clock);

    changed.rate_limit = 100;
    changed.timeout_us = 5 * US_PER_S;
    inherit(&heir, &f, changed);
    forget_the_old(&f);
    assert_true(heir_get(&heir, &f));
    assert_true(f.wire.requests[1].sent_us >= answered_us + 7 * US_PER_S);
    heir_release(&heir);
    tear_down(&f);
}

static void source_keeps_to_one_rate_over_a_reload(void **state)
{
    static const struct fake_answer answers[] = {{.status = 200}};
    struct fixture f;
    struct heir heir;
    struct source_config limited = fake_config();

    (void)state;
    limited.rate_limit = 2;
    set_up_with(&f, limited, answers, ARRAY_SIZE(answers));
    inherit(&heir, &f, limited);
    assert_true(get(&f));
    assert_true(heir_get(&heir, &f));
    assert_true(get(&f));
    assert_true(f.wire.requests[2].sent_us - f.wire.requests[0].sent_us >= US_PER_S);
    heir_release(&heir);
    tear_down(&f);
}

static void source_takes_new_limits_from_a_reload(void **state)
{
    static const struct fake_answer answers[] = {{.status = 200}};
    struct fixture f;
    struct heir heir;
    struct source_config changed = fake_config();

    (void)state;
    set_up_with(&f, fake_config(), answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    changed.rate_limit = 1;
    changed.breaker.failures = 1;
    changed.retry.max_wait_us = US_PER_S;
    inherit(&heir, &f, changed);
    struct limiter *limiter = &heir.source->gate->limiter;

    assert_true(heir_get(&heir, &f));
    assert_true(heir_get(&heir, &f));
    assert_true(f.wire.requests[2].sent_us - f.wire.requests[1].sent_us >= US_PER_S);
    limiter_silence(limiter, 2 * US_PER_S);
    assert_false(heir_get(&heir, &f));
    assert_int_equal(f.err.code, ERROR_THROTTLED);
    limiter->in_flight++; /* as for a permit */
    limiter_leave(limiter);
    limiter_report(limiter, (struct limiter_permit){0}, BREAKER_FAILURE);
    assert_int_equal(limiter_open_after_failures(limiter), 1);
    heir_release(&heir);
    tear_down(&f);
}

static void source_of_another_url_begins_anew(void **state)
{
    struct fixture f;
    struct heir heir;
    struct source_config moved = fake_config();

    (void)state;
    SET_UP(&f, {.status = 200, .headers = "Retry-After: 7"}, {.status = 200});
    assert_true(get(&f));
    int64_t answered_us = fake_clock_now_us(&f.clock);

    moved.url = "https://other.example";
    inherit(&heir, &f, moved);
    assert_true(heir_get(&heir, &f));
    assert_true(f.wire.requests[1].sent_us < answered_us + US_PER_S);
    heir_release(&heir);
    tear_down(&f);
}

static struct source_config oauth_config(void)
{
    struct source_config config = fake_config();

    config.auth = (struct auth_config){.method = AUTH_OAUTH_CLIENT_CREDENTIALS,
                                       .client_id = "cid",
                                       .client_secret = "env:FOZ_TEST_SECRET"};
    return config;
}

#define TOKEN(name)                                                                                \
    {                                                                                              \
        .status = 200, .body = "{\"access_token\":\"" name "\",\"expires_in\":1799}"               \
    }

static void source_keeps_its_token_over_a_reload(void **state)
{
    static const struct fake_answer answers[] = {TOKEN("A"), {.status = 200}};
    struct fixture f;
    struct heir heir;
    struct source_config same = oauth_config();

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    inherit(&heir, &f, same);
    forget_the_old(&f);
    assert_true(heir_get(&heir, &f));
    assert_int_equal(f.wire.n_requests, 3);
    assert_string_equal(f.wire.requests[2].credential, "Bearer A");
    heir_release(&heir);
    tear_down(&f);
}

static void source_that_logs_in_otherwise_gets_a_token_of_its_own(void **state)
{
    static const struct fake_answer answers[] = {
        TOKEN("A"), {.status = 200}, TOKEN("B"), {.status = 200}};
    struct fixture f;
    struct heir heir;
    struct source_config other = oauth_config();

    (void)state;
    set_up_with(&f, oauth_config(), answers, ARRAY_SIZE(answers));
    assert_true(get(&f));
    other.auth.client_id = "another";
    inherit(&heir, &f, other);
    assert_true(heir_get(&heir, &f));
    assert_string_equal(f.wire.requests[3].credential, "Bearer B");
    heir_release(&heir);
    tear_down(&f);
}

static void source_reads_a_changed_secret_with_a_reload(void **state)
{
    static const struct fake_answer answers[] = {{.status = 200}};
    struct fixture f;
    struct heir heir;
    struct source_config same = fake_config();

    (void)state;
    set_up_with(&f, fake_config(), answers, ARRAY_SIZE(answers));
    (void)setenv("FOZ_TEST_SECRET", "changed", 1);
    inherit(&heir, &f, same);
    assert_true(heir_get(&heir, &f));
    assert_string_equal(f.wire.requests[0].credential, "changed");
    heir_release(&heir);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_keeps_a_silence_over_a_reload),
        cmocka_unit_test(source_keeps_to_one_rate_over_a_reload),
        cmocka_unit_test(source_takes_new_limits_from_a_reload),
        cmocka_unit_test(source_of_another_url_begins_anew),
        cmocka_unit_test(source_keeps_its_token_over_a_reload),
        cmocka_unit_test(source_that_logs_in_otherwise_gets_a_token_of_its_own),
        cmocka_unit_test(source_reads_a_changed_secret_with_a_reload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
