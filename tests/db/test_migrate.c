#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "schema/embedded.h"
#include "tests/db/support.h"
#include "worker/load/migrate.h"

static int make_database(void **state)
{
    static char name[64];
    support_create_database(name, NULL);
    *state = name;
    return 0;
}

static int drop_database(void **state)
{
    support_drop_database(*state);
    return 0;
}

static void migrate(struct db *db, const struct config *config, struct buf *plan)
{
    struct error err = ERROR_INIT;
    buf_reset(plan);
    assert_ok(migrate_run(db, config, false, plan, &err), err);
}

static void expect_config_error(struct db *db, const struct config *config, const char *word)
{
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    struct error err = ERROR_INIT;
    assert_false(migrate_run(db, config, false, &plan, &err));
    if (err.code != ERROR_CONFIG || strstr(err.msg, word) == NULL) {
        fail_msg("%s: %s", error_code_name(err.code), err.msg);
    }
    assert_false(db_in_transaction(db));
}

static void migrating_twice_does_nothing_the_second_time(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    struct error err = ERROR_INIT;
    assert_false(migrate_check(db, &config, &err));
    assert_int_equal(err.code, ERROR_CONFIG);
    assert_non_null(strstr(err.msg, "foz-worker migrate"));
    migrate(db, &config, &plan);
    assert_non_null(strstr(plan.ptr, "apply migration 0001_ops.sql\n"));
    assert_non_null(strstr(plan.ptr, "create table Odd type.things\n"));
    migrate(db, &config, &plan);
    assert_string_equal(plan.ptr, "");
    error_clear(&err);
    assert_ok(migrate_check(db, &config, &err), err);
    assert_int_equal(support_number(db, "SELECT count(*) FROM ops.migration"),
                     (int)embedded_migrations_count);
    assert_int_equal(support_number(db, "SELECT min(length(checksum)) FROM ops.migration"), 64);
}

static void a_dry_run_plans_the_same_and_changes_nothing(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct config config = support_config();
    struct buf planned CLEANUP(buf_release) = {0};
    struct buf done CLEANUP(buf_release) = {0};
    buf_init(&planned, 1 << 20);
    buf_init(&done, 1 << 20);
    struct error err = ERROR_INIT;
    assert_ok(migrate_run(db, &config, true, &planned, &err), err);
    assert_string_equal(support_value(db, "SELECT count(*) FROM pg_namespace WHERE nspname IN "
                                          "('ops', 'core', 'staging', 'Odd type')"),
                        "0");
    migrate(db, &config, &done);
    assert_string_equal(planned.ptr, done.ptr);
}

static void landed_tables_have_key_indexes_trigger_and_comments(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    migrate(db, &config, &plan);
    assert_string_equal(
        support_value(db, "SELECT string_agg(attname || ':' || atttypid::regtype || "
                          "CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY attnum) FROM "
                          "pg_attribute WHERE attnum > 0 AND attrelid = "
                          "'\"Odd type\".things'::regclass"),
        "source:text!,id:text!,title:text,user:text,we\"ird; name:text,n:bigint,at:timestamp with "
        "time zone,rev:integer,etl_created_at:timestamp with time zone!,etl_updated_at:timestamp "
        "with time zone!,etl_execution_id:bigint,etl_hash:uuid");
    assert_string_equal(
        support_value(db, "SELECT string_agg(regexp_replace(pg_get_indexdef(indexrelid), "
                          "'.*USING ', ''), '|' ORDER BY indexrelid::regclass::text) FROM pg_index "
                          "WHERE indrelid = '\"Odd type\".things'::regclass"),
        "btree (source, at)|btree (source, n, title)|btree (source, id)|btree (source, \"user\")");
    assert_string_equal(support_value(db, "SELECT string_agg(attname, ',' ORDER BY n) FROM pg_index"
                                          ", unnest(indkey::int2[]) WITH ORDINALITY k (a, n) JOIN "
                                          "pg_attribute ON attnum = a AND attrelid = "
                                          "'\"Odd type\".pairs'::regclass WHERE indisprimary AND "
                                          "indrelid = '\"Odd type\".pairs'::regclass"),
                        "source,a,b");
    assert_string_equal(
        support_value(db, "SELECT obj_description('\"Odd type\".things'::regclass)"),
        "copy of Odd type table u_things, kept by foz (task things of load stuff)");
    assert_string_equal(support_value(db, "SELECT col_description('\"Odd type\".things'::regclass, "
                                          "4)"),
                        "refers to sys_user");
}

