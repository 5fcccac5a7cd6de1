#include <stdio.h>
#include <string.h>

#include "tests/db/fixture.h"
#include "worker/load/known.h"
#include "worker/load/merge_count.h"
#include "worker/load/merge_keys.h"
#include "worker/transform/fingerprint.h"

enum { PAGES = 8, PAGE = 5, ROWS = PAGES * PAGE };

/* A page of rows with numbered keys; the title of number `other` differs, `gone` is left out. */
static void
make_rows(struct fixture *fixture, int first, int other, int gone, struct row_batch *ret_batch)
{
    char ids[PAGE][16];
    const char *texts[PAGE * 7];
    size_t n = 0;
    for (int i = first; i < first + PAGE; i++) {
        if (i != gone) {
            snprintf(ids[n], sizeof(ids[n]), "k%07d", i);
            const char *row[] = {THING(ids[n], i == other ? "y" : "x", MAY_1, "1")};
            memcpy(texts + n * 7, row, sizeof(row));
            n++;
        }
    }
    make_page(fixture, ROW_FULL, texts, n, ret_batch);
}

static void load_all(struct fixture *fixture)
{
    begin_load(fixture, "s");
    stage_many(fixture, 0, ROWS, "x");
    merge(fixture, MERGE_DELETE_MISSING);
}

/* Reads pages [from, to) as one walk. */
static void walk(struct fixture *fixture, int from, int to, int other, int gone)
{
    struct known known CLEANUP(known_release);
    struct error err = ERROR_INIT;
    known_init(&known, fixture->staging);
    for (int page = from; page < to; page++) {
        struct row_batch batch CLEANUP(row_batch_release) = {0};
        int64_t n_known = 0;
        make_rows(fixture, page * PAGE, other, gone, &batch);
        assert_ok(known_take(fixture->db, &known, &batch, &n_known, &err), err);
        assert_ok(staging_add(fixture->db, fixture->staging, &batch, &err), err);
    }
    assert_ok(known_flush(fixture->db, &known, &err), err);
}

static void begin_reread(struct fixture *fixture)
{
    begin_load(fixture, "s");
    staging_keep_spans(fixture->staging);
    fixture->request.allow_mass_delete = true;
}

static int64_t staged_rows(struct fixture *fixture)
{
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", fixture->staging->rows);
    return support_number(fixture->db, sql);
}

static void pages_that_stay_as_they_are_are_not_staged(void **state)
{
    struct fixture *fixture = *state;
    load_all(fixture);
    begin_reread(fixture);
    walk(fixture, 0, 3, -1, -1);
    walk(fixture, 3, PAGES, -1, -1);
    assert_int_equal(staged_rows(fixture), 0);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =40 d0 x0 r0");
    assert_int_equal(fixture->result.staged, ROWS);
    assert_int_equal(staged_rows(fixture), 0);
}

/* Two walks, and again when the difference has arrived. */
static void reread(struct fixture *fixture, int other, int gone, const char *first)
{
    support_run(fixture->db, "TRUNCATE \"Odd type\".things");
    load_all(fixture);
    for (int round = 0; round < 2; round++) {
        begin_reread(fixture);
        walk(fixture, 0, 4, other, gone);
        walk(fixture, 4, PAGES, other, gone);
        merge(fixture, MERGE_DELETE_MISSING);
        if (round == 0) {
            expect(fixture, first);
        }
    }
}

/* Whichever page it is on, and whether the other walk has ended before or begins behind it. */
static void a_row_that_differs_is_found_among_spans(void **state)
{
    struct fixture *fixture = *state;
    for (int page = 0; page < PAGES; page++) {
        reread(fixture, page * PAGE + 2, -1, "i0 u1 =39 d0 x0 r0");
        expect(fixture, "i0 u0 =40 d0 x0 r0");
        assert_int_equal(staged_rows(fixture), 0);
    }
}

