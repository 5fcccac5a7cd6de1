#include "tests/db/family.h"
#include "worker/load/merge_fuse.h"

/* How much a merge may delete without the operator's word. */

static void the_records_of_all_parents_may_be_replaced(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    for (int round = 0; round < 2; round++) {
        owe(fixture, "sheets", "1");
        owe(fixture, "sheets", "2");
        owe(fixture, "sheets", "3");
        begin_child(fixture, &family_sheets);
        fixture->request.owed_up_to = last_debt(fixture);
        if (round == 0) {
            STAGE(fixture, SHEET("40", "1", "0"), SHEET("41", "1", "0"), SHEET("50", "2", "0"));
        } else {
            STAGE(fixture, SHEET("60", "1", "0"), SHEET("61", "1", "0"), SHEET("62", "2", "0"),
                  SHEET("63", "3", "0"));
        }
        merge(fixture, round == 0 ? MERGE_DELETE_OWED : MERGE_DELETE_MISSING);
        expect(fixture, round == 0 ? "i3 u0 =0 d4 x0 r0" : "i4 u0 =0 d3 x0 r0");
    }
}

static void the_records_of_a_parent_may_all_go(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    owe(fixture, "sheets", "1");
    owe(fixture, "sheets", "2");
    begin_child(fixture, &family_sheets);
    fixture->request.owed_up_to = last_debt(fixture);
    merge(fixture, MERGE_DELETE_OWED);
    expect(fixture, "i0 u0 =0 d3 x0 r0");
    expect_sheets(fixture, "s/30=0");
}

static void nothing_where_there_were_records_of_all_parents_is_held(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    owe(fixture, "sheets", "1");
    owe(fixture, "sheets", "2");
    owe(fixture, "sheets", "3");
    for (int allowed = 0; allowed < 2; allowed++) {
        begin_child(fixture, &family_sheets);
        fixture->request.owed_up_to = last_debt(fixture);
        fixture->request.allow_mass_delete = allowed == 1;
        merge(fixture, MERGE_DELETE_OWED);
        assert_int_equal(fixture->result.held, allowed == 0);
        assert_int_equal(fixture->result.gone_rows, 4);
        assert_int_equal(fixture->result.scope_rows, 4);
        expect_sheets(fixture, allowed == 0 ? "s/10=0 s/11=0 s/20=0 s/30=0" : "");
    }
}

static void a_large_share_of_a_table_is_held_whichever_parents_owe_it(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    support_run(
        fixture->db,
        "INSERT INTO family.sheets (source, id, \"in a \"\"folder\"\"\", n, etl_execution_id)"
        " SELECT 's', 100 + g, CASE WHEN g <= 40 THEN 1 ELSE 3 END, 0, 1"
        " FROM generate_series(1, 96) g");
    owe(fixture, "sheets", "1"); /* 42 of 100 */
    begin_child(fixture, &family_sheets);
    fixture->request.owed_up_to = last_debt(fixture);
    merge(fixture, MERGE_DELETE_OWED);
    assert_true(fixture->result.held);
    support_run(fixture->db,
                "DELETE FROM family.sheets WHERE id BETWEEN 101 AND 120"); /* 22 of 80 */
    begin_child(fixture, &family_sheets);
    fixture->request.owed_up_to = last_debt(fixture);
    merge(fixture, MERGE_DELETE_OWED);
    assert_false(fixture->result.held);
    assert_int_equal(fixture->result.deleted, 22);
}

