#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/db/family.h"
#include "worker/load/merge_keys.h"
#include "worker/load/merge_state.h"
#include "worker/load/owed.h"

/* What tasks owe to changed parents, and records that belong to no landed parent. */

static bool apply(struct fixture *fixture, enum merge_deletes deletes, struct error *err)
{
    fixture->request.deletes = deletes;
    fixture->result = (struct merge_result){0};
    return db_begin(fixture->db, err) &&
           merge_apply(fixture->db, &fixture->request, &fixture->result, err);
}

static void publish_unsettled(struct fixture *fixture,
                              enum merge_deletes deletes,
                              const struct task_def *child,
                              int64_t unsettled_us)
{
    struct error err = ERROR_INIT;
    assert_ok(apply(fixture, deletes, &err), err);
    assert_false(fixture->result.held);
    assert_ok(owed_record(fixture->db, &fixture->request, child, unsettled_us, &err), err);
    assert_ok(db_commit(fixture->db, &err), err);
}

static void
publish(struct fixture *fixture, enum merge_deletes deletes, const struct task_def *child)
{
    publish_unsettled(fixture, deletes, child, INT64_MAX);
}

static void expect_owed(struct fixture *fixture, const char *debts)
{
    assert_string_equal(
        support_value(fixture->db,
                      "SELECT string_agg(source || '/' || task || '/' || parent_key, ' ' ORDER BY "
                      "source, task, parent_key) FROM ops.owed"),
        debts);
}

/* --- debts ---------------------------------------------------------------------------------- */

static void a_changed_parent_is_owed_whatever_became_of_it(void **state)
{
    struct fixture *fixture = *state;
    load_folders(fixture);
    set_watermark(fixture, "sheets", MAY_3);
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("1", "one", MAY_1, MAY_1), FOLDER("2", "TWO", MAY_1, MAY_3),
          FOLDER("3", "three", MAY_1, MAY_2), FOLDER("5", "five", MAY_3, MAY_3));
    publish(fixture, MERGE_DELETE_MISSING, &family_sheets);
    expect(fixture, "i1 u1 =2 d1 x0 r0");
    expect_owed(fixture, "s/sheets/2 s/sheets/4 s/sheets/5");
    assert_string_equal(support_value(fixture->db, "SELECT DISTINCT execution_id FROM ops.owed"),
                        "102");
}

static void an_unsettled_parent_is_owed_although_it_looks_unchanged(void **state)
{
    struct fixture *fixture = *state;
    load_folders(fixture);
    set_watermark(fixture, "sheets", MAY_3);

    const struct {
        int64_t unsettled_us;
        const char *debts;
    } cases[] = {{INT64_MAX, ""},
                 {MAY_1_US + DAY_US + 1, ""},
                 {MAY_1_US + DAY_US, "s/sheets/2"},
                 {INT64_MIN, "s/sheets/1 s/sheets/2"}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin_task(fixture, &family_folders, "s");
        STAGE(fixture, FOLDER("1", "one", MAY_1, MAY_1), FOLDER("2", "two", MAY_1, MAY_2));
        publish_unsettled(fixture, MERGE_DELETE_NONE, &family_sheets, cases[i].unsettled_us);
        expect(fixture, "i0 u0 =2 d0 x0 r0");
        expect_owed(fixture, cases[i].debts);
    }
}

static void a_late_parent_is_owed_if_it_is_older_than_what_the_child_has_read(void **state)
{
    struct fixture *fixture = *state;
    load_folders(fixture);
    set_watermark(fixture, "notes", MAY_2);
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("1", "ONE", MAY_1, MAY_3), FOLDER("2", "two", MAY_1, MAY_2),
          FOLDER("3", "three", MAY_1, MAY_2), FOLDER("11", "older", MAY_1, MAY_3),
          FOLDER("12", "as old", MAY_2, MAY_3), FOLDER("13", "newer", MAY_3, MAY_3),
          FOLDER("14", "who knows", NULL, MAY_3));
    publish_unsettled(fixture, MERGE_DELETE_MISSING, &family_notes, INT64_MIN);
    expect(fixture, "i4 u1 =2 d1 x0 r0");
    expect_owed(fixture, "s/notes/11 s/notes/12 s/notes/14 s/notes/4");
}

