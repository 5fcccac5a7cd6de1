#include "tests/db/family.h"

#include <stdio.h>

static const size_t first_column[] = {0};
static const size_t first_two_columns[] = {0, 1};

/* Of each role the column, or -1. */
#define FAMILY(version, revision, created, in)                                                     \
    .source_type = "family", .load = "papers", .version_column = (version),                        \
    .revision_column = (revision), .window_column = -1, .created_column = (created),               \
    .parent_column = (in), .defined_at = "family.yaml:1"
#define COLUMNS(list)                                                                              \
    .fields = list##_fields, .n_fields = ARRAY_SIZE(list##_fields), .columns = list##_columns,     \
    .n_columns = ARRAY_SIZE(list##_columns)

static const struct field folder_fields[] = {{.name = "id", .type = COLUMN_BIGINT},
                                             {.name = "name"},
                                             {.name = "created", .type = COLUMN_TIMESTAMPTZ},
                                             {.name = "changed", .type = COLUMN_TIMESTAMPTZ}};
static const struct column folder_columns[] = {
    {.name = "id", .type = COLUMN_BIGINT, .field = 0},
    {.name = "name", .field = 1},
    {.name = "created", .type = COLUMN_TIMESTAMPTZ, .field = 2},
    {.name = "changed", .type = COLUMN_TIMESTAMPTZ, .field = 3}};

const struct task_def family_folders = {
    FAMILY(3, -1, 2, -1),        COLUMNS(folder),    .name = "folders",
    .key_columns = first_column, .n_key_columns = 1,
};

static const struct field sheet_fields[] = {{.name = "id", .type = COLUMN_BIGINT},
                                            {.name = "in a \"folder\"", .type = COLUMN_BIGINT},
                                            {.name = "n", .type = COLUMN_INTEGER}};
static const struct column sheet_columns[] = {
    {.name = "id", .type = COLUMN_BIGINT, .field = 0},
    {.name = "in a \"folder\"", .type = COLUMN_BIGINT, .field = 1},
    {.name = "n", .type = COLUMN_INTEGER, .field = 2}};

const struct task_def family_sheets = {
    FAMILY(-1, -1, -1, 1),
    COLUMNS(sheet),
    .name = "sheets",
    .key_columns = first_column,
    .n_key_columns = 1,
    .parent = "folders",
    .parent_refresh = REFRESH_CHANGED,
};

static const struct field note_fields[] = {{.name = "id", .type = COLUMN_BIGINT},
                                           {.name = "folder", .type = COLUMN_BIGINT},
                                           {.name = "at", .type = COLUMN_TIMESTAMPTZ}};
static const struct column note_columns[] = {
    {.name = "id", .type = COLUMN_BIGINT, .field = 0},
    {.name = "folder", .type = COLUMN_BIGINT, .field = 1},
    {.name = "at", .type = COLUMN_TIMESTAMPTZ, .field = 2}};

const struct task_def family_notes = {
    FAMILY(2, -1, -1, 1),           COLUMNS(note),      .name = "notes",
    .key_columns = first_column,    .n_key_columns = 1, .parent = "folders",
    .parent_refresh = REFRESH_LATE,
};

static const struct field draft_fields[] = {{.name = "id", .type = COLUMN_BIGINT},
                                            {.name = "rev", .type = COLUMN_INTEGER},
                                            {.name = "title"},
                                            {.name = "changed", .type = COLUMN_TIMESTAMPTZ},
                                            {.name = "by", .identity = true}};
static const struct column draft_columns[] = {
    {.name = "id", .type = COLUMN_BIGINT, .field = 0},
    {.name = "rev", .type = COLUMN_INTEGER, .field = 1},
    {.name = "title", .field = 2},
    {.name = "changed", .type = COLUMN_TIMESTAMPTZ, .field = 3},
    {.name = "by", .field = 4, .part = PART_VALUE},
    {.name = "by_id", .field = 4, .part = PART_ID},
    {.name = "by_display", .field = 4, .part = PART_DISPLAY_NAME}};

const struct task_def family_drafts = {
    FAMILY(3, -1, -1, -1), COLUMNS(draft),     .name = "drafts", .key_columns = first_two_columns,
    .n_key_columns = 2,    .is_history = true,
};

const struct task_def family_works = {
    FAMILY(3, 1, -1, 0), COLUMNS(draft),     .name = "works",       .key_columns = first_column,
    .n_key_columns = 1,  .parent = "drafts", .latest_of = "drafts", .gone_column = "gone_since",
};

static const struct field person_fields[] = {
    {.name = "id"}, {.name = "unique_name"}, {.name = "display_name"}, {.name = "mail"}};
static const struct column person_columns[] = {{.name = "id", .field = 0},
                                               {.name = "unique_name", .field = 1},
                                               {.name = "display_name", .field = 2},
                                               {.name = "mail", .field = 3}};

const struct task_def family_people = {
    FAMILY(-1, -1, -1, -1),      COLUMNS(person),    .name = "people",
    .key_columns = first_column, .n_key_columns = 1, .people_of = "drafts",
};

static const struct field state_fields[] = {{.name = "type"}, {.name = "state"}, {.name = "means"}};
static const struct column state_columns[] = {
    {.name = "type", .field = 0}, {.name = "state", .field = 1}, {.name = "means", .field = 2}};

const struct task_def family_states = {
    FAMILY(-1, -1, -1, -1),
    COLUMNS(state),
    .name = "states",
    .key_columns = first_two_columns,
    .n_key_columns = 2,
    .gone_column = "gone",
    .first_seen_column = "first_seen",
    .last_seen_column = "last_seen",
};

static const struct task_def *tasks[] = {&family_folders, &family_sheets, &family_notes,
                                         &family_drafts,  &family_works,  &family_people,
                                         &family_states};

int make_family(void **state)
{
    const struct config config = {.catalog = {.tasks = tasks, .n_tasks = ARRAY_SIZE(tasks)},
                                  .landed = tasks};
    return make_fixture_of(state, &config, &family_folders);
}

void begin_task(struct fixture *fixture, const struct task_def *task, const char *source)
{
    fixture->task = task;
    begin_load(fixture, source);
}

void begin_child(struct fixture *fixture, const struct task_def *task)
{
    begin_task(fixture, task, "s");
    fixture->request.parent = &family_folders;
}

void set_watermark(struct fixture *fixture, const char *task, const char *high)
{
    char sql[512];
    snprintf(sql, sizeof(sql),
             "INSERT INTO ops.watermark (source, task, cursor, high, execution_id)"
             " VALUES ('s', '%s', '{}', nullif('%s', '')::timestamptz, 1)",
             task, high == NULL ? "" : high);
    support_run(fixture->db, sql);
}

void owe(struct fixture *fixture, const char *task, const char *folder)
{
    char sql[256];
    snprintf(sql, sizeof(sql),
             "INSERT INTO ops.owed (source, task, parent_key, execution_id)"
             " VALUES ('s', '%s', '%s', 1)",
             task, folder);
    support_run(fixture->db, sql);
}

int64_t last_debt(struct fixture *fixture)
{
    return support_number(fixture->db, "SELECT max(id) FROM ops.owed");
}

void expect_sheets(struct fixture *fixture, const char *sheets)
{
    assert_string_equal(support_value(fixture->db,
                                      "SELECT string_agg(source || '/' || id || '=' || n, ' ' "
                                      "ORDER BY source, id) FROM family.sheets"),
                        sheets);
}

void load_folders(struct fixture *fixture)
{
    begin_task(fixture, &family_folders, "s");
    STAGE(fixture, FOLDER("1", "one", MAY_1, MAY_1), FOLDER("2", "two", MAY_1, MAY_2),
          FOLDER("3", "three", MAY_1, MAY_2), FOLDER("4", "four", MAY_1, MAY_2));
    merge(fixture, MERGE_DELETE_MISSING);
}

void load_sheets(struct fixture *fixture)
{
    load_folders(fixture);
    begin_child(fixture, &family_sheets);
    STAGE(fixture, SHEET("10", "1", "0"), SHEET("11", "1", "0"), SHEET("20", "2", "0"),
          SHEET("30", "3", "0"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i4 u0 =0 d0 x0 r0");
}
