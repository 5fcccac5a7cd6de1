#include "walk_fixture.h"

/* Changes in a closed window by (sys_updated_on, sys_id), and records by their keys. */

static bool is_changed(const struct world *world, const struct fake_row *row)
{
    return row->updated_s * US_PER_S >= world->partition.from_us &&
           row->updated_s * US_PER_S <= world->partition.to_us;
}

static void ask_changes(struct world *world, int64_t from_s, int64_t to_s, int64_t page_size)
{
    world->partition = (struct partition){
        .kind = WALK_CHANGES, .from_us = from_s * US_PER_S, .to_us = to_s * US_PER_S};
    world->task.page_size = page_size;
}

static void no_change_costs_one_request(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 50);
    ask_changes(&world, START_S + 1000, START_S + 2000, 10);
    world_walk(&world);
    assert_exact(&world, is_changed);
    assert_int_equal(1, world.table.n_requests);
    world_release(&world);
}

static void every_page_size_reads_every_change_once(void **state)
{
    (void)state;
    for (int64_t size = 1; size <= 14; size++) {
        /* 1 row a second, 3 rows a second, all in one second */
        for (int64_t rows_a_second = 1; rows_a_second <= 25; rows_a_second += 8) {
            struct world world;
            world_init_filled(&world, 24);
            for (size_t i = 0; i < 24; i++) {
                world.table.rows[i].updated_s = START_S + (int64_t)(i * 7 % 24) / rows_a_second;
            }
            ask_changes(&world, START_S, START_S + 20, size);
            finish_exact(&world, is_changed);
        }
    }
}

static void both_ends_of_the_window_belong_to_it(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 10);
    ask_changes(&world, START_S + 2, START_S + 5, 10);
    world_walk(&world);
    assert_exact(&world, is_changed);
    assert_int_equal(4, world.n_keys);
    world_release(&world);
}

static void hidden_changes_anywhere_are_counted_and_stepped_over(void **state)
{
    (void)state;
    for (unsigned pattern = 0; pattern < 1U << 8; pattern++) {
        for (int64_t size = 1; size <= 9; size++) {
            struct world world;
            world_init_filled(&world, 8);
            for (size_t i = 0; i < 8; i++) {
                world.table.rows[i].hidden = (pattern >> i & 1) != 0;
                world.table.rows[i].updated_s = START_S + (int64_t)i / 3;
            }
            ask_changes(&world, START_S, START_S + 100, size);
            finish_exact(&world, is_changed);
        }
    }
}

static void more_hidden_changes_than_the_longest_page_are_stepped_over(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 15000);
    for (size_t i = 100; i < 14900; i++) {
        world.table.rows[i].hidden = true;
    }
    ask_changes(&world, START_S, START_S + 20000, 1000);
    finish_exact(&world, is_changed);
}

static void more_hidden_changes_of_one_second_than_a_page_are_an_error(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 11000);
    for (size_t i = 0; i < 11000; i++) {
        world.table.rows[i].updated_s = START_S;
        world.table.rows[i].hidden = i > 10;
    }
    ask_changes(&world, START_S, START_S + 1, 10);
    finish_failed(&world, ERROR_DENIED, "of one second");
}

static void touch(struct fake_table *table, size_t index)
{
    if (index == 1) {
        table->rows[2].updated_s = START_S + 5000;  /* read before: moves behind the window */
        table->rows[15].updated_s = START_S + 5000; /* not read yet: the next run's */
        table->rows[16].deleted = true;
    }
}

static void rows_that_leave_the_window_are_not_taken_for_hidden(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 30);
    world.table.before = touch;
    ask_changes(&world, START_S, START_S + 100, 4);
    world_walk(&world);
    assert_true(world.ended);
    assert_int_equal(28, world.n_keys);
    assert_int_equal(28, world.proof.records);
    assert_int_equal(0, world.proof.hidden);
    assert_int_equal(0, world_times(&world, world.table.rows[15].key));
    world_release(&world);
}

/* --- lies --- */

static void expect_lie(struct world *world, const char *words)
{
    ask_changes(world, START_S + 5, START_S + 20, 4);
    finish_failed(world, ERROR_DATA, words);
}

