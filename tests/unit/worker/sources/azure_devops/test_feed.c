#include "organisation_fixture.h"

/* The feeds: nothing lost, nothing believed that is not proven. */

static void fill(struct organisation *org, int n)
{
    for (int i = 0; i < n; i++) {
        fake_azure_add(&org->azure, 1 + i / 3, 1 + i % 3);
    }
}

static void assert_all_came(const struct organisation *org, size_t n)
{
    assert_ended(org);
    for (size_t i = 0; i < n; i++) {
        char begins[32];
        (void)snprintf(begins, sizeof(begins), "%d|%d|", org->azure.revisions[i].id,
                       org->azure.revisions[i].rev);
        if (rows_with(org, begins) == 0) {
            fail_msg("revision %s is missing", begins);
        }
    }
}

static void feed_reads_everything_at_every_page_size(void **state)
{
    (void)state;
    for (size_t page_size = 1; page_size <= 8; page_size++) {
        struct organisation org;
        organisation_init(&org, "work_item_revision");
        fill(&org, 7);
        org.azure.page_size = page_size;
        organisation_load(&org);
        assert_all_came(&org, 7);
        assert_int_equal(org.n_rows, 7);
        assert_string_equal(org.cursor, "{\"token\": \"7;0\"}");
        assert_int_equal(org.proof.high_us, org.azure.now_s * US_PER_S);
        assert_false(org.proof.has_expected);
        organisation_release(&org);
    }
}

static void feed_begins_where_the_last_run_ended(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 4);
    organisation_load(&org);
    assert_int_equal(org.plan.kind, WALK_ALL);
    assert_string_equal(org.plan.why_all, "first run");
    char *cursor = xstrdup(org.cursor);
    char *profile = xstrdup(org.plan.profile);
    org.request.cursor = cursor;
    org.request.profile = profile;
    fake_azure_add(&org.azure, 9, 1);
    organisation_load(&org);
    assert_ended(&org);
    assert_int_equal(org.plan.kind, WALK_CHANGES);
    assert_int_equal(org.n_rows, 1);
    assert_row(&org, "9|1|");
    assert_string_equal(org.cursor, "{\"token\": \"5;0\"}");
    xfree(cursor);
    xfree(profile);
    organisation_release(&org);
}

static void feed_encodes_its_token_and_never_sends_a_time(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 4);
    organisation_load(&org);
    assert_ended(&org);
    assert_int_equal(fake_azure_count(&org.azure,
                                      "POST /_apis/wit/reporting/workitemrevisions?api-version=7.1"
                                      "&continuationToken=3%3B0 {"),
                     1);
    for (size_t i = 0; i < org.azure.n_requests; i++) {
        assert_null(strstr(org.azure.asked[i], "startDateTime"));
    }
    organisation_release(&org);
}

static void feed_asks_for_everything_that_history_needs(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    organisation_load(&org);
    const char *asked = org.azure.asked[org.azure.n_requests - 1];
    assert_non_null(strstr(asked, "\"includeIdentityRef\":true"));
    assert_non_null(strstr(asked, "\"includeDeleted\":true"));
    assert_non_null(strstr(asked, "\"includeTagRef\":false"));
    assert_non_null(strstr(asked, "\"System.IsDeleted\""));
    assert_null(strstr(asked, "System.RevisedDate"));
    organisation_release(&org);
}

static void feed_goes_on_over_empty_pages(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 7);
    org.azure.empty_pages = 5;
    organisation_load(&org);
    assert_all_came(&org, 7);
    organisation_release(&org);
}

static void feed_takes_its_token_out_of_the_link(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 7);
    org.azure.token = TOKEN_IN_LINK;
    organisation_load(&org);
    assert_all_came(&org, 7);
    assert_string_equal(org.cursor, "{\"token\": \"7;0\"}");
    organisation_release(&org);
}

static void feed_minds_no_length_of_a_link(void **state)
{
    static const enum fake_token TOKENS[] = {TOKEN_IN_LINK, TOKEN_IN_BOTH};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(TOKENS); i++) {
        struct organisation org;
        organisation_init(&org, "work_item_revision");
        fill(&org, 7);
        org.azure.token = TOKENS[i];
        org.azure.link_bytes = 20000;
        organisation_load(&org);
        assert_all_came(&org, 7);
        assert_string_equal(org.cursor, "{\"token\": \"7;0\"}");
        organisation_release(&org);
    }
}

