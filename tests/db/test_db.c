#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/db_copy.h"
#include "common/io/db_prepared.h"
#include "tests/db/support.h"

static void expect_failure(struct db *db, const char *sql, enum error_code code, const char *state)
{
    struct error err = ERROR_INIT;
    assert_false(db_execute(db, sql, DB_NO_PARAMS, NULL, &err));
    assert_string_equal(err.sqlstate, state);
    assert_int_equal(err.code, code);
}

static void sqlstates_become_codes(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    expect_failure(db, "SELECT 'x'::int", ERROR_DATA, "22P02");
    expect_failure(db, "SELECT nothing", ERROR_BUG, "42703");
    expect_failure(db, "DO $$BEGIN RAISE SQLSTATE '40001'; END$$", ERROR_TRANSIENT, "40001");
    expect_failure(db, "DO $$BEGIN RAISE SQLSTATE '53300'; END$$", ERROR_TRANSIENT, "53300");
    expect_failure(db, "DO $$BEGIN RAISE SQLSTATE '57014'; END$$", ERROR_CANCELLED, "57014");
    expect_failure(db, "DO $$BEGIN RAISE SQLSTATE '55P03'; END$$", ERROR_TRANSIENT, "55P03");
    expect_failure(db, "DO $$BEGIN RAISE SQLSTATE '42501'; END$$", ERROR_DENIED, "42501");
    expect_failure(db, "DO $$BEGIN RAISE SQLSTATE '28000'; END$$", ERROR_DENIED, "28000");
    expect_failure(db, "DO $$BEGIN RAISE SQLSTATE '25006'; END$$", ERROR_CONFIG, "25006");
}

static void messages_never_quote_values(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    support_run(db, "CREATE TEMP TABLE secret (id text PRIMARY KEY, n int CHECK (n < 5))");
    support_run(db, "INSERT INTO secret VALUES ('hunter2', 1)");
    const char *bad[] = {
        "INSERT INTO secret VALUES ('hunter2', 2)", "INSERT INTO secret VALUES ('x', 'hunter2')",
        "INSERT INTO secret SELECT 'hunter2', 9", "SELECT ('hunter2')::timestamptz"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = ERROR_INIT;
        assert_false(db_execute(db, bad[i], DB_NO_PARAMS, NULL, &err));
        assert_int_equal(err.code, ERROR_DATA);
        assert_null(strstr(err.msg, "hunter2"));
    }
    struct error err = ERROR_INIT;
    assert_false(db_execute(db, bad[0], DB_NO_PARAMS, NULL, &err));
    assert_non_null(strstr(err.msg, "secret_pkey"));
    error_clear(&err);
    assert_false(db_copy_in(db, "COPY secret FROM STDIN", STR_LITERAL("a\thunter2\n"), 1, &err));
    assert_int_equal(err.code, ERROR_DATA);
    assert_null(strstr(err.msg, "hunter2"));
    assert_non_null(strstr(err.msg, "secret, line 1, column n"));
}

static void expect_refused(const char *url, enum error_code code, const char *word)
{
    struct error err = ERROR_INIT;
    struct db *db = db_open(&(struct db_settings){.url = url, .connect_timeout_s = 5}, &err);
    assert_null(db);
    if (err.code != code || strstr(err.msg, word) == NULL) {
        fail_msg("%s: %s", error_code_name(err.code), err.msg);
    }
    assert_null(strstr(err.msg, "hunter2"));
}

static void opening_fails_with_culprit_and_cure_and_without_the_password(void **state)
{
    (void)state;
    char url[256];
    support_url("no_such_database", url);
    expect_refused(url, ERROR_CONFIG, "createdb");
    support_url("postgres user=nobody_at_all password=hunter2", url);
    expect_refused(url, ERROR_DENIED, "nobody_at_all");
    expect_refused("host=/nonexistent dbname=foz password=hunter2", ERROR_TRANSIENT,
                   "\"foz\" at /nonexistent");
    expect_refused("postgresql://me:hunter2@127.0.0.1:1/foz", ERROR_TRANSIENT,
                   "\"foz\" at 127.0.0.1 port 1");
    expect_refused("postgresql://me:12/hunter2@host/foz", ERROR_CONFIG, "percent-encoded");
    expect_refused("postgresql://me:a/hunter2@host/foz", ERROR_CONFIG, "percent-encoded");
    /* Which setting it was is told where settings are read. */
    expect_refused("host=x hunter2", ERROR_CONFIG, "is no database address; write postgresql://");
    expect_refused("postgresql://me:hunter2@[::1/foz", ERROR_CONFIG,
                   "is no database address; write");
}