static void a_dropped_time_predicate_is_noticed(void **state)
{
    (void)state;
    static const char *const DROPS[] = {"sys_updated_on>=", "sys_updated_on<="};
    for (size_t i = 0; i < ARRAY_SIZE(DROPS); i++) {
        struct world world;
        world_init_filled(&world, 30);
        world.table.drops = DROPS[i];
        expect_lie(&world, "outside the window");
    }
}

static void a_dropped_drain_is_noticed(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 30);
    world.table.drops = "sys_updated_on=";
    expect_lie(&world, "another second");
}

static void a_dropped_key_in_the_drain_is_noticed(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 30);
    world.table.drops = "sys_id>";
    expect_lie(&world, "order");
}

static void changes_out_of_order_are_noticed(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 30);
    world.table.rows[7].updated_s += 5;
    world.table.ignores_order = true;
    expect_lie(&world, "order of sys_updated_on, sys_id");
}

static void a_repeated_page_of_changes_is_noticed(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 30);
    world.table.repeats_page = true;
    expect_lie(&world, "");
}

static void changes_without_an_honest_count_are_no_proof(void **state)
{
    (void)state;

    static const enum fake_counts COUNTS[] = {COUNTS_ABSENT, COUNTS_ZERO};

    for (size_t i = 0; i < ARRAY_SIZE(COUNTS); i++) {
        struct world world;
        world_init_filled(&world, 30);
        world.table.counts = COUNTS[i];
        expect_lie(&world, "X-Total-Count");
    }
}

static void a_missing_time_names_the_field(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 30);
    world.table.hides_field = "sys_updated_on";
    ask_changes(&world, START_S, START_S + 20, 4);
    finish_failed(&world, ERROR_DENIED, "sys_updated_on");
}

static void an_empty_page_of_changes_is_asked_for_again(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 30);
    world.table.slips = 1;
    ask_changes(&world, START_S, START_S + 100, 7);
    finish_exact(&world, is_changed);
}

static void rights_that_end_in_the_middle_are_no_end_of_changes(void **state)
{
    (void)state;
    for (size_t from = 1; from < 5; from++) {
        struct world world;
        world_init_filled(&world, 40);
        world_deny(&world, from, SIZE_MAX);
        ask_changes(&world, START_S, START_S + 100, 7);
        finish_failed(&world, ERROR_DENIED, "shows no record of it any more");
    }
}

static void one_answer_without_changes_or_count_loses_nothing(void **state)
{
    (void)state;
    for (size_t at = 1; at < 10; at++) {
        for (int64_t rows_a_second = 1; rows_a_second < 30; rows_a_second += 4) {
            struct world world;
            world_init_filled(&world, 40);
            for (size_t i = 0; i < 40; i++) {
                world.table.rows[i].updated_s = START_S + (int64_t)i / rows_a_second;
            }
            world_deny(&world, at, at + 1);
            ask_changes(&world, START_S, START_S + 100, 7);
            finish_undenied(&world, is_changed);
        }
    }
}

static void cancelled_pages_of_changes_are_made_smaller(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 60);
    world.table.cancels_above = 6;
    ask_changes(&world, START_S, START_S + 100, 50);
    finish_exact(&world, is_changed);
}

/* --- given keys --- */

static void ask_given(struct world *world, struct str *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        keys[i] = str_from(world->table.rows[i].key);
    }
    world->partition = (struct partition){.kind = WALK_GIVEN, .keys = keys, .n_keys = n};
}

static void given_keys_are_read_in_chunks_below_the_limit_of_a_url(void **state)
{
    (void)state;
    struct world world;
    struct str keys[500];
    world_init_filled(&world, 600);
    world.table.refuses_behind = 8190;
    world.task.page_size = 1000;
    ask_given(&world, keys, 500);
    world.table.rows[17].deleted = true;
    world_walk(&world);
    assert_true(world.ended);
    assert_int_equal(499, world.n_keys);
    assert_int_equal(0, world.proof.hidden);
    assert_in_range(world.table.n_requests, 3, 4);
    assert_in_range(world.table.url_max, 4000, 8000 + (int64_t)strlen(world.config.url));
    world_release(&world);
}

static void a_long_filter_makes_the_chunks_smaller(void **state)
{
    (void)state;
    struct world world;
    struct str keys[400];
    char filter[4000] = "sys_id!=";
    world_init_filled(&world, 400);
    memset(filter + 8, 'x', sizeof(filter) - 9);
    filter[sizeof(filter) - 1] = '\0';
    world.task.filter = filter;
    world.table.drops = "sys_id!=";
    world.task.page_size = 1000;
    ask_given(&world, keys, 400);
    world_walk(&world);
    assert_true(world.ended);
    assert_int_equal(400, world.n_keys);
    world_release(&world);
}

