#include "desk_fixture.h"

/* Whole lists, whatever moves and whatever the server does. */

/* Every row that is there now and was there at the start came; live ones exactly once. */
static void assert_all(const struct desk *desk, bool is_trash)
{
    assert_ended(desk);
    for (size_t i = 0; i < desk->glpi.tickets.n; i++) {
        const struct fake_item *item = &desk->glpi.tickets.items[i];
        if (!item->is_gone && !item->is_hidden && item->is_trash == is_trash) {
            if (desk_times(desk, item->id) != 1) {
                fail_msg("%lld came %zu times", (long long)item->id, desk_times(desk, item->id));
            }
        }
    }
}

static void every_page_size_brings_every_row_once(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 25; n += 5) {
        for (int64_t size = 1; size <= (int64_t)n + 2; size++) {
            struct desk desk;
            desk_init_filled(&desk, n);
            desk.task.page_size = size;
            desk_walk(&desk, &desk.partition);
            assert_all(&desk, false);
            assert_int_equal(n, desk.n_ids);
            assert_true(desk.proof.has_expected);
            desk_release(&desk);
        }
    }
}

static void the_trash_is_a_list_of_its_own(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 40);
    for (size_t i = 0; i < 40; i += 3) {
        desk.glpi.tickets.items[i].is_trash = true;
    }
    desk_walk(&desk, &desk.partition);
    assert_all(&desk, false);
    desk_forget(&desk);
    desk.partition.list = GLPI_LIST_TRASH;
    desk_walk(&desk, &desk.partition);
    assert_all(&desk, true);
    assert_int_equal(14, desk.n_ids);
    desk_release(&desk);
}

static size_t leaving; /* how many rows leave in front before each page but the first */

static void let_rows_leave(struct fake_glpi *glpi, size_t index)
{
    size_t left = index >= 6 ? leaving : 0;
    for (size_t i = 0; i < glpi->tickets.n && left > 0; i++) {
        if (!glpi->tickets.items[i].is_gone) {
            glpi->tickets.items[i].is_gone = true;
            left--;
        }
    }
}

static void rows_that_leave_in_front_cost_no_other_row(void **state)
{
    (void)state;
    for (leaving = 1; leaving <= 25; leaving += 3) {
        struct desk desk;
        desk_init_filled(&desk, 200);
        desk.task.page_size = 20;
        desk.glpi.before = let_rows_leave;
        desk_walk(&desk, &desk.partition);
        assert_all(&desk, false);
        desk_release(&desk);
    }
}

static void answers_too_large_for_php_are_asked_for_in_halves(void **state)
{
    (void)state;
    static const int STATUSES[] = {206, 500};
    for (size_t i = 0; i < ARRAY_SIZE(STATUSES); i++) {
        struct desk desk;
        desk_init_filled(&desk, 100);
        desk.task.page_size = 64;
        desk.glpi.empty_above = 10;
        desk.glpi.empty_status = STATUSES[i];
        desk_walk(&desk, &desk.partition);
        assert_all(&desk, false);
        desk_release(&desk);
    }
}

static const struct trouble {
    int status;
    bool is_cut;
    const char *body;
} TROUBLES[] = {
    {500, false, "<html>Internal Server Error</html>"},
    {500, false, "[\"ERROR_SQL\",\"words\"]"},
    {502, false, "<html>Bad Gateway</html>"},
    {503, false, "x"},
    {504, false, ""},
    {206, true, ""},
};

static void fail_above(struct desk *desk, int64_t n, const struct trouble *trouble)
{
    desk->glpi.empty_above = n;
    desk->glpi.empty_status = trouble->status;
    desk->glpi.empty_body = trouble->body;
    desk->glpi.is_cut_above = trouble->is_cut;
}

static void pages_too_large_for_the_way_are_asked_for_in_halves(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(TROUBLES); i++) {
        for (int64_t above = 3; above <= 48; above *= 4) {
            struct desk desk;
            desk_init_filled(&desk, 100);
            desk.task.page_size = 64;
            fail_above(&desk, above, &TROUBLES[i]);
            desk_walk(&desk, &desk.partition);
            assert_all(&desk, false);
            desk_release(&desk);
        }
    }
}