static void a_session_speaks_utc_and_utf8(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    assert_string_equal(support_value(db, "SELECT timestamptz '2026-01-02 03:04:05+02'"),
                        "2026-01-02 01:04:05+00");
    assert_string_equal(support_value(db, "SHOW client_encoding"), "UTF8");
    assert_string_equal(support_value(db, "SHOW application_name"), "foz test");
}

static void parameters_nulls_and_counts_pass_through(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    struct error err = ERROR_INIT;
    struct db_result *result CLEANUP(db_result_freep) =
        db_query(db, "SELECT $1::text AS a, $2::bigint AS b, $3::boolean, $1::text IS NULL",
                 DB_PARAMS(NULL, "-9007199254740993", "true"), &err);
    assert_ok(result != NULL, err);
    assert_true(db_is_null(result, 0, 0));
    assert_string_equal(db_text(result, 0, 0), "");
    assert_true(db_int64(result, 0, 1) == INT64_C(-9007199254740993));
    assert_true(db_bool(result, 0, 2));
    assert_string_equal(db_column_name(result, 1), "b");
    assert_int_equal(db_columns(result), 4);
    int64_t rows = 0;
    support_run(db, "CREATE TEMP TABLE t AS SELECT generate_series(1, 7) AS n");
    assert_ok(db_execute(db, "DELETE FROM t WHERE n > 3", DB_NO_PARAMS, &rows, &err), err);
    assert_int_equal(rows, 4);
}

static int64_t ask_prepared(struct db *db, const char *key)
{
    struct error err = ERROR_INIT;
    struct db_result *rows CLEANUP(db_result_freep) =
        db_query_prepared(db, "find.sql", "SELECT n FROM kept WHERE id = $1", DB_PARAMS(key), &err);
    assert_non_null(rows);
    return db_rows(rows) == 0 ? -1 : db_int64(rows, 0, 0);
}

static void a_prepared_statement_outlives_changes_under_it(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    support_run(db, "CREATE TEMP TABLE kept (id text, n int)");
    support_run(db, "INSERT INTO kept VALUES ('a', 1), ('b', 2)");
    assert_int_equal(ask_prepared(db, "a"), 1);
    assert_int_equal(ask_prepared(db, "b"), 2);
    assert_int_equal(ask_prepared(db, NULL), -1);
    support_run(db, "ALTER TABLE kept ALTER n TYPE bigint");
    assert_int_equal(ask_prepared(db, "b"), 2);
    support_run(db, "DISCARD ALL");
    struct error err = ERROR_INIT;
    assert_null(db_query_prepared(db, "bad.sql", "SELECT nothing", DB_NO_PARAMS, &err));
    assert_string_equal(err.sqlstate, "42703");
    error_clear(&err);
    assert_null(db_query_prepared(db, "div.sql", "SELECT 1 / $1::int", DB_PARAMS("0"), &err));
    assert_string_equal(err.sqlstate, "22012");
}

static void a_script_names_the_line_of_its_error(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    struct error err = ERROR_INIT;
    assert_false(db_script(db, "SELECT 'é';\nSELECT 2;\nSELECT nothing", &err));
    assert_non_null(strstr(err.msg, "line 3"));
}

static void quoting_survives_any_name(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, 4096);
    buf_add_c(&sql, "SELECT ");
    db_quote_literal(&sql, STR_LITERAL("it's \\ \"x\""));
    buf_add_c(&sql, " AS ");
    db_quote_ident(&sql, STR_LITERAL("a\"b'c\\"));
    struct error err = ERROR_INIT;
    struct db_result *result CLEANUP(db_result_freep) = db_query(db, sql.ptr, DB_NO_PARAMS, &err);
    assert_ok(result != NULL, err);
    assert_string_equal(db_text(result, 0, 0), "it's \\ \"x\"");
    assert_string_equal(db_column_name(result, 0), "a\"b'c\\");
}