static void a_filter_too_long_for_any_url_is_an_error(void **state)
{
    (void)state;
    struct world world;
    struct str keys[4];
    char filter[9000];
    world_init_filled(&world, 4);
    memset(filter, 'x', sizeof(filter) - 1);
    filter[sizeof(filter) - 1] = '\0';
    world.task.filter = filter;
    ask_given(&world, keys, 4);
    finish_failed(&world, ERROR_LIMIT, "URL");
}

static void given_rows_that_are_hidden_are_counted(void **state)
{
    (void)state;
    struct world world;
    struct str keys[20];
    world_init_filled(&world, 20);
    world.table.rows[3].hidden = true;
    world.table.rows[4].deleted = true;
    ask_given(&world, keys, 20);
    world_walk(&world);
    assert_exact(&world, NULL);
    assert_int_equal(1, world.proof.hidden);
    world_release(&world);
}

static void given_rows_of_which_none_is_shown(void **state)
{
    (void)state;
    for (int is_denied = 0; is_denied < 2; is_denied++) {
        struct world world;
        struct str keys[3];
        world_init_filled(&world, 20);
        ask_given(&world, keys, 3);
        for (size_t i = 0; i < 3; i++) {
            world.table.rows[i].deleted = true;
        }
        if (is_denied != 0) {
            world_deny(&world, 0, SIZE_MAX);
            finish_failed(&world, ERROR_DENIED, "shows no record of it any more");
            continue;
        }
        world_walk(&world);
        assert_true(world.ended);
        assert_int_equal(0, world.n_keys);
        assert_int_equal(4, world.table.n_requests); /* twice again, and the table */
        world_release(&world);
    }
}

static void a_row_that_was_not_given_is_noticed(void **state)
{
    (void)state;
    struct world world;
    struct str keys[3];
    world_init_filled(&world, 20);
    ask_given(&world, keys, 3);
    world.table.drops = "sys_idIN";
    finish_failed(&world, ERROR_DATA, "not asked for");
}

static void no_given_keys_need_no_request(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world.partition.kind = WALK_GIVEN;
    world_walk(&world);
    assert_true(world.ended);
    assert_int_equal(0, world.table.n_requests);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_change_costs_one_request),
        cmocka_unit_test(every_page_size_reads_every_change_once),
        cmocka_unit_test(both_ends_of_the_window_belong_to_it),
        cmocka_unit_test(hidden_changes_anywhere_are_counted_and_stepped_over),
        cmocka_unit_test(more_hidden_changes_than_the_longest_page_are_stepped_over),
        cmocka_unit_test(more_hidden_changes_of_one_second_than_a_page_are_an_error),
        cmocka_unit_test(rows_that_leave_the_window_are_not_taken_for_hidden),
        cmocka_unit_test(a_dropped_time_predicate_is_noticed),
        cmocka_unit_test(a_dropped_drain_is_noticed),
        cmocka_unit_test(a_dropped_key_in_the_drain_is_noticed),
        cmocka_unit_test(changes_out_of_order_are_noticed),
        cmocka_unit_test(a_repeated_page_of_changes_is_noticed),
        cmocka_unit_test(changes_without_an_honest_count_are_no_proof),
        cmocka_unit_test(a_missing_time_names_the_field),
        cmocka_unit_test(an_empty_page_of_changes_is_asked_for_again),
        cmocka_unit_test(rights_that_end_in_the_middle_are_no_end_of_changes),
        cmocka_unit_test(one_answer_without_changes_or_count_loses_nothing),
        cmocka_unit_test(cancelled_pages_of_changes_are_made_smaller),
        cmocka_unit_test(given_keys_are_read_in_chunks_below_the_limit_of_a_url),
        cmocka_unit_test(a_long_filter_makes_the_chunks_smaller),
        cmocka_unit_test(a_filter_too_long_for_any_url_is_an_error),
        cmocka_unit_test(given_rows_that_are_hidden_are_counted),
        cmocka_unit_test(given_rows_of_which_none_is_shown),
        cmocka_unit_test(a_row_that_was_not_given_is_noticed),
        cmocka_unit_test(no_given_keys_need_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
