#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "fake.h"

/* The OAuth endpoint: hands out tokens t1, t2, ... */
struct endpoint {
    atomic_int n_calls;
    atomic_bool is_held; /* an answer waits until this is false */
    enum error_code fails_with;
    enum error_code fails_once_with; /* the first call only */
    bool refuses_refresh;
    int64_t expires_in_us;
    char last_form[512];
};

static bool fetch(void *arg, struct str form, struct oauth_exchange *exchange, struct error *err)
{
    struct endpoint *endpoint = arg;
    int call = atomic_fetch_add(&endpoint->n_calls, 1) + 1;

    while (atomic_load(&endpoint->is_held)) {
        (void)sched_yield();
    }
    (void)snprintf(endpoint->last_form, sizeof(endpoint->last_form), "%.*s", STR_ARG(form));
    if (endpoint->fails_with != ERROR_NONE) {
        return error_set(err, endpoint->fails_with, "no token");
    }
    if (call == 1 && endpoint->fails_once_with != ERROR_NONE) {
        return error_set(err, endpoint->fails_once_with, "no token");
    }
    if (endpoint->refuses_refresh &&
        str_contains_nocase(form, STR_LITERAL("grant_type=refresh_token"))) {
        return error_set(err, ERROR_DENIED, "refresh refused");
    }
    exchange->token.access_token = xasprintf("t%d", call);
    exchange->token.refresh_token = xasprintf("r%d", call);
    exchange->token.expires_in_us = endpoint->expires_in_us;
    return true;
}

struct fixture {
    struct fake_clock clock;
    struct stop *stop;
    struct auth_config auth;
    struct credential credential;
    struct endpoint endpoint;
    struct credential_wire wire;
};

static void set_up(struct fixture *fixture, struct auth_config auth)
{
    struct error err = ERROR_INIT;

    *fixture = (struct fixture){.auth = auth, .endpoint = {.expires_in_us = 1800 * US_PER_S}};
    (void)setenv("FOZ_TEST_SECRET", "p&ss w\xc3\xb6rd", 1);
    fake_clock_init(&fixture->clock);
    fixture->stop = stop_new(NULL);
    fixture->wire = (struct credential_wire){fetch, &fixture->endpoint, NULL};
    assert_true(credential_init(&fixture->credential, &fixture->auth, STR_LITERAL("acme.example"),
                                &fixture->clock.clock, fixture->stop, &err));
}

static void tear_down(struct fixture *fixture)
{
    credential_release(&fixture->credential);
    stop_free(fixture->stop);
    fake_clock_release(&fixture->clock);
}

static const struct auth_config oauth_password = {
    .method = AUTH_OAUTH_PASSWORD,
    .client_id = "the client",
    .client_secret = "env:FOZ_TEST_SECRET",
    .username = "foz",
    .password = "env:FOZ_TEST_SECRET",
};

static void assert_value(struct fixture *fixture, const char *expected, uint64_t *ret_generation)
{
    struct error err = ERROR_INIT;
    struct buf value;

    buf_init(&value, 4096);
    assert_true(credential_get(&fixture->credential, &fixture->wire, &value, ret_generation, &err));
    assert_string_equal(value.ptr, expected);
    buf_release(&value);
}

