#include "walk_fixture.h"

/* Reads by key: full, window, census. */

static void every_page_size_reads_every_row_once(void **state)
{
    (void)state;
    for (int64_t n = 0; n <= 12; n++) {
        for (int64_t size = 1; size <= n + 2; size++) {
            struct world world;
            world_init_filled(&world, (size_t)n);
            world.task.page_size = size;
            world_walk(&world);
            assert_exact(&world, NULL);
            /* Pages, and at most one counted repetition or proof more. */
            assert_in_range(world.table.n_requests, 1, (uintmax_t)(n / size + 2));
            world_release(&world);
        }
    }
}

/* Bit i of the pattern hides row i. */
static void hide(struct world *world, unsigned pattern)
{
    for (size_t i = 0; i < world->table.n_rows; i++) {
        world->table.rows[i].hidden = i < 32 && (pattern >> i & 1) != 0;
    }
}

static void hidden_rows_anywhere_are_counted_and_stepped_over(void **state)
{
    (void)state;
    for (unsigned pattern = 0; pattern < 1U << 8; pattern++) {
        for (int64_t size = 1; size <= 9; size++) {
            struct world world;
            world_init_filled(&world, 8);
            hide(&world, pattern);
            world.task.page_size = size;
            finish_exact(&world, NULL);
        }
    }
}

static void hide_block(struct world *world, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        world->table.rows[i].hidden = true;
    }
}

static void blocks_longer_than_the_longest_page_are_split(void **state)
{
    (void)state;
    static const size_t BLOCKS[][2] = {{0, 21000}, {500, 21500}, {1000, 22000}, {0, 22000}};
    for (size_t i = 0; i < ARRAY_SIZE(BLOCKS); i++) {
        struct world world;
        world_init_filled(&world, 22000);
        hide_block(&world, BLOCKS[i][0], BLOCKS[i][1]);
        world.task.page_size = 1000;
        finish_exact(&world, NULL);
    }
}

static void a_hidden_block_below_one_digit_is_split_further(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    for (unsigned i = 0; i < 20400; i++) {
        char key[FAKE_KEY_MAX];
        (void)snprintf(key, sizeof(key), "0000%04x00000000", i * 3);
        fake_table_add(&world.table, key, START_S, START_S)->hidden = i > 100 && i < 20300;
    }
    world.task.page_size = 50;
    finish_exact(&world, NULL);
}

static void a_block_that_no_digit_splits_is_an_error(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    for (int i = 0; i < 10100; i++) {
        char key[FAKE_KEY_MAX];
        (void)snprintf(key, sizeof(key), "zz%08d", i);
        fake_table_add(&world.table, key, START_S, START_S)->hidden = true;
    }
    finish_failed(&world, ERROR_DENIED, "cannot be stepped over");
}

static void partitions_together_hold_every_row_once(void **state)
{
    (void)state;
    static const char *const CUTS[] = {NULL, "4", "8", "c", NULL};
    struct world world;
    world_init_filled(&world, 100);
    (void)fake_table_add(&world.table, "global", START_S, START_S);
    (void)fake_table_add(&world.table, "4", START_S, START_S);
    size_t n = 0;
    for (size_t i = 0; i + 1 < ARRAY_SIZE(CUTS); i++) {
        world.partition.from_key = CUTS[i];
        world.partition.to_key = CUTS[i + 1];
        world_walk(&world);
        assert_true(world.ended);
        n += world.n_keys;
    }
    assert_int_equal(102, n);
    assert_int_equal(1, world_times(&world, "global"));
    world_release(&world);
}

static void keys_that_are_not_hexadecimal_are_read_in_either_collation(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"global",      "Global2", "00ab", "ABCDEF", "abcdeg",
                                       "glide.maint", "zz",      "FFFF", "ffff0",  "no value"};
    for (int collation = 0; collation < 2; collation++) {
        for (int64_t size = 1; size <= 11; size++) {
            struct world world;
            world_init(&world);
            world.table.ignores_case = collation != 0;
            for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++) {
                (void)fake_table_add(&world.table, KEYS[i], START_S, START_S);
            }
            world.task.page_size = size;
            finish_exact(&world, NULL);
        }
    }
}

