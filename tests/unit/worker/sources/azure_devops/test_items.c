#include "organisation_fixture.h"
#include "worker/sources/azure_devops/walk.h"

/* Work items by the census and by key: what exists, what is in the bin, what is nowhere. */

static void fill_items(struct organisation *org, int n)
{
    for (int i = 0; i < n; i++) {
        org->azure.items[org->azure.n_items++] = (struct fake_item){.id = 10 + i};
    }
}

static const struct fake_reply TWO_PROJECTS[] = {
    {"GET /_apis/projects?", 0, NULL,
     "{\"count\":2,\"value\":[{\"id\":\"p-1\",\"name\":\"One\",\"state\":\"wellFormed\"},"
     "{\"id\":\"p-2\",\"name\":\"Two\",\"state\":\"wellFormed\"}]}"},
    {"GET /p-2/_apis/wit/recyclebin", 0, NULL, "{\"count\":0,\"value\":[]}"},
};

static void set_projects(struct organisation *org)
{
    org->azure.replies = TWO_PROJECTS;
    org->azure.n_replies = ARRAY_SIZE(TWO_PROJECTS);
}

static const struct partition CENSUS = {.kind = WALK_KEYS};
static const struct partition BINS = {.kind = WALK_ALL};

static void increments_of_work_items_are_made_from_revisions(void **state)
{
    static const enum walk_kind KINDS[] = {WALK_CHANGES, WALK_WINDOW};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
        struct organisation org;
        organisation_init(&org, "work_item");
        org.request.kind = KINDS[i];
        org.request.cursor = "{}";
        assert_true(organisation_plan(&org));
        assert_int_equal(org.plan.kind, WALK_CHANGES);
        assert_int_equal(org.plan.n_partitions, 0);
        assert_int_equal(org.azure.n_requests, 0);
        organisation_release(&org);
    }
}

static void first_runs_full_and_reconcile_take_a_census_that_is_confirmed(void **state)
{
    static const enum walk_kind KINDS[] = {WALK_ALL, WALK_KEYS, WALK_CHANGES, WALK_WINDOW};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
        struct organisation org;
        organisation_init(&org, "work_item");
        org.request.kind = KINDS[i];
        assert_true(organisation_plan(&org));
        assert_int_equal(org.plan.kind, WALK_KEYS);
        assert_int_equal(org.plan.n_partitions, 2);
        assert_int_equal(org.plan.partitions[0].kind, WALK_KEYS);
        assert_int_equal(org.plan.partitions[1].kind, WALK_ALL);
        assert_true(org.plan.confirm_missing);
        organisation_release(&org);
    }
}

static void census_lists_live_and_binned_ids_at_every_page_size(void **state)
{
    (void)state;
    for (int64_t top = 1; top <= 6; top++) {
        struct organisation org;
        struct task_def task;
        organisation_init(&org, "work_item");
        task = *org.task;
        task.page_size = top;
        org.task = &task;
        fill_items(&org, 5);
        org.azure.items[2].is_binned = true;
        org.azure.items[3].is_hidden = true;
        set_projects(&org);
        organisation_walk(&org, &CENSUS);
        assert_ended(&org);
        assert_int_equal(org.n_rows, 4);
        assert_row(&org, "10");
        assert_row(&org, "11");
        assert_row(&org, "12");
        assert_row(&org, "14");
        organisation_release(&org);
    }
}

static void bins_say_of_their_items_that_they_are_deleted_if_the_feed_does_not(void **state)
{
    struct organisation org;
    struct task_def task;
    (void)state;
    organisation_init(&org, "work_item");
    fill_items(&org, 5);
    org.azure.items[2].is_binned = true;
    org.azure.items[3].is_hidden = true;
    set_projects(&org);
    organisation_walk(&org, &BINS);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 0); /* the feed tells */
    org.azure.refuses_field = "System.IsDeleted";
    organisation_walk(&org, &BINS);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_string_equal(value_of(&org, 0, "id"), "12");
    assert_string_equal(value_of(&org, 0, "is_deleted"), "yes");
    assert_int_equal(fake_azure_count(&org.azure, "POST"), 0);
    task = *org.task;
    struct row_batch batch;
    row_batch_init(&batch, &task, ROW_FULL, (size_t)1024 * 1024);
    assert_true(ado_add_deleted(&batch, &task, 12, &org.err));
    for (size_t i = 0; i < task.n_columns; i++) {
        bool is_told = strcmp(task.columns[i].name, "id") == 0 ||
                       strcmp(task.columns[i].name, "is_deleted") == 0;
        bool is_absent = (batch.absent_columns[i / 64] >> (i % 64) & 1) != 0;
        assert_int_equal(is_absent, !is_told);
    }
    row_batch_release(&batch);
    organisation_release(&org);
}