static void credential_builds_the_header_of_each_static_method(void **state)
{
    static const struct {
        struct auth_config auth;
        const char *name, *value;
    } cases[] = {
        {{.method = AUTH_BASIC, .username = "foz", .password = "env:FOZ_TEST_SECRET"},
         "Authorization",
         "Basic Zm96OnAmc3Mgd8O2cmQ="},
        {{.method = AUTH_PAT, .token = "env:FOZ_TEST_SECRET"},
         "Authorization",
         "Basic OnAmc3Mgd8O2cmQ="},
        {{.method = AUTH_BEARER, .token = "env:FOZ_TEST_SECRET"},
         "Authorization",
         "Bearer p&ss w\xc3\xb6rd"},
        {{.method = AUTH_API_KEY, .key = "env:FOZ_TEST_SECRET"}, "x-sn-apikey", "p&ss w\xc3\xb6rd"},
        {{.method = AUTH_USER_TOKEN, .user_token = "env:FOZ_TEST_SECRET"},
         "Authorization",
         "user_token p&ss w\xc3\xb6rd"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture fixture;
        uint64_t generation = 0;

        set_up(&fixture, cases[i].auth);
        assert_string_equal(credential_header_name(&fixture.credential), cases[i].name);
        assert_value(&fixture, cases[i].value, &generation);
        tear_down(&fixture);
    }
}

static void credential_names_a_missing_or_unusable_secret(void **state)
{
    static const struct auth_config cases[] = {
        {.method = AUTH_BASIC, .username = "foz", .password = "env:FOZ_TEST_ABSENT"},
        {.method = AUTH_BEARER, .token = "env:FOZ_TEST_ABSENT"},
        {.method = AUTH_USER_TOKEN, .user_token = "env:FOZ_TEST_ABSENT"},
        {.method = AUTH_OAUTH_CLIENT_CREDENTIALS,
         .client_id = "c",
         .client_secret = "env:FOZ_TEST_ABSENT"},
        {.method = AUTH_API_KEY, .key = "env:FOZ_TEST_BROKEN"},
    };
    struct stop *stop = stop_new(NULL);

    (void)state;
    (void)unsetenv("FOZ_TEST_ABSENT");
    (void)setenv("FOZ_TEST_BROKEN", "hunter2\r\nX-Evil: 1", 1);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct credential credential;
        struct error err = ERROR_INIT;

        assert_false(credential_init(&credential, &cases[i], STR_LITERAL("h"), &wait_clock_system,
                                     stop, &err));
        assert_int_equal(err.code, ERROR_CONFIG);
        assert_true(str_contains_nocase(str_from(err.msg), STR_LITERAL("FOZ_TEST_")));
        assert_false(str_contains_nocase(str_from(err.msg), STR_LITERAL("hunter2")));
    }
    stop_free(stop);
}

static void credential_sends_the_grants_form_encoded(void **state)
{
    struct fixture fixture;
    uint64_t generation = 0;

    (void)state;
    set_up(&fixture, oauth_password);
    assert_value(&fixture, "Bearer t1", &generation);
    assert_string_equal(fixture.endpoint.last_form,
                        "grant_type=password&client_id=the%20client&client_secret=p%26ss%20w%C3%B6"
                        "rd&username=foz&password=p%26ss%20w%C3%B6rd");
    tear_down(&fixture);
    set_up(&fixture, (struct auth_config){.method = AUTH_OAUTH_CLIENT_CREDENTIALS,
                                          .client_id = "c",
                                          .client_secret = "env:FOZ_TEST_SECRET"});
    assert_value(&fixture, "Bearer t1", &generation);
    assert_string_equal(
        fixture.endpoint.last_form,
        "grant_type=client_credentials&client_id=c&client_secret=p%26ss%20w%C3%B6rd");
    tear_down(&fixture);
}

static void credential_renews_sixty_seconds_early_by_the_refresh_token(void **state)
{
    struct fixture fixture;
    uint64_t generation = 0;

    (void)state;
    set_up(&fixture, oauth_password);
    assert_value(&fixture, "Bearer t1", &generation);
    fake_clock_advance(&fixture.clock, 1739 * US_PER_S);
    assert_false(credential_is_due(&fixture.credential));
    assert_value(&fixture, "Bearer t1", &generation);
    fake_clock_advance(&fixture.clock, US_PER_S);
    assert_true(credential_is_due(&fixture.credential));
    assert_value(&fixture, "Bearer t2", &generation);
    assert_string_equal(fixture.endpoint.last_form,
                        "grant_type=refresh_token&client_id=the%20client&client_secret=p%26ss%20w"
                        "%C3%B6rd&refresh_token=r1");
    tear_down(&fixture);
}

static void credential_falls_back_to_the_grant_when_the_refresh_is_refused(void **state)
{
    struct fixture fixture;
    uint64_t generation = 0;

    (void)state;
    set_up(&fixture, oauth_password);
    fixture.endpoint.refuses_refresh = true;
    assert_value(&fixture, "Bearer t1", &generation);
    fake_clock_advance(&fixture.clock, US_PER_H);
    assert_value(&fixture, "Bearer t3", &generation);
    assert_int_equal(atomic_load(&fixture.endpoint.n_calls), 3);
    tear_down(&fixture);
}

