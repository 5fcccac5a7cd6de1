#include <stdio.h>
#include <string.h>

#include "tests/db/fixture.h"
#include "worker/load/merge_keys.h"

static void a_repeated_load_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    char before[512];
    const char *rows = "SELECT string_agg(t::text || xmin::text, '|' ORDER BY id) "
                       "FROM \"Odd type\".things t";
    snprintf(before, sizeof(before), "%s", support_value(fixture->db, rows));
    for (int i = 0; i < 2; i++) {
        begin_load(fixture, "s");
        STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"));
        merge(fixture, i == 0 ? MERGE_DELETE_MISSING : MERGE_DELETE_NONE);
        expect(fixture, "i0 u0 =2 d0 x0 r0");
        assert_string_equal(support_value(fixture->db, rows), before);
    }
}

static void an_increment_inserts_and_updates_and_deletes_nothing(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    STAGE(fixture, THING("b", "TWO", MAY_3, "2"), THING("c", "three", MAY_3, "1"));
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i1 u1 =0 d0 x0 r0");
    expect_titles(fixture, "s/a=one s/b=TWO s/c=three");
    assert_string_equal(support_value(fixture->db,
                                      "SELECT string_agg(id || etl_execution_id || "
                                      "(etl_updated_at > etl_created_at), ' ' ORDER BY id) "
                                      "FROM \"Odd type\".things"),
                        "a101false b102true c102false");
}

