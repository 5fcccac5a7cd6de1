#include "desk_fixture.h"
#include "worker/sources/glpi/session.h"

/* Logging in, the zone of GLPI's times, and sessions that end too early. */

static void a_session_learns_what_a_run_needs_and_is_closed(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.needs_app_token = true;
    desk.glpi.entities = "7,0,2";
    desk_must_open(&desk);
    const struct glpi_session *session = desk.session;
    assert_string_equal("10.0.19", session->version);
    assert_int_equal(10, session->version_major);
    assert_int_equal(3, session->n_entities);
    assert_int_equal(0, session->entities[0]);
    assert_int_equal(7, session->entities[2]);
    assert_true(zone_is_utc(session->zone));
    assert_int_equal(5, desk.glpi.n_requests);
    /* only the login carries the credential */
    assert_false(desk.glpi.has_credential_leak);
    glpi_connector.close(desk.session, desk.client);
    desk.session = NULL;
    assert_int_equal(1, desk.glpi.n_kills);
    desk_release(&desk);
}

static void what_a_failed_start_opened_is_closed_again(void **state)
{
    (void)state;

    static const struct {
        const char *version;
        const char *entities;
        const char *zone;
        bool refuses_entities;
        enum error_code code;
        const char *words;
    } CASES[] = {
        {"10.0.19", "0,1", "UTC", true, ERROR_CONFIG, "changeActiveEntities"},
        {"10.0.19", "", "UTC", false, ERROR_DATA, "entities"},
        {"10.0.19", "0,1", "America/Sao_Paulo", false, ERROR_CONFIG, "time_zone"},
        {"banana", "0,1", "UTC", false, ERROR_DATA, "version"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct desk desk;
        desk_init(&desk);
        desk.glpi.version = CASES[i].version;
        desk.glpi.entities = CASES[i].entities;
        desk.glpi.zone_real = CASES[i].zone;
        desk.glpi.refuses_entities = CASES[i].refuses_entities;
        assert_false(desk_open(&desk));
        assert_fails(&desk, CASES[i].code, CASES[i].words);
        assert_int_equal(desk.glpi.n_logins, desk.glpi.n_kills);
        desk_release(&desk);
    }
}

static void a_refused_login_names_the_token_and_the_cure(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.refuses_login = true;
    assert_false(desk_open(&desk));
    assert_fails(&desk, ERROR_DENIED, "user_token");
    assert_int_equal(1, desk.glpi.n_requests); /* a second try could lock the account */
    desk_release(&desk);

    desk_init(&desk);
    desk.glpi.needs_app_token = true;
    desk.config.auth.app_token = NULL;
    assert_false(desk_open(&desk));
    assert_fails(&desk, ERROR_DENIED, "app_token");
    desk_release(&desk);
}

static void the_zone_must_be_the_one_that_times_are_in(void **state)
{
    (void)state;

    static const struct {
        const char *configured;
        const char *named; /* glpi_tz */
        const char *real;
        const char *words; /* NULL: good */
    } CASES[] = {
        {NULL, NULL, "UTC", NULL},
        {NULL, "UTC", "UTC", NULL},
        {NULL, "America/Sao_Paulo", "America/Sao_Paulo", NULL},
        {"America/Sao_Paulo", NULL, "America/Sao_Paulo", NULL},
        {"Brazil/East", "America/Sao_Paulo", "America/Sao_Paulo", NULL},
        {"-03:00", NULL, "America/Sao_Paulo", NULL},
        {NULL, NULL, "America/Sao_Paulo", "does not say in which zone"},
        {"UTC", "America/Sao_Paulo", "America/Sao_Paulo", "set sources.desk.time_zone to America"},
        {"America/Sao_Paulo", "UTC", "UTC", "time_zone is America/Sao_Paulo"},
        {"America/Sao_Paulo", NULL, "UTC", "are -03:00 from UTC now, but GLPI's are +00:00"},
        {"UTC", NULL, "Asia/Kathmandu", "+05:45"},
        {NULL, "UTC", "Europe/Berlin", "+01:00"},
        {"Atlantis/Centre", NULL, "UTC", "is not known"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct desk desk;
        desk_init(&desk);
        desk.config.time_zone = CASES[i].configured;
        desk.glpi.zone_name = CASES[i].named;
        desk.glpi.zone_real = CASES[i].real;
        bool opened = desk_open(&desk);
        if (CASES[i].words == NULL) {
            if (!opened) {
                fail_msg("case %zu: %s", i, desk.err.msg);
            }
        } else {
            assert_fails(&desk, ERROR_CONFIG, CASES[i].words);
        }
        desk_release(&desk);
    }
}

static void a_session_that_ends_is_opened_again_once(void **state)
{
    (void)state;
    /* from the first request behind the login on */
    for (size_t at = 2; at <= 9; at++) {
        struct desk desk;
        desk_init_filled(&desk, 60);
        desk.task.page_size = 20;
        desk.glpi.expire_at[0] = at;
        desk_walk(&desk, &desk.partition);
        assert_ended(&desk);
        assert_int_equal(60, desk.n_ids);
        assert_int_equal(2, desk.glpi.n_logins);
        desk_release(&desk);
    }
}

static void a_second_end_of_the_session_ends_the_run(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 60);
    desk.task.page_size = 20;
    desk.glpi.expire_at[0] = 7;
    desk.glpi.expire_at[1] = 13;
    walk_must_fail(&desk, ERROR_TRANSIENT, "second time");
    assert_int_equal(401, desk.err.http_status); /* it answered: not out of reach */
    assert_int_equal(2, desk.glpi.n_logins);
    desk_release(&desk);
}

static void servers_that_do_not_share_sessions_are_named(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 3);
    desk.glpi.expire_at[0] = 2;
    desk.glpi.expire_at[1] = 4;
    assert_false(desk_open(&desk));
    assert_fails(&desk, ERROR_TRANSIENT, "share their sessions");
    assert_int_equal(2, desk.glpi.n_logins);
    assert_int_equal(0, desk.glpi.n_kills); /* each call with an unknown token makes a file there */
    desk_release(&desk);
}