static void credential_does_not_ask_for_every_request_when_lives_are_short(void **state)
{
    struct fixture fixture;
    uint64_t generation = 0;

    (void)state;
    set_up(&fixture, oauth_password);
    fixture.endpoint.expires_in_us = 20 * US_PER_S;
    assert_value(&fixture, "Bearer t1", &generation);
    fake_clock_advance(&fixture.clock, 9 * US_PER_S);
    assert_value(&fixture, "Bearer t1", &generation);
    fake_clock_advance(&fixture.clock, US_PER_S);
    assert_value(&fixture, "Bearer t2", &generation);
    tear_down(&fixture);
}

static void credential_uses_a_token_without_a_life_for_a_second(void **state)
{
    struct fixture fixture;
    uint64_t generation = 0;

    (void)state;
    set_up(&fixture, oauth_password);
    fixture.endpoint.expires_in_us = 0;
    assert_value(&fixture, "Bearer t1", &generation);
    assert_false(credential_is_due(&fixture.credential));
    assert_value(&fixture, "Bearer t1", &generation);
    fake_clock_advance(&fixture.clock, US_PER_S);
    assert_value(&fixture, "Bearer t2", &generation);
    tear_down(&fixture);
}

struct lane {
    struct fixture *fixture;
    uint64_t generation; /* 0 = get, else renew that one */
    bool ok;
    struct error err;
};

static void *run_lane(void *arg)
{
    struct lane *lane = arg;
    struct fixture *fixture = lane->fixture;
    struct buf value;
    uint64_t generation = 0;

    buf_init(&value, 4096);
    lane->ok =
        lane->generation == 0
            ? credential_get(&fixture->credential, &fixture->wire, &value, &generation, &lane->err)
            : credential_renew(&fixture->credential, lane->generation, &fixture->wire,
                               &lane->err) == CREDENTIAL_RENEWED;
    buf_release(&value);
    return NULL;
}

/* Two lanes at once; the endpoint answers only when both are under way. */
static void run_two(struct fixture *fixture, uint64_t generation, struct lane lanes[2])
{
    struct thread threads[2] = {0};
    int idle_before = atomic_load(&fixture->clock.n_idle);

    atomic_store(&fixture->endpoint.is_held, true);
    for (size_t i = 0; i < 2; i++) {
        lanes[i] = (struct lane){.fixture = fixture, .generation = generation};
        thread_start(&threads[i], "lane", run_lane, &lanes[i]);
    }
    while (atomic_load(&fixture->clock.n_idle) == idle_before) {
        (void)sched_yield();
    }
    atomic_store(&fixture->endpoint.is_held, false);
    thread_join(&threads[0]);
    thread_join(&threads[1]);
}

static void credential_is_fetched_by_one_of_two_lanes(void **state)
{
    struct fixture fixture;
    struct lane lanes[2];

    (void)state;
    set_up(&fixture, oauth_password);
    run_two(&fixture, 0, lanes);
    assert_true(lanes[0].ok && lanes[1].ok);
    assert_int_equal(atomic_load(&fixture.endpoint.n_calls), 1);
    /* and renewed by one of two that were refused with the same value */
    run_two(&fixture, 1, lanes);
    assert_true(lanes[0].ok && lanes[1].ok);
    assert_int_equal(atomic_load(&fixture.endpoint.n_calls), 2);
    tear_down(&fixture);
}

static void credential_shares_a_failed_renewal(void **state)
{
    struct fixture fixture;
    struct lane lanes[2];

    (void)state;
    set_up(&fixture, oauth_password);
    fixture.endpoint.fails_with = ERROR_DENIED;
    run_two(&fixture, 0, lanes);
    assert_int_equal(atomic_load(&fixture.endpoint.n_calls), 1);
    for (size_t i = 0; i < 2; i++) {
        assert_false(lanes[i].ok);
        assert_int_equal(lanes[i].err.code, ERROR_DENIED);
        assert_string_equal(lanes[i].err.msg, "no token");
    }
    tear_down(&fixture);
}

static void credential_waiting_for_another_lane_ends_with_a_stop(void **state)
{
    struct fixture fixture;
    struct thread threads[2] = {0};
    struct lane lanes[2];

    (void)state;
    set_up(&fixture, oauth_password);
    atomic_store(&fixture.endpoint.is_held, true);
    for (size_t i = 0; i < 2; i++) {
        lanes[i] = (struct lane){.fixture = &fixture};
        thread_start(&threads[i], "lane", run_lane, &lanes[i]);
        while (atomic_load(&fixture.endpoint.n_calls) == 0) {
            (void)sched_yield();
        }
    }
    stop_request(fixture.stop, STOP_CANCELLED);
    thread_join(&threads[1]); /* the first one still flies */
    assert_int_equal(lanes[1].err.code, ERROR_CANCELLED);
    atomic_store(&fixture.endpoint.is_held, false);
    thread_join(&threads[0]);
    assert_true(lanes[0].ok);
    tear_down(&fixture);
}