static void feed_never_follows_a_link_to_elsewhere(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 7);
    org.azure.token = TOKEN_IN_FOREIGN_LINK;
    organisation_load(&org);
    assert_fails(&org, ERROR_DATA, "evil.test");
    organisation_release(&org);
}

static void feed_hands_out_repeated_rows_as_often_as_they_come(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 7);
    org.azure.repeats_rows = true;
    organisation_load(&org);
    assert_all_came(&org, 7);
    assert_int_equal(org.n_rows, 9);
    organisation_release(&org);
}

static void feed_that_does_not_lead_on_is_an_error(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct organisation org;
        organisation_init(&org, "work_item_revision");
        fill(&org, 30);
        org.azure.is_stuck = i == 0;
        org.azure.token = i == 1 ? TOKEN_NOWHERE : TOKEN_IN_MEMBER;
        org.azure.circle = i == 2 ? 5 : 0;
        org.azure.never_last = i == 3;
        organisation_load(&org);
        static const char *const WORDS[] = {"the token it was asked with",
                                            "has no continuationToken", "go round in a circle",
                                            "1000 pages in a row are empty"};
        assert_fails(&org, ERROR_DATA, WORDS[i]);
        assert_string_equal(org.cursor, "");
        organisation_release(&org);
    }
}

static void feed_sees_circles_of_every_length(void **state)
{
    (void)state;
    for (size_t circle = 1; circle <= 9; circle++) {
        struct organisation org;
        organisation_init(&org, "work_item_revision");
        fill(&org, 40);
        org.azure.circle = circle;
        organisation_load(&org);
        assert_fails(&org, ERROR_DATA, "does not end");
        organisation_release(&org);
    }
}

static void feed_may_end_with_the_token_it_was_asked_with(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 3);
    organisation_load(&org);
    char *cursor = xstrdup(org.cursor);
    char *profile = xstrdup(org.plan.profile);
    org.request.cursor = cursor;
    org.request.profile = profile;
    org.azure.is_stuck = true;
    organisation_load(&org);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 0);
    assert_string_equal(org.cursor, cursor);
    xfree(cursor);
    xfree(profile);
    organisation_release(&org);
}

static void feed_without_is_last_batch_is_asked_again_and_refused(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 3);
    org.azure.lacks_last = true;
    organisation_load(&org);
    assert_fails(&org, ERROR_TRANSIENT, "isLastBatch");
    organisation_release(&org);
}

static void feed_survives_an_answer_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 250; cut++) {
        struct organisation org;
        organisation_init(&org, "work_item_revision");
        fill(&org, 3);
        org.azure.cut_at = cut;
        organisation_load(&org);
        assert_all_came(&org, 3);
        assert_int_equal(org.n_rows, 3);
        organisation_release(&org);
    }
}

static void feed_drops_a_field_that_is_refused_and_leaves_it_absent(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 3);
    org.azure.refuses_field = "System.Watermark";
    organisation_load(&org);
    assert_all_came(&org, 3);
    assert_null(strstr(org.azure.asked[org.azure.n_requests - 1], "System.Watermark"));
    organisation_release(&org);
}

/* A field that is refused says nothing of the token, whatever the field is called. */
static void feed_keeps_its_token_when_a_field_is_refused(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item_revision");
    fill(&org, 3);
    assert_true(organisation_plan(&org));
    char *profile = xstrdup(org.plan.profile);
    org.request.cursor = "{\"token\": \"2;0\"}";
    org.request.profile = profile;
    org.azure.refuses_field = "System.Watermark";
    organisation_load(&org);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_row(&org, "1|3|");
    xfree(profile);
    organisation_release(&org);
}