static void census_asks_for_less_when_the_query_runs_out_of_time(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item");
    fill_items(&org, 9);
    set_projects(&org);
    org.azure.top_max = 2;
    organisation_walk(&org, &CENSUS);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 9);
    organisation_release(&org);
}

static void forget_an_answer(struct fake_azure *azure, size_t index)
{
    static const struct fake_reply EMPTY[] = {
        {"POST /_apis/wit/wiql", 0, NULL, "{\"workItems\":[]}"},
    };
    azure->replies = index == 1 ? EMPTY : TWO_PROJECTS;
    azure->n_replies = index == 1 ? ARRAY_SIZE(EMPTY) : ARRAY_SIZE(TWO_PROJECTS);
}

static void census_believes_an_empty_answer_only_when_it_comes_twice(void **state)
{
    struct organisation org;
    struct task_def task;
    (void)state;
    organisation_init(&org, "work_item");
    task = *org.task;
    task.page_size = 2;
    org.task = &task;
    fill_items(&org, 5);
    org.azure.before = forget_an_answer;
    organisation_walk(&org, &CENSUS);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 5);
    organisation_release(&org);
}

static void census_refuses_ids_out_of_order(void **state)
{
    static const struct fake_reply REPLIES[] = {
        {"POST /_apis/wit/wiql", 0, NULL, "{\"workItems\":[{\"id\":5},{\"id\":4}]}"},
    };

    struct organisation org;
    (void)state;
    organisation_init_with(&org, "work_item", REPLIES, ARRAY_SIZE(REPLIES));
    finish_failed(&org, &CENSUS, ERROR_DATA, "out of order");
}

static void census_goes_without_a_bin_that_is_too_full(void **state)
{
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item");
    fill_items(&org, 3);
    org.azure.items[1].is_binned = true;
    org.azure.bin_is_too_full = true;
    set_projects(&org);
    organisation_walk(&org, &CENSUS);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 2);
    assert_int_equal(fake_azure_count(&org.azure, "GET /p-1/_apis/wit/recyclebin"), 1);
    organisation_release(&org);
}

static void census_that_may_not_read_a_bin_is_an_error(void **state)
{
    static const struct fake_reply REPLIES[] = {
        {"GET /_apis/projects?", 0, NULL,
         "{\"count\":1,\"value\":[{\"id\":\"p-1\",\"name\":\"One\"}]}"},
        {"GET /p-1/_apis/wit/recyclebin", 403, NULL, "{\"message\":\"no right\"}"},
    };

    struct organisation org;
    (void)state;
    organisation_init_with(&org, "work_item", REPLIES, ARRAY_SIZE(REPLIES));
    finish_failed(&org, &CENSUS, ERROR_DENIED, "recycle bin of project One");
}

static void given_items_are_those_that_exist(void **state)
{
    static const char *const KEYS[] = {"10", "11", "12", "13", "14", "99", "none"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct organisation org;
        organisation_init(&org, "work_item");
        fill_items(&org, 5);
        org.azure.items[1].is_binned = true;
        org.azure.items[2].is_hidden = true;
        org.azure.nulls = i % 2 == 1;
        org.azure.bin_is_shallow = i >= 2;
        organisation_walk_given(&org, KEYS, ARRAY_SIZE(KEYS));
        assert_ended(&org);
        assert_int_equal(org.n_rows, 4);
        assert_row(&org, "10|7|");
        assert_row(&org, "13|7|");
        assert_row(&org, "14|7|");
        assert_row(&org, i >= 2 ? "11|-|" : "11|8|");
        assert_string_equal(value_of(&org, 0, "is_deleted"), "no");
        assert_string_equal(value_of(&org, 3, "is_deleted"), "yes");
        organisation_release(&org);
    }
}

#define NO_ROUTE "The controller for path '/_apis/wit/recyclebin' was not found"
#define NO_ROOT_BIN                                                                                \
    {                                                                                              \
        "GET /_apis/wit/recyclebin", 404, "Content-Type: text/plain", NO_ROUTE                     \
    }
#define SOME_PROJECTS                                                                              \
    {                                                                                              \
        "GET /_apis/projects?", 0, NULL,                                                           \
            "{\"count\":3,\"value\":[{\"id\":\"p-0\",\"name\":\"Zero\"},{\"id\":\"p-1\",\"name\":" \
            "\"One\"},{\"id\":\"p-9\",\"name\":\"Nine\",\"state\":\"deleted\"}]}"                  \
    }