/* Within a page, at its end, between two walks, and at both ends of the table. */
static void a_row_that_is_gone_is_found_among_spans(void **state)
{
    struct fixture *fixture = *state;
    static const int gone[] = {7, 4, 5, 19, 20, 0, ROWS - 1};
    for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
        reread(fixture, -1, gone[i], "i0 u0 =39 d1 x0 r0");
        expect(fixture, "i0 u0 =39 d0 x0 r0");
        assert_int_equal(staged_rows(fixture), 0);
    }
}

static void a_whole_page_that_is_gone_is_found_among_spans(void **state)
{
    struct fixture *fixture = *state;
    load_all(fixture);
    begin_reread(fixture);
    walk(fixture, 0, 4, -1, -1);
    walk(fixture, 5, PAGES, -1, -1);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =35 d5 x0 r0");
}

static void a_page_that_comes_twice_counts_as_duplicates(void **state)
{
    struct fixture *fixture = *state;
    load_all(fixture);
    begin_reread(fixture);
    walk(fixture, 0, PAGES, -1, -1);
    walk(fixture, 2, 3, -1, -1);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =40 d0 x5 r0");
    begin_reread(fixture); /* as many rows as there are, but not the same */
    walk(fixture, 0, PAGES - 1, -1, -1);
    walk(fixture, 2, 3, -1, -1);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =35 d5 x5 r0");
}

static void spans_without_deletions_are_staged(void **state)
{
    struct fixture *fixture = *state;
    load_all(fixture);
    begin_reread(fixture);
    walk(fixture, 0, 4, -1, -1);
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i0 u0 =20 d0 x0 r0");
    assert_int_equal(staged_rows(fixture), 20);
}

static void a_row_of_a_span_that_is_edited_before_the_merge_fails_the_load(void **state)
{
    struct fixture *fixture = *state;
    static const char *const meddling[] = {
        "UPDATE \"Odd type\".things SET title = 'by hand' WHERE id = 'k0000012'",
        "UPDATE \"Odd type\".things SET id = 'z' WHERE id = 'k0000012'",
        "DELETE FROM \"Odd type\".things WHERE id = 'k0000012'",
        "TRUNCATE \"Odd type\".things",
    };
    for (size_t i = 0; i < ARRAY_SIZE(meddling); i++) {
        support_run(fixture->db, "TRUNCATE \"Odd type\".things");
        load_all(fixture);
        begin_reread(fixture);
        walk(fixture, 0, PAGES, -1, -1);
        support_run(fixture->db, meddling[i]);
        expect_conflict(fixture, MERGE_DELETE_MISSING);
    }
}

static void a_row_that_somebody_inserted_goes_though_all_else_stays(void **state)
{
    struct fixture *fixture = *state;
    load_all(fixture);
    begin_reread(fixture);
    walk(fixture, 0, PAGES, -1, -1);
    support_run(fixture->db,
                "INSERT INTO \"Odd type\".things (source, id) VALUES ('s', 'k0000012x')");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =40 d1 x0 r0");
}

/* What the source holds: the version of each row, 0 for none. */
struct source {
    unsigned versions[ROWS];
    uint64_t chance;
};

static unsigned draw(struct source *source, unsigned below)
{
    source->chance = source->chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(source->chance >> 33) % below;
}

/* Rows [from, to) that are there, in pages of random size, as one walk. */
static void walk_source(struct fixture *fixture, struct source *source, int from, int to)
{
    struct known known CLEANUP(known_release);
    struct error err = ERROR_INIT;
    known_init(&known, fixture->staging);
    for (int next = from; next < to;) {
        char ids[ROWS][16];
        char titles[ROWS][16];
        const char *texts[ROWS * 7];
        size_t n = 0;
        size_t page = 1 + draw(source, 7);
        for (; next < to && n < page; next++) {
            if (source->versions[next] > 0) {
                snprintf(ids[n], sizeof(ids[n]), "k%07d", next);
                snprintf(titles[n], sizeof(titles[n]), "v%u", source->versions[next]);
                const char *row[] = {THING(ids[n], titles[n], MAY_1, "1")};
                memcpy(texts + n * 7, row, sizeof(row));
                n++;
            }
        }
        struct row_batch batch CLEANUP(row_batch_release) = {0};
        int64_t n_known = 0;
        make_page(fixture, ROW_FULL, texts, n, &batch);
        assert_ok(known_take(fixture->db, &known, &batch, &n_known, &err), err);
        assert_ok(staging_add(fixture->db, fixture->staging, &batch, &err), err);
    }
    assert_ok(known_flush(fixture->db, &known, &err), err);
}

