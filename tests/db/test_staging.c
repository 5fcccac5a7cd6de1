#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/db/fixture.h"
#include "worker/load/merge_keys.h"

static void staging_emptied_by_a_crash_is_not_an_empty_source(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"));
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, 4096);
    buf_addf(&sql, "TRUNCATE %s, %s, %s", fixture->staging->rows, fixture->staging->keys,
             fixture->staging->rejects);
    support_run(fixture->db, sql.ptr);
    fixture->request.deletes = MERGE_DELETE_MISSING;
    fixture->request.allow_mass_delete = true;
    struct error err = ERROR_INIT;
    assert_ok(db_begin(fixture->db, &err), err);
    assert_false(merge_apply(fixture->db, &fixture->request, &fixture->result, &err));
    assert_int_equal(err.code, ERROR_TRANSIENT);
    assert_non_null(strstr(err.msg, "crashed"));
    db_rollback(fixture->db);
    error_clear(&err);
    assert_false(merge_missing_keys(fixture->db, &fixture->request, collect, NULL, &err));
    assert_int_equal(err.code, ERROR_TRANSIENT);
}

static void sweeping_spares_only_what_a_living_worker_owns(void **state)
{
    struct fixture *fixture = *state;
    struct db *owner CLEANUP(db_closep) = support_open(fixture->database);
    support_run(fixture->db,
                "INSERT INTO ops.execution_log (id, load, mode, trigger, status) OVERRIDING SYSTEM "
                "VALUE VALUES (101, 'a', 'full', 'cli', 'running'), (102, 'b', 'full', 'cli', "
                "'running'), (103, 'c', 'full', 'cli', 'error')");
    support_run(owner, "SELECT pg_advisory_lock(1718581761, 101)");
    for (int i = 0; i < 4; i++) { /* 101 owned, 102 orphaned, 103 ended, 104 unknown */
        begin_load(fixture, "s");
    }
    support_run(fixture->db, "CREATE TABLE staging.notes (); CREATE TABLE staging.extra ()");
    int64_t dropped = 0;
    struct error err = ERROR_INIT;
    assert_ok(staging_sweep(fixture->db, &dropped, &err), err);
    assert_int_equal(dropped, 9);
    assert_string_equal(support_value(fixture->db, "SELECT string_agg(relname, ' ' ORDER BY "
                                                   "relname) FROM pg_class WHERE relnamespace = "
                                                   "'staging'::regnamespace AND relkind = 'r'"),
                        "e101.s.things e101.s.things.k e101.s.things.r extra notes");
}

static void staging_names_never_meet_however_long(void **state)
{
    struct fixture *fixture = *state;
    struct task_def task = support_things;
    task.name = "a_name_of_a_task_that_is_longer_than_postgresql_takes_1";
    struct staging *first = NULL;
    struct staging *second = NULL;
    struct error err = ERROR_INIT;
    first = staging_create(fixture->db, 1, "long_source_name", &task, true, &err);
    assert_ok(first != NULL, err);
    task.name = "a_name_of_a_task_that_is_longer_than_postgresql_takes_2";
    second = staging_create(fixture->db, 1, "long_source_name", &task, true, &err);
    assert_ok(second != NULL, err);
    assert_string_not_equal(first->rows, second->rows);
    assert_int_equal(support_number(fixture->db, "SELECT count(*) FROM pg_class WHERE relnamespace "
                                                 "= 'staging'::regnamespace AND relkind = 'r'"),
                     6);
    assert_ok(staging_drop(fixture->db, first, &err), err);
    assert_int_equal(support_number(fixture->db, "SELECT count(*) FROM pg_class WHERE relnamespace "
                                                 "= 'staging'::regnamespace AND relkind = 'r'"),
                     3);
    staging_free(first);
    staging_free(second);
}

static void a_wrong_row_count_stages_nothing(void **state)
{
    struct fixture *fixture = *state;
    begin_load(fixture, "s");
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, fixture->task, ROW_FULL, 1 << 20);
    const char *texts[] = {THING("a", "one", MAY_1, "1")};
    struct cell cells[7];
    for (size_t i = 0; i < 7; i++) {
        cells[i] = cell_of(texts[i]);
    }
    struct error err = ERROR_INIT;
    assert_ok(row_batch_add(&batch, cells, STR_NONE, &err), err);
    row_batch_finish(&batch);
    batch.n_rows = 2;
    assert_false(staging_add(fixture->db, fixture->staging, &batch, &err));
    assert_int_equal(err.code, ERROR_BUG);
    merge(fixture, MERGE_DELETE_NONE);
    expect(fixture, "i0 u0 =0 d0 x0 r0");
}

/* The file of roles, as the runner names it. */
static void create_roles(struct db *db)
{
    const char *path = getenv("FOZ_TEST_ROLES_SQL");
    assert_non_null(path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    static char text[16384];
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    assert_int_equal(fclose(file), 0);
    support_run(db, text);
    support_run(db, text); /* it may be run again */
}

static void a_worker_that_owns_no_table_can_do_every_load(void **state)
{
    struct fixture *fixture = *state;
    create_roles(fixture->db);
    support_run(fixture->db, "GRANT USAGE ON SCHEMA \"Odd type\" TO foz_worker;"
                             "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "
                             "\"Odd type\" TO foz_worker; SET ROLE foz_worker");
    begin_load(fixture, "s");
    stage_many(fixture, 0, 51000, "x");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i51000 u0 =0 d0 x0 r0");
    begin_load(fixture, "s");
    stage_many(fixture, 1, 51000, "y");
    STAGE(fixture, "z", "bad", "u", "w", "many", MAY_1, "1");
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i1 u50999 =0 d1 x0 r1");
    struct error err = ERROR_INIT;
    int64_t dropped = 0;
    assert_ok(staging_drop(fixture->db, fixture->staging, &err), err);
    assert_ok(staging_sweep(fixture->db, &dropped, &err), err);
    assert_false(db_script(fixture->db, "DROP TABLE \"Odd type\".things", &err));
    assert_int_equal(err.code, ERROR_DENIED);
    support_run(fixture->db, "SET ROLE foz_api; SELECT ops.enqueue('a', 'full', NULL, NULL, '{}', "
                             "'api', 'me', NULL, NULL); SELECT FROM ops.execution_log");
    error_clear(&err);
    assert_false(db_script(fixture->db, "DELETE FROM ops.execution_log", &err));
    assert_int_equal(err.code, ERROR_DENIED);
    support_run(fixture->db, "RESET ROLE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(staging_emptied_by_a_crash_is_not_an_empty_source),
        TEST(sweeping_spares_only_what_a_living_worker_owns),
        TEST(staging_names_never_meet_however_long),
        TEST(a_wrong_row_count_stages_nothing),
        TEST(a_worker_that_owns_no_table_can_do_every_load),
    };
    return cmocka_run_group_tests_name("staging", tests, NULL, NULL);
}
