#include "common/base/instant.h"
#include "desk_fixture.h"

/* What a run reads, the watermark it leaves, and what it says about deletions. */

#define NOW_S INT64_C(1800000000)

/* Plans a first run over n tickets and keeps its watermark. */
static void run_once(struct desk *desk, size_t n)
{
    desk_fill(desk, n);
    desk_must_plan(desk);
    desk_keep_cursor(desk, desk->plan.cursor);
}

/* The same account in another session. */
static void open_again(struct desk *desk)
{
    glpi_connector.close(desk->session, desk->client);
    desk->session = NULL;
    http_client_free(desk->client);
    http_source_free(desk->source);
}

static void the_first_run_reads_both_lists(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 50);
    fake_list_add(&desk.glpi.tickets, 51, START_S + 1000)->is_trash = true;
    desk_must_plan(&desk);
    assert_int_equal(WALK_ALL, desk.plan.kind);
    assert_string_equal("first run", desk.plan.why_all);
    assert_int_equal(2, desk.plan.n_partitions);
    assert_int_equal((START_S + 1000) * US_PER_S, desk.plan.high_us); /* the trash counts */
    assert_true(desk.plan.confirm_missing);
    assert_true(desk.plan.empty_may_delete);
    assert_null(desk.plan.hold);
    assert_int_equal(INT64_MAX, desk.plan.unsettled_us);
    desk_walk_plan(&desk);
    assert_int_equal(51, desk.n_ids);
    desk_release(&desk);
}

static void the_next_run_begins_the_overlap_before_the_last_change(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    run_once(&desk, 50);
    fake_list_add(&desk.glpi.tickets, 51, START_S + 5000);
    desk_must_plan(&desk);
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    assert_int_equal(1, desk.plan.n_partitions);
    assert_int_equal((START_S + 49 - 600) * US_PER_S, desk.plan.partitions[0].from_us);
    assert_int_equal((START_S + 5000) * US_PER_S, desk.plan.high_us);
    /* since the last run's clock, less the overlap, rows may have changed within their second */
    assert_in_range(desk.plan.unsettled_us, (NOW_S - 601) * US_PER_S, (NOW_S - 599) * US_PER_S);
    desk_release(&desk);
}

static void a_stamp_from_the_future_does_not_hide_the_present(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    fake_list_add(&desk.glpi.tickets, 51, NOW_S + 90000);
    run_once(&desk, 50);
    assert_in_range(desk.plan.high_us, NOW_S * US_PER_S, (NOW_S + 60) * US_PER_S);
    desk_release(&desk);
}

static void a_watermark_that_does_not_fit_means_reading_everything(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    run_once(&desk, 50);
    desk.task.filter = "entities_id=^3$";
    desk.glpi.ignores = "searchText";
    desk_must_plan(&desk);
    assert_int_equal(WALK_ALL, desk.plan.kind);
    assert_non_null(strstr(desk.plan.why_all, "filter"));
    desk.task.filter = NULL;
    desk.request.cursor = "{";
    desk_must_plan(&desk);
    assert_non_null(strstr(desk.plan.why_all, "unreadable"));
    desk.request.cursor = desk.cursor;
    open_again(&desk);
    desk.glpi.now_s -= 1; /* as far as a Date header can err */
    desk_must_open(&desk);
    desk_must_plan(&desk);
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    open_again(&desk);
    desk.glpi.now_s -= 86400;
    desk_must_open(&desk);
    desk_must_plan(&desk);
    assert_non_null(strstr(desk.plan.why_all, "went back"));
    for (size_t i = 0; i < 50; i++) {
        desk.glpi.tickets.items[i].is_gone = true;
    }
    desk.glpi.now_s += INT64_C(2) * 86400;
    open_again(&desk);
    desk_must_open(&desk);
    desk_must_plan(&desk);
    assert_non_null(strstr(desk.plan.why_all, "no record"));
    assert_null(desk.plan.cursor); /* nothing was learnt about where changes begin */
    desk_release(&desk);
}

