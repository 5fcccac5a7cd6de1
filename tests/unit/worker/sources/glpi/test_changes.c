#include "common/base/instant.h"
#include "desk_fixture.h"
#include "worker/sources/glpi/session.h"

/* Increments, windows and the log feed over lists that move while they are read. */

static struct partition changes_since(int64_t from_s)
{
    return (struct partition){
        .kind = WALK_CHANGES, .from_us = from_s * US_PER_S, .to_us = (START_S + 4000) * US_PER_S};
}

static void assert_changes(const struct desk *desk, int64_t from_s)
{
    assert_ended(desk);
    for (size_t i = 0; i < desk->glpi.tickets.n; i++) {
        const struct fake_item *item = &desk->glpi.tickets.items[i];
        if (!item->is_gone && !item->is_hidden && item->changed_s >= from_s) {
            assert_has(desk, item->id);
        }
    }
    for (size_t i = 0; i < desk->n_ids; i++) {
        assert_true(desk->times_us[i] >= from_s * US_PER_S);
    }
}

static void every_page_size_brings_every_change_of_both_lists(void **state)
{
    (void)state;
    for (int64_t size = 1; size <= 32; size++) {
        for (int64_t from = 0; from <= 30; from += 7) {
            struct desk desk;
            desk_init_filled(&desk, 30);
            for (size_t i = 0; i < 30; i += 4) {
                desk.glpi.tickets.items[i].is_trash = true;
            }
            desk.task.page_size = size;
            struct partition partition = changes_since(START_S + from);
            desk_walk(&desk, &partition);
            assert_changes(&desk, START_S + from);
            desk_release(&desk);
        }
    }
}

static size_t touched;
static size_t trashed;

/* Before each page: rows that were read already move to the front, others leave the list. */
static void let_the_list_move(struct fake_glpi *glpi, size_t index)
{
    size_t n = glpi->tickets.n;
    for (size_t i = 0; i < touched && index >= 6; i++) {
        struct fake_item *item = &glpi->tickets.items[n - 1 - (index * 7 + i) % (n / 2)];
        item->changed_s = START_S + 5000 + (int64_t)index;
    }
    for (size_t i = 0; i < trashed && index >= 6; i++) {
        /* from the front of the order, purged without a trace */
        struct fake_item *item = &glpi->tickets.items[n - 1 - (index * 3 + i) % (n / 2)];
        item->is_gone = true;
    }
}

static void changes_survive_rows_that_move_and_leave(void **state)
{
    (void)state;
    for (touched = 0; touched < 30; touched += 5) {
        for (trashed = 0; trashed < 30; trashed += 5) {
            struct desk desk;
            desk_init_filled(&desk, 300);
            desk.task.page_size = 20;
            desk.glpi.before = let_the_list_move;
            struct partition partition = changes_since(START_S + 20);
            desk_walk(&desk, &partition);
            assert_ended(&desk);
            for (size_t i = 20; i < 300; i++) {
                const struct fake_item *item = &desk.glpi.tickets.items[i];
                if (!item->is_gone && item->changed_s < START_S + 5000) {
                    assert_has(&desk, item->id);
                }
            }
            desk_release(&desk);
        }
    }
}

static void seconds_that_many_share_come_whole_in_any_order(void **state)
{
    (void)state;
    static const size_t CLUSTERS[] = {2, 9, 10, 11, 19, 20, 21, 60};
    for (size_t c = 0; c < ARRAY_SIZE(CLUSTERS); c++) {
        for (size_t at = 0; at <= 40; at += 8) {
            struct desk desk;
            desk_init_filled(&desk, 120);
            for (size_t i = at; i < at + CLUSTERS[c]; i++) {
                desk.glpi.tickets.items[i].changed_s = START_S + (int64_t)at;
            }
            desk.glpi.shuffles_ties = true;
            desk.task.page_size = 20;
            struct partition partition = changes_since(START_S);
            desk_walk(&desk, &partition);
            assert_changes(&desk, START_S);
            desk_release(&desk);
        }
    }
}