static void a_row_edited_by_hand_loses_its_hash(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    migrate(db, &config, &plan);
    support_run(db, "INSERT INTO \"Odd type\".things (source, id, title, etl_hash) VALUES "
                    "('s', '1', 'a', md5('x')::uuid), ('s', '2', 'a', md5('x')::uuid)");
    support_run(db, "UPDATE \"Odd type\".things SET title = 'a'");
    assert_int_equal(support_number(db, "SELECT count(etl_hash) FROM \"Odd type\".things"), 2);
    support_run(db, "UPDATE \"Odd type\".things SET title = 'b' WHERE id = '1'");
    assert_string_equal(support_value(db, "SELECT id FROM \"Odd type\".things "
                                          "WHERE etl_hash IS NULL"),
                        "1");
    support_run(db, "UPDATE \"Odd type\".things SET title = 'c', etl_hash = md5('y')::uuid");
    assert_int_equal(support_number(db, "SELECT count(etl_hash) FROM \"Odd type\".things"), 2);
}

static void a_growing_catalog_adds_columns_and_keeps_rows(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct task_def smaller = support_things;
    smaller.n_columns = 6; /* without rev */
    smaller.revision_column = -1;
    smaller.n_indexes = 0;
    const struct task_def *tasks[] = {&smaller};
    struct config before = {.catalog = {.tasks = tasks, .n_tasks = 1}, .landed = tasks};
    struct config after = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    migrate(db, &before, &plan);
    support_run(db, "INSERT INTO \"Odd type\".things (source, id) VALUES ('s', '1')");
    migrate(db, &after, &plan);
    /* Views may be made of what was added, so they are made again after it. */
    char *views = strstr(plan.ptr, "apply projection ");
    assert_non_null(views);
    assert_null(strstr(views, "compute core"));
    *views = '\0';
    assert_string_equal(plan.ptr, "add column Odd type.things.rev integer\n"
                                  "create index Odd type.things_user_idx\n"
                                  "create index Odd type.things_n_title_idx\n"
                                  "create table Odd type.pairs\n"
                                  "create trigger etl_forget_hash on Odd type.pairs\n");
    assert_int_equal(support_number(db, "SELECT count(*) FROM \"Odd type\".things "
                                        "WHERE rev IS NULL"),
                     1);
    migrate(db, &before, &plan); /* a smaller catalog takes nothing away */
    assert_string_equal(plan.ptr, "");
}

static void a_contradicting_table_is_a_fault_that_names_all_of_it(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    migrate(db, &config, &plan);
    support_run(db, "ALTER TABLE \"Odd type\".things ALTER n TYPE text");
    expect_config_error(db, &config,
                        "odd.yaml:3: column Odd type.things.n is text in the database and bigint "
                        "in the catalog");
    support_run(db, "ALTER TABLE \"Odd type\".things DROP n; "
                    "ALTER TABLE \"Odd type\".pairs DROP CONSTRAINT pairs_pkey");
    expect_config_error(db, &config, "the primary key of table Odd type.pairs");
    assert_int_equal(support_number(db, "SELECT count(*) FROM pg_attribute WHERE attname = 'n' AND "
                                        "attrelid = '\"Odd type\".things'::regclass"),
                     0);
    support_run(db,
                "DROP TABLE \"Odd type\".pairs; CREATE VIEW \"Odd type\".pairs AS SELECT 1 AS a");
    struct error err = ERROR_INIT;
    assert_false(migrate_run(db, &config, false, &plan, &err));
}