static void a_child_without_a_time_of_its_own_owes_every_late_parent(void **state)
{
    struct fixture *fixture = *state;
    set_watermark(fixture, "notes", NULL);
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("1", "one", MAY_1, MAY_1), FOLDER("2", "two", MAY_3, MAY_3));
    publish(fixture, MERGE_DELETE_NONE, &family_notes);
    expect_owed(fixture, "s/notes/1 s/notes/2");
}

static void a_late_child_of_parents_without_a_birthday_owes_what_changed(void **state)
{
    struct fixture *fixture = *state;
    struct task_def folders = family_folders;
    folders.created_column = -1;
    load_folders(fixture);
    set_watermark(fixture, "notes", MAY_1);
    begin_task(fixture, &folders, "s");
    STAGE(fixture, FOLDER("1", "ONE", MAY_1, MAY_3), FOLDER("9", "new", MAY_3, MAY_3));
    publish(fixture, MERGE_DELETE_NONE, &family_notes);
    expect_owed(fixture, "s/notes/1 s/notes/9");
}

static void a_child_that_was_never_read_owes_nothing(void **state)
{
    struct fixture *fixture = *state;
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("1", "one", MAY_1, MAY_1));
    publish_unsettled(fixture, MERGE_DELETE_MISSING, &family_sheets, INT64_MIN);
    expect(fixture, "i1 u0 =0 d0 x0 r0");
    set_watermark(fixture, "sheets", MAY_3);
    begin_task(fixture, &family_folders, "other");
    STAGE(fixture, FOLDER("1", "one", MAY_1, MAY_1));
    publish(fixture, MERGE_DELETE_MISSING, &family_sheets);
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("2", "two", MAY_1, MAY_1));
    publish(fixture, MERGE_DELETE_NONE, &family_notes);
    expect_owed(fixture, "");
}

static void a_debt_is_written_once_until_it_is_paid(void **state)
{
    struct fixture *fixture = *state;
    set_watermark(fixture, "sheets", MAY_3);
    set_watermark(fixture, "notes", MAY_3);
    const char *names[] = {"a", "b", "c"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        begin_task(fixture, &family_folders, "s");
        STAGE(fixture, FOLDER("1", names[i], MAY_1, MAY_3));
        publish_unsettled(fixture, MERGE_DELETE_NONE, &family_sheets, INT64_MIN);
        expect_owed(fixture, "s/sheets/1");
    }
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("2", "b", MAY_1, MAY_3));
    publish(fixture, MERGE_DELETE_NONE, &family_notes); /* another's debt is no reason */
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("2", "c", MAY_1, MAY_3));
    publish(fixture, MERGE_DELETE_NONE, &family_sheets);
    expect_owed(fixture, "s/notes/2 s/sheets/1 s/sheets/2");
    struct error err = ERROR_INIT;
    assert_ok(owed_clear(fixture->db, "s", "sheets", last_debt(fixture), &err), err);
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("1", "d", MAY_1, MAY_3));
    publish(fixture, MERGE_DELETE_NONE, &family_sheets);
    expect_owed(fixture, "s/notes/2 s/sheets/1");
}

static void the_debts_go_with_a_publish_that_is_rolled_back(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_INIT;
    set_watermark(fixture, "sheets", MAY_3);
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("1", "one", MAY_1, MAY_1));
    assert_ok(apply(fixture, MERGE_DELETE_NONE, &err), err);
    assert_ok(owed_record(fixture->db, &fixture->request, &family_sheets, INT64_MAX, &err), err);
    expect_owed(fixture, "s/sheets/1");
    db_rollback(fixture->db);
    expect_owed(fixture, "");
}

/* --- reading and clearing them -------------------------------------------------------------- */

static struct owed read_owed(struct fixture *fixture, const char *source, struct arena *arena)
{
    struct error err = ERROR_INIT;
    struct owed owed;
    assert_ok(owed_read(fixture->db, source, "sheets", arena, &owed, &err), err);
    return owed;
}

