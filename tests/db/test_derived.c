#include <stdio.h>

#include "tests/db/family.h"
#include "worker/load/derive.h"
#include "worker/load/merge_keys.h"

/* Rows that are made from landed ones, and the columns that the engine keeps. */

static void load_drafts(struct fixture *fixture)
{
    begin_task(fixture, &family_drafts, "s");
    STAGE(fixture, DRAFT("1", "2", "one, second", MAY_2, "eva"),
          DRAFT("1", "10", "one, tenth", MAY_3, "ida"), DRAFT("1", "1", "one", MAY_1, "eva"),
          DRAFT("2", "1", "two", MAY_1, NULL), DRAFT("3", "7", "three", MAY_1, "eva"));
    merge(fixture, MERGE_DELETE_NONE);
    begin_task(fixture, &family_drafts, "other");
    STAGE(fixture, DRAFT("1", "99", "another's", MAY_3, "bob"));
    merge(fixture, MERGE_DELETE_NONE);
}

static int64_t derive_works(struct fixture *fixture, bool all, int64_t up_to)
{
    int64_t n = -1;
    struct error err = ERROR_INIT;
    begin_task(fixture, &family_works, "s");
    assert_ok(derive_latest(fixture->db,
                            &(struct derivation){.staging = fixture->staging,
                                                 .source = "s",
                                                 .origin = &family_drafts,
                                                 .all = all,
                                                 .owed_up_to = up_to},
                            &n, &err),
              err);
    return n;
}

static void expect_works(struct fixture *fixture, const char *works)
{
    assert_string_equal(support_value(fixture->db,
                                      "SELECT string_agg(concat(id, '.', rev, '=', title, "
                                      "CASE WHEN gone_since IS NOT NULL THEN ' gone' END), ', ' "
                                      "ORDER BY source, id) FROM family.works"),
                        works);
}

/* --- the latest ------------------------------------------------------------------------------ */

static void the_latest_of_each_key_is_derived_once(void **state)
{
    struct fixture *fixture = *state;
    load_drafts(fixture);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(derive_works(fixture, true, 0), 3);
        merge(fixture, MERGE_DELETE_NONE);
        expect(fixture, round == 0 ? "i3 u0 =0 d0 x0 r0" : "i0 u0 =3 d0 x0 r0");
        expect_works(fixture, "1.10=one, tenth, 2.1=two, 3.7=three");
    }
    assert_string_equal(support_value(fixture->db,
                                      "SELECT concat_ws(' ', \"by\", by_id, by_display, changed AT "
                                      "TIME ZONE 'UTC') FROM family.works WHERE id = 1"),
                        "ida ida ida 2026-05-03 00:00:00");
}

static void only_what_is_owed_is_derived_again(void **state)
{
    struct fixture *fixture = *state;
    load_drafts(fixture);
    derive_works(fixture, true, 0);
    merge(fixture, MERGE_DELETE_NONE);
    begin_task(fixture, &family_drafts, "s");
    STAGE(fixture, DRAFT("1", "11", "one, eleventh", MAY_3, "ida"),
          DRAFT("2", "2", "two, second", MAY_3, "ida"),
          DRAFT("3", "6", "a late revision", MAY_3, "ida"), DRAFT("4", "1", "four", MAY_3, "ida"));
    merge(fixture, MERGE_DELETE_NONE);
    support_run(fixture->db,
                "INSERT INTO ops.owed (source, task, parent_key, execution_id) VALUES ('s', "
                "'works', '1', 1), ('s', 'works', '3', 1), ('other', 'works', '2', 1), ('s', "
                "'sheets', '2', 1), ('s', 'works', '4', 1)");
    assert_int_equal(derive_works(fixture, false,
                                  support_number(fixture->db, "SELECT max(id) - 1 FROM ops.owed")),
                     2);
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i0 u1 =1 d0 x0 r0");
    expect_works(fixture, "1.11=one, eleventh, 2.1=two, 3.7=three");
}