static void a_changed_or_unknown_migration_is_refused(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    migrate(db, &config, &plan);
    support_run(db, "INSERT INTO ops.migration (version, name, checksum) "
                    "VALUES (9999, '9999_future.sql', 'x')");
    expect_config_error(db, &config, "9999_future.sql");
    struct error err = ERROR_INIT;
    assert_false(migrate_check(db, &config, &err));
    assert_int_equal(err.code, ERROR_CONFIG);
    support_run(db, "DELETE FROM ops.migration WHERE version = 9999; "
                    "UPDATE ops.migration SET checksum = repeat('0', 64) WHERE version = 1");
    expect_config_error(db, &config, "0001_ops.sql was applied with other contents");
}

static void a_role_without_rights_is_told_so(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    support_run(db, "DROP ROLE IF EXISTS weak; CREATE ROLE weak; SET ROLE weak");
    struct error err = ERROR_INIT;
    assert_false(migrate_run(db, &config, false, &plan, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_non_null(strstr(err.msg, "permission denied for database"));
    support_run(db, "RESET ROLE; DROP ROLE weak");
}

struct racer {
    const char *database;
    struct error err;
    bool ok;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    struct db *db CLEANUP(db_closep) = support_open(racer->database);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    racer->ok = migrate_run(db, &config, false, &plan, &racer->err);
    return NULL;
}

static void two_migrations_at_once_both_succeed(void **state)
{
    struct racer racers[4] = {0};
    pthread_t threads[ARRAY_SIZE(racers)];
    for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
        racers[i].database = *state;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
        assert_ok(racers[i].ok, racers[i].err);
    }
}

static void enqueue_joins_what_is_queued_and_keys_answer_for_ever(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    migrate(db, &config, &plan);
    const char *plain = "SELECT execution_id || ' ' || joined FROM ops.enqueue('a', 'full', NULL, "
                        "NULL, '{}', 'api', 'me', NULL, NULL)";
    const char *keyed = "SELECT execution_id || ' ' || joined FROM ops.enqueue('a', 'full', NULL, "
                        "NULL, '{}', 'api', 'me', NULL, 'k')";
    const char *second = "SELECT execution_id || ' ' || joined FROM ops.enqueue('a', 'full', NULL, "
                         "NULL, '{}', 'api', 'me', NULL, 'k2')";
    const char *yours = "SELECT execution_id || ' ' || joined FROM ops.enqueue('a', 'full', NULL, "
                        "NULL, '{}', 'api', 'you', NULL, 'k')";
    const char *other = "SELECT execution_id || ' ' || joined FROM ops.enqueue('b', 'full', NULL, "
                        "NULL, '{}', 'api', 'me', NULL, 'k')";
    assert_string_equal(support_value(db, plain), "1 false");
    assert_string_equal(support_value(db, plain), "1 true");
    assert_string_equal(support_value(db, keyed), "1 true");
    assert_string_equal(support_value(db, second), "1 true");
    assert_string_equal(support_value(db, yours), "1 true");
    assert_string_equal(support_value(db, other), "2 false");
    support_run(db, "UPDATE ops.execution_log SET status = 'success'");
    assert_string_equal(support_value(db, keyed), "1 true");
    assert_string_equal(support_value(db, second), "1 true");
    assert_string_equal(support_value(db, yours), "1 true");
    assert_string_equal(support_value(db, plain), "3 false");
}

static void ownership_is_seen_while_the_session_lives(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    struct db *owner = support_open(*state);
    struct config config = support_config();
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, 1 << 20);
    migrate(db, &config, &plan);
    support_run(owner, "SELECT pg_advisory_lock(1718581761, 17)");
    assert_string_equal(support_value(db, "SELECT ops.execution_is_owned(17)"), "t");
    assert_string_equal(support_value(db, "SELECT ops.execution_is_owned(18)"), "f");
    /* The lock of a large id is that of its lower 31 bits, as the worker takes it. */
    assert_string_equal(support_value(db, "SELECT ops.execution_is_owned(2147483648 + 17)"), "t");
    assert_string_equal(support_value(db, "SELECT ops.execution_is_owned(4294967296 + 17)"), "t");
    db_close(owner);
    const char *gone = "t";
    for (int i = 0; i < 1000 && gone[0] == 't'; i++) {
        gone = support_value(db, "SELECT ops.execution_is_owned(17)");
    }
    assert_string_equal(gone, "f");
}

