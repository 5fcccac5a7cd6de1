#include "tests/db/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct field thing_fields[] = {
    {.name = "id"},
    {.name = "title", .display = false},
    {.name = "user", .ref = "sys_user"},
    {.name = "we\"ird; name"},
    {.name = "n", .type = COLUMN_BIGINT},
    {.name = "at", .type = COLUMN_TIMESTAMPTZ},
    {.name = "rev", .type = COLUMN_INTEGER},
};
static const struct column thing_columns[] = {
    {.name = "id", .field = 0},
    {.name = "title", .field = 1},
    {.name = "user", .field = 2},
    {.name = "we\"ird; name", .field = 3},
    {.name = "n", .type = COLUMN_BIGINT, .field = 4},
    {.name = "at", .type = COLUMN_TIMESTAMPTZ, .field = 5},
    {.name = "rev", .type = COLUMN_INTEGER, .field = 6},
};
static const size_t thing_key[] = {0};
static const char *const thing_indexes[] = {"user", "n, title"};

const struct task_def support_things = {
    .name = "things",
    .source_type = "Odd type",
    .load = "stuff",
    .table = "u_things",
    .fields = thing_fields,
    .n_fields = ARRAY_SIZE(thing_fields),
    .columns = thing_columns,
    .n_columns = ARRAY_SIZE(thing_columns),
    .key_columns = thing_key,
    .n_key_columns = 1,
    .version_column = 5,
    .revision_column = 6,
    .window_column = 5,
    .created_column = -1,
    .parent_column = -1,
    .indexes = thing_indexes,
    .n_indexes = ARRAY_SIZE(thing_indexes),
    .defined_at = "odd.yaml:3",
};

static const struct field pair_fields[] = {
    {.name = "note"}, {.name = "a", .type = COLUMN_BIGINT}, {.name = "b"}};
static const struct column pair_columns[] = {
    {.name = "note", .field = 0},
    {.name = "a", .type = COLUMN_BIGINT, .field = 1},
    {.name = "b", .field = 2},
};
static const size_t pair_key[] = {1, 2};

const struct task_def support_pairs = {
    .name = "pairs",
    .source_type = "Odd type",
    .load = "stuff",
    .table = "u_pairs",
    .fields = pair_fields,
    .n_fields = ARRAY_SIZE(pair_fields),
    .columns = pair_columns,
    .n_columns = ARRAY_SIZE(pair_columns),
    .key_columns = pair_key,
    .n_key_columns = 2,
    .version_column = -1,
    .revision_column = -1,
    .window_column = -1,
    .created_column = -1,
    .parent_column = -1,
    .defined_at = "odd.yaml:40",
};

static const struct task_def *tasks[] = {&support_things, &support_pairs};

struct config support_config(void)
{
    return (struct config){.catalog = {.tasks = tasks, .n_tasks = ARRAY_SIZE(tasks)},
                           .landed = tasks};
}

void support_url(const char *database, char out[256])
{
    const char *host = getenv("FOZ_TEST_PGHOST");
    if (host == NULL) {
        fail_msg("FOZ_TEST_PGHOST is not set: run the database tests by tests/db/run.py");
    }
    snprintf(out, 256, "host=%s user=postgres dbname=%s", host, database);
}

struct db *support_open(const char *database)
{
    char url[256];
    support_url(database, url);
    struct error err = ERROR_INIT;
    struct db *db =
        db_open(&(struct db_settings){.url = url, .application_name = "foz test"}, &err);
    assert_ok(db != NULL, err);
    return db;
}

void support_run(struct db *db, const char *sql)
{
    struct error err = ERROR_INIT;
    assert_ok(db_script(db, sql, &err), err);
}

void support_create_database(char name[64], const char *template)
{
    static unsigned number;
    snprintf(name, 64, "test_%d_%u", (int)getpid(), ++number);
    struct db *admin CLEANUP(db_closep) = support_open("postgres");
    char sql[192];
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s%s%s", name, template == NULL ? "" : " TEMPLATE ",
             template == NULL ? "" : template);
    support_run(admin, sql);
}

void support_drop_database(const char *name)
{
    struct db *admin CLEANUP(db_closep) = support_open("postgres");
    char sql[128];
    snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    support_run(admin, sql);
}

const char *support_value(struct db *db, const char *sql)
{
    static char value[4096];
    struct error err = ERROR_INIT;
    struct db_result *result CLEANUP(db_result_freep) = db_query(db, sql, DB_NO_PARAMS, &err);
    assert_ok(result != NULL, err);
    assert_int_equal(db_rows(result), 1);
    snprintf(value, sizeof(value), "%s", db_text(result, 0, 0));
    return value;
}

int64_t support_number(struct db *db, const char *sql)
{
    return strtoll(support_value(db, sql), NULL, 10);
}