static void a_server_that_is_away_gets_the_usual_tries_for_the_smallest_page(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(TROUBLES); i++) {
        struct desk desk;
        desk_init_filled(&desk, 100);
        desk.task.page_size = 16;
        desk.config.breaker.failures = 100;
        fail_above(&desk, 1, &TROUBLES[i]);
        walk_must_fail(&desk, ERROR_TRANSIENT, "gave up after 6 tries");
        assert_int_equal(TROUBLES[i].is_cut ? 0 : TROUBLES[i].status, desk.err.http_status);
        /* 16 rows twice, 8, 4, then 2 rows until the tries are used up */
        assert_int_equal(2 + 1 + 1 + desk.config.retry.attempts, desk.glpi.n_lists);
        desk_release(&desk);
    }
}

static void a_server_that_never_sends_a_body_is_an_error(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 100);
    desk.glpi.empty_above = 1;
    walk_must_fail(&desk, ERROR_TRANSIENT, "memory_limit");
    desk_release(&desk);
}

static void a_part_of_the_request_that_is_ignored_is_noticed(void **state)
{
    (void)state;

    static const struct {
        const char *parameter;
        const char *words;
        enum glpi_partition_list list;
        enum walk_kind kind;
    } CASES[] = {
        {"range", "range", GLPI_LIST_LIVE, WALK_ALL},
        {"is_deleted", "trash", GLPI_LIST_TRASH, WALK_ALL},
        {"order", "order", GLPI_LIST_LIVE, WALK_CHANGES},
        {"sort", "order", GLPI_LIST_LIVE, WALK_CHANGES},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct desk desk;
        desk_init_filled(&desk, 60);
        for (size_t k = 0; k < 60; k++) {
            /* stamps in another order than ids */
            desk.glpi.tickets.items[k].changed_s = START_S + (int64_t)(k * 37 % 60);
        }
        desk.glpi.ignores = CASES[i].parameter;
        desk.partition.list = CASES[i].list;
        desk.partition.kind = CASES[i].kind;
        desk.partition.from_us = START_S * US_PER_S;
        desk.partition.to_us = (START_S + 100) * US_PER_S;
        walk_must_fail(&desk, ERROR_DATA, CASES[i].words);
        desk_release(&desk);
    }
}

static void a_page_that_lacks_a_row_it_counts_is_asked_for_again(void **state)
{
    (void)state;
    for (size_t at = 6; at <= 12; at++) {
        struct desk desk;
        desk_init_filled(&desk, 60);
        desk.task.page_size = 20;
        desk.glpi.short_at = at;
        desk_walk(&desk, &desk.partition);
        assert_all(&desk, false);
        desk_release(&desk);
    }
}

static void totals_of_restricted_accounts_may_be_too_high(void **state)
{
    (void)state;
    static const size_t COUNTS[] = {0, 1, 19, 20, 21, 60};
    for (int64_t extra = 1; extra <= 1000; extra = 3 * extra + 1) {
        for (size_t i = 0; i < ARRAY_SIZE(COUNTS); i++) {
            struct desk desk;
            desk_init_filled(&desk, COUNTS[i]);
            desk.task.page_size = 20;
            desk.glpi.total_extra = extra;
            desk_walk(&desk, &desk.partition);
            assert_all(&desk, false);
            assert_false(desk.proof.has_expected);
            desk_release(&desk);
        }
    }
}

static void lose_a_row(struct fake_glpi *glpi, size_t index)
{
    glpi->short_at = index + 1;
}

static void pages_that_lack_a_row_again_and_again_are_an_error(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 60);
    desk.task.page_size = 20;
    desk.glpi.before = lose_a_row;
    walk_must_fail(&desk, ERROR_DATA, "fewer rows");
    desk_release(&desk);
}

static void lists_without_a_content_range_are_read_to_their_end(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 60);
    desk.glpi.no_content_range = true;
    desk_walk(&desk, &desk.partition);
    assert_all(&desk, false);
    assert_false(desk.proof.has_expected);
    desk_release(&desk);
}

