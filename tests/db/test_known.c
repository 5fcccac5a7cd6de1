#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/db/fixture.h"
#include "worker/load/known.h"
#include "worker/load/merge_sql.h"

/* Takes and stages rows as a lane does with a page; returns how many of them were known. */
static int64_t
read_page(struct fixture *fixture, struct known *known, const char *const *texts, size_t n_rows)
{
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    struct error err = ERROR_INIT;
    int64_t n_known = 0;
    make_page(fixture, ROW_FULL, texts, n_rows, &batch);
    assert_ok(known_take(fixture->db, known, &batch, &n_known, &err), err);
    assert_int_equal(batch.n_rows + n_known, n_rows);
    assert_ok(staging_add(fixture->db, fixture->staging, &batch, &err), err);
    return n_known;
}

/* A walk of one page. */
static int64_t reread(struct fixture *fixture, const char *const *texts, size_t n_rows)
{
    struct known known CLEANUP(known_release);
    struct error err = ERROR_INIT;
    known_init(&known, fixture->staging);
    int64_t n_known = read_page(fixture, &known, texts, n_rows);
    assert_ok(known_flush(fixture->db, &known, &err), err);
    return n_known;
}

#define REREAD(fixture, ...)                                                                       \
    reread((fixture), (const char *const[]){__VA_ARGS__},                                          \
           ARRAY_SIZE(((const char *const[]){__VA_ARGS__})) / (fixture)->task->n_columns)

static void a_reread_row_is_staged_by_its_key(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    assert_int_equal(REREAD(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1")),
                     2);
    char sql[256];
    snprintf(sql, sizeof(sql),
             "SELECT string_agg(concat_ws('/', id, title, rev, to_char(at, 'MM-DD')), ' ' ORDER BY "
             "id) FROM %s WHERE length(etl_absent) = 0",
             fixture->staging->rows);
    assert_string_equal(support_value(fixture->db, sql), "a/1/05-01 b/1/05-02");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =2 d0 x0 r0");
}

static void whatever_differs_is_staged_whole_among_known_rows(void **state)
{
    struct fixture *fixture = *state;
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "gone", MAY_1, "1"),
          THING("c", "three", MAY_1, "1"), THING("e", "five", MAY_1, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    for (int round = 0; round < 2; round++) {
        begin_load(fixture, "s");
        int64_t n_known =
            REREAD(fixture, THING("a", "one", MAY_1, "1"), THING("c", "changed", MAY_2, "2"),
                   THING("d", "new", MAY_1, "1"), THING("e", "five", MAY_1, "1"));
        assert_int_equal(n_known, round == 0 ? 2 : 4);
        merge(fixture, MERGE_DELETE_MISSING);
        expect(fixture, round == 0 ? "i1 u1 =2 d1 x0 r0" : "i0 u0 =4 d0 x0 r0");
        expect_titles(fixture, "s/a=one s/c=changed s/d=new s/e=five");
    }
}

/* The server may join staging and table before it looks which rows differ; known rows have not even
 * the bits that say which fields were left out. */
static void what_differs_can_be_asked_of_known_rows_too(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    assert_int_equal(REREAD(fixture, THING("a", "one", MAY_1, "1"), THING("b", ABSENT, MAY_3, "1")),
                     1);
    const struct merge_sql sql = {
        .request = &fixture->request, .task = fixture->task, .has_absent = true};
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 1 << 20);
    merge_sql_expand(&sql,
                     "SELECT s.id FROM {rows} s JOIN {table} t ON t.\"source\" = {source} AND {s=t}"
                     " WHERE {differs}",
                     &text);
    assert_string_equal("b", support_value(fixture->db, text.ptr));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u1 =1 d0 x0 r0");
    expect_titles(fixture, "s/a=one s/b=two");
}

static void rows_of_another_source_are_not_known(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "other");
    assert_int_equal(REREAD(fixture, THING("a", "one", MAY_1, "1")), 0);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i1 u0 =0 d0 x0 r0");
    expect_titles(fixture, "other/a=one s/a=one s/b=two");
}