static void rows_without_a_stamp_end_the_changes(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 60);
    for (size_t i = 0; i < 60; i += 2) {
        desk.glpi.tickets.items[i].changed_s = 0;
    }
    struct partition partition = changes_since(0);
    desk_walk(&desk, &partition);
    assert_ended(&desk);
    for (int64_t id = 1; id <= 60; id++) {
        assert_int_equal(id % 2 == 0, desk_times(&desk, id) > 0);
    }
    desk_release(&desk);
}

static void the_hour_that_comes_twice_loses_nothing(void **state)
{
    (void)state;
    int64_t jump_us = 0;
    assert_true(instant_parse_plain(STR_LITERAL("2026-10-25 01:00:00"), &jump_us));
    for (int64_t size = 7; size <= 50; size += 14) {
        struct desk desk;
        desk_init(&desk);
        desk.glpi.zone_name = "Europe/Berlin";
        desk.glpi.zone_real = "Europe/Berlin";
        for (int64_t i = 0; i < 240; i++) { /* two hours around the jump, one a minute */
            (void)fake_list_add(&desk.glpi.tickets, i + 1, jump_us / US_PER_S + (i - 120) * 60);
        }
        desk.task.page_size = size;
        struct partition partition = {.kind = WALK_CHANGES,
                                      .from_us = jump_us - 100 * US_PER_MIN,
                                      .to_us = jump_us + US_PER_DAY};
        desk_walk(&desk, &partition);
        assert_ended(&desk);
        for (int64_t i = 20; i < 240; i++) {
            assert_has(&desk, i + 1);
        }
        for (size_t i = 0; i < desk.n_ids; i++) {
            int64_t true_us = jump_us + (desk.ids[i] - 121) * US_PER_MIN;
            int64_t off_us = true_us - desk.times_us[i];
            assert_true(off_us == 0 || off_us == US_PER_H); /* the earlier of two */
        }
        desk_release(&desk);
    }
}

static void a_window_is_found_and_read_exactly(void **state)
{
    (void)state;
    for (int64_t from = 0; from <= 100; from += 25) {
        for (int64_t to = from; to <= 110; to += 11) {
            struct desk desk;
            desk_init(&desk);
            for (int64_t i = 0; i < 100; i++) { /* opened one an hour, in no order of ids */
                struct fake_item *item = fake_list_add(&desk.glpi.tickets, i + 1, START_S);
                item->opened_s = START_S + (i * 37 % 100) * 3600;
                item->is_trash = i % 5 == 0;
            }
            desk.task.page_size = 9;
            int64_t from_s = START_S + from * 3600;
            int64_t to_s = START_S + to * 3600;
            for (int list = GLPI_LIST_LIVE; list <= GLPI_LIST_TRASH; list++) {
                struct partition partition = {.kind = WALK_WINDOW,
                                              .from_us = from_s * US_PER_S,
                                              .to_us = to_s * US_PER_S,
                                              .list = list};
                desk_walk(&desk, &partition);
                assert_ended(&desk);
            }
            for (size_t i = 0; i < 100; i++) {
                const struct fake_item *item = &desk.glpi.tickets.items[i];
                bool is_in = item->opened_s >= from_s && item->opened_s < to_s;
                assert_int_equal(is_in, desk_times(&desk, item->id) > 0);
            }
            desk_release(&desk);
        }
    }
}

static void windows_open_at_an_end_are_read_too(void **state)
{
    (void)state;
    struct desk desk;
    desk_init_filled(&desk, 50);
    struct partition partition = {
        .kind = WALK_WINDOW, .from_us = (START_S + 40) * US_PER_S, .to_us = INT64_MAX};
    desk_walk(&desk, &partition);
    for (int64_t id = 1; id <= 50; id++) {
        assert_int_equal(id > 40, desk_times(&desk, id) > 0);
    }
    desk_forget(&desk);
    partition.from_us = INT64_MIN;
    partition.to_us = (START_S + 40) * US_PER_S;
    desk_walk(&desk, &partition);
    for (int64_t id = 1; id <= 50; id++) {
        assert_int_equal(id <= 40, desk_times(&desk, id) > 0);
    }
    desk_release(&desk);
}