static void credential_waiting_ends_with_the_stop_of_its_own_execution(void **state)
{
    struct fixture fixture;
    struct stop *own = stop_new(NULL);
    struct thread thread = {0};
    struct error err = ERROR_INIT;
    struct buf value;
    uint64_t generation = 0;

    (void)state;
    set_up(&fixture, oauth_password);
    const struct credential_wire stopped_wire = {fetch, &fixture.endpoint, own};
    struct lane lane = {.fixture = &fixture};

    buf_init(&value, 4096);
    atomic_store(&fixture.endpoint.is_held, true);
    thread_start(&thread, "lane", run_lane, &lane);
    while (atomic_load(&fixture.endpoint.n_calls) == 0) {
        (void)sched_yield();
    }
    stop_request(own, STOP_CANCELLED);
    assert_false(credential_get(&fixture.credential, &stopped_wire, &value, &generation, &err));
    assert_int_equal(err.code, ERROR_CANCELLED);
    atomic_store(&fixture.endpoint.is_held, false);
    thread_join(&thread);
    assert_true(lane.ok);
    buf_release(&value);
    stop_free(own);
    tear_down(&fixture);
}

static void credential_does_not_share_the_stop_of_another_execution(void **state)
{
    struct fixture fixture;
    struct lane lanes[2];

    (void)state;
    set_up(&fixture, oauth_password);
    fixture.endpoint.fails_once_with = ERROR_CANCELLED;
    run_two(&fixture, 0, lanes);
    assert_int_equal(lanes[0].ok + lanes[1].ok, 1);
    assert_int_equal(atomic_load(&fixture.endpoint.n_calls), 2);
    tear_down(&fixture);
}

static void credential_renews_a_static_secret_only_if_it_changed(void **state)
{
    struct fixture fixture;
    struct error err = ERROR_INIT;
    uint64_t generation = 0;

    (void)state;
    set_up(&fixture, (struct auth_config){.method = AUTH_BEARER, .token = "env:FOZ_TEST_SECRET"});
    assert_value(&fixture, "Bearer p&ss w\xc3\xb6rd", &generation);
    assert_int_equal(credential_renew(&fixture.credential, generation, &fixture.wire, &err),
                     CREDENTIAL_SAME);
    (void)setenv("FOZ_TEST_SECRET", "rotated", 1);
    assert_int_equal(credential_renew(&fixture.credential, generation, &fixture.wire, &err),
                     CREDENTIAL_RENEWED);
    assert_value(&fixture, "Bearer rotated", &generation);
    (void)unsetenv("FOZ_TEST_SECRET");
    assert_int_equal(credential_renew(&fixture.credential, generation, &fixture.wire, &err),
                     CREDENTIAL_FAILED);
    assert_int_equal(err.code, ERROR_CONFIG);
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credential_builds_the_header_of_each_static_method),
        cmocka_unit_test(credential_names_a_missing_or_unusable_secret),
        cmocka_unit_test(credential_sends_the_grants_form_encoded),
        cmocka_unit_test(credential_renews_sixty_seconds_early_by_the_refresh_token),
        cmocka_unit_test(credential_falls_back_to_the_grant_when_the_refresh_is_refused),
        cmocka_unit_test(credential_does_not_ask_for_every_request_when_lives_are_short),
        cmocka_unit_test(credential_is_fetched_by_one_of_two_lanes),
        cmocka_unit_test(credential_uses_a_token_without_a_life_for_a_second),
        cmocka_unit_test(credential_shares_a_failed_renewal),
        cmocka_unit_test(credential_waiting_for_another_lane_ends_with_a_stop),
        cmocka_unit_test(credential_waiting_ends_with_the_stop_of_its_own_execution),
        cmocka_unit_test(credential_does_not_share_the_stop_of_another_execution),
        cmocka_unit_test(credential_renews_a_static_secret_only_if_it_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