static void a_census_of_derived_rows_compares_keys_only(void **state)
{
    struct fixture *fixture = *state;
    load_drafts(fixture);
    derive_works(fixture, true, 0);
    merge(fixture, MERGE_DELETE_NONE);
    begin_task(fixture, &family_works, "s");
    fixture->request.deletes = MERGE_DELETE_UNLISTED;
    /* Neither version nor revision is what was derived. */
    CENSUS(fixture, DRAFT("1", "3", NULL, MAY_1, NULL), DRAFT("2", NULL, NULL, NULL, NULL),
           DRAFT("8", "1", NULL, MAY_1, NULL));
    struct buf keys CLEANUP(buf_release) = {0};
    buf_init(&keys, 4096);
    struct error err = ERROR_INIT;
    assert_ok(merge_differing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_string_equal(keys.ptr, "8 ");
    buf_reset(&keys);
    assert_ok(merge_missing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_string_equal(keys.ptr, "3 ");
}

/* --- people ---------------------------------------------------------------------------------- */

static int64_t derive_all_people(struct fixture *fixture, const struct task_def *origin)
{
    int64_t n = -1;
    struct error err = ERROR_INIT;
    assert_ok(derive_people(fixture->db, fixture->staging, "s", origin, &n, &err), err);
    return n;
}

static void people_are_named_as_they_were_last_seen_unless_the_source_tells(void **state)
{
    struct fixture *fixture = *state;
    begin_task(fixture, &family_drafts, "s");
    STAGE(fixture, "1", "1", "a", MAY_1, "eva@old", "e", "Eva Old", /* her name changed since */
          "1", "2", "b", MAY_3, "eva@new", "e", "Eva New",     /* and this is the last of her */
          "1", "3", "c", NULL, "eva@none", "e", "Eva Undated", //
          "2", "1", "d", MAY_2, "ida@here", "i", "Ida",        //
          "3", "1", "e", MAY_2, "kim@draft", "k", "Kim of a draft", //
          "4", "1", "f", MAY_2, "nobody", NULL, "Nobody");
    merge(fixture, MERGE_DELETE_NONE);
    begin_task(fixture, &family_drafts, "other");
    STAGE(fixture, DRAFT("1", "1", "x", MAY_3, "bob"));
    merge(fixture, MERGE_DELETE_NONE);
    for (int round = 0; round < 2; round++) {
        begin_task(fixture, &family_people, "s");
        STAGE(fixture, "k", "kim@source", "Kim", "kim@mail");
        assert_int_equal(derive_all_people(fixture, &family_drafts), 2);
        merge(fixture, MERGE_DELETE_MISSING);
        expect(fixture, round == 0 ? "i3 u0 =0 d0 x0 r0" : "i0 u0 =3 d0 x0 r0");
        assert_string_equal(
            support_value(fixture->db,
                          "SELECT string_agg(concat_ws(' ', id, unique_name, display_name, mail), "
                          "', ' ORDER BY id) FROM family.people"),
            "e eva@new Eva New, i ida@here Ida, k kim@source Kim kim@mail");
    }
}

static void a_task_that_names_nobody_gives_no_people(void **state)
{
    struct fixture *fixture = *state;
    begin_task(fixture, &family_people, "s");
    assert_int_equal(derive_all_people(fixture, &family_folders), 0);
    assert_int_equal(derive_all_people(fixture, &family_drafts), 0); /* none landed */
}

/* --- rows that are gone ---------------------------------------------------------------------- */

static void load_works(struct fixture *fixture)
{
    begin_task(fixture, &family_works, "s");
    STAGE(fixture, DRAFT("1", "1", "one", MAY_1, "eva"), DRAFT("2", "1", "two", MAY_1, "eva"),
          DRAFT("3", "1", "three", MAY_1, "eva"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i3 u0 =0 d0 x0 r0");
}

static void lose_a_work(struct fixture *fixture)
{
    load_works(fixture);
    support_run(fixture->db, "ALTER TABLE family.works DISABLE TRIGGER ALL;"
                             "UPDATE family.works SET etl_updated_at = '2020-01-01';"
                             "ALTER TABLE family.works ENABLE TRIGGER ALL");
    begin_task(fixture, &family_works, "s");
    STAGE(fixture, DRAFT("1", "1", "one", MAY_1, "eva"), DRAFT("2", "1", "two", MAY_1, "eva"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =2 d1 x0 r0");
    assert_int_equal(fixture->result.scope_rows, 3);
    expect_works(fixture, "1.1=one, 2.1=two, 3.1=three gone");
}

static void a_row_that_is_gone_stays_with_a_stamp(void **state)
{
    struct fixture *fixture = *state;
    lose_a_work(fixture);
    assert_string_equal(
        support_value(fixture->db,
                      "SELECT string_agg(concat(id, ' ', etl_updated_at > '2020-01-02', ' ', "
                      "etl_execution_id), ', ' ORDER BY id) FROM family.works"),
        "1 f 101, 2 f 101, 3 t 102");
    for (int round = 0; round < 2; round++) { /* it goes but once, and is in nobody's way */
        begin_task(fixture, &family_works, "s");
        STAGE(fixture, DRAFT("1", "1", "one", MAY_1, "eva"), DRAFT("2", "1", "two", MAY_1, "eva"));
        merge(fixture, round == 0 ? MERGE_DELETE_MISSING : MERGE_DELETE_UNLISTED);
        expect(fixture, "i0 u0 =2 d0 x0 r0");
        assert_int_equal(fixture->result.scope_rows, 2);
    }
    assert_string_equal(
        support_value(fixture->db, "SELECT etl_execution_id FROM family.works WHERE id = 3"),
        "102");
}

static void a_row_that_comes_back_loses_the_stamp(void **state)
{
    struct fixture *fixture = *state;

    const struct {
        const char *title;
        enum merge_deletes deletes;
    } cases[] = {{"three", MERGE_DELETE_NONE},
                 {"changed", MERGE_DELETE_NONE},
                 {"changed", MERGE_DELETE_MISSING}};

    lose_a_work(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char all[64];
        begin_task(fixture, &family_works, "s");
        STAGE(fixture, DRAFT("1", "1", "one", MAY_1, "eva"), DRAFT("2", "1", "two", MAY_1, "eva"),
              DRAFT("3", "1", cases[i].title, MAY_1, "eva"));
        merge(fixture, cases[i].deletes);
        expect(fixture, "i0 u1 =2 d0 x0 r0");
        snprintf(all, sizeof(all), "1.1=one, 2.1=two, 3.1=%s", cases[i].title);
        expect_works(fixture, all);
        assert_int_equal(support_number(fixture->db, "SELECT etl_execution_id FROM family.works "
                                                     "WHERE id = 3"),
                         fixture->execution_id);
        begin_task(fixture, &family_works, "s");
        STAGE(fixture, DRAFT("1", "1", "one", MAY_1, "eva"), DRAFT("2", "1", "two", MAY_1, "eva"));
        merge(fixture, MERGE_DELETE_MISSING);
        expect(fixture, "i0 u0 =2 d1 x0 r0");
    }
}

static void a_census_lists_a_row_that_was_gone_again(void **state)
{
    struct fixture *fixture = *state;
    lose_a_work(fixture);
    begin_task(fixture, &family_works, "s");
    CENSUS(fixture, DRAFT("1", NULL, NULL, NULL, NULL), DRAFT("3", NULL, NULL, NULL, NULL));
    fixture->request.deletes = MERGE_DELETE_UNLISTED;
    struct buf keys CLEANUP(buf_release) = {0};
    buf_init(&keys, 4096);
    struct error err = ERROR_INIT;
    assert_ok(merge_differing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_string_equal(keys.ptr, "3 ");
    buf_reset(&keys);
    assert_ok(merge_missing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_string_equal(keys.ptr, "2 ");
    STAGE(fixture, DRAFT("3", "1", "three", MAY_1, "eva"));
    merge(fixture, MERGE_DELETE_UNLISTED);
    expect(fixture, "i0 u1 =0 d1 x0 r0");
    expect_works(fixture, "1.1=one, 2.1=two gone, 3.1=three");
}

static void a_derived_row_that_is_gone_comes_back_with_its_origin(void **state)
{
    struct fixture *fixture = *state;
    load_drafts(fixture);
    derive_works(fixture, true, 0);
    merge(fixture, MERGE_DELETE_NONE);
    begin_task(fixture, &family_works, "s");
    CENSUS(fixture, DRAFT("1", NULL, NULL, NULL, NULL), DRAFT("2", NULL, NULL, NULL, NULL));
    merge(fixture, MERGE_DELETE_UNLISTED);
    expect_works(fixture, "1.10=one, tenth, 2.1=two, 3.7=three gone");
    support_run(fixture->db, "INSERT INTO ops.owed (source, task, parent_key, execution_id)"
                             " VALUES ('s', 'works', '3', 1)");
    assert_int_equal(
        derive_works(fixture, false, support_number(fixture->db, "SELECT max(id) FROM ops.owed")),
        1);
    merge(fixture, MERGE_DELETE_NONE);
    expect_works(fixture, "1.10=one, tenth, 2.1=two, 3.7=three");
}

static void rows_that_are_gone_do_not_feed_the_fuse(void **state)
{
    struct fixture *fixture = *state;
    lose_a_work(fixture);
    begin_task(fixture, &family_works, "s");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =0 d0 x0 r0 held");
    assert_int_equal(fixture->result.scope_rows, 2);
    assert_int_equal(fixture->result.gone_rows, 2);
}

/* --- when a row was seen --------------------------------------------------------------------- */

static void forget_times(struct fixture *fixture)
{
    support_run(fixture->db, "ALTER TABLE family.states DISABLE TRIGGER ALL;"
                             "UPDATE family.states SET first_seen = '2020-01-01Z', last_seen = "
                             "'2020-01-01Z', etl_updated_at = '2020-01-01Z';"
                             "ALTER TABLE family.states ENABLE TRIGGER ALL");
}

/* Of each state: is last_seen, etl_updated_at, first_seen of now? */
static void expect_seen(struct fixture *fixture, const char *seen)
{
    assert_string_equal(
        support_value(fixture->db,
                      "SELECT string_agg(concat(state, ' ', last_seen > '2020-01-02', "
                      "etl_updated_at > '2020-01-02', first_seen > '2020-01-02'), ', ' ORDER BY "
                      "state) FROM family.states"),
        seen);
}

static void load_states(struct fixture *fixture)
{
    begin_task(fixture, &family_states, "s");
    STAGE(fixture, "bug", "done", "over", "bug", "new", "begun", "bug", "open", "going on");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i3 u0 =0 d0 x0 r0");
    expect_seen(fixture, "done ttt, new ttt, open ttt");
    forget_times(fixture);
}

static void a_row_is_seen_without_being_updated(void **state)
{
    struct fixture *fixture = *state;

    const enum merge_deletes ways[] = {MERGE_DELETE_MISSING, MERGE_DELETE_NONE,
                                       MERGE_DELETE_UNLISTED};

    load_states(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        begin_task(fixture, &family_states, "s");
        STAGE(fixture, "bug", "done", "over", "bug", "new", "begun", "bug", "open", "going on");
        merge(fixture, ways[i]);
        expect(fixture, "i0 u0 =3 d0 x0 r0");
        expect_seen(fixture, "done tff, new tff, open tff");
        forget_times(fixture);
    }
}

static void only_what_was_staged_is_seen(void **state)
{
    struct fixture *fixture = *state;
    load_states(fixture);
    begin_task(fixture, &family_states, "s");
    STAGE(fixture, "bug", "done", "over", "bug", "new", "CHANGED", "bug", "later", "x");
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i1 u1 =1 d0 x0 r0");
    expect_seen(fixture, "done tff, later ttt, new ttf, open fff");
}

static void what_a_census_lists_is_seen_and_needs_no_reading(void **state)
{
    struct fixture *fixture = *state;
    load_states(fixture);
    begin_task(fixture, &family_states, "s");
    STAGE(fixture, "bug", "done", "over", "bug", "new", "begun", "bug", "open", "going on");
    merge(fixture, MERGE_DELETE_MISSING);
    forget_times(fixture);
    begin_task(fixture, &family_states, "s");
    CENSUS(fixture, "bug", "done", NULL, "bug", "new", NULL);
    fixture->request.deletes = MERGE_DELETE_UNLISTED;
    struct buf keys CLEANUP(buf_release) = {0};
    buf_init(&keys, 4096);
    struct error err = ERROR_INIT;
    assert_ok(merge_differing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_int_equal(keys.len, 0);
    merge(fixture, MERGE_DELETE_UNLISTED);
    expect(fixture, "i0 u0 =0 d1 x0 r0");
    expect_seen(fixture, "done tff, new tff, open ftf");
}

static void a_row_that_is_gone_was_not_seen_until_it_returns(void **state)
{
    struct fixture *fixture = *state;
    load_states(fixture);
    begin_task(fixture, &family_states, "s");
    STAGE(fixture, "bug", "done", "over", "bug", "new", "begun");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =2 d1 x0 r0");
    expect_seen(fixture, "done tff, new tff, open ftf");
    begin_task(fixture, &family_states, "s");
    STAGE(fixture, "bug", "open", "going on");
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i0 u1 =0 d0 x0 r0");
    expect_seen(fixture, "done tff, new tff, open ttf");
    assert_int_equal(support_number(fixture->db, "SELECT count(gone) FROM family.states"), 0);
}

static void a_held_load_has_seen_nothing(void **state)
{
    struct fixture *fixture = *state;
    load_states(fixture);
    begin_task(fixture, &family_states, "s");
    fixture->request.hold = true;
    STAGE(fixture, "bug", "done", "over");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =0 d0 x0 r0 held");
    expect_seen(fixture, "done fff, new fff, open fff");
}

static void a_state_edited_by_hand_is_repaired(void **state)
{
    struct fixture *fixture = *state;
    load_states(fixture);
    support_run(fixture->db, "UPDATE family.states SET means = 'by hand' WHERE state = 'new'");
    begin_task(fixture, &family_states, "s");
    STAGE(fixture, "bug", "done", "over", "bug", "new", "begun", "bug", "open", "going on");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u1 =2 d0 x0 r0");
    expect_seen(fixture, "done tff, new ttf, open tff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY_TEST(the_latest_of_each_key_is_derived_once),
        FAMILY_TEST(only_what_is_owed_is_derived_again),
        FAMILY_TEST(a_census_of_derived_rows_compares_keys_only),
        FAMILY_TEST(people_are_named_as_they_were_last_seen_unless_the_source_tells),
        FAMILY_TEST(a_task_that_names_nobody_gives_no_people),
        FAMILY_TEST(a_row_that_is_gone_stays_with_a_stamp),
        FAMILY_TEST(a_row_that_comes_back_loses_the_stamp),
        FAMILY_TEST(a_census_lists_a_row_that_was_gone_again),
        FAMILY_TEST(a_derived_row_that_is_gone_comes_back_with_its_origin),
        FAMILY_TEST(rows_that_are_gone_do_not_feed_the_fuse),
        FAMILY_TEST(a_row_is_seen_without_being_updated),
        FAMILY_TEST(only_what_was_staged_is_seen),
        FAMILY_TEST(what_a_census_lists_is_seen_and_needs_no_reading),
        FAMILY_TEST(a_row_that_is_gone_was_not_seen_until_it_returns),
        FAMILY_TEST(a_held_load_has_seen_nothing),
        FAMILY_TEST(a_state_edited_by_hand_is_repaired),
    };
    return cmocka_run_group_tests_name("derived", tests, NULL, NULL);
}