static void debts_are_read_once_each_and_of_one_task(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_release);
    arena_init(&arena, 1 << 20);
    owe(fixture, "sheets", "b");
    owe(fixture, "sheets", "a");
    owe(fixture, "sheets", "b");
    int64_t up_to = last_debt(fixture);
    owe(fixture, "notes", "c");
    struct owed owed = read_owed(fixture, "s", &arena);
    assert_int_equal(owed.n, 2);
    assert_string_equal(owed.keys[0].ptr, "a");
    assert_string_equal(owed.keys[1].ptr, "b");
    assert_int_equal(owed.keys[1].len, 1);
    assert_int_equal(owed.up_to, up_to);
    assert_false(owed.is_cut);
    owed = read_owed(fixture, "other", &arena);
    assert_int_equal(owed.n, 0);
    assert_int_equal(owed.up_to, 0);
    assert_false(owed.is_cut);
}

static void more_debts_than_can_be_listed_are_cut(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_release);
    arena_init(&arena, 1 << 20);
    support_run(fixture->db, "INSERT INTO ops.owed (source, task, parent_key, execution_id)"
                             " SELECT 's', 'sheets', g % 2000, 1 FROM generate_series(1, 2010) g");
    struct owed owed = read_owed(fixture, "s", &arena);
    assert_int_equal(owed.n, OWED_LISTED_MAX);
    assert_false(owed.is_cut);
    owe(fixture, "sheets", "one more");
    owed = read_owed(fixture, "s", &arena);
    assert_true(owed.is_cut);
    assert_int_equal(owed.n, 0);
    assert_int_equal(owed.up_to, last_debt(fixture));
}

static void debts_that_do_not_fit_the_arena_are_an_error(void **state)
{
    struct fixture *fixture = *state;
    support_run(fixture->db,
                "INSERT INTO ops.owed (source, task, parent_key, execution_id)"
                " SELECT 's', 'sheets', repeat('k', 100) || g, 1 FROM generate_series(1, 100) g");
    for (size_t limit = 16; limit < 8192; limit *= 2) { /* neither the list nor the keys */
        struct arena arena CLEANUP(arena_release);
        arena_init(&arena, limit);
        struct error err = ERROR_INIT;
        struct owed owed;
        assert_false(owed_read(fixture->db, "s", "sheets", &arena, &owed, &err));
        assert_int_equal(err.code, ERROR_LIMIT);
    }
}

static void debts_are_cleared_up_to_the_one_that_was_read(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_INIT;
    owe(fixture, "sheets", "1");
    owe(fixture, "notes", "1");
    owe(fixture, "sheets", "2");
    int64_t up_to = last_debt(fixture);
    owe(fixture, "sheets", "3");
    assert_ok(owed_clear(fixture->db, "s", "sheets", 0, &err), err);
    assert_ok(owed_clear(fixture->db, "other", "sheets", up_to, &err), err);
    expect_owed(fixture, "s/notes/1 s/sheets/1 s/sheets/2 s/sheets/3");
    assert_ok(owed_clear(fixture->db, "s", "sheets", up_to, &err), err);
    expect_owed(fixture, "s/notes/1 s/sheets/3");
}

/* --- replacing the records of owed parents -------------------------------------------------- */

static void only_the_records_of_owed_parents_are_replaced(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    support_run(fixture->db, "INSERT INTO family.sheets (source, id, \"in a \"\"folder\"\"\", n, "
                             "etl_execution_id) VALUES ('other', 10, 1, 0, 1)");
    owe(fixture, "sheets", "1");
    owe(fixture, "sheets", "2");
    int64_t up_to = last_debt(fixture);
    owe(fixture, "sheets", "3"); /* came later */
    owe(fixture, "notes", "3");  /* another's */
    begin_child(fixture, &family_sheets);
    fixture->request.owed_up_to = up_to;
    STAGE(fixture, SHEET("10", "1", "0"), SHEET("12", "1", "1"), SHEET("20", "2", "1"));
    merge(fixture, MERGE_DELETE_OWED);
    expect(fixture, "i1 u1 =1 d1 x0 r0");
    assert_int_equal(fixture->result.scope_rows, 3);
    assert_int_equal(fixture->result.gone_rows, 1);
    expect_sheets(fixture, "other/10=0 s/10=0 s/12=1 s/20=1 s/30=0");
}