static bool is_in_window(const struct world *world, const struct fake_row *row)
{
    return row->opened_s * US_PER_S >= world->partition.from_us &&
           row->opened_s * US_PER_S < world->partition.to_us;
}

static void a_window_is_half_open(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 40);
    hide(&world, 1U << 12);
    world.partition.kind = WALK_WINDOW;
    world.partition.from_us = (START_S + 10) * US_PER_S;
    world.partition.to_us = (START_S + 30) * US_PER_S;
    world.task.page_size = 3;
    world_walk(&world);
    assert_exact(&world, is_in_window);
    assert_int_equal(19, world.n_keys);
    world_release(&world);
}

/* Rows are stamped with whole seconds: both ends count from the next one on. */
static void a_window_may_begin_and_end_within_a_second(void **state)
{
    (void)state;

    static const struct {
        int64_t from_us;
        int64_t to_us;
        size_t n_rows;
    } WINDOWS[] = {
        {(START_S + 10) * US_PER_S + 500000, (START_S + 30) * US_PER_S + 500000, 20},
        {(START_S + 10) * US_PER_S + 1, (START_S + 30) * US_PER_S + 999999, 20},
        {(START_S + 10) * US_PER_S, (START_S + 10) * US_PER_S + 1, 1},
        {(START_S + 10) * US_PER_S + 1, (START_S + 10) * US_PER_S + 2, 0},
        {-US_PER_S - 500000, (START_S + 1) * US_PER_S - 500000, 1},
        {INT64_MIN, (START_S + 3) * US_PER_S + 1, 4},
        {(START_S + 37) * US_PER_S - 1, INT64_MAX, 3},
    };

    for (size_t i = 0; i < ARRAY_SIZE(WINDOWS); i++) {
        struct world world;
        world_init_filled(&world, 40);
        world.partition.kind = WALK_WINDOW;
        world.partition.from_us = WINDOWS[i].from_us;
        world.partition.to_us = WINDOWS[i].to_us;
        world_walk(&world);
        assert_exact(&world, is_in_window);
        assert_int_equal(WINDOWS[i].n_rows, world.n_keys);
        world_release(&world);
    }
}

static void a_census_reads_keys_in_long_pages(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 200);
    world.partition.kind = WALK_KEYS;
    world_walk(&world);
    assert_exact(&world, NULL);
    assert_int_equal(1, world.n_pages);
    world_release(&world);
}

/* --- lies --- */

static void lie(struct world *world, size_t n)
{
    world_init(world);
    fake_table_fill(&world->table, n, START_S);
}

static void a_dropped_key_predicate_is_noticed(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 30);
    world.table.drops = "sys_id>";
    finish_failed(&world, ERROR_DATA, "order of sys_id");
}

static void a_row_below_or_above_the_range_is_noticed(void **state)
{
    (void)state;
    static const char *const DROPS[] = {"sys_id>=", "sys_id<"};
    static const char *const WORDS[] = {"before the range", "behind the range"};
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        lie(&world, 30);
        world.partition.from_key = "4";
        world.partition.to_key = "8";
        world.table.drops = DROPS[i];
        finish_failed(&world, ERROR_DATA, WORDS[i]);
    }
}

static void a_dropped_window_is_noticed(void **state)
{
    (void)state;
    static const char *const DROPS[] = {"opened_at>=", "opened_at<"};
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        lie(&world, 30);
        world.partition.kind = WALK_WINDOW;
        world.partition.from_us = (START_S + 10) * US_PER_S;
        world.partition.to_us = (START_S + 20) * US_PER_S;
        world.table.drops = DROPS[i];
        finish_failed(&world, ERROR_DATA, "outside the window");
    }
}

static void a_dropped_filter_is_noticed_in_every_kind_of_walk(void **state)
{
    (void)state;

    static const enum walk_kind KINDS[] = {WALK_ALL, WALK_WINDOW, WALK_KEYS, WALK_CHANGES};

    for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
        struct world world;
        lie(&world, 30);
        world.task.filter = "u_class=incident";
        world.table.rows[7].class = "problem";
        world.partition.kind = KINDS[i];
        world.partition.from_us = START_S * US_PER_S;
        world.partition.to_us = (START_S + 100) * US_PER_S;
        world.task.page_size = 4;
        world_walk(&world);
        if (!world.ended) {
            fail_msg("kind %d: %s", (int)KINDS[i], world.err.msg);
        }
        assert_int_equal(29, world.n_keys);
        world.table.drops = "u_class=";
        finish_failed(&world, ERROR_DATA, "filter");
    }
}