static void a_commit_whose_answer_is_lost_is_uncertain(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    support_run(db, "CREATE TEMP TABLE t (n int);"
                    "CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$;"
                    "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
                    " FOR EACH ROW EXECUTE FUNCTION pg_temp.die()");
    struct error err = ERROR_INIT;
    assert_ok(db_begin(db, &err), err);
    support_run(db, "INSERT INTO t VALUES (1)");
    assert_false(db_commit(db, &err));
    assert_int_equal(err.code, ERROR_UNCERTAIN);
    assert_false(db_is_alive(db));
    assert_false(db_in_transaction(db));
    error_clear(&err);
    assert_false(db_commit(db, &err)); /* nothing was sent this time */
    assert_int_equal(err.code, ERROR_TRANSIENT);
}

static void a_commit_that_the_server_refuses_is_certain(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    support_run(db, "CREATE TEMP TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    struct error err = ERROR_INIT;
    assert_ok(db_begin(db, &err), err);
    support_run(db, "INSERT INTO t VALUES (1), (1)");
    assert_false(db_commit(db, &err));
    assert_int_equal(err.code, ERROR_DATA);
    error_clear(&err);
    assert_ok(db_begin(db, &err), err);
    assert_false(db_script(db, "SELECT nothing", &err));
    assert_true(db_in_transaction(db));
    error_clear(&err);
    assert_false(db_commit(db, &err)); /* COMMIT of a failed transaction answers ROLLBACK */
    assert_int_equal(err.code, ERROR_BUG);
    assert_false(db_in_transaction(db));
}

static void a_killed_session_is_noticed_without_asking(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    struct db *killer CLEANUP(db_closep) = support_open("postgres");
    assert_true(db_is_alive(db));
    char sql[128];
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%s, 5000)",
             support_value(db, "SELECT pg_backend_pid()"));
    support_run(killer, sql);
    assert_false(db_is_alive(db));
    struct error err = ERROR_INIT;
    assert_false(db_script(db, "SELECT 1", &err));
    assert_int_equal(err.code, ERROR_TRANSIENT);
}

static void add_tuple(struct buf *data, const char *text)
{
    buf_add_be16(data, 1);
    buf_add_be32(data, (uint32_t)strlen(text));
    buf_add_c(data, text);
}

static void copy_counts_what_arrived(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    support_run(db, "CREATE TEMP TABLE t (a text)");
    struct buf data CLEANUP(buf_release) = {0};
    buf_init(&data, 1 << 20);
    db_copy_begin(&data);
    for (int i = 0; i < 10000; i++) {
        add_tuple(&data, "some text that fills more than a chunk");
    }
    db_copy_end(&data);
    const char *copy = "COPY t (a) FROM STDIN (FORMAT binary)";
    struct error err = ERROR_INIT;
    assert_ok(db_copy_in(db, copy, buf_str(&data), 10000, &err), err);
    assert_int_equal(support_number(db, "SELECT count(*) FROM t"), 10000);
    assert_false(db_copy_in(db, copy, buf_str(&data), 9999, &err));
    assert_int_equal(err.code, ERROR_BUG);
    assert_non_null(strstr(err.msg, "10000 rows where 9999"));
    error_clear(&err);
    struct str cut = {data.ptr, data.len - 7};
    assert_false(db_copy_in(db, copy, cut, 10000, &err));
    assert_int_equal(err.code, ERROR_DATA);
    assert_int_equal(support_number(db, "SELECT count(*) FROM t"), 20000);
}

static void statements_of_the_wrong_kind_leave_a_usable_connection(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    struct error err = ERROR_INIT;
    support_run(db, "CREATE TEMP TABLE t (a text)");
    assert_false(db_execute(db, "COPY t FROM STDIN", DB_NO_PARAMS, NULL, &err));
    error_clear(&err);
    assert_false(db_execute(db, "COPY t TO STDOUT", DB_NO_PARAMS, NULL, &err));
    error_clear(&err);
    assert_false(db_copy_in(db, "SELECT 1", STR_LITERAL("x"), 0, &err));
    assert_int_equal(err.code, ERROR_BUG);
    error_clear(&err);
    assert_false(db_copy_in(db, "COPY t TO STDOUT", STR_LITERAL("x"), 0, &err));
    error_clear(&err);
    assert_false(db_copy_out(db, "COPY t FROM STDIN", NULL, NULL, &err));
    assert_int_equal(support_number(db, "SELECT 42"), 42);
}

static bool count_to_ten(void *arg, struct str line)
{
    int *n = arg;
    assert_true(line.len > 0);
    return ++*n < 10;
}