static void a_rejected_record_of_an_owed_parent_stays(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    support_run(fixture->db,
                "INSERT INTO ops.dead_letter (execution_id, source, task, record_key, reason)"
                " VALUES (1, 's', 'sheets', '31', 'old'), (1, 's', 'sheets', '20', 'old')");
    owe(fixture, "sheets", "1");
    owe(fixture, "sheets", "2");
    begin_child(fixture, &family_sheets);
    fixture->request.owed_up_to = last_debt(fixture);
    STAGE(fixture, SHEET("11", "1", "many"), SHEET("20", "2", "0"));
    merge(fixture, MERGE_DELETE_OWED);
    expect(fixture, "i0 u0 =1 d1 x0 r1");
    expect_sheets(fixture, "s/11=0 s/20=0 s/30=0");
    assert_string_equal(support_value(fixture->db,
                                      "SELECT string_agg(record_key, ' ' ORDER BY record_key)"
                                      " FROM ops.dead_letter WHERE resolved_at IS NULL"),
                        "11 31");
}

/* --- records of no landed parent ------------------------------------------------------------ */

static void records_of_no_landed_parent_are_dropped_and_counted(void **state)
{
    struct fixture *fixture = *state;
    load_folders(fixture);
    begin_task(fixture, &family_folders, "other");
    STAGE(fixture, FOLDER("9", "not of s", MAY_1, MAY_1));
    merge(fixture, MERGE_DELETE_MISSING);
    for (int round = 0; round < 3; round++) { /* first load, full and increment */
        begin_child(fixture, &family_sheets);
        STAGE(fixture, SHEET("1", "1", "0"), SHEET("2", "9", "0"), SHEET("3", NULL, "0"),
              SHEET("1", "1", "0"), SHEET("2", "9", "1"), SHEET("4", "2", "many"));
        merge(fixture, round == 2 ? MERGE_DELETE_NONE : MERGE_DELETE_MISSING);
        expect(fixture, round == 0 ? "i1 u0 =0 d0 x1 r1" : "i0 u0 =1 d0 x1 r1");
        assert_int_equal(fixture->result.foreign, 3);
        assert_int_equal(fixture->result.staged, 5);
        expect_sheets(fixture, "s/1=0");
    }
}

