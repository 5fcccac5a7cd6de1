#include <string.h>

#include "schema/embedded.h"
#include "tests/db/support.h"
#include "worker/load/migrate.h"

/* Tables of tasks with columns that the engine keeps and with fields that fill several columns. */

static const struct field item_fields[] = {
    {.name = "System.Id", .type = COLUMN_BIGINT},
    {.name = "System.AssignedTo", .identity = true},
    {.name = "fields", .type = COLUMN_JSONB, .rest = true},
};
static const struct column item_columns[] = {
    {.name = "id", .type = COLUMN_BIGINT, .field = 0},
    {.name = "assigned_to", .field = 1},
    {.name = "assigned_to_id", .field = 1, .part = PART_ID},
    {.name = "assigned_to_display", .field = 1, .part = PART_DISPLAY_NAME},
    {.name = "fields", .type = COLUMN_JSONB, .field = 2},
};
static const size_t item_key[] = {0};
static const char *const item_indexes[] = {"gone_since"};

static const struct task_def items = {
    .name = "items",
    .source_type = "Odd type",
    .load = "stuff",
    .fields = item_fields,
    .n_fields = ARRAY_SIZE(item_fields),
    .columns = item_columns,
    .n_columns = ARRAY_SIZE(item_columns),
    .key_columns = item_key,
    .n_key_columns = 1,
    .version_column = -1,
    .revision_column = -1,
    .window_column = -1,
    .created_column = -1,
    .parent = "revisions",
    .parent_column = 0,
    .latest_of = "revisions",
    .gone_column = "gone_since",
    .first_seen_column = "first_seen",
    .last_seen_column = "user", /* a word that has to be quoted */
    .indexes = item_indexes,
    .n_indexes = 1,
    .defined_at = "odd.yaml:7",
};

static const char kept_columns[] =
    "SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END || CASE WHEN atthasdef "
    "THEN '=' ELSE '' END, ',' ORDER BY attname) FROM pg_attribute WHERE attnum > 0 AND attrelid = "
    "'\"Odd type\".items'::regclass AND attname IN ('gone_since', 'first_seen', 'user') AND "
    "atttypid = 'timestamptz'::regtype";

struct tables {
    char database[64];
    struct db *db;
    struct task_def bare; /* items without what the engine keeps */
    const struct task_def *before[1];
    const struct task_def *after[1];
    struct buf plan;
};

static int make_tables(void **state)
{
    static struct tables tables;
    tables = (struct tables){.bare = items, .after = {&items}};
    tables.bare.gone_column = NULL;
    tables.bare.first_seen_column = NULL;
    tables.bare.last_seen_column = NULL;
    tables.bare.n_indexes = 0;
    tables.before[0] = &tables.bare;
    support_create_database(tables.database, NULL);
    tables.db = support_open(tables.database);
    buf_init(&tables.plan, 1 << 20);
    *state = &tables;
    return 0;
}

static int drop_tables(void **state)
{
    struct tables *tables = *state;
    db_close(tables->db);
    buf_release(&tables->plan);
    support_drop_database(tables->database);
    return 0;
}

static struct config config_of(const struct task_def **tasks)
{
    return (struct config){.catalog = {.tasks = tasks, .n_tasks = 1}, .landed = tasks};
}

static void migrate(struct tables *tables, const struct task_def **tasks, bool dry_run)
{
    struct error err = ERROR_INIT;
    struct config config = config_of(tasks);
    buf_reset(&tables->plan);
    assert_ok(migrate_run(tables->db, &config, dry_run, &tables->plan, &err), err);
}

static void expect_contradiction(struct tables *tables, const char *words)
{
    struct error err = ERROR_INIT;
    struct config config = config_of(tables->after);
    buf_reset(&tables->plan);
    assert_false(migrate_run(tables->db, &config, false, &tables->plan, &err));
    assert_int_equal(err.code, ERROR_CONFIG);
    if (strstr(err.msg, words) == NULL) {
        fail_msg("%s", err.msg);
    }
    error_clear(&err);
    assert_false(migrate_run(tables->db, &config, true, &tables->plan, &err));
    assert_non_null(strstr(err.msg, words));
}