static void a_full_load_deletes_what_is_missing_of_its_source_only(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "other");
    STAGE(fixture, THING("a", "else", MAY_1, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i1 u0 =0 d0 x0 r0");
    begin_load(fixture, "s");
    STAGE(fixture, THING("b", "two", MAY_2, "1"), THING("c", "three", MAY_3, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i1 u0 =1 d1 x0 r0");
    expect_titles(fixture, "other/a=else s/b=two s/c=three");
}

static void a_window_deletes_only_inside_and_moves_rows_across_its_edge(void **state)
{
    struct fixture *fixture = *state;
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "before", "2026-04-30 23:59:59", "1"),
          THING("b", "first", MAY_1, "1"), THING("c", "inside", "2026-05-01 12:00:00", "1"),
          THING("d", "end", MAY_2, "1"), THING("e", "null", NULL, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    begin_load(fixture, "s");
    fixture->request.has_window = true;
    fixture->request.window_from_us = MAY_1_US;
    fixture->request.window_to_us = MAY_1_US + DAY_US;
    /* a moves into the window, c is gone; b stays as it is */
    STAGE(fixture, THING("a", "moved", "2026-05-01 01:00:00", "2"),
          THING("b", "first", MAY_1, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u1 =1 d1 x0 r0");
    assert_int_equal(fixture->result.scope_rows, 2);
    expect_titles(fixture, "s/a=moved s/b=first s/d=end s/e=null");
}

static void an_open_ended_window_reaches_to_the_end_of_time(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    fixture->request.has_window = true;
    fixture->request.window_from_us = MAY_1_US + 1;
    fixture->request.window_to_us = INT64_MAX;
    fixture->request.allow_mass_delete = true;
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =0 d1 x0 r0");
    expect_titles(fixture, "s/a=one");
}

static void a_census_tells_what_to_fetch_and_what_is_gone(void **state)
{
    struct fixture *fixture = *state;
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "same", MAY_1, "1"), THING("b", "newer version", MAY_1, "1"),
          THING("c", "newer revision", MAY_1, "1"), THING("d", "gone", MAY_1, "1"),
          THING("e", "edited", MAY_1, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    support_run(fixture->db, "UPDATE \"Odd type\".things SET title = 'by hand' WHERE id = 'e'");
    begin_load(fixture, "s");
    CENSUS(fixture, THING("a", NULL, MAY_1, "1"), THING("b", NULL, MAY_2, "1"),
           THING("c", NULL, MAY_1, "2"), THING("e", NULL, MAY_1, "1"), THING("f", NULL, MAY_1, "1"),
           THING("x\ty\\z", NULL, MAY_1, "1"));
    fixture->request.deletes = MERGE_DELETE_UNLISTED;
    struct buf keys CLEANUP(buf_release) = {0};
    buf_init(&keys, 4096);
    struct error err = ERROR_INIT;
    assert_ok(merge_differing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_string_equal(keys.ptr, "b c e f x\ty\\z ");
    buf_reset(&keys);
    assert_ok(merge_missing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_string_equal(keys.ptr, "d ");
    STAGE(fixture, THING("b", "B", MAY_2, "1"), THING("c", "C", MAY_1, "2"),
          THING("e", "edited", MAY_1, "1"), THING("f", "F", MAY_1, "1"));
    merge(fixture, MERGE_DELETE_UNLISTED);
    expect(fixture, "i1 u3 =0 d1 x0 r0");
    expect_titles(fixture, "s/a=same s/b=B s/c=C s/e=edited s/f=F");
}

static void the_newest_of_several_versions_wins(void **state)
{
    struct fixture *fixture = *state;
    for (int round = 0; round < 3; round++) { /* first load, full and increment */
        begin_load(fixture, "s");
        STAGE(fixture, THING("a", "newest", MAY_3, "1"), THING("a", "old", MAY_1, "9"),
              THING("b", "revision 1", MAY_1, "1"), THING("b", "revision 2", MAY_1, "2"),
              THING("c", "received first", MAY_1, "1"), THING("d", "alone", MAY_1, "1"));
        STAGE(fixture, THING("c", "received last", MAY_1, "1"), THING("a", "no date", NULL, "9"));
        merge(fixture, round == 2 ? MERGE_DELETE_NONE : MERGE_DELETE_MISSING);
        expect(fixture, round == 0 ? "i4 u0 =0 d0 x4 r0" : "i0 u0 =4 d0 x4 r0");
        expect_titles(fixture, "s/a=newest s/b=revision 2 s/c=received last s/d=alone");
    }
}

static void an_older_row_that_a_feed_repeats_is_a_duplicate(void **state)
{
    struct fixture *fixture = *state;
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "newest", MAY_3, "1"), THING("b", "second", MAY_2, "1"),
          THING("c", "same", MAY_2, "1"), THING("d", "dated", MAY_2, "1"));
    merge(fixture, MERGE_DELETE_NONE);
    for (int keeps = 1; keeps >= 0; keeps--) {
        begin_load(fixture, "s");
        fixture->request.keeps_newer = keeps == 1;
        STAGE(fixture, THING("a", "old", MAY_1, "9"), THING("a", "older", MAY_2, "9"),
              THING("b", "third", MAY_3, "1"), THING("c", "as new", MAY_2, "1"),
              THING("d", "no date", NULL, "1"), THING("e", "new", MAY_1, "1"));
        merge(fixture, MERGE_DELETE_NONE);
        expect(fixture, keeps == 1 ? "i1 u3 =0 d0 x2 r0" : "i0 u1 =4 d0 x1 r0");
        expect_titles(fixture, keeps == 1 ? "s/a=newest s/b=third s/c=as new s/d=no date s/e=new"
                                          : "s/a=older s/b=third s/c=as new s/d=no date s/e=new");
    }
}

static void equal_duplicates_of_unchanged_rows_are_counted(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"),
          THING("a", "one", MAY_1, "1"), THING("n", "new", MAY_2, "1"),
          THING("n", "new", MAY_2, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i1 u0 =2 d0 x2 r0");
}

static void duplicates_cannot_hide_behind_missing_rows(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("a", "one", MAY_1, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =1 d1 x1 r0");
    expect_titles(fixture, "s/a=one");
}

static void an_absent_column_keeps_what_is_stored(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    STAGE(fixture, "a", ABSENT, "u1", "w", "7", MAY_1, "1", "b", "changed", ABSENT, ABSENT, "7",
          MAY_2, "1", "c", ABSENT, "u1", "w", "7", MAY_1, "1");
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i1 u1 =1 d0 x0 r0");
    expect_titles(fixture, "s/a=one s/b=changed s/c=-");
    assert_string_equal(support_value(fixture->db, "SELECT \"user\" || \"we\"\"ird; name\" FROM "
                                                   "\"Odd type\".things WHERE id = 'b'"),
                        "u1w");
    assert_string_equal(support_value(fixture->db, "SELECT etl_execution_id FROM "
                                                   "\"Odd type\".things WHERE id = 'a'"),
                        "101");
    begin_load(fixture, "s");
    STAGE(fixture, "a", ABSENT, "u1", "w", "7", MAY_1, "1");
    merge(fixture, MERGE_DELETE_NONE); /* its hash was renewed silently */
    expect(fixture, "i0 u0 =1 d0 x0 r0");
}

static void a_null_replaces_a_value(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", NULL, MAY_1, "1"));
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i0 u1 =0 d0 x0 r0");
    expect_titles(fixture, "s/a=- s/b=two");
}

static void a_row_edited_by_hand_is_repaired_by_the_next_full_load(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    support_run(fixture->db, "UPDATE \"Odd type\".things SET title = 'by hand' WHERE id = 'a'; "
                             "DELETE FROM \"Odd type\".things WHERE id = 'b'; "
                             "INSERT INTO \"Odd type\".things (source, id) VALUES ('s', 'z')");
    begin_load(fixture, "s");
    fixture->request.allow_mass_delete = true;
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i1 u1 =0 d1 x0 r0");
    expect_titles(fixture, "s/a=one s/b=two");
}

static void a_grown_catalog_restamps_without_counting_updates(void **state)
{
    struct fixture *fixture = *state;
    load_two_of_older_catalog(fixture);
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, NULL), THING("b", "two", MAY_1, "3"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u1 =1 d0 x0 r0");
    assert_string_equal(support_value(fixture->db, "SELECT string_agg(id || etl_execution_id, ' ' "
                                                   "ORDER BY id) FROM \"Odd type\".things"),
                        "a101 b102");
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, NULL), THING("b", "two", MAY_1, "3"));
    fixture->request.deletes = MERGE_DELETE_MISSING;
    struct error err = ERROR_INIT;
    assert_ok(db_begin(fixture->db, &err), err);
    assert_ok(merge_apply(fixture->db, &fixture->request, &fixture->result, &err), err);
    assert_int_equal(support_number(fixture->db, "SELECT count(*) FROM pg_temp.delta"), 0);
    db_rollback(fixture->db);
    expect(fixture, "i0 u0 =2 d0 x0 r0");
}

static void the_changed_keys_stay_readable_until_commit(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_INIT;
    const char *delta =
        "SELECT string_agg(kind::text || id, ' ' ORDER BY kind, id) FROM pg_temp.delta";
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"),
          THING("c", "three", MAY_2, "1"));
    assert_ok(db_begin(fixture->db, &err), err);
    assert_ok(merge_apply(fixture->db, &fixture->request, &fixture->result, &err), err);
    assert_string_equal(support_value(fixture->db, delta), "ia ib ic");
    assert_ok(db_commit(fixture->db, &err), err);
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "TWO", MAY_2, "1"),
          THING("d", "four", MAY_2, "1"));
    fixture->request.deletes = MERGE_DELETE_MISSING;
    assert_ok(db_begin(fixture->db, &err), err);
    assert_ok(merge_apply(fixture->db, &fixture->request, &fixture->result, &err), err);
    assert_string_equal(support_value(fixture->db, delta), "dc id ub");
    assert_ok(db_commit(fixture->db, &err), err);
    assert_string_equal(support_value(fixture->db, "SELECT to_regclass('pg_temp.delta') IS NULL"),
                        "t");
}

static void load_many(struct fixture *fixture, int n)
{
    begin_load(fixture, "s");
    stage_many(fixture, 0, n, "x");
    merge(fixture, MERGE_DELETE_MISSING);
    assert_int_equal(fixture->result.inserted, n);
}

/* `kept` of `n` rows are still there: is the merge held? */
static void expect_fuse(struct fixture *fixture, int n, int kept, bool held)
{
    support_run(fixture->db, "TRUNCATE \"Odd type\".things");
    load_many(fixture, n);
    begin_load(fixture, "s");
    if (kept > 0) {
        stage_many(fixture, 0, kept, "changed");
    }
    merge(fixture, MERGE_DELETE_MISSING);
    if (fixture->result.held != held) {
        fail_msg("%d of %d kept: held is %d", kept, n, fixture->result.held);
    }
    assert_int_equal(fixture->result.scope_rows, n);
    assert_int_equal(fixture->result.gone_rows, n - kept);
    assert_int_equal(support_number(fixture->db, "SELECT count(*) FROM \"Odd type\".things"),
                     held ? n : kept);
    assert_int_equal(support_number(fixture->db, "SELECT count(*) FROM \"Odd type\".things "
                                                 "WHERE title = 'changed'"),
                     held ? 0 : kept);
    assert_int_equal(fixture->result.updated, held ? 0 : kept);
}

static void the_fuse_blows_exactly_at_its_limits(void **state)
{
    struct fixture *fixture = *state;
    expect_fuse(fixture, 49, 1, false); /* few rows: only "everything" counts */
    expect_fuse(fixture, 49, 0, true);
    expect_fuse(fixture, 1, 0, true);
    expect_fuse(fixture, 50, 35, false); /* 15 of 50 is the share itself */
    expect_fuse(fixture, 50, 34, true);
    expect_fuse(fixture, 100, 70, false);
    expect_fuse(fixture, 100, 69, true);
}

static void an_allowed_mass_delete_passes_the_fuse(void **state)
{
    struct fixture *fixture = *state;
    load_many(fixture, 100);
    begin_load(fixture, "s");
    fixture->request.allow_mass_delete = true;
    stage_many(fixture, 500, 2, "new");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i2 u0 =0 d100 x0 r0");
}

static void replacing_every_row_is_everything_gone(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    stage_many(fixture, 0, 5, "all new");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =0 d0 x0 r0 held");
    assert_int_equal(fixture->result.staged, 5);
    expect_titles(fixture, "s/a=one s/b=two");
}

static void a_rejected_record_keeps_its_last_good_version(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    const char *open = "SELECT string_agg(record_key || ':' || reason || ':' || "
                       "(payload ->> 'as'), ' ' ORDER BY record_key) FROM ops.dead_letter "
                       "WHERE resolved_at IS NULL AND source = 's' AND task = 'things'";
    for (int round = 0; round < 2; round++) {
        begin_load(fixture, "s");
        STAGE(fixture, THING("b", "two", MAY_2, "1"), "a", "bad", "u", "w",
              round == 0 ? "many" : "more", MAY_1, "1");
        merge(fixture, round == 0 ? MERGE_DELETE_MISSING : MERGE_DELETE_NONE);
        expect(fixture, "i0 u0 =1 d0 x0 r1");
        expect_titles(fixture, "s/a=one s/b=two");
        assert_string_equal(support_value(fixture->db, open),
                            round == 0 ? "a:n: \"many\" is not an integer:received"
                                       : "a:n: \"more\" is not an integer:received");
    }
    assert_string_equal(support_value(fixture->db, "SELECT count(*) || ' ' || "
                                                   "bool_and(last_seen > first_seen) "
                                                   "FROM ops.dead_letter"),
                        "1 true");
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "good again", MAY_3, "2"));
    merge(fixture, MERGE_DELETE_NONE);
    assert_string_equal(support_value(fixture->db, open), "");
    assert_int_equal(support_number(fixture->db, "SELECT count(*) FROM ops.dead_letter"), 1);
}