static void a_record_goes_with_its_parent(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    support_run(fixture->db, "DELETE FROM family.folders WHERE id = 3");
    begin_child(fixture, &family_sheets);
    STAGE(fixture, SHEET("10", "1", "0"), SHEET("11", "1", "0"), SHEET("20", "2", "0"),
          SHEET("30", "3", "0"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =3 d1 x0 r0");
    assert_int_equal(fixture->result.foreign, 1);
}

static void nothing_but_foreign_records_is_everything_gone(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    begin_child(fixture, &family_sheets);
    STAGE(fixture, SHEET("10", "77", "0"), SHEET("11", "77", "0"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =0 d0 x0 r0 held");
    expect_sheets(fixture, "s/10=0 s/11=0 s/20=0 s/30=0");
}

/* Half of `n` sheets belong to folder 1, the others to none. */
static void stage_halves(struct fixture *fixture, int n)
{
    char(*ids)[16] = xcalloc((size_t)n, sizeof(*ids));
    const char **texts = xcalloc((size_t)n * 3, sizeof(*texts));
    for (int i = 0; i < n; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%d", i);
        const char *row[] = {SHEET(ids[i], i % 2 == 0 ? "1" : "77", "0")};
        memcpy(texts + (size_t)i * 3, row, sizeof(row));
    }
    stage(fixture, ROW_FULL, texts, (size_t)n);
    xfree(texts);
    xfree(ids);
}

static void foreign_records_are_counted_in_big_loads_too(void **state)
{
    struct fixture *fixture = *state;
    load_folders(fixture);
    for (int round = 0; round < 2; round++) {
        begin_child(fixture, &family_sheets);
        stage_halves(fixture, 120000);
        STAGE(fixture, SHEET("0", "1", "0"), SHEET("1", "77", "0"), SHEET("x", "1", "0"));
        merge(fixture, MERGE_DELETE_MISSING);
        expect(fixture, round == 0 ? "i60000 u0 =0 d0 x1 r1" : "i0 u0 =60000 d0 x1 r1");
        assert_int_equal(fixture->result.foreign, 60001);
    }
}

/* --- what is asked before a merge ------------------------------------------------------------- */

static void what_is_missing_is_counted_within_its_scope(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    owe(fixture, "sheets", "1");

    const struct {
        enum merge_deletes deletes;
        int64_t scope;
        int64_t missing;
    } cases[] = {{MERGE_DELETE_MISSING, 4, 2},  /* staged: 10; rejected: 20 */
                 {MERGE_DELETE_UNLISTED, 4, 1}, /* listed: 30 */
                 {MERGE_DELETE_OWED, 2, 1}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin_child(fixture, &family_sheets);
        fixture->request.owed_up_to = last_debt(fixture);
        fixture->request.deletes = cases[i].deletes;
        STAGE(fixture, SHEET("10", "1", "0"), SHEET("20", "2", "many"));
        CENSUS(fixture, SHEET("30", NULL, NULL));
        int64_t scope = 0;
        int64_t missing = 0;
        struct error err = ERROR_INIT;
        assert_ok(merge_count_missing(fixture->db, &fixture->request, &scope, &missing, &err), err);
        assert_int_equal(scope, cases[i].scope);
        assert_int_equal(missing, cases[i].missing);
    }
}

static void a_request_that_contradicts_its_task_is_a_bug(void **state)
{
    struct fixture *fixture = *state;
    begin_task(fixture, &family_folders, "s");
    fixture->request.deletes = MERGE_DELETE_OWED;
    struct error err = ERROR_INIT;
    assert_false(merge_check_request(&fixture->request, &err));
    assert_int_equal(err.code, ERROR_BUG);
    fixture->request.deletes = MERGE_DELETE_NONE;
    fixture->request.parent = &family_folders;
    error_clear(&err);
    assert_false(apply(fixture, MERGE_DELETE_NONE, &err));
    assert_int_equal(err.code, ERROR_BUG);
    db_rollback(fixture->db);
    begin_task(fixture, &family_drafts, "s");
    error_clear(&err);
    assert_false(apply(fixture, MERGE_DELETE_MISSING, &err));
    assert_int_equal(err.code, ERROR_BUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY_TEST(a_changed_parent_is_owed_whatever_became_of_it),
        FAMILY_TEST(an_unsettled_parent_is_owed_although_it_looks_unchanged),
        FAMILY_TEST(a_late_parent_is_owed_if_it_is_older_than_what_the_child_has_read),
        FAMILY_TEST(a_child_without_a_time_of_its_own_owes_every_late_parent),
        FAMILY_TEST(a_late_child_of_parents_without_a_birthday_owes_what_changed),
        FAMILY_TEST(a_child_that_was_never_read_owes_nothing),
        FAMILY_TEST(a_debt_is_written_once_until_it_is_paid),
        FAMILY_TEST(the_debts_go_with_a_publish_that_is_rolled_back),
        FAMILY_TEST(debts_are_read_once_each_and_of_one_task),
        FAMILY_TEST(more_debts_than_can_be_listed_are_cut),
        FAMILY_TEST(debts_that_do_not_fit_the_arena_are_an_error),
        FAMILY_TEST(debts_are_cleared_up_to_the_one_that_was_read),
        FAMILY_TEST(only_the_records_of_owed_parents_are_replaced),
        FAMILY_TEST(a_rejected_record_of_an_owed_parent_stays),
        FAMILY_TEST(records_of_no_landed_parent_are_dropped_and_counted),
        FAMILY_TEST(a_record_goes_with_its_parent),
        FAMILY_TEST(nothing_but_foreign_records_is_everything_gone),
        FAMILY_TEST(foreign_records_are_counted_in_big_loads_too),
        FAMILY_TEST(what_is_missing_is_counted_within_its_scope),
        FAMILY_TEST(a_request_that_contradicts_its_task_is_a_bug),
    };
    return cmocka_run_group_tests_name("dependents", tests, NULL, NULL);
}