static void a_filter_that_cannot_be_checked_is_refused(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 3);
    world.task.filter = "u_class=incident";
    world.table.hides_field = "u_class";
    finish_failed(&world, ERROR_DENIED, "u_class");
}

/* The account may read the record, but not the one the filter looks at. */
static void a_parent_that_is_not_shown_makes_its_rows_hidden(void **state)
{
    (void)state;

    static const enum walk_kind KINDS[] = {WALK_ALL, WALK_KEYS, WALK_CHANGES};

    for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
        for (int is_absent = 0; is_absent < 2; is_absent++) {
            struct world world;
            lie(&world, 40);
            world.task.filter = "parent.u_class=incident";
            world.partition.kind = KINDS[i];
            world.partition.from_us = START_S * US_PER_S;
            world.partition.to_us = (START_S + 100) * US_PER_S;
            world.task.page_size = 4;
            world.table.hides_field = is_absent != 0 ? "parent.u_class" : NULL;
            for (size_t row = 8; row < 15; row++) {
                world.table.rows[row].is_orphan = true;
            }
            world_walk(&world);
            assert_true(world.ended);
            assert_int_equal(is_absent != 0 ? 0 : 33, world.n_keys);
            assert_int_equal(world.n_keys, world.proof.records);
            assert_int_equal(40 - world.n_keys, world.proof.hidden);
            world.table.hides_field = NULL;
            world.table.rows[30].class = "problem";
            world.table.drops = "parent.u_class=";
            finish_failed(&world, ERROR_DATA, "filter");
        }
    }
}

static void a_filter_is_compared_by_its_type(void **state)
{
    (void)state;

    static const struct {
        enum column_type type;
        const char *filter;
        const char *value;
        bool is_same;
    } CASES[] = {
        {COLUMN_BOOLEAN, "u_class=true", "1", true},
        {COLUMN_BOOLEAN, "u_class=0", "false", true},
        {COLUMN_BOOLEAN, "u_class=true", "false", false},
        {COLUMN_BOOLEAN, "u_class=true", "2", false},
        {COLUMN_INTEGER, "u_class=2", "2.0", true},
        {COLUMN_INTEGER, "u_class=2", "2.5", false},
        {COLUMN_INTEGER, "u_class=2", "3", false},
        {COLUMN_TEXT, "u_class=2", "2.0", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct world world;
        struct field fields[ARRAY_SIZE(WORLD_FIELDS)];
        lie(&world, 3);
        memcpy(fields, WORLD_FIELDS, sizeof(fields));
        fields[3].type = CASES[i].type;
        world.task.fields = fields;
        world.task.filter = CASES[i].filter;
        world.table.drops = "u_class=";
        for (size_t row = 0; row < 3; row++) {
            world.table.rows[row].class = CASES[i].value;
        }
        if (CASES[i].is_same) {
            finish_exact(&world, NULL);
        } else {
            finish_failed(&world, ERROR_DATA, "filter");
        }
    }
}

static void wrong_order_is_noticed(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 30);
    struct fake_row row = world.table.rows[3];
    world.table.rows[3] = world.table.rows[5];
    world.table.rows[5] = row;
    world.table.ignores_order = true;
    finish_failed(&world, ERROR_DATA, "order of sys_id");
}

static void a_repeated_page_is_noticed(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 30);
    world.table.repeats_page = true;
    finish_failed(&world, ERROR_DATA, "order of sys_id");
}

static void a_missing_key_names_the_field(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 3);
    world.table.hides_field = "sys_id";
    finish_failed(&world, ERROR_DENIED, "sys_id");
}

static void a_key_that_would_break_the_next_query_is_refused(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"0^NQactive=true", "0,1", ""};
    for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++) {
        struct world world;
        lie(&world, 3);
        world.table.wrong_key = KEYS[i];
        world_walk(&world);
        assert_false(world.ended);
        world_release(&world);
    }
}