static void a_census_of_keys_becomes_a_full_read(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    run_once(&desk, 50);
    desk.request.kind = WALK_KEYS;
    desk_must_plan(&desk);
    assert_int_equal(WALK_ALL, desk.plan.kind);
    assert_non_null(desk.plan.cursor);
    desk_release(&desk);
}

static void a_window_leaves_the_watermark(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    run_once(&desk, 50);
    desk.request.kind = WALK_WINDOW;
    desk.request.from_us = START_S * US_PER_S;
    desk_must_plan(&desk);
    assert_int_equal(WALK_WINDOW, desk.plan.kind);
    assert_int_equal(2, desk.plan.n_partitions);
    assert_int_equal(INT64_MIN, desk.plan.high_us);
    assert_null(desk.plan.cursor);
    desk_release(&desk);
}

static void the_log_names_tickets_whose_stamp_did_not_move(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    fake_list_add(&desk.glpi.log, 900, START_S + 10)->parent = 3;
    run_once(&desk, 50);
    assert_non_null(strstr(desk.cursor, "\"log\":900"));
    for (size_t i = 0; i < 50; i++) {
        desk.glpi.tickets.items[i].changed_s = START_S - 5000; /* behind the overlap */
    }
    fake_list_add(&desk.glpi.log, 905, START_S + 5000)->parent = 17;
    fake_list_add(&desk.glpi.log, 906, START_S + 5000)->parent = 17;
    fake_list_add(&desk.glpi.log, 907, START_S + 5000)->parent = 77; /* of another entity */
    desk_must_plan(&desk);
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    assert_non_null(strstr(desk.plan.cursor, "\"log\":907"));
    desk_walk_plan(&desk);
    assert_has(&desk, 17);
    assert_has(&desk, 3); /* within the overlap */
    assert_int_equal(2, desk.n_ids);
    desk_release(&desk);
}

static void the_newest_record_and_the_log_may_hold_nul(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.has_nul = true;
    (void)fake_list_add(&desk.glpi.log, 7, START_S);
    run_once(&desk, 20);
    struct fake_item *entry = fake_list_add(&desk.glpi.log, 8, START_S + 19);
    entry->parent = 3;
    desk_must_plan(&desk);
    assert_int_equal((START_S + 19) * US_PER_S, desk.plan.high_us);
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    desk_walk_plan(&desk);
    assert_has(&desk, 3);
    desk_release(&desk);
}

static void without_the_right_to_the_log_stamps_have_to_do(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.no_right_to_log = true;
    run_once(&desk, 50);
    assert_null(strstr(desk.cursor, "\"log\""));
    desk_must_plan(&desk);
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    desk_walk_plan(&desk);
    desk_release(&desk);
}

static void lost_entities_hold_deletions_until_they_are_let_go(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.entities = "0,1,2,5,6";
    run_once(&desk, 50);
    assert_non_null(strstr(desk.cursor, "\"entities\":\"0-2,5-6\""));
    open_again(&desk);
    desk.glpi.entities = "0,2,6,9";
    desk_must_open(&desk);
    /* an increment goes on, deletes no records of parents out of sight, and does not forget the
     * loss
     */
    desk_must_plan(&desk);
    assert_true(desk.plan.keeps_missing); /* for 9 is new */
    assert_non_null(desk.plan.hold);
    assert_non_null(strstr(desk.plan.cursor, "\"entities\":\"0-2,5-6,9\""));
    desk_keep_cursor(&desk, desk.plan.cursor);
    desk_must_plan(&desk);
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    assert_non_null(desk.plan.hold);
    desk_keep_cursor(&desk, desk.plan.cursor);
    desk.request.kind = WALK_ALL;
    desk_must_plan(&desk);
    assert_non_null(desk.plan.hold);
    assert_non_null(strstr(desk.plan.hold, "does not see 2 of the entities"));
    assert_non_null(strstr(desk.plan.hold, "(1,5)"));
    assert_non_null(strstr(desk.plan.cursor, "\"entities\":\"0-2,5-6,9\""));
    assert_non_null(strstr(desk.plan.cursor_after_deletions, "\"entities\":\"0,2,6,9\""));
    desk_keep_cursor(&desk, desk.plan.cursor_after_deletions);
    desk_must_plan(&desk);
    assert_null(desk.plan.hold);
    desk_release(&desk);
}