static void expect_copy(struct fixture *fixture, const struct source *source, unsigned round)
{
    struct buf wanted CLEANUP(buf_release) = {0};
    buf_init(&wanted, 1 << 16);
    for (int i = 0; i < ROWS; i++) {
        if (source->versions[i] > 0) {
            buf_addf(&wanted, "%sk%07d=v%u", wanted.len > 0 ? " " : "", i, source->versions[i]);
        }
    }
    const char *found = support_value(
        fixture->db, "SELECT coalesce(string_agg(id || '=' || title, ' ' ORDER BY id), "
                     "'') FROM \"Odd type\".things");
    if (strcmp(found, wanted.ptr) != 0) {
        fail_msg("round %u: %s, not %s", round, found, wanted.ptr);
    }
}

/* Whatever changed, and however the walks and pages are cut. */
static void random_changes_between_reads_arrive(void **state)
{
    struct fixture *fixture = *state;
    struct source source = {.chance = 20};
    unsigned n_quiet = 0;
    for (unsigned round = 0; round < 120; round++) {
        for (unsigned n = round == 0 ? 60 : draw(&source, 4); n > 0; n--) {
            unsigned *version = &source.versions[draw(&source, ROWS)];
            *version = draw(&source, 3) == 0 ? 0 : *version + 1;
        }
        begin_reread(fixture);
        int first = (int)draw(&source, ROWS);
        int second = first + (int)draw(&source, (unsigned)(ROWS - first) + 1);
        walk_source(fixture, &source, second, ROWS);
        walk_source(fixture, &source, 0, first);
        walk_source(fixture, &source, first, second);
        merge(fixture, MERGE_DELETE_MISSING);
        n_quiet += staged_rows(fixture) == 0;
        expect_copy(fixture, &source, round);
    }
    assert_in_range(n_quiet, 10, 60); /* both happened often */
}

static void what_is_missing_is_asked_of_staged_rows(void **state)
{
    struct fixture *fixture = *state;
    load_all(fixture);
    for (int gone = 4; gone >= -1; gone -= 5) {
        begin_reread(fixture);
        fixture->request.deletes = MERGE_DELETE_MISSING;
        walk(fixture, 0, PAGES, -1, gone);
        bool is_same = false;
        struct error err = ERROR_INIT;
        assert_ok(merge_settle_spans(fixture->db, &fixture->request, &is_same, &err), err);
        assert_int_equal(is_same, gone == -1);
        assert_int_equal(staged_rows(fixture), is_same ? 0 : ROWS - 1);
        if (!is_same) {
            struct buf keys CLEANUP(buf_release) = {0};
            buf_init(&keys, 1 << 10);
            assert_ok(merge_missing_keys(fixture->db, &fixture->request, collect, &keys, &err),
                      err);
            assert_string_equal(keys.ptr, "k0000004 ");
        }
        merge(fixture, is_same ? MERGE_DELETE_MISSING : MERGE_DELETE_NONE);
        expect(fixture, is_same ? "i0 u0 =40 d0 x0 r0" : "i0 u0 =39 d0 x0 r0");
    }
}

static void a_dead_letter_of_a_row_in_a_span_is_resolved(void **state)
{
    struct fixture *fixture = *state;
    load_all(fixture);
    support_run(fixture->db,
                "INSERT INTO ops.dead_letter (execution_id, source, task, record_key, reason)"
                " VALUES (1, 's', 'things', 'k0000012', 'was odd')");
    begin_reread(fixture);
    walk(fixture, 0, PAGES, -1, -1);
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i0 u0 =40 d0 x0 r0");
    assert_int_equal(
        support_number(fixture->db,
                       "SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"),
        0);
}