static void a_dead_letter_of_a_vanished_record_is_resolved_by_a_full_walk_only(void **state)
{
    struct fixture *fixture = *state;
    const char *open = "SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL";
    load_two(fixture);
    begin_load(fixture, "s");
    STAGE(fixture, "z", "bad", "u", "w", "many", MAY_1, "1");
    merge(fixture, MERGE_DELETE_NONE);
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"));
    merge(fixture, MERGE_DELETE_NONE);
    assert_int_equal(support_number(fixture->db, open), 1);
    begin_load(fixture, "s");
    CENSUS(fixture, THING("a", NULL, MAY_1, "1"), THING("b", NULL, MAY_2, "1"),
           THING("z", NULL, MAY_2, "1"));
    merge(fixture, MERGE_DELETE_UNLISTED);
    assert_int_equal(support_number(fixture->db, open), 1);
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    assert_int_equal(support_number(fixture->db, open), 0);
}

static void keys_of_several_columns_work_throughout(void **state)
{
    struct fixture *fixture = *state;
    fixture->task = &support_pairs;
    begin_load(fixture, "s");
    STAGE(fixture, "n", "1", "x", "n", "1", "y", "n", "2", "x", "n", "2", "x");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i3 u0 =0 d0 x1 r0");
    begin_load(fixture, "s");
    CENSUS(fixture, ABSENT, "1", "x", ABSENT, "3", "z");
    fixture->request.deletes = MERGE_DELETE_UNLISTED;
    struct buf keys CLEANUP(buf_release) = {0};
    buf_init(&keys, 4096);
    struct error err = ERROR_INIT;
    assert_ok(merge_differing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_string_equal(keys.ptr, "3:z ");
    buf_reset(&keys);
    assert_ok(merge_missing_keys(fixture->db, &fixture->request, collect, &keys, &err), err);
    assert_string_equal(keys.ptr, "1:y 2:x ");
    begin_load(fixture, "s");
    STAGE(fixture, "other", "1", "x", "n", "2", "x");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u1 =1 d1 x0 r0");
}

static void a_big_first_load_gets_its_indexes_back(void **state)
{
    struct fixture *fixture = *state;
    const char *indexes = "SELECT string_agg(pg_get_indexdef(indexrelid), '|' ORDER BY "
                          "indexrelid::regclass::text) FROM pg_index "
                          "WHERE indrelid = '\"Odd type\".things'::regclass";
    char before[2048];
    snprintf(before, sizeof(before), "%s", support_value(fixture->db, indexes));
    const char *oids = "SELECT sum(indexrelid::bigint) FROM pg_index WHERE indrelid = "
                       "'\"Odd type\".things'::regclass";
    int64_t old_oids = support_number(fixture->db, oids);
    begin_load(fixture, "s");
    stage_many(fixture, 0, 60000, "x");
    stage_many(fixture, 59990, 20, "x"); /* and ten of them twice */
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i60010 u0 =0 d0 x10 r0");
    assert_string_equal(support_value(fixture->db, indexes), before);
    assert_true(support_number(fixture->db, oids) != old_oids);
    begin_load(fixture, "s");
    stage_many(fixture, 0, 60000, "x");
    stage_many(fixture, 59990, 30, "y");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i10 u20 =59990 d0 x10 r0");
    begin_load(fixture, "second");
    stage_many(fixture, 0, 51000, "x");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i51000 u0 =0 d0 x0 r0");
}

static void a_big_first_load_leaves_a_primary_key_that_a_view_rests_on(void **state)
{
    struct fixture *fixture = *state;
    const char *key = "SELECT conindid::bigint FROM pg_constraint WHERE contype = 'p' AND "
                      "conrelid = '\"Odd type\".things'::regclass";
    support_run(fixture->db, "CREATE VIEW public.theirs AS SELECT t.*, count(*) AS how_many"
                             " FROM \"Odd type\".things t GROUP BY t.source, t.id");
    int64_t old_key = support_number(fixture->db, key);
    begin_load(fixture, "s");
    stage_many(fixture, 0, 51000, "x");
    stage_many(fixture, 50990, 10, "x");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i51000 u0 =0 d0 x10 r0");
    assert_true(support_number(fixture->db, key) == old_key);
}

static void a_reader_of_the_table_does_not_stop_a_big_first_load(void **state)
{
    struct fixture *fixture = *state;
    struct db *reader CLEANUP(db_closep) = support_open(fixture->database);
    support_run(reader, "BEGIN; SELECT FROM \"Odd type\".things");
    begin_load(fixture, "s");
    stage_many(fixture, 0, 51000, "x");
    support_run(fixture->db, "SET lock_timeout TO '7s'");
    struct error err = ERROR_INIT;
    assert_ok(db_begin(fixture->db, &err), err);
    fixture->request.deletes = MERGE_DELETE_MISSING;
    assert_ok(merge_apply(fixture->db, &fixture->request, &fixture->result, &err), err);
    assert_string_equal(support_value(fixture->db, "SHOW lock_timeout"), "7s");
    assert_ok(db_commit(fixture->db, &err), err);
    expect(fixture, "i51000 u0 =0 d0 x0 r0");
}

static void a_merge_outside_a_transaction_or_without_its_window_is_a_bug(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_INIT;
    begin_load(fixture, "s");
    assert_false(merge_apply(fixture->db, &fixture->request, &fixture->result, &err));
    assert_int_equal(err.code, ERROR_BUG);
    fixture->task = &support_pairs;
    begin_load(fixture, "s");
    fixture->request.has_window = true;
    error_clear(&err);
    assert_ok(db_begin(fixture->db, &err), err);
    assert_false(merge_apply(fixture->db, &fixture->request, &fixture->result, &err));
    assert_int_equal(err.code, ERROR_BUG);
}

static void a_trigger_that_swallows_rows_is_found_out(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    support_run(fixture->db, "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS "
                             "'BEGIN RETURN NULL; END'; CREATE TRIGGER swallow BEFORE INSERT ON "
                             "\"Odd type\".things FOR EACH ROW EXECUTE FUNCTION swallow()");
    begin_load(fixture, "s");
    STAGE(fixture, THING("c", "three", MAY_1, "1"));
    struct error err = ERROR_INIT;
    assert_ok(db_begin(fixture->db, &err), err);
    assert_false(merge_apply(fixture->db, &fixture->request, &fixture->result, &err));
    assert_int_equal(err.code, ERROR_BUG);
    db_rollback(fixture->db);
    support_run(fixture->db, "DELETE FROM \"Odd type\".things");
    error_clear(&err);
    assert_ok(db_begin(fixture->db, &err), err);
    assert_false(merge_apply(fixture->db, &fixture->request, &fixture->result, &err));
    assert_int_equal(err.code, ERROR_BUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_repeated_load_changes_nothing),
        TEST(an_increment_inserts_and_updates_and_deletes_nothing),
        TEST(a_full_load_deletes_what_is_missing_of_its_source_only),
        TEST(a_window_deletes_only_inside_and_moves_rows_across_its_edge),
        TEST(an_open_ended_window_reaches_to_the_end_of_time),
        TEST(a_census_tells_what_to_fetch_and_what_is_gone),
        TEST(the_newest_of_several_versions_wins),
        TEST(an_older_row_that_a_feed_repeats_is_a_duplicate),
        TEST(equal_duplicates_of_unchanged_rows_are_counted),
        TEST(duplicates_cannot_hide_behind_missing_rows),
        TEST(an_absent_column_keeps_what_is_stored),
        TEST(a_null_replaces_a_value),
        TEST(a_row_edited_by_hand_is_repaired_by_the_next_full_load),
        TEST(a_grown_catalog_restamps_without_counting_updates),
        TEST(the_changed_keys_stay_readable_until_commit),
        TEST(the_fuse_blows_exactly_at_its_limits),
        TEST(an_allowed_mass_delete_passes_the_fuse),
        TEST(replacing_every_row_is_everything_gone),
        TEST(a_rejected_record_keeps_its_last_good_version),
        TEST(a_dead_letter_of_a_vanished_record_is_resolved_by_a_full_walk_only),
        TEST(keys_of_several_columns_work_throughout),
        TEST(a_big_first_load_gets_its_indexes_back),
        TEST(a_big_first_load_leaves_a_primary_key_that_a_view_rests_on),
        TEST(a_reader_of_the_table_does_not_stop_a_big_first_load),
        TEST(a_merge_outside_a_transaction_or_without_its_window_is_a_bug),
        TEST(a_trigger_that_swallows_rows_is_found_out),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