static void a_hold_stops_the_first_deletion_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    load_sheets(fixture);
    begin_child(fixture, &family_sheets);
    fixture->request.hold = true;
    STAGE(fixture, SHEET("10", "1", "1"), SHEET("11", "1", "0"), SHEET("20", "2", "0"),
          SHEET("30", "3", "0"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u1 =3 d0 x0 r0");
    for (int allowed = 0; allowed < 2; allowed++) {
        begin_child(fixture, &family_sheets);
        fixture->request.hold = true;
        fixture->request.allow_mass_delete = allowed;
        STAGE(fixture, SHEET("10", "1", "2"), SHEET("11", "1", "0"), SHEET("20", "2", "0"));
        merge(fixture, MERGE_DELETE_MISSING);
        expect(fixture, allowed ? "i0 u1 =2 d1 x0 r0" : "i0 u0 =0 d0 x0 r0 held");
        expect_sheets(fixture, allowed ? "s/10=2 s/11=0 s/20=0" : "s/10=1 s/11=0 s/20=0 s/30=0");
    }
}

static void the_fuse_knows_how_many_may_go(void **state)
{
    (void)state;

    const struct {
        struct merge_request request;
        int64_t gone;
        int64_t scope;
        bool blows;
    } cases[] = {
        {{.deletes = MERGE_DELETE_MISSING}, 0, 0, false},
        {{.deletes = MERGE_DELETE_MISSING}, 0, 1000, false},
        {{.deletes = MERGE_DELETE_MISSING}, 1, 1, true},
        {{.deletes = MERGE_DELETE_MISSING}, 48, 49, false},
        {{.deletes = MERGE_DELETE_MISSING}, 49, 49, true},
        {{.deletes = MERGE_DELETE_MISSING}, 15, 50, false},
        {{.deletes = MERGE_DELETE_MISSING}, 16, 50, true},
        {{.deletes = MERGE_DELETE_UNLISTED}, 301, 1000, true},
        {{.deletes = MERGE_DELETE_UNLISTED}, 300, 1000, false},
        {{.deletes = MERGE_DELETE_MISSING, .allow_mass_delete = true}, 1000, 1000, false},
        {{.deletes = MERGE_DELETE_MISSING, .hold = true}, 0, 1000, false},
        {{.deletes = MERGE_DELETE_MISSING, .hold = true}, 1, 1000, true},
        {{.deletes = MERGE_DELETE_UNLISTED, .hold = true, .allow_mass_delete = true}, 9, 9, false},
        {{.deletes = MERGE_DELETE_OWED}, 1000, 1000, true},
        {{.deletes = MERGE_DELETE_OWED}, 300, 1000, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct merge_request request = cases[i].request;
        request.max_delete_fraction = 0.3;
        if (merge_fuse_blows(&request, cases[i].gone, cases[i].scope) != cases[i].blows) {
            fail_msg("case %zu", i);
        }
    }
}

static void exactly_the_share_may_go_and_one_row_more_may_not(void **state)
{
    (void)state;

    static const struct {
        double fraction;
        int64_t gone;
        int64_t scope;
    } cases[] = {
        {0.7, 63, 90},   {0.58, 29, 50},   {0.29, 29, 100},
        {0.35, 63, 180}, {0.3, 300, 1000}, {0.07, 70000000, 1000000000},
        {0.1, 15, 150},  {0, 0, 100},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct merge_request request = {.deletes = MERGE_DELETE_MISSING,
                                              .max_delete_fraction = cases[i].fraction};
        if (merge_fuse_blows(&request, cases[i].gone, cases[i].scope) ||
            !merge_fuse_blows(&request, cases[i].gone + 1, cases[i].scope)) {
            fail_msg("case %zu", i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY_TEST(the_records_of_all_parents_may_be_replaced),
        FAMILY_TEST(the_records_of_a_parent_may_all_go),
        FAMILY_TEST(nothing_where_there_were_records_of_all_parents_is_held),
        FAMILY_TEST(a_large_share_of_a_table_is_held_whichever_parents_owe_it),
        FAMILY_TEST(a_hold_stops_the_first_deletion_and_nothing_else),
        cmocka_unit_test(the_fuse_knows_how_many_may_go),
        cmocka_unit_test(exactly_the_share_may_go_and_one_row_more_may_not),
    };
    return cmocka_run_group_tests_name("fuse", tests, NULL, NULL);
}
