#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf/config.h"
#include "tests/unit/common/conf/conf_files.h"

#define CATALOG                                                                                    \
    "source_type: azure_devops\n"                                                                  \
    "loads: {t-items: {}}\n"                                                                       \
    "tasks:\n"                                                                                     \
    "  t_item:\n"                                                                                  \
    "    load: t-items\n"                                                                          \
    "    latest_of: t_revision\n"                                                                  \
    "    key: [System.Id]\n"                                                                       \
    "    window: System.StartDate\n"                                                               \
    "    gone: gone_since\n"                                                                       \
    "    indexes: [gone_since, state]\n"                                                           \
    "  t_comment:\n"                                                                               \
    "    load: t-items\n"                                                                          \
    "    key: [id]\n"                                                                              \
    "    created: at\n"                                                                            \
    "    parent: {task: t_item, field: item}\n"                                                    \
    "    fields: {text: text, at: timestamptz, item: bigint, id: bigint}\n"                        \
    "  t_revision:\n"                                                                              \
    "    load: t-items\n"                                                                          \
    "    key: [System.Id, System.Rev]\n"                                                           \
    "    version: System.ChangedDate\n"                                                            \
    "    revision: System.Rev\n"                                                                   \
    "    created: System.CreatedDate\n"                                                            \
    "    history: true\n"                                                                          \
    "    fields: {System.Title: text, System.State: text, System.AssignedTo: identity,\n"          \
    "             System.StartDate: date, System.CreatedDate: timestamptz,\n"                      \
    "             System.ChangedDate: timestamptz, System.Rev: integer, System.Id: bigint}\n"

#define SOURCE(name, tasks)                                                                        \
    "  " name ": {type: azure_devops, url: 'https://dev.azure.com/x',\n"                           \
    "     auth: {method: pat, token: env:T}, tasks: {" tasks "}}\n"

struct fixture {
    struct conf_files files;
    struct config config;
    struct buf faults;
};

static bool load(struct fixture *fixture, const char *sources)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf text;
    conf_files_init(&fixture->files);
    buf_init(&fixture->faults, 100000);
    buf_init(&text, 100000);
    (void)conf_files_write(&fixture->files, "more.yaml", CATALOG);
    buf_addf(&text, "catalog: [%s]\nsources:\n%s", fixture->files.folder, sources);
    return config_load(&fixture->config, conf_files_write(&fixture->files, "foz.conf", text.ptr),
                       &fixture->faults, &err);
}

static void load_well(struct fixture *fixture, const char *sources)
{
    if (!load(fixture, sources)) {
        fail_msg("%s", fixture->faults.ptr);
    }
}

static void release(struct fixture *fixture)
{
    config_release(&fixture->config);
    conf_files_release(&fixture->files);
    buf_release(&fixture->faults);
}

static const struct task_def *
task_of(const struct fixture *fixture, const char *source, const char *name)
{
    const struct task_def *task =
        config_task(&fixture->config, config_source(&fixture->config, source), name);
    assert_non_null(task);
    return task;
}

static const struct task_def *landed_of(const struct fixture *fixture, const char *name)
{
    return config_landed_task(&fixture->config,
                              catalog_task(&fixture->config.catalog, "azure_devops", name));
}

/* The columns of a task, and what its roles point to. */
static void expect_shape(const struct task_def *task, const char *columns, const char *roles)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, 10000);
    for (size_t i = 0; i < task->n_columns; i++) {
        buf_addf(&text, "%s%s", i > 0 ? " " : "", task->columns[i].name);
    }
    assert_string_equal(text.ptr, columns);
    const int indexes[] = {(int)task->key_columns[0], task->version_column, task->revision_column,
                           task->window_column,       task->created_column, task->parent_column};
    buf_reset(&text);
    for (size_t i = 0; i < ARRAY_SIZE(indexes); i++) {
        buf_addf(&text, "%s%s", i > 0 ? " " : "",
                 indexes[i] < 0 ? "-" : task->columns[indexes[i]].name);
    }
    assert_string_equal(text.ptr, roles);
    for (size_t i = 0; i < task->n_columns; i++) {
        assert_true(task->columns[i].field < task->n_fields);
    }
}

static void a_source_without_wishes_copies_everything(void **state)
{
    (void)state;
    CLEANUP(release) struct fixture fixture = {0};
    load_well(&fixture, SOURCE("a", ""));
    const char *all = "title state assigned_to assigned_to_id assigned_to_display start_date "
                      "created_date changed_date rev id";
    expect_shape(task_of(&fixture, "a", "t_revision"), all, "id changed_date rev - created_date -");
    expect_shape(task_of(&fixture, "a", "t_item"), all,
                 "id changed_date rev start_date created_date id");
    expect_shape(task_of(&fixture, "a", "t_comment"), "text at item id", "id - - - at item");
}