static void cut_answers_and_pages_for_people_are_asked_for_again(void **state)
{
    (void)state;
    for (size_t at = 6; at <= 9; at++) {
        struct desk desk;
        desk_init_filled(&desk, 60);
        desk.task.page_size = 20;
        desk.glpi.cut_at = at;
        desk.glpi.html_at = at + 1;
        desk_walk(&desk, &desk.partition);
        assert_all(&desk, false);
        desk_release(&desk);
    }
}

static void begin_maintenance(struct fake_glpi *glpi, size_t index)
{
    glpi->html_always = index >= 7;
}

static void maintenance_is_never_an_empty_list(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 60);
    desk.glpi.before = begin_maintenance;
    walk_must_fail(&desk, ERROR_TRANSIENT, "maintenance mode");
    assert_int_equal(503, desk.err.http_status);
    desk.glpi.before = NULL;
    desk.glpi.html_always = false;
    desk_release(&desk);
}

static void an_empty_list_is_asked_for_twice(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk_walk(&desk, &desk.partition);
    assert_ended(&desk);
    assert_int_equal(0, desk.n_ids);
    assert_int_equal(2, desk.glpi.n_lists);
    desk_release(&desk);
}

/* 200 [] from some request on, in every order, and also where a single row still comes. */
static void a_list_that_showed_rows_does_not_become_empty(void **state)
{
    (void)state;

    static const enum walk_kind KINDS[] = {WALK_ALL, WALK_CHANGES, WALK_WINDOW};

    for (int64_t from = 1; from <= 6; from++) {
        for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
            struct desk desk;
            desk_init_filled(&desk, 60);
            for (size_t k = 0; k < 60; k++) {
                desk.glpi.tickets.items[k].opened_s = START_S + (int64_t)k;
            }
            desk.glpi.nothing_from = from + (KINDS[i] == WALK_WINDOW ? 1 : 0);
            desk.partition.kind = KINDS[i];
            desk.partition.from_us = START_S * US_PER_S;
            desk.partition.to_us = KINDS[i] == WALK_WINDOW ? INT64_MAX : (START_S + 100) * US_PER_S;
            walk_must_fail(&desk, ERROR_DATA, "now comes without any");
            desk_release(&desk);
        }
    }
}

static void empty_the_trash(struct fake_glpi *glpi, size_t index)
{
    for (size_t i = 0; i < glpi->tickets.n && index >= 6; i++) {
        glpi->tickets.items[i].is_trash = false;
    }
}

static void a_trash_that_is_emptied_meanwhile_ends(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 40);
    for (size_t i = 0; i < 40; i++) {
        desk.glpi.tickets.items[i].is_trash = true;
    }
    desk.glpi.before = empty_the_trash;
    desk.partition.list = GLPI_LIST_TRASH;
    desk_walk(&desk, &desk.partition);
    assert_ended(&desk);
    assert_int_equal(10, desk.n_ids);
    desk_release(&desk);
}

static void a_missing_right_is_a_setting_to_change(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.status = 403;
    walk_must_fail(&desk, ERROR_CONFIG, "lacks the right");
    assert_int_equal(403, desk.err.http_status);
    desk_release(&desk);
}

static void single_records_are_there_gone_or_out_of_sight(void **state)
{
    (void)state;
    static const struct str KEYS[] = {{"1", 1},  {"2", 1},   {"3", 1},
                                      {"77", 2}, {"x y", 3}, {"5", 1}};
    struct desk desk;
    desk_init_filled(&desk, 5);
    desk.glpi.tickets.items[1].is_gone = true;
    desk.glpi.tickets.items[2].is_hidden = true;
    desk.glpi.tickets.items[4].is_trash = true;
    desk.partition =
        (struct partition){.kind = WALK_GIVEN, .keys = KEYS, .n_keys = ARRAY_SIZE(KEYS)};
    desk_walk(&desk, &desk.partition);
    assert_ended(&desk);
    assert_int_equal(2, desk.n_ids);
    assert_has(&desk, 1);
    assert_has(&desk, 5);
    assert_int_equal(1, desk.proof.hidden);
    desk_release(&desk);
}