static void a_known_row_that_is_edited_before_the_merge_fails_the_load(void **state)
{
    struct fixture *fixture = *state;
    static const char *const meddling[] = {
        "UPDATE \"Odd type\".things SET title = 'by hand' WHERE id = 'a'",
        "UPDATE \"Odd type\".things SET id = 'z' WHERE id = 'a'",
        "DELETE FROM \"Odd type\".things WHERE id = 'a'",
        "TRUNCATE \"Odd type\".things",
    };

    for (size_t i = 0; i < 2 * ARRAY_SIZE(meddling); i++) {
        support_run(fixture->db, "TRUNCATE \"Odd type\".things");
        load_two(fixture);
        begin_load(fixture, "s");
        REREAD(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"));
        support_run(fixture->db, meddling[i / 2]);
        expect_conflict(fixture, i % 2 == 0 ? MERGE_DELETE_MISSING : MERGE_DELETE_NONE);
        begin_load(fixture, "s"); /* the next load repairs it */
        fixture->request.allow_mass_delete = true;
        REREAD(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"));
        merge(fixture, MERGE_DELETE_MISSING);
        expect_titles(fixture, "s/a=one s/b=two");
    }
}

static void a_row_that_lost_its_hash_is_staged_whole(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    support_run(fixture->db, "UPDATE \"Odd type\".things SET title = 'by hand' WHERE id = 'a'");
    begin_load(fixture, "s");
    assert_int_equal(REREAD(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1")),
                     1);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u1 =1 d0 x0 r0");
    expect_titles(fixture, "s/a=one s/b=two");
}

static void rows_of_an_older_catalog_are_staged_whole(void **state)
{
    struct fixture *fixture = *state;
    load_two_of_older_catalog(fixture);
    for (int round = 0; round < 2; round++) {
        begin_load(fixture, "s");
        int64_t n_known =
            REREAD(fixture, THING("a", "one", MAY_1, "3"), THING("b", "two", MAY_1, "3"));
        assert_int_equal(n_known, round == 0 ? 0 : 2);
        merge(fixture, MERGE_DELETE_MISSING);
        expect(fixture, round == 0 ? "i0 u2 =0 d0 x0 r0" : "i0 u0 =2 d0 x0 r0");
    }
}

static void a_known_version_wins_or_loses_against_others_like_any(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s"); /* the same row twice: one of them is known */
    assert_int_equal(REREAD(fixture, THING("a", "one", MAY_1, "1"), THING("a", "one", MAY_1, "1"),
                            THING("b", "two", MAY_2, "1")),
                     2);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =2 d0 x1 r0");
    begin_load(fixture, "s"); /* it moved while the table was read: seen as it was, then newer */
    REREAD(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"));
    STAGE(fixture, THING("a", "newer", MAY_3, "2"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u1 =1 d0 x1 r0");
    begin_load(fixture, "s"); /* an old version beside the landed one */
    STAGE(fixture, THING("a", "one", MAY_1, "1"));
    REREAD(fixture, THING("a", "newer", MAY_3, "2"), THING("b", "two", MAY_2, "1"));
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i0 u0 =2 d0 x1 r0");
    expect_titles(fixture, "s/a=newer s/b=two");
}

static void pages_out_of_order_are_staged_whole(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    struct known known CLEANUP(known_release);
    struct error err = ERROR_INIT;
    known_init(&known, fixture->staging);
    const char *backwards[] = {THING("b", "two", MAY_2, "1"), THING("a", "one", MAY_1, "1")};
    const char *behind[] = {THING("c", "new", MAY_2, "1"), THING("d", "new", MAY_1, "1")};
    assert_int_equal(read_page(fixture, &known, backwards, 2), 1);
    assert_true(known.is_worth);
    assert_int_equal(read_page(fixture, &known, behind, 2), 0);
    assert_false(known.is_worth);
    assert_ok(known_flush(fixture->db, &known, &err), err);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i2 u0 =2 d0 x0 r0");
}

static void a_key_of_several_columns_is_known_too(void **state)
{
    struct fixture *fixture = *state;
    const char *pairs[] = {"n1", "-7", "x", "n2", "9", "a", "n3", "9", "b", "n4", "10", "a"};
    fixture->task = &support_pairs;
    for (int round = 0; round < 2; round++) {
        begin_load(fixture, "s");
        assert_int_equal(reread(fixture, pairs, 4), round == 0 ? 0 : 4);
        merge(fixture, MERGE_DELETE_MISSING);
        expect(fixture, round == 0 ? "i4 u0 =0 d0 x0 r0" : "i0 u0 =4 d0 x0 r0");
    }
}

static void many_pages_of_known_rows_lose_none(void **state)
{
    struct fixture *fixture = *state;

    enum { ROWS = 6000, PAGE = 200 };

    begin_load(fixture, "s");
    stage_many(fixture, 0, ROWS, "x");
    merge(fixture, MERGE_DELETE_MISSING);
    begin_load(fixture, "s");
    struct known known CLEANUP(known_release);
    struct error err = ERROR_INIT;
    known_init(&known, fixture->staging);
    for (int first = 0; first < ROWS; first += PAGE) {
        char ids[PAGE][16];
        const char *texts[PAGE * 7];
        for (int i = 0; i < PAGE; i++) {
            snprintf(ids[i], sizeof(ids[i]), "k%07d", first + i);
            const char *row[] = {THING(ids[i], i == 0 ? "y" : "x", MAY_1, "1")};
            memcpy(texts + (size_t)i * 7, row, sizeof(row));
        }
        assert_int_equal(read_page(fixture, &known, texts, PAGE), PAGE - 1);
    }
    assert_true(known.n_rows < ROWS - ROWS / PAGE); /* some were staged on the way */
    assert_ok(known_flush(fixture->db, &known, &err), err);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u30 =5970 d0 x0 r0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reread_row_is_staged_by_its_key),
        TEST(whatever_differs_is_staged_whole_among_known_rows),
        TEST(what_differs_can_be_asked_of_known_rows_too),
        TEST(rows_of_another_source_are_not_known),
        TEST(a_known_row_that_is_edited_before_the_merge_fails_the_load),
        TEST(a_row_that_lost_its_hash_is_staged_whole),
        TEST(rows_of_an_older_catalog_are_staged_whole),
        TEST(a_known_version_wins_or_loses_against_others_like_any),
        TEST(pages_out_of_order_are_staged_whole),
        TEST(a_key_of_several_columns_is_known_too),
        TEST(many_pages_of_known_rows_lose_none),
    };
    return cmocka_run_group_tests_name("known", tests, NULL, NULL);
}