static void fewer_fields_of_an_origin_are_fewer_of_the_derived(void **state)
{
    (void)state;
    CLEANUP(release) struct fixture fixture = {0};
    load_well(&fixture, SOURCE("a", "t_revision: {fields: [System.AssignedTo]}"));
    const char *left = "assigned_to assigned_to_id assigned_to_display start_date created_date "
                       "changed_date rev id";
    expect_shape(task_of(&fixture, "a", "t_revision"), left,
                 "id changed_date rev - created_date -");
    const struct task_def *item = task_of(&fixture, "a", "t_item");
    expect_shape(item, left, "id changed_date rev start_date created_date id");
    assert_string_equal(item->latest_of, "t_revision");
    assert_string_equal(item->gone_column, "gone_since");
    assert_int_equal(item->n_indexes, 1);
    assert_string_equal(item->indexes[0], "gone_since");
    assert_true(task_of(&fixture, "a", "t_revision")->is_history);
    assert_int_equal(landed_of(&fixture, "t_item")->n_columns, 10);
}

static void more_fields_of_an_origin_are_more_of_the_derived(void **state)
{
    (void)state;
    CLEANUP(release) struct fixture fixture = {0};
    load_well(&fixture, SOURCE("a", "t_revision: {fields: {Custom.Owner: identity,"
                                    " System.Title: {display: true}}}") SOURCE("b", ""));
    const char *all = "title state assigned_to assigned_to_id assigned_to_display start_date "
                      "created_date changed_date rev id owner owner_id owner_display dv_title";
    expect_shape(landed_of(&fixture, "t_revision"), all, "id changed_date rev - created_date -");
    expect_shape(landed_of(&fixture, "t_item"), all,
                 "id changed_date rev start_date created_date id");
    expect_shape(task_of(&fixture, "a", "t_item"), all,
                 "id changed_date rev start_date created_date id");
    assert_int_equal(task_of(&fixture, "b", "t_item")->n_columns, 10);
    assert_int_equal(task_of(&fixture, "b", "t_revision")->n_columns, 10);
}

static void a_childs_own_list_keeps_what_loading_needs(void **state)
{
    (void)state;
    CLEANUP(release) struct fixture fixture = {0};
    load_well(&fixture, SOURCE("a", "t_comment: {fields: []}"));
    expect_shape(task_of(&fixture, "a", "t_comment"), "at item id", "id - - - at item");
}

static void a_switched_off_parent_switches_off_its_children(void **state)
{
    (void)state;
    CLEANUP(release) struct fixture fixture = {0};
    load_well(&fixture,
              SOURCE("a", "t_revision: {enabled: false}") SOURCE("b", "t_item: {enabled: false}"));
    const struct source_config *a = config_source(&fixture.config, "a");
    const struct source_config *b = config_source(&fixture.config, "b");
    assert_false(config_task_is_enabled(&fixture.config, a, "t_revision"));
    assert_false(config_task_is_enabled(&fixture.config, a, "t_item"));
    assert_false(config_task_is_enabled(&fixture.config, a, "t_comment"));
    assert_true(config_task_is_enabled(&fixture.config, b, "t_revision"));
    assert_false(config_task_is_enabled(&fixture.config, b, "t_item"));
    assert_false(config_task_is_enabled(&fixture.config, b, "t_comment"));
}

static const struct {
    const char *sources;
    const char *fault;
} cases[] = {
    {SOURCE("a", "t_item: {fields: [System.Title]}"),
     "sources.a.tasks.t_item.fields: t_item has its fields from t_revision; write them there"},
    {SOURCE("a", "t_item: {fields: {Custom.X: text}}"), "t_item has its fields from t_revision"},
    {SOURCE("a", "t_revision: {fields: {System.AssignedTo: text}}"),
     "System.AssignedTo is text here and identity elsewhere"},
    {SOURCE("a", "t_revision: {fields: {System.AssignedTo: {display: true}}}"),
     "System.AssignedTo is an identity, which has a column for the display name already"},
    {SOURCE("a",
            "t_revision: {fields: {Custom.A: {type: jsonb, rest: true},"
            " Custom.B: {type: jsonb, rest: true}}}"),
     "Custom.B cannot take the rest of the record too"},
    {SOURCE("a", "t_revision: {fields: {Custom.A: {type: text, rest: true}}}"),
     "so its type must be jsonb"},
    {SOURCE("a", "t_revision: {fields: {Custom.A: {type: jsonb, rest: true}}}")
         SOURCE("b", "t_revision: {fields: {Custom.A: jsonb}}"),
     "Custom.A is jsonb here and the rest elsewhere"},
};

static void every_fault_names_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(release) struct fixture fixture = {0};
        if (load(&fixture, cases[i].sources)) {
            fail_msg("accepted: %s", cases[i].sources);
        }
        if (strstr(fixture.faults.ptr, cases[i].fault) == NULL) {
            fail_msg("of %s said: %s", cases[i].sources, fixture.faults.ptr);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_without_wishes_copies_everything),
        cmocka_unit_test(fewer_fields_of_an_origin_are_fewer_of_the_derived),
        cmocka_unit_test(more_fields_of_an_origin_are_more_of_the_derived),
        cmocka_unit_test(a_childs_own_list_keeps_what_loading_needs),
        cmocka_unit_test(a_switched_off_parent_switches_off_its_children),
        cmocka_unit_test(every_fault_names_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