#define EMPTY_BIN                                                                                  \
    {                                                                                              \
        "GET /p-0/_apis/wit/recyclebin?", 0, NULL, "[]"                                            \
    }

/* Items 10 to 12: there, in the bin of project p-1, nowhere. */
static void look_for_three(struct organisation *org, const struct fake_reply *replies, size_t n)
{
    static const char *const KEYS[] = {"10", "11", "12"};
    organisation_init_with(org, "work_item", replies, n);
    fill_items(org, 3);
    org->azure.items[1].is_binned = true;
    org->azure.items[2].is_hidden = true;
    organisation_walk_given(org, KEYS, ARRAY_SIZE(KEYS));
}

static void bins_of_projects_are_asked_where_the_organisation_has_none(void **state)
{
    static const struct fake_reply NO_ONE_KNOWS = {"GET /p-1/_apis/wit/recyclebin?ids=", 404, NULL,
                                                   "{\"message\":\"TF401232: Work item 12\"}"};
    static const struct fake_reply TOO_FULL = {
        "GET /p-1/_apis/wit/recyclebin?api", 400, NULL,
        "{\"message\":\"VS402337: The number of work items returned exceeds the size limit\"}"};

    (void)state;
    for (size_t n = 3; n <= 5; n++) { /* ids are looked up; the bin is listed; one by one */
        const struct fake_reply replies[] = {NO_ROOT_BIN, SOME_PROJECTS, EMPTY_BIN, NO_ONE_KNOWS,
                                             TOO_FULL};
        struct organisation org;
        look_for_three(&org, replies, n);
        assert_ended(&org);
        assert_int_equal(org.n_rows, 2);
        assert_row(&org, "10|7|");
        assert_row(&org, "11|8|");
        assert_string_equal(value_of(&org, 1, "is_deleted"), "yes");
        assert_int_equal(fake_azure_count(&org.azure, "GET /p-1/_apis/wit/recyclebin/12"),
                         n == 5 ? 1 : 0);
        assert_int_equal(fake_azure_count(&org.azure, "GET /p-9/"), 0);
        organisation_release(&org);
    }
}

static void items_that_may_be_in_a_bin_nobody_can_read_stay_as_they_are(void **state)
{
    static const struct fake_reply THERE[] = {
        NO_ROOT_BIN,
        SOME_PROJECTS,
        EMPTY_BIN,
        {"GET /p-1/_apis/wit/recyclebin", 404, "Content-Type: text/plain", NO_ROUTE},
        {"GET /_apis/projects/p-1?", 0, NULL, "{\"id\":\"p-1\"}"},
    };
    static const struct fake_reply GONE[] = {
        NO_ROOT_BIN,
        SOME_PROJECTS,
        EMPTY_BIN,
        {"GET /p-1/_apis/wit/recyclebin", 404, "Content-Type: text/plain", NO_ROUTE},
        {"GET /_apis/projects/p-1?", 404, NULL, "{\"message\":\"TF200016\"}"},
    };
    static const struct fake_reply CLOSED[] = {
        NO_ROOT_BIN,
        SOME_PROJECTS,
        EMPTY_BIN,
        {"GET /p-1/_apis/wit/recyclebin", 403, NULL, "{\"message\":\"no right\"}"},
    };

    struct organisation org;
    (void)state;
    look_for_three(&org, THERE, ARRAY_SIZE(THERE));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 3);
    assert_row(&org, "11|-|");
    assert_row(&org, "12|-|");
    assert_string_equal(value_of(&org, 2, "is_deleted"), "-");
    organisation_release(&org);
    look_for_three(&org, GONE, ARRAY_SIZE(GONE));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    organisation_release(&org);
    look_for_three(&org, CLOSED, ARRAY_SIZE(CLOSED));
    assert_fails(&org, ERROR_DENIED, "recycle bin of project One");
    organisation_release(&org);
}

static void ids_that_a_bin_does_not_know_are_passed_over(void **state)
{
    static const char *const BODIES[] = {
        "{\"count\":2,\"value\":[{\"id\":11,\"code\":200},null]}",
        "{\"count\":2,\"value\":[{\"code\":404,\"message\":\"TF401232: x\"},{\"id\":\"11\"}]}",
        "[{\"id\":11,\"code\":200},{\"id\":12,\"code\":404}]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(BODIES); i++) {
        const struct fake_reply reply = {"GET /_apis/wit/recyclebin?ids=", 0, NULL, BODIES[i]};
        struct organisation org;
        look_for_three(&org, &reply, 1);
        assert_ended(&org);
        assert_int_equal(org.n_rows, 2);
        assert_row(&org, "11|8|");
        assert_int_equal(fake_azure_count(&org.azure, "GET /_apis/wit/recyclebin/"), 1);
        organisation_release(&org);
    }
}