/* With a token that the service does not take, the feed of three revisions on one page. */
static void load_with_dead_token(struct organisation *org, int status, const char *words)
{
    organisation_init(org, "work_item_revision");
    fill(org, 3);
    assert_true(organisation_plan(org));
    char *profile = xstrdup(org->plan.profile);
    org->request.cursor = "{\"token\": \"99;0\"}";
    org->request.profile = profile;
    org->azure.refuses_tokens = true;
    org->azure.refusal_status = status;
    org->azure.refusal = words;
    org->azure.page_size = 10;
    organisation_load(org);
    xfree(profile);
}

static void feed_begins_again_when_its_token_is_refused(void **state)
{
    static const struct {
        int status;
        const char *words;
    } CASES[] = {
        {400, NULL},
        {400, "VS403457: The value provided for the parameter is not valid."},
        {404, "TF200016: It does not exist."},
        {410, "It is gone."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct organisation org;
        load_with_dead_token(&org, CASES[i].status, CASES[i].words);
        assert_all_came(&org, 3);
        assert_int_equal(org.plan.kind, WALK_CHANGES);
        organisation_release(&org);
    }
}

static void feed_does_not_begin_again_for_trouble_that_passes(void **state)
{
    struct organisation org;
    (void)state;
    load_with_dead_token(&org, 400, "VS402491: The server is busy.");
    assert_int_equal(org.n_rows, 0);
    assert_int_equal(
        fake_azure_count(&org.azure,
                         "POST /_apis/wit/reporting/workitemrevisions?api-version=7.1 "),
        0);
    organisation_release(&org);
}

static void feed_that_is_refused_from_its_start_too_is_an_error(void **state)
{
    static const struct fake_reply REPLIES[] = {
        {"POST /_apis/wit/reporting/workitemrevisions?api-version=7.1&continuationToken", 410, NULL,
         "{\"message\":\"It is gone.\"}"},
        {"POST /_apis/wit/reporting/workitemrevisions", 404, NULL,
         "{\"message\":\"There is no feed.\"}"},
    };

    struct organisation org;
    (void)state;
    organisation_init_with(&org, "work_item_revision", REPLIES, ARRAY_SIZE(REPLIES));
    assert_true(organisation_plan(&org));
    char *profile = xstrdup(org.plan.profile);
    org.request.cursor = "{\"token\": \"99;0\"}";
    org.request.profile = profile;
    organisation_load(&org);
    assert_fails(&org, ERROR_CONFIG, "There is no feed.");
    assert_int_equal(fake_azure_count(&org.azure, "POST /_apis/wit/reporting/workitemrevisions"),
                     2);
    xfree(profile);
    organisation_release(&org);
}

static void feed_reads_all_again_when_what_it_depends_on_changed(void **state)
{
    static const struct {
        const char *cursor;
        const char *profile;
        const char *why;
    } CASES[] = {
        {"{\"token\": \"3;0\"}", "other", "url or fields changed since the last run"},
        {"{\"token\": \"3;0\"}", NULL, "url or fields changed since the last run"},
        {NULL, NULL, "first run"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct organisation org;
        organisation_init(&org, "work_item_revision");
        org.request.cursor = CASES[i].cursor;
        org.request.profile = CASES[i].profile;
        assert_true(organisation_plan(&org));
        assert_int_equal(org.plan.kind, WALK_ALL);
        assert_string_equal(org.plan.why_all, CASES[i].why);
        assert_null(org.plan.partitions[0].from_key);
        organisation_release(&org);
    }
}

/* For full, and for reconcile, which a feed knows no cheaper form of. */
static void feed_forgets_its_token_when_everything_is_asked_for(void **state)
{
    static const enum walk_kind KINDS[] = {WALK_ALL, WALK_KEYS};

    static const char *const TASKS[] = {"work_item_revision", "work_item_link"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(KINDS) * ARRAY_SIZE(TASKS); i++) {
        struct organisation org;
        organisation_init(&org, TASKS[i / 2]);
        assert_true(organisation_plan(&org));
        char *profile = xstrdup(org.plan.profile);
        org.request.kind = KINDS[i % 2];
        org.request.cursor = "{\"token\": \"3;0\"}";
        org.request.profile = profile;
        assert_true(organisation_plan(&org));
        assert_int_equal(org.plan.kind, WALK_ALL);
        assert_int_equal(org.plan.partitions[0].kind, WALK_ALL);
        assert_null(org.plan.partitions[0].from_key);
        xfree(profile);
        organisation_release(&org);
    }
}

static void links_land_by_relation_and_both_ends(void **state)
{
    static const struct fake_reply REPLIES[] = {
        {"GET /_apis/wit/reporting/workitemlinks?api-version=7.1&continuationToken=6281123", 0,
         NULL, "{\"values\":[],\"continuationToken\":6281123,\"isLastBatch\":true}"},
        {"GET /_apis/wit/reporting/workitemlinks?api-version=7.1", 0, NULL,
         "{\"values\":[{\"rel\":\"System.LinkTypes.Hierarchy\",\"sourceId\":7,\"targetId\":8,"
         "\"changedDate\":\"2014-03-18T17:17:52.02Z\",\"isActive\":false,\"changedBy\":{}}],"
         "\"continuationToken\":\"6281123\",\"isLastBatch\":false}"},
    };

    struct organisation org;
    (void)state;
    organisation_init_with(&org, "work_item_link", REPLIES, ARRAY_SIZE(REPLIES));
    organisation_load(&org);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_row(&org, "System.LinkTypes.Hierarchy|7|8|");
    assert_string_equal(value_of(&org, 0, "is_active"), "no");
    assert_string_equal(org.cursor, "{\"token\": \"6281123\"}");
    organisation_release(&org);
}

static void given_links_are_those_asked_for_and_move_no_token(void **state)
{
    static const struct fake_reply REPLIES[] = {
        {"GET /_apis/wit/reporting/workitemlinks", 0, NULL,
         "{\"values\":[{\"rel\":\"R\",\"sourceId\":7,\"targetId\":8},"
         "{\"rel\":\"R\",\"sourceId\":7,\"targetId\":9}],"
         "\"continuationToken\":\"5\",\"isLastBatch\":true}"},
    };
    static const char *const KEYS[] = {"R:7:9", "R:1:1"};

    struct organisation org;
    (void)state;
    organisation_init_with(&org, "work_item_link", REPLIES, ARRAY_SIZE(REPLIES));
    organisation_walk_given(&org, KEYS, ARRAY_SIZE(KEYS));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_row(&org, "R|7|9|");
    assert_string_equal(org.cursor, "");
    organisation_release(&org);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feed_reads_everything_at_every_page_size),
        cmocka_unit_test(feed_begins_where_the_last_run_ended),
        cmocka_unit_test(feed_encodes_its_token_and_never_sends_a_time),
        cmocka_unit_test(feed_asks_for_everything_that_history_needs),
        cmocka_unit_test(feed_goes_on_over_empty_pages),
        cmocka_unit_test(feed_takes_its_token_out_of_the_link),
        cmocka_unit_test(feed_minds_no_length_of_a_link),
        cmocka_unit_test(feed_never_follows_a_link_to_elsewhere),
        cmocka_unit_test(feed_hands_out_repeated_rows_as_often_as_they_come),
        cmocka_unit_test(feed_that_does_not_lead_on_is_an_error),
        cmocka_unit_test(feed_sees_circles_of_every_length),
        cmocka_unit_test(feed_may_end_with_the_token_it_was_asked_with),
        cmocka_unit_test(feed_without_is_last_batch_is_asked_again_and_refused),
        cmocka_unit_test(feed_survives_an_answer_cut_at_every_byte),
        cmocka_unit_test(feed_drops_a_field_that_is_refused_and_leaves_it_absent),
        cmocka_unit_test(feed_keeps_its_token_when_a_field_is_refused),
        cmocka_unit_test(feed_begins_again_when_its_token_is_refused),
        cmocka_unit_test(feed_does_not_begin_again_for_trouble_that_passes),
        cmocka_unit_test(feed_that_is_refused_from_its_start_too_is_an_error),
        cmocka_unit_test(feed_reads_all_again_when_what_it_depends_on_changed),
        cmocka_unit_test(feed_forgets_its_token_when_everything_is_asked_for),
        cmocka_unit_test(links_land_by_relation_and_both_ends),
        cmocka_unit_test(given_links_are_those_asked_for_and_move_no_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