static void the_feed_is_read_down_to_its_last_entry_and_the_overlap(void **state)
{
    (void)state;
    for (int64_t size = 2; size <= 60; size += 3) {
        struct desk desk;
        desk_init(&desk);
        for (int64_t i = 1; i <= 100; i++) {
            (void)fake_list_add(&desk.glpi.log, i, START_S + i);
        }
        desk.glpi.log.items[97].changed_s = START_S + 3; /* a clock that stepped back */
        desk.task = child_task("Log", REFRESH_LATE);
        desk.task.filter = "itemtype=^Ticket$";
        desk.task.page_size = size;
        struct partition partition = {.kind = WALK_CHANGES,
                                      .from_us = (START_S + 60) * US_PER_S,
                                      .from_key = "80",
                                      .list = GLPI_LIST_FEED};
        desk_walk(&desk, &partition);
        assert_ended(&desk);
        for (int64_t i = 60; i <= 100; i++) {
            assert_has(&desk, i);
        }
        desk_release(&desk);
    }
}

static void records_that_only_the_log_names_are_read_by_id(void **state)
{
    (void)state;
    static const struct str KEYS[] = {{"3", 1}, {"5", 1}, {"29", 2}, {"30", 2}, {"99", 2}};
    struct desk desk;
    desk_init_filled(&desk, 30);
    desk.glpi.tickets.items[4].is_hidden = true; /* 5 */
    struct partition partition = changes_since(START_S + 25);
    partition.keys = KEYS;
    partition.n_keys = ARRAY_SIZE(KEYS);
    desk_walk(&desk, &partition);
    assert_ended(&desk);
    assert_int_equal(1, desk_times(&desk, 3));
    assert_int_equal(1, desk_times(&desk, 29));
    assert_int_equal(6, desk.n_ids);
    assert_int_equal(0, desk.proof.hidden); /* the log names what others see */
    desk_release(&desk);
}

static void changes_are_counted_by_the_search_too(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk);
    desk.glpi.zone_name = "America/Sao_Paulo";
    desk.glpi.zone_real = "America/Sao_Paulo";
    desk_fill(&desk, 30);
    struct partition partition = changes_since(START_S + 10);
    desk_walk(&desk, &partition);
    assert_ended(&desk);
    assert_non_null(strstr(desk.glpi.last_search, "criteria[0][field]=19\n"));
    assert_non_null(strstr(desk.glpi.last_search, "criteria[0][searchtype]=morethan\n"));
    /* criteria are read in the user's zone */
    assert_non_null(strstr(desk.glpi.last_search, "criteria[0][value]=2025-12-31 21:00:10\n"));
    struct glpi_session *session = desk.session;
    assert_int_equal(1, session->n_searches);
    assert_int_equal(0, session->n_searches_failed);
    desk_release(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_size_brings_every_change_of_both_lists),
        cmocka_unit_test(changes_survive_rows_that_move_and_leave),
        cmocka_unit_test(seconds_that_many_share_come_whole_in_any_order),
        cmocka_unit_test(rows_without_a_stamp_end_the_changes),
        cmocka_unit_test(the_hour_that_comes_twice_loses_nothing),
        cmocka_unit_test(a_window_is_found_and_read_exactly),
        cmocka_unit_test(windows_open_at_an_end_are_read_too),
        cmocka_unit_test(the_feed_is_read_down_to_its_last_entry_and_the_overlap),
        cmocka_unit_test(records_that_only_the_log_names_are_read_by_id),
        cmocka_unit_test(changes_are_counted_by_the_search_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