/* A line of GLPI's log and its event, as the model before wrote it. */
static void add_logged_event(struct db *db, int64_t id, const char *recorded_at)
{
    char sql[800];
    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO glpi.log VALUES ('desk', %d, 7, 0, 12);"
                   "INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, "
                   "recorded_at, payload) VALUES (md5('desk:7|TicketStatusChangedV1|log|%d')::uuid,"
                   " 'desk:7', 'TicketStatusChangedV1', '2026-01-02 08:00Z', '%s', '{\"n\": %d}')",
                   (int)id, (int)id, recorded_at, (int)id);
    support_run(db, sql);
}

static void events_of_one_second_are_numbered_by_the_log_they_came_from(void **state)
{
    struct db *db CLEANUP(db_closep) = support_open(*state);
    size_t last = embedded_migrations_count;
    for (size_t i = 0; i < embedded_migrations_count; i++) {
        if (strcmp(embedded_migrations[i].name, "0006_order.sql") == 0) {
            last = i;
            break;
        }
        support_run(db, embedded_migrations[i].text);
    }
    assert_true(last < embedded_migrations_count);
    support_run(db, "CREATE SCHEMA glpi; CREATE TABLE glpi.log (source text, id bigint, items_id "
                    "bigint, linked_action bigint, id_search_option bigint)");
    add_logged_event(db, 12, "2026-01-02 09:00:00.1Z");
    add_logged_event(db, 10, "2026-01-02 09:00:00.2Z");
    add_logged_event(db, 11, "2026-01-02 09:00:00.2Z");
    support_run(
        db, "INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, recorded_at, "
            "payload) VALUES (gen_random_uuid(), 'desk:7', 'TicketCreatedV1', '2026-01-02 08:00Z', "
            "'2026-01-02 09:01Z', '{\"n\": 1}'), (gen_random_uuid(), 'snow:i1', 'TicketUpdatedV1', "
            "'2026-01-01 08:00Z', '2026-01-03Z', '{\"n\": 3}'), (gen_random_uuid(), 'snow:i1', "
            "'TicketUpdatedV1', '2026-01-01 08:00Z', '2026-01-02Z', '{\"n\": 2}');"
            "INSERT INTO ops.execution_log (load, mode, trigger, requested_by, idempotency_key) "
            "VALUES ('a', 'full', 'api', 'me', 'k')");
    support_run(db, embedded_migrations[last].text);
    const char *order = "SELECT string_agg(payload ->> 'n', ' ' ORDER BY seq) || ' from ' || "
                        "min(seq) FROM core.ticket_event";
    assert_string_equal(support_value(db, order), "2 3 1 10 11 12 from 1");
    support_run(db, "INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, "
                    "payload) VALUES (gen_random_uuid(), 'desk:7', 'TicketUpdatedV1', now(), "
                    "'{\"n\": 13}')");
    assert_string_equal(support_value(db, order), "2 3 1 10 11 12 13 from 1");
    assert_string_equal(support_value(db, "SELECT count(*) FROM pg_trigger WHERE tgname = "
                                          "'append_only' AND tgenabled = 'O'"),
                        "1");
    assert_string_equal(support_value(db, "SELECT execution_id FROM ops.idempotency_key WHERE "
                                          "requested_by = 'me' AND load = 'a' AND key = 'k'"),
                        "1");
}

#define TEST(claim) cmocka_unit_test_setup_teardown(claim, make_database, drop_database)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(migrating_twice_does_nothing_the_second_time),
        TEST(a_dry_run_plans_the_same_and_changes_nothing),
        TEST(landed_tables_have_key_indexes_trigger_and_comments),
        TEST(a_row_edited_by_hand_loses_its_hash),
        TEST(a_growing_catalog_adds_columns_and_keeps_rows),
        TEST(a_contradicting_table_is_a_fault_that_names_all_of_it),
        TEST(a_changed_or_unknown_migration_is_refused),
        TEST(a_role_without_rights_is_told_so),
        TEST(two_migrations_at_once_both_succeed),
        TEST(enqueue_joins_what_is_queued_and_keys_answer_for_ever),
        TEST(ownership_is_seen_while_the_session_lives),
        TEST(events_of_one_second_are_numbered_by_the_log_they_came_from),
    };
    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