static void see(struct desk *desk, const char *entities)
{
    open_again(desk);
    desk->glpi.entities = entities;
    desk_must_open(desk);
    desk_must_plan(desk);
}

static void gained_entities_mean_reading_everything_once(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.entities = "0,1";
    run_once(&desk, 50);
    see(&desk, "0,1,2,3");
    assert_int_equal(WALK_ALL, desk.plan.kind);
    assert_non_null(strstr(desk.plan.why_all, "sees more entities than at the last run"));
    assert_false(desk.plan.keeps_missing);
    assert_null(desk.plan.hold);
    desk_keep_cursor(&desk, desk.plan.cursor);
    see(&desk, "0,1,2,3");
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    assert_null(desk.plan.why_all);
    /* lost for a while: what happened there meanwhile lies behind the watermark */
    see(&desk, "0,1,3");
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    assert_null(desk.plan.why_all);
    assert_non_null(strstr(desk.plan.cursor, "\"entities\":\"0-3\",\"missing\":\"2\""));
    desk_keep_cursor(&desk, desk.plan.cursor);
    see(&desk, "0,1,3");
    assert_null(desk.plan.why_all);
    desk_keep_cursor(&desk, desk.plan.cursor);
    see(&desk, "0,1,2,3");
    assert_int_equal(WALK_ALL, desk.plan.kind);
    assert_null(strstr(desk.plan.cursor, "missing"));
    desk_release(&desk);
}

static void entities_gained_while_others_are_lost_are_read_and_nothing_is_deleted(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.entities = "0,1";
    run_once(&desk, 50);
    see(&desk, "0,2");
    assert_non_null(desk.plan.hold);
    assert_non_null(desk.plan.why_all);
    assert_int_equal(WALK_ALL, desk.plan.kind);
    assert_true(desk.plan.keeps_missing);
    desk_walk_plan(&desk);
    assert_int_equal(50, desk.n_ids);
    desk_release(&desk);
}

static void tasks_of_no_entity_do_not_look_at_them(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    fake_list_add(&desk.glpi.children, 1, START_S);
    desk.glpi.entities = "0,1";
    desk.task.table = "RequestType";
    run_once(&desk, 50);
    see(&desk, "0,1,2");
    assert_int_equal(WALK_CHANGES, desk.plan.kind);
    assert_null(desk.plan.why_all);
    desk_release(&desk);
}

static struct str owed[400];
static char owed_text[400][24];

static void owe(struct desk *desk, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(owed_text[i], sizeof(owed_text[i]), "%zu", i + 1);
        owed[i] = str_from(owed_text[i]);
    }
    desk->request.owed = owed;
    desk->request.n_owed = n;
}

static void children_without_a_stamp_are_read_by_their_parents(void **state)
{
    (void)state;

    static const struct {
        size_t n_owed;
        bool is_cut;
        enum walk_kind kind;
        size_t n_partitions;
    } CASES[] = {
        {0, false, WALK_CHANGES, 0},  {1, false, WALK_CHANGES, 1},   {10, false, WALK_CHANGES, 1},
        {11, false, WALK_CHANGES, 2}, {300, false, WALK_CHANGES, 4}, {301, false, WALK_ALL, 1},
        {5, true, WALK_ALL, 1},
    };
    struct desk desk;
    desk_init(&desk);
    desk.task = child_task("Ticket_User", REFRESH_CHANGED);
    desk_must_plan(&desk);
    assert_int_equal(WALK_ALL, desk.plan.kind);
    assert_false(desk.plan.confirm_missing);
    desk_keep_cursor(&desk, desk.plan.cursor);
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        owe(&desk, CASES[i].n_owed);
        desk.request.owed_is_cut = CASES[i].is_cut;
        size_t before = desk.glpi.n_requests;
        desk_must_plan(&desk);
        assert_int_equal(CASES[i].kind, desk.plan.kind);
        assert_int_equal(CASES[i].n_partitions, desk.plan.n_partitions);
        assert_int_equal(before, desk.glpi.n_requests); /* nothing has to be asked for that */
        size_t n_keys = 0;
        for (size_t k = 0; k < desk.plan.n_partitions; k++) {
            n_keys += desk.plan.partitions[k].n_keys;
        }
        assert_int_equal(desk.plan.kind == WALK_CHANGES ? CASES[i].n_owed : 0, n_keys);
    }
    desk_release(&desk);
}