static void stop_at_the_third(struct fake_glpi *glpi, size_t index)
{
    if (index == 2) {
        stop_request(glpi->before_arg, STOP_SIGNAL);
    }
}

static void a_stop_while_the_session_opens_closes_it(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 3);
    desk.glpi.before = stop_at_the_third;
    desk.glpi.before_arg = desk.stop;
    assert_false(desk_open(&desk));
    assert_int_equal(ERROR_CANCELLED, desk.err.code);
    assert_int_equal(1, desk.glpi.n_logins);
    assert_int_equal(1, desk.glpi.n_kills);
    desk_release(&desk);
}

static void lose_an_entity(struct fake_glpi *glpi, size_t index)
{
    if (index >= 7) {
        glpi->entities = "0,1";
    }
}

static void a_new_session_must_show_what_the_old_one_showed(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 60);
    desk.task.page_size = 20;
    desk.glpi.before = lose_an_entity;
    desk.glpi.expire_at[0] = 7;
    walk_must_fail(&desk, ERROR_TRANSIENT, "entities");
    assert_int_equal(1, desk.glpi.n_kills); /* the new one, which is not used */
    desk_release(&desk);
}

struct reader {
    struct thread thread;
    struct desk *desk;
    struct http_client *client;
    uint64_t generation;
    bool renewed;
};

static void *renew(void *arg)
{
    struct reader *reader = arg;
    struct error err = ERROR_INIT;
    reader->renewed =
        glpi_session_renew(reader->desk->session, reader->client, reader->generation, &err);
    return NULL;
}

static void lanes_share_one_new_login(void **state)
{
    (void)state;

    enum { N_READERS = 4 };
    struct desk desk;
    struct reader readers[N_READERS];
    char token[GLPI_TOKEN_MAX];
    desk_init(&desk);
    desk_must_open(&desk);
    uint64_t generation = glpi_session_token(desk.session, token);
    for (int i = 0; i < N_READERS; i++) {
        readers[i] = (struct reader){
            .desk = &desk,
            .client = http_client_new(desk.source, desk.stop, (size_t)1 << 20),
            .generation = generation,
        };
        thread_start(&readers[i].thread, "reader", renew, &readers[i]);
    }
    for (int i = 0; i < N_READERS; i++) {
        thread_join(&readers[i].thread);
        assert_true(readers[i].renewed);
        http_client_free(readers[i].client);
    }
    assert_int_equal(2, desk.glpi.n_logins);
    desk_release(&desk);
}

static void *take_token(void *arg)
{
    struct reader *reader = arg;
    char token[GLPI_TOKEN_MAX];
    reader->generation = glpi_session_token(reader->desk->session, token);
    reader->renewed = strcmp(token, "token-2") == 0;
    return NULL;
}

/* Another lane wants to send while the new login is on the wire. */
static void send_meanwhile(struct fake_glpi *glpi, size_t index)
{
    struct reader *reader = glpi->before_arg;
    if (index == 6) {
        thread_start(&reader->thread, "reader", take_token, reader);
    }
}

static void a_lane_that_wants_to_send_waits_for_the_new_token(void **state)
{
    (void)state;
    struct desk desk;
    struct error err = ERROR_INIT;
    char token[GLPI_TOKEN_MAX];
    desk_init(&desk);
    struct reader reader = {.desk = &desk};
    desk.glpi.before = send_meanwhile;
    desk.glpi.before_arg = &reader;
    desk_must_open(&desk);
    uint64_t generation = glpi_session_token(desk.session, token);
    assert_true(glpi_session_renew(desk.session, desk.client, generation, &err));
    thread_join(&reader.thread);
    assert_true(reader.renewed);
    assert_int_equal(generation + 1, reader.generation);
    desk_release(&desk);
}