static void an_export_can_be_stopped(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    struct error err = ERROR_INIT;
    int n = 0;
    assert_ok(db_copy_out(db, "COPY (SELECT generate_series(1, 100000000)) TO STDOUT", count_to_ten,
                          &n, &err),
              err);
    assert_int_equal(n, 10);
    assert_int_equal(support_number(db, "SELECT 42"), 42);
}

static void *notify(void *arg)
{
    usleep(50000);
    support_run(arg, "NOTIFY foz_test, 'x'");
    return NULL;
}

static void waiting_ends_by_notification_deadline_wake_or_loss(void **state)
{
    (void)state;
    struct db *db CLEANUP(db_closep) = support_open("postgres");
    struct db *other CLEANUP(db_closep) = support_open("postgres");
    struct error err = ERROR_INIT;
    bool notified = true;
    support_run(db, "LISTEN foz_test");
    int64_t start_us = clock_monotonic_us();
    assert_ok(db_wait_notify(db, start_us + 30 * US_PER_MS, -1, &notified, &err), err);
    assert_false(notified);
    assert_true(clock_monotonic_us() >= start_us + 30 * US_PER_MS);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, notify, other), 0);
    assert_ok(db_wait_notify(db, clock_monotonic_us() + 20 * US_PER_S, -1, &notified, &err), err);
    pthread_join(thread, NULL);
    assert_true(notified);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_ok(db_wait_notify(db, clock_monotonic_us() + 20 * US_PER_S, ends[0], &notified, &err),
              err);
    assert_false(notified);
    close(ends[0]);
    close(ends[1]);
    char sql[128];
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%s, 5000)",
             support_value(db, "SELECT pg_backend_pid()"));
    support_run(other, sql);
    assert_false(db_wait_notify(db, clock_monotonic_us() + 20 * US_PER_S, -1, &notified, &err));
    assert_int_equal(err.code, ERROR_TRANSIENT);
}

/* What a database or role presets must not change what statements see. */
static void a_session_reads_what_is_committed(void **state)
{
    (void)state;
    char plain[256];
    char url[400];
    support_url("postgres", plain);
    snprintf(
        url, sizeof(url),
        "%s options='-c default_transaction_isolation=serializable -c quote_all_identifiers=on'",
        plain);
    struct error err = ERROR_INIT;
    struct db *db CLEANUP(db_closep) = db_open(&(struct db_settings){.url = url}, &err);
    assert_ok(db != NULL, err);
    assert_ok(db_begin(db, &err), err);
    assert_string_equal(support_value(db, "SHOW transaction_isolation"), "read committed");
    assert_string_equal(support_value(db, "SELECT quote_ident('text')"), "text");
    db_rollback(db);
}

static void a_statement_timeout_is_transient(void **state)
{
    (void)state;
    char url[256];
    support_url("postgres", url);
    struct error err = ERROR_INIT;
    struct db *db CLEANUP(db_closep) =
        db_open(&(struct db_settings){.url = url, .statement_timeout_ms = 50}, &err);
    assert_ok(db != NULL, err);
    assert_false(db_script(db, "SELECT pg_sleep(30)", &err));
    assert_int_equal(err.code, ERROR_TRANSIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqlstates_become_codes),
        cmocka_unit_test(messages_never_quote_values),
        cmocka_unit_test(opening_fails_with_culprit_and_cure_and_without_the_password),
        cmocka_unit_test(a_session_speaks_utc_and_utf8),
        cmocka_unit_test(a_session_reads_what_is_committed),
        cmocka_unit_test(parameters_nulls_and_counts_pass_through),
        cmocka_unit_test(a_prepared_statement_outlives_changes_under_it),
        cmocka_unit_test(a_script_names_the_line_of_its_error),
        cmocka_unit_test(quoting_survives_any_name),
        cmocka_unit_test(a_commit_whose_answer_is_lost_is_uncertain),
        cmocka_unit_test(a_commit_that_the_server_refuses_is_certain),
        cmocka_unit_test(a_killed_session_is_noticed_without_asking),
        cmocka_unit_test(copy_counts_what_arrived),
        cmocka_unit_test(statements_of_the_wrong_kind_leave_a_usable_connection),
        cmocka_unit_test(an_export_can_be_stopped),
        cmocka_unit_test(waiting_ends_by_notification_deadline_wake_or_loss),
        cmocka_unit_test(a_statement_timeout_is_transient),
    };
    return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