static void late_parents_add_to_the_changes_of_their_children(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 3);
    for (int64_t i = 1; i <= 9; i++) {
        fake_list_add(&desk.glpi.children, i, START_S - 100000 * i)->parent = i % 3 + 1;
    }
    desk.task = child_task("TicketTask", REFRESH_LATE);
    desk_must_plan(&desk);
    desk_keep_cursor(&desk, desk.plan.cursor);
    fake_list_add(&desk.glpi.children, 10, START_S)->parent = 3;
    owe(&desk, 1);
    desk_must_plan(&desk);
    assert_int_equal(2, desk.plan.n_partitions);
    assert_int_equal(WALK_CHANGES, desk.plan.partitions[0].kind);
    assert_int_equal(WALK_OWED, desk.plan.partitions[1].kind);
    desk_walk_plan(&desk);
    assert_has(&desk, 10);
    assert_has(&desk, 3);
    assert_has(&desk, 6);
    assert_has(&desk, 9);
    desk_release(&desk);
}

static void a_child_task_must_say_what_its_parent_is(void **state)
{
    (void)state;
    static struct field fields[ARRAY_SIZE(CHILD_FIELDS)];
    struct desk desk;
    desk_init(&desk);
    memcpy(fields, CHILD_FIELDS, sizeof(fields));
    fields[2].ref = NULL;
    desk.task = child_task("Ticket_User", REFRESH_CHANGED);
    desk.task.fields = fields;
    assert_false(desk_make_plan(&desk));
    assert_fails(&desk, ERROR_CONFIG, "ref");
    desk_release(&desk);
}

static void a_filter_that_is_none_is_named(void **state)
{
    (void)state;
    static const char *const FILTERS[] = {"itemtype", "itemtype=", "Item type=^x$", "=x",
                                          "a=b&&c=d"};
    for (size_t i = 0; i < ARRAY_SIZE(FILTERS); i++) {
        struct desk desk;
        desk_init(&desk);
        desk.task.filter = FILTERS[i];
        assert_false(desk_make_plan(&desk));
        assert_fails(&desk, ERROR_CONFIG, FILTERS[i]);
        desk_release(&desk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_run_reads_both_lists),
        cmocka_unit_test(the_next_run_begins_the_overlap_before_the_last_change),
        cmocka_unit_test(a_stamp_from_the_future_does_not_hide_the_present),
        cmocka_unit_test(a_watermark_that_does_not_fit_means_reading_everything),
        cmocka_unit_test(a_census_of_keys_becomes_a_full_read),
        cmocka_unit_test(a_window_leaves_the_watermark),
        cmocka_unit_test(the_log_names_tickets_whose_stamp_did_not_move),
        cmocka_unit_test(the_newest_record_and_the_log_may_hold_nul),
        cmocka_unit_test(without_the_right_to_the_log_stamps_have_to_do),
        cmocka_unit_test(lost_entities_hold_deletions_until_they_are_let_go),
        cmocka_unit_test(gained_entities_mean_reading_everything_once),
        cmocka_unit_test(entities_gained_while_others_are_lost_are_read_and_nothing_is_deleted),
        cmocka_unit_test(tasks_of_no_entity_do_not_look_at_them),
        cmocka_unit_test(children_without_a_stamp_are_read_by_their_parents),
        cmocka_unit_test(late_parents_add_to_the_changes_of_their_children),
        cmocka_unit_test(a_child_task_must_say_what_its_parent_is),
        cmocka_unit_test(a_filter_that_is_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