static void a_failed_new_login_fails_everybody_who_sends(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 60);
    desk_must_open(&desk);
    desk.glpi.expire_at[0] = desk.glpi.n_requests + 1;
    desk.glpi.refuses_login = true;
    walk_must_fail(&desk, ERROR_DENIED, "user_token");
    size_t before = desk.glpi.n_requests;
    error_clear(&desk.err);
    walk_must_fail(&desk, ERROR_DENIED, "user_token");
    assert_int_equal(before, desk.glpi.n_requests); /* no login in a loop */
    desk_release(&desk);
}

struct findings {
    char text[8192];
    int n_errors;
    int n_warnings;
    enum error_code last_code;
};

static void add_finding(void *arg, const struct finding *finding)
{
    struct findings *findings = arg;
    size_t len = strlen(findings->text);
    (void)snprintf(findings->text + len, sizeof(findings->text) - len, "%s: %s\n", finding->subject,
                   finding->text);
    findings->n_errors += finding->level == FINDING_ERROR ? 1 : 0;
    findings->last_code = finding->level == FINDING_ERROR ? finding->code : findings->last_code;
    findings->n_warnings += finding->level == FINDING_WARNING ? 1 : 0;
}

static void run_check(struct desk *desk, struct findings *findings)
{
    const struct task_def *tasks[] = {&desk->task};
    if (desk->client == NULL) {
        (void)desk_open(desk);
    }
    *findings = (struct findings){0};
    glpi_connector.check(&desk->config, desk->client, tasks, 1, add_finding, findings);
}

static void check_names_columns_that_a_version_lacks_without_a_warning(void **state)
{
    (void)state;
    static const struct field FIELDS[] = {
        {.name = "id", .type = COLUMN_BIGINT},
        {.name = "date_mod", .type = COLUMN_TIMESTAMPTZ},
        {.name = "externalid", .type = COLUMN_TEXT},
    };
    struct desk desk;
    struct findings findings;
    desk_init_filled(&desk, 3);
    desk.glpi.now_s = clock_wall_us() / US_PER_S;
    desk.task.fields = FIELDS;
    desk.task.n_fields = ARRAY_SIZE(FIELDS);
    desk.task.n_columns = 2;
    run_check(&desk, &findings);
    assert_int_equal(0, findings.n_errors);
    assert_int_equal(0, findings.n_warnings);
    assert_non_null(strstr(findings.text, "GLPI 10.0.19 lets user foz in"));
    assert_non_null(strstr(findings.text, "the account sees 3 entities"));
    assert_non_null(strstr(findings.text, "desk.ticket: Ticket is readable; GLPI 10.0.19 lacks 1 "
                                          "column, which stays NULL: externalid"));
    desk_release(&desk);
}

static void check_says_what_is_in_the_way(void **state)
{
    (void)state;
    struct desk desk;
    struct findings findings;
    desk_init_filled(&desk, 3);
    desk.glpi.no_right_to_log = true;
    run_check(&desk, &findings);
    assert_non_null(strstr(findings.text, "may not read Log"));
    assert_non_null(strstr(findings.text, "its clock is"));
    assert_int_equal(2, findings.n_warnings);
    desk.glpi.status = 403;
    run_check(&desk, &findings);
    assert_non_null(strstr(findings.text, "lacks the right"));
    assert_true(findings.n_errors >= 1);
    assert_int_equal(ERROR_DENIED, findings.last_code);
    desk.glpi.html_always = true;
    run_check(&desk, &findings);
    assert_int_equal(1, findings.n_errors);
    assert_non_null(strstr(findings.text, "maintenance mode"));
    desk.glpi.html_always = false;
    desk_release(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_learns_what_a_run_needs_and_is_closed),
        cmocka_unit_test(what_a_failed_start_opened_is_closed_again),
        cmocka_unit_test(a_refused_login_names_the_token_and_the_cure),
        cmocka_unit_test(the_zone_must_be_the_one_that_times_are_in),
        cmocka_unit_test(a_session_that_ends_is_opened_again_once),
        cmocka_unit_test(a_second_end_of_the_session_ends_the_run),
        cmocka_unit_test(a_stop_while_the_session_opens_closes_it),
        cmocka_unit_test(servers_that_do_not_share_sessions_are_named),
        cmocka_unit_test(a_new_session_must_show_what_the_old_one_showed),
        cmocka_unit_test(lanes_share_one_new_login),
        cmocka_unit_test(a_lane_that_wants_to_send_waits_for_the_new_token),
        cmocka_unit_test(a_failed_new_login_fails_everybody_who_sends),
        cmocka_unit_test(check_names_columns_that_a_version_lacks_without_a_warning),
        cmocka_unit_test(check_says_what_is_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