static void children_of_given_parents_come_whole(void **state)
{
    (void)state;
    static const struct str PARENTS[] = {{"1", 1}, {"2", 1}, {"3", 1}, {"4", 1}};
    struct desk desk;
    desk_init_filled(&desk, 5);
    desk.glpi.tickets.items[1].is_gone = true;
    desk.glpi.tickets.items[2].is_hidden = true;
    for (int64_t i = 0; i < 250; i++) {
        fake_list_add(&desk.glpi.children, i + 1, START_S)->parent = i % 50 == 0 ? 2 : i % 5 + 1;
    }
    desk.task = child_task("Ticket_User", REFRESH_CHANGED);
    desk.task.page_size = 10; /* more than one page each */
    desk.partition =
        (struct partition){.kind = WALK_OWED, .keys = PARENTS, .n_keys = ARRAY_SIZE(PARENTS)};
    desk_walk(&desk, &desk.partition);
    assert_ended(&desk);
    for (size_t i = 0; i < desk.glpi.children.n; i++) {
        const struct fake_item *child = &desk.glpi.children.items[i];
        bool is_wanted = child->parent == 1 || child->parent == 4;
        assert_int_equal(is_wanted ? 1 : 0, desk_times(&desk, child->id));
    }
    assert_int_equal(1, desk.proof.hidden); /* a parent out of sight may have others */
    desk_release(&desk);
}

static void rows_of_other_itemtypes_are_left_out(void **state)
{
    (void)state;
    for (int ignored = 0; ignored < 2; ignored++) {
        struct desk desk;
        desk_init(&desk);
        for (int64_t i = 0; i < 60; i++) {
            fake_list_add(&desk.glpi.children, i + 1, START_S)->itemtype =
                i % 3 == 0 ? "Problem" : "Ticket";
        }
        desk.task = child_task("ITILFollowup", REFRESH_LATE);
        desk.task.filter = "itemtype=^Ticket$";
        desk.glpi.ignores = ignored != 0 ? "searchText" : NULL;
        desk_walk(&desk, &desk.partition);
        assert_ended(&desk);
        assert_int_equal(40, desk.n_ids);
        desk_release(&desk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_size_brings_every_row_once),
        cmocka_unit_test(the_trash_is_a_list_of_its_own),
        cmocka_unit_test(rows_that_leave_in_front_cost_no_other_row),
        cmocka_unit_test(answers_too_large_for_php_are_asked_for_in_halves),
        cmocka_unit_test(pages_too_large_for_the_way_are_asked_for_in_halves),
        cmocka_unit_test(a_server_that_is_away_gets_the_usual_tries_for_the_smallest_page),
        cmocka_unit_test(a_server_that_never_sends_a_body_is_an_error),
        cmocka_unit_test(a_part_of_the_request_that_is_ignored_is_noticed),
        cmocka_unit_test(a_page_that_lacks_a_row_it_counts_is_asked_for_again),
        cmocka_unit_test(totals_of_restricted_accounts_may_be_too_high),
        cmocka_unit_test(pages_that_lack_a_row_again_and_again_are_an_error),
        cmocka_unit_test(lists_without_a_content_range_are_read_to_their_end),
        cmocka_unit_test(cut_answers_and_pages_for_people_are_asked_for_again),
        cmocka_unit_test(maintenance_is_never_an_empty_list),
        cmocka_unit_test(an_empty_list_is_asked_for_twice),
        cmocka_unit_test(a_list_that_showed_rows_does_not_become_empty),
        cmocka_unit_test(a_trash_that_is_emptied_meanwhile_ends),
        cmocka_unit_test(a_missing_right_is_a_setting_to_change),
        cmocka_unit_test(single_records_are_there_gone_or_out_of_sight),
        cmocka_unit_test(children_of_given_parents_come_whole),
        cmocka_unit_test(rows_of_other_itemtypes_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