static void a_walk_remembers_no_more_than_a_megabyte(void **state)
{
    (void)state;
    struct spans spans CLEANUP(spans_release);
    const struct str key = STR_LITERAL("0123456789abcdef0123456789abcdef");
    const struct fingerprint one = {.n_rows = 1};
    spans_init(&spans);
    for (int i = 0; i < 100000 && !spans_are_many(&spans); i++) {
        spans_add(&spans, &key, &key, 1, &one);
    }
    assert_in_range(spans.n_spans, 10000, 20000);
    assert_in_range(spans.tuples.len, 1 << 20, (1 << 20) + 100);
}

static void a_key_of_several_columns_has_spans_too(void **state)
{
    struct fixture *fixture = *state;
    static const char *const pairs[] = {"n1", "-7", "x", "n2", "9",  "a",
                                        "n3", "9",  "b", "n4", "10", "a"};
    fixture->task = &support_pairs;
    begin_load(fixture, "s");
    stage(fixture, ROW_FULL, pairs, 4);
    merge(fixture, MERGE_DELETE_MISSING);
    for (size_t n = 4; n > 2; n--) {
        begin_reread(fixture);
        struct known known CLEANUP(known_release);
        struct row_batch batch CLEANUP(row_batch_release) = {0};
        struct error err = ERROR_INIT;
        int64_t n_known = 0;
        known_init(&known, fixture->staging);
        make_page(fixture, ROW_FULL, pairs, n, &batch);
        assert_ok(known_take(fixture->db, &known, &batch, &n_known, &err), err);
        assert_int_equal(n_known, n);
        assert_int_equal(batch.n_rows, 0);
        assert_ok(known_flush(fixture->db, &known, &err), err);
        merge(fixture, MERGE_DELETE_MISSING);
        expect(fixture, n == 4 ? "i0 u0 =4 d0 x0 r0" : "i0 u0 =3 d1 x0 r0");
    }
}

static void the_fingerprint_is_the_servers(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_INIT;
    load_all(fixture);
    struct db_result *all CLEANUP(db_result_freep) =
        db_query(fixture->db, "SELECT " FINGERPRINT_SQL("t") " FROM \"Odd type\".things t",
                 DB_NO_PARAMS, &err);
    assert_ok(all != NULL, err);
    struct fingerprint print = {0};
    for (int first = 0; first < ROWS; first += PAGE) {
        struct row_batch batch CLEANUP(row_batch_release) = {0};
        struct fingerprint page = {0};
        make_rows(fixture, first, -1, -1, &batch);
        assert_int_equal(batch.hashes.len, PAGE * ROW_HASH_BYTES);
        for (size_t at = 0; at < batch.hashes.len; at += ROW_HASH_BYTES) {
            fingerprint_add(&page, batch.hashes.ptr + at);
        }
        fingerprint_join(&print, &page);
    }
    assert_int_equal(print.n_rows, db_int64(all, 0, 0));
    assert_int_equal(print.n_hashed, db_int64(all, 0, 1));
    assert_int_equal(print.sums[0], (uint64_t)db_int64(all, 0, 2));
    assert_int_equal(print.sums[1], (uint64_t)db_int64(all, 0, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pages_that_stay_as_they_are_are_not_staged),
        TEST(a_row_that_differs_is_found_among_spans),
        TEST(a_row_that_is_gone_is_found_among_spans),
        TEST(a_whole_page_that_is_gone_is_found_among_spans),
        TEST(a_page_that_comes_twice_counts_as_duplicates),
        TEST(spans_without_deletions_are_staged),
        TEST(a_row_of_a_span_that_is_edited_before_the_merge_fails_the_load),
        TEST(a_row_that_somebody_inserted_goes_though_all_else_stays),
        TEST(random_changes_between_reads_arrive),
        TEST(what_is_missing_is_asked_of_staged_rows),
        TEST(a_dead_letter_of_a_row_in_a_span_is_resolved),
        cmocka_unit_test(a_walk_remembers_no_more_than_a_megabyte),
        TEST(a_key_of_several_columns_has_spans_too),
        TEST(the_fingerprint_is_the_servers),
    };
    return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