static void an_end_without_a_count_is_no_proof(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 25);
    world.table.counts = COUNTS_ABSENT;
    finish_failed(&world, ERROR_DATA, "X-Total-Count");
}

static void a_count_below_the_rows_shown_is_no_proof(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 25);
    world.table.counts = COUNTS_ZERO;
    finish_failed(&world, ERROR_DATA, "X-Total-Count");
}

static void counts_that_know_access_rules_are_as_good(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 25);
    hide_block(&world, 4, 9);
    world.table.counts = COUNTS_OF_VISIBLE;
    world_walk(&world);
    assert_true(world.ended);
    assert_int_equal(20, world.n_keys);
    world_release(&world);
}

static void an_empty_answer_is_asked_for_again(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 25);
    world.table.slips = 1;
    finish_exact(&world, NULL);
}

static void a_status_that_is_no_answer_is_no_empty_page(void **state)
{
    (void)state;
    static const int STATUSES[] = {201, 204, 206};
    for (size_t i = 0; i < ARRAY_SIZE(STATUSES); i++) {
        struct world world;
        lie(&world, 25);
        world.table.status = STATUSES[i];
        world_walk(&world);
        assert_false(world.ended);
        assert_int_equal(STATUSES[i], world.err.http_status);
        world_release(&world);
    }
}

/* --- a platform that cannot cope --- */

static void cancelled_pages_are_made_smaller(void **state)
{
    (void)state;
    for (int as_200 = 0; as_200 < 2; as_200++) {
        struct world world;
        lie(&world, 100);
        world.table.cancels_above = 7;
        world.table.cancels_as_200 = as_200 != 0;
        world.task.page_size = 64;
        finish_exact(&world, NULL);
    }
}

static void pages_that_fail_twice_are_made_smaller(void **state)
{
    (void)state;
    for (int as = FAILS_500; as <= FAILS_CUT; as++) {
        for (int64_t above = 1; above < 8; above += 6) {
            struct world world;
            lie(&world, 100);
            world.table.fails_above = above;
            world.table.fails_as = (enum fake_failure)as;
            world.task.page_size = 64;
            finish_exact(&world, NULL);
        }
    }
}

static void recover(struct fake_table *table, size_t index)
{
    if (index == 10) {
        table->cancels_above = 0;
        table->limit_max = 0;
    }
}

static void pages_grow_back_when_the_platform_recovers(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 1000);
    world.table.cancels_above = 5;
    world.table.before = recover;
    world.task.page_size = 40;
    world_walk(&world);
    assert_exact(&world, NULL);
    assert_int_equal(40, world.table.limit_max);
    world_release(&world);
}

static void a_long_look_over_hidden_rows_that_is_cancelled_ends(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 3000);
    hide_block(&world, 500, 2500);
    world.table.cancels_above = 900;
    world.task.page_size = 100;
    finish_exact(&world, NULL);
}

static void a_single_record_that_is_cancelled_is_an_error(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 3);
    world.table.status = 500;
    world_walk(&world);
    assert_false(world.ended);
    assert_int_equal(ERROR_TRANSIENT, world.err.code);
    world_release(&world);
}

static void rights_that_end_in_the_middle_are_no_end(void **state)
{
    (void)state;
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        for (size_t from = is_cut != 0 ? 0 : 1; from < 4; from++) {
            struct world world;
            lie(&world, 50);
            world.partition.to_key = is_cut != 0 ? "f" : NULL;
            world_deny(&world, from, SIZE_MAX);
            finish_failed(&world, ERROR_DENIED, "shows no record of it any more");
        }
    }
}

static void one_answer_without_rows_or_count_loses_nothing(void **state)
{
    (void)state;
    for (size_t at = 0; at < 8; at++) {
        struct world world;
        lie(&world, 50);
        world_deny(&world, at, at + 1);
        finish_undenied(&world, NULL);
    }
}

/* --- a source that moves --- */

static void delete_the_rest(struct fake_table *table, size_t index)
{
    for (size_t i = 20; index == 2 && i < table->n_rows; i++) {
        table->rows[i].deleted = true;
    }
}