static void what_a_bin_lists_and_does_not_show_is_deleted(void **state)
{
    static const struct fake_reply REPLY = {"GET /_apis/wit/recyclebin/", 404,
                                            "Content-Type: text/plain", NO_ROUTE};

    struct organisation org;
    (void)state;
    look_for_three(&org, &REPLY, 1);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 2);
    assert_row(&org, "11|-|");
    assert_string_equal(value_of(&org, 1, "is_deleted"), "yes");
    organisation_release(&org);
}

static void given_items_come_in_batches_of_two_hundred(void **state)
{
    static char texts[450][8];
    static struct str keys[450];
    struct organisation org;
    (void)state;
    organisation_init(&org, "work_item");
    fill_items(&org, 3);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%zu", i + 1);
        keys[i] = str_from(texts[i]);
    }
    organisation_walk(
        &org, &(struct partition){.kind = WALK_GIVEN, .keys = keys, .n_keys = ARRAY_SIZE(keys)});
    assert_ended(&org);
    assert_int_equal(org.n_rows, 3);
    assert_int_equal(fake_azure_count(&org.azure, "POST /_apis/wit/workitemsbatch"), 3);
    organisation_release(&org);
}

static void given_items_that_were_not_asked_for_are_refused(void **state)
{
    static const char *const BODIES[] = {
        "{\"value\":[{\"id\":77,\"rev\":1,\"fields\":{}}]}",
        "{\"value\":[{\"id\":10,\"rev\":1,\"fields\":{}},{\"id\":10,\"rev\":1,\"fields\":{}}]}",
    };
    static const char *const WORDS[] = {"not asked for", "sent twice"};
    static const char *const KEYS[] = {"10"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(BODIES); i++) {
        const struct fake_reply reply = {"POST /_apis/wit/workitemsbatch", 0, NULL, BODIES[i]};
        struct organisation org;
        organisation_init_with(&org, "work_item", &reply, 1);
        organisation_walk_given(&org, KEYS, 1);
        assert_fails(&org, ERROR_DATA, WORDS[i]);
        organisation_release(&org);
    }
}

static void given_revisions_are_read_one_by_one(void **state)
{
    static const struct fake_reply REPLIES[] = {
        {"GET /_apis/wit/workItems/3/revisions/2?$expand=all&api-version=7.1", 0, NULL,
         "{\"id\":3,\"rev\":2,\"fields\":{\"System.State\":\"Done\"},\"url\":\"u\"}"},
    };
    static const char *const KEYS[] = {"3:2", "3:9", "x", "4:"};

    struct organisation org;
    (void)state;
    organisation_init_with(&org, "work_item_revision", REPLIES, ARRAY_SIZE(REPLIES));
    organisation_walk_given(&org, KEYS, ARRAY_SIZE(KEYS));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_row(&org, "3|2|");
    organisation_release(&org);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(increments_of_work_items_are_made_from_revisions),
        cmocka_unit_test(first_runs_full_and_reconcile_take_a_census_that_is_confirmed),
        cmocka_unit_test(census_lists_live_and_binned_ids_at_every_page_size),
        cmocka_unit_test(bins_say_of_their_items_that_they_are_deleted_if_the_feed_does_not),
        cmocka_unit_test(census_asks_for_less_when_the_query_runs_out_of_time),
        cmocka_unit_test(census_believes_an_empty_answer_only_when_it_comes_twice),
        cmocka_unit_test(census_refuses_ids_out_of_order),
        cmocka_unit_test(census_goes_without_a_bin_that_is_too_full),
        cmocka_unit_test(census_that_may_not_read_a_bin_is_an_error),
        cmocka_unit_test(given_items_are_those_that_exist),
        cmocka_unit_test(bins_of_projects_are_asked_where_the_organisation_has_none),
        cmocka_unit_test(items_that_may_be_in_a_bin_nobody_can_read_stay_as_they_are),
        cmocka_unit_test(ids_that_a_bin_does_not_know_are_passed_over),
        cmocka_unit_test(what_a_bin_lists_and_does_not_show_is_deleted),
        cmocka_unit_test(given_items_come_in_batches_of_two_hundred),
        cmocka_unit_test(given_items_that_were_not_asked_for_are_refused),
        cmocka_unit_test(given_revisions_are_read_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