static void kept_columns_lie_beside_those_of_the_fields(void **state)
{
    struct tables *tables = *state;
    migrate(tables, tables->after, false);
    assert_string_equal(support_value(tables->db, kept_columns), "first_seen!=,gone_since,user!=");
    support_run(tables->db, "INSERT INTO \"Odd type\".items (source, id) VALUES ('s', 1)");
    assert_int_equal(support_number(tables->db, "SELECT count(*) FROM \"Odd type\".items WHERE "
                                                "gone_since IS NULL AND first_seen <= now() AND "
                                                "\"user\" <= now()"),
                     1);
    migrate(tables, tables->after, true);
    assert_string_equal(tables->plan.ptr, "");
}

static void comments_say_what_parts_and_kept_columns_are(void **state)
{
    struct tables *tables = *state;
    migrate(tables, tables->after, false);
    assert_string_equal(
        support_value(tables->db,
                      "SELECT string_agg(attname || ': ' || col_description(attrelid, attnum), '; '"
                      " ORDER BY attnum) FROM pg_attribute WHERE attnum > 0 AND attrelid = "
                      "'\"Odd type\".items'::regclass"),
        "assigned_to_id: id of the person in System.AssignedTo; assigned_to_display: display name "
        "of the person in System.AssignedTo; fields: what no other column holds of the record; "
        "gone_since: since when the source has it no more; first_seen: when the row came; "
        "user: when the source last had the row");
    assert_string_equal(
        support_value(tables->db, "SELECT obj_description('\"Odd type\".items'::regclass)"),
        "the latest of revisions for each key, kept by foz (task items of load stuff)");
}

static void an_existing_table_gets_them_and_keeps_its_rows(void **state)
{
    struct tables *tables = *state;
    migrate(tables, tables->before, false);
    support_run(tables->db, "INSERT INTO \"Odd type\".items (source, id, etl_hash) VALUES "
                            "('s', 1, md5('x')::uuid)");
    static const char plan[] = "add column Odd type.items.gone_since timestamptz\n"
                               "add column Odd type.items.first_seen timestamptz\n"
                               "add column Odd type.items.user timestamptz\n"
                               "create index Odd type.items_gone_since_idx\n"
                               "replace trigger etl_forget_hash on Odd type.items\n";
    migrate(tables, tables->after, true);
    assert_true(strncmp(tables->plan.ptr, plan, strlen(plan)) == 0);
    migrate(tables, tables->after, false);
    assert_true(strncmp(tables->plan.ptr, plan, strlen(plan)) == 0);
    assert_string_equal(support_value(tables->db, kept_columns), "first_seen!=,gone_since,user!=");
    assert_int_equal(support_number(tables->db, "SELECT count(*) FROM \"Odd type\".items WHERE "
                                                "first_seen IS NOT NULL AND etl_hash IS NOT NULL"),
                     1);
    migrate(tables, tables->after, false);
    assert_string_equal(tables->plan.ptr, "");
    migrate(tables, tables->before, false); /* a smaller catalog takes nothing away */
    assert_string_equal(tables->plan.ptr, "");
}

static void moving_a_kept_column_does_not_forget_the_hash(void **state)
{
    struct tables *tables = *state;
    for (int existing = 0; existing < 2; existing++) {
        support_run(tables->db, "DROP SCHEMA IF EXISTS \"Odd type\" CASCADE");
        migrate(tables, existing ? tables->before : tables->after, false);
        migrate(tables, tables->after, false);
        support_run(tables->db, "INSERT INTO \"Odd type\".items (source, id, etl_hash) VALUES "
                                "('s', 1, md5('x')::uuid), ('s', 2, md5('x')::uuid)");
        support_run(tables->db, "UPDATE \"Odd type\".items SET gone_since = now()");
        support_run(tables->db, "UPDATE \"Odd type\".items SET \"user\" = now() + interval '1 d'");
        support_run(tables->db,
                    "UPDATE \"Odd type\".items SET first_seen = now() - interval '1 d'");
        const char *count = "SELECT count(etl_hash) FROM \"Odd type\".items";
        assert_int_equal(support_number(tables->db, count), 2);
        support_run(tables->db, "UPDATE \"Odd type\".items SET assigned_to = 'x' WHERE id = 1");
        assert_int_equal(support_number(tables->db, count), 1);
    }
}