static void rows_deleted_behind_the_page_are_an_end(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 50);
    world.table.before = delete_the_rest;
    world_walk(&world);
    assert_exact(&world, NULL);
    assert_int_equal(20, world.n_keys);
    assert_int_equal(7, world.table.n_requests); /* twice again, and the table */
    world_release(&world);
}

static void insert_and_delete(struct fake_table *table, size_t index)
{
    if (index == 1) {
        (void)fake_table_add(table, "00000000000000000000000000000001a", START_S, START_S);
        (void)fake_table_add(table, "ff000000000000000000000000000001", START_S, START_S);
        table->rows[2].deleted = true;
        table->rows[25].deleted = true;
    }
}

static void a_moving_source_is_read_without_doubles(void **state)
{
    (void)state;
    struct world world;
    lie(&world, 30);
    world.table.before = insert_and_delete;
    world_walk(&world);
    assert_true(world.ended);
    for (size_t i = 0; i < world.n_keys; i++) {
        assert_int_equal(1, world_times(&world, world.keys[i]));
    }
    for (size_t i = 0; i < 30; i++) {
        /* What was there all the time is there; what went was read or not. */
        assert_int_equal(i == 25 ? 0 : 1, world_times(&world, world.table.rows[i].key));
    }
    assert_int_equal(1, world_times(&world, "ff000000000000000000000000000001"));
    assert_int_equal(0, world.proof.hidden);
    assert_int_equal(world.n_keys, world.proof.records);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_size_reads_every_row_once),
        cmocka_unit_test(hidden_rows_anywhere_are_counted_and_stepped_over),
        cmocka_unit_test(blocks_longer_than_the_longest_page_are_split),
        cmocka_unit_test(a_hidden_block_below_one_digit_is_split_further),
        cmocka_unit_test(a_block_that_no_digit_splits_is_an_error),
        cmocka_unit_test(partitions_together_hold_every_row_once),
        cmocka_unit_test(keys_that_are_not_hexadecimal_are_read_in_either_collation),
        cmocka_unit_test(a_window_is_half_open),
        cmocka_unit_test(a_window_may_begin_and_end_within_a_second),
        cmocka_unit_test(a_census_reads_keys_in_long_pages),
        cmocka_unit_test(a_dropped_key_predicate_is_noticed),
        cmocka_unit_test(a_row_below_or_above_the_range_is_noticed),
        cmocka_unit_test(a_dropped_window_is_noticed),
        cmocka_unit_test(a_dropped_filter_is_noticed_in_every_kind_of_walk),
        cmocka_unit_test(a_filter_that_cannot_be_checked_is_refused),
        cmocka_unit_test(a_parent_that_is_not_shown_makes_its_rows_hidden),
        cmocka_unit_test(a_filter_is_compared_by_its_type),
        cmocka_unit_test(wrong_order_is_noticed),
        cmocka_unit_test(a_repeated_page_is_noticed),
        cmocka_unit_test(a_missing_key_names_the_field),
        cmocka_unit_test(a_key_that_would_break_the_next_query_is_refused),
        cmocka_unit_test(an_end_without_a_count_is_no_proof),
        cmocka_unit_test(a_count_below_the_rows_shown_is_no_proof),
        cmocka_unit_test(counts_that_know_access_rules_are_as_good),
        cmocka_unit_test(an_empty_answer_is_asked_for_again),
        cmocka_unit_test(a_status_that_is_no_answer_is_no_empty_page),
        cmocka_unit_test(cancelled_pages_are_made_smaller),
        cmocka_unit_test(pages_that_fail_twice_are_made_smaller),
        cmocka_unit_test(pages_grow_back_when_the_platform_recovers),
        cmocka_unit_test(a_long_look_over_hidden_rows_that_is_cancelled_ends),
        cmocka_unit_test(a_single_record_that_is_cancelled_is_an_error),
        cmocka_unit_test(rights_that_end_in_the_middle_are_no_end),
        cmocka_unit_test(one_answer_without_rows_or_count_loses_nothing),
        cmocka_unit_test(rows_deleted_behind_the_page_are_an_end),
        cmocka_unit_test(a_moving_source_is_read_without_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