static void contradictions_are_told_and_change_nothing(void **state)
{
    struct tables *tables = *state;
    migrate(tables, tables->before, false);
    support_run(tables->db, "ALTER TABLE \"Odd type\".items ADD gone_since text");
    expect_contradiction(tables, "odd.yaml:7: column Odd type.items.gone_since is text in the "
                                 "database and timestamp with time zone in the catalog");
    support_run(tables->db, "ALTER TABLE \"Odd type\".items DROP gone_since, "
                            "ADD gone_since timestamptz NOT NULL DEFAULT now()");
    expect_contradiction(tables, "gone_since is timestamp with time zone NOT NULL with a default "
                                 "in the database and timestamp with time zone that may be NULL");
    support_run(tables->db, "ALTER TABLE \"Odd type\".items ALTER gone_since DROP NOT NULL, "
                            "ADD first_seen timestamptz");
    expect_contradiction(tables, "first_seen is timestamp with time zone without a default in the "
                                 "database and timestamp with time zone NOT NULL DEFAULT now()");
    assert_int_equal(support_number(tables->db,
                                    "SELECT count(*) FROM pg_attribute WHERE attrelid = "
                                    "'\"Odd type\".items'::regclass AND attname = 'user'"),
                     0);
}

static void a_database_of_the_first_migration_is_upgraded(void **state)
{
    struct tables *tables = *state;
    const struct embedded *first = &embedded_migrations[0];
    struct error err = ERROR_INIT;
    assert_string_equal(first->name, "0001_ops.sql");
    support_run(tables->db, first->text);
    assert_ok(db_execute(tables->db,
                         "INSERT INTO ops.migration (version, name, checksum) VALUES "
                         "(1, $1, encode(sha256(convert_to($2, 'UTF8')), 'hex'))",
                         DB_PARAMS(first->name, first->text), NULL, &err),
              err);
    support_run(tables->db, "INSERT INTO ops.execution_log (load, mode, trigger) VALUES "
                            "('a', 'full', 'cli'); INSERT INTO ops.execution_task (execution_id, "
                            "source, task) VALUES (1, 's', 't'); INSERT INTO ops.watermark "
                            "(source, task, cursor, execution_id) VALUES ('s', 't', '{}', 1)");
    migrate(tables, tables->after, false);
    assert_true(strncmp(tables->plan.ptr, "apply migration 0002_dependents.sql\n",
                        strlen("apply migration 0002_dependents.sql\n")) == 0);
    assert_string_equal(
        support_value(tables->db, "SELECT records_foreign FROM ops.execution_task WHERE task = 't'"
                                  " AND records_foreign IS NOT NULL"),
        "0");
    assert_int_equal(
        support_number(tables->db, "SELECT count(*) FROM ops.watermark WHERE profile IS NULL"), 1);
    support_run(tables->db, "INSERT INTO ops.owed (source, task, parent_key, execution_id) VALUES "
                            "('s', 't', '7', 1)");
    assert_int_equal(support_number(tables->db, "SELECT count(*) FROM ops.owed WHERE since <= "
                                                "clock_timestamp() AND id = 1"),
                     1);
    migrate(tables, tables->after, false);
    assert_string_equal(tables->plan.ptr, "");
}

#define TEST(claim) cmocka_unit_test_setup_teardown(claim, make_tables, drop_tables)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kept_columns_lie_beside_those_of_the_fields),
        TEST(comments_say_what_parts_and_kept_columns_are),
        TEST(an_existing_table_gets_them_and_keeps_its_rows),
        TEST(moving_a_kept_column_does_not_forget_the_hash),
        TEST(contradictions_are_told_and_change_nothing),
        TEST(a_database_of_the_first_migration_is_upgraded),
    };
    return cmocka_run_group_tests_name("landed", tests, NULL, NULL);
}
