#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf/catalog.h"
#include "tests/unit/common/conf/catalog_fixture.h"
#include "tests/unit/common/conf/conf_files.h"

static const struct column *find_column(const struct task_def *task, const char *name)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        if (strcmp(task->columns[i].name, name) == 0) {
            return &task->columns[i];
        }
    }
    return NULL;
}

/* For what must be there. */
static const struct column *get_column(const struct task_def *task, const char *name)
{
    const struct column *column = find_column(task, name);
    assert(column != NULL);
    return column;
}

static void the_shipped_catalog_has_the_agreed_tasks(void **state)
{
    (void)state;

    static const struct {
        const char *task;
        const char *load;
        const char *table;
        const char *window;
        const char *filter;
    } expected[] = {
        {"incident", "incidents", "incident", "opened_at", NULL},
        {"incident_sla", "incidents", "task_sla", "sys_created_on", "task.sys_class_name=incident"},
        {"incident_task", "incidents", "incident_task", "sys_created_on", NULL},
        {"task_time_worked", "incidents", "task_time_worked", "sys_created_on", NULL},
        {"contract_sla", "configurations", "contract_sla", NULL, NULL},
        {"groups", "configurations", "sys_user_group", NULL, NULL},
        {"sys_company", "configurations", "core_company", NULL, NULL},
        {"sys_user", "configurations", "sys_user", NULL, NULL},
        {"cmdb_ci_network_link", "configurations", "cmdb_ci_network_link", NULL, NULL},
    };
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    assert_true(catalog_load(&catalog, NULL, 0, NULL, &err));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        const struct task_def *task = catalog_task(&catalog, "servicenow", expected[i].task);
        assert_non_null(task);
        assert_string_equal(task->load, expected[i].load);
        assert_string_equal(task->table, expected[i].table);
        assert_int_equal(task->n_key_columns, 1);
        assert_string_equal(task->columns[task->key_columns[0]].name, "sys_id");
        assert_string_equal(task->columns[task->version_column].name, "sys_updated_on");
        assert_string_equal(task->columns[task->revision_column].name, "sys_mod_count");
        if (expected[i].window == NULL) {
            assert_int_equal(task->window_column, -1);
        } else {
            assert_string_equal(task->columns[task->window_column].name, expected[i].window);
        }
        assert_true((task->filter == NULL) == (expected[i].filter == NULL));
        assert_true(task->filter == NULL || strcmp(task->filter, expected[i].filter) == 0);
    }
    assert_int_equal(catalog_find_load(&catalog, "configurations")->parallel, 3);
    assert_int_equal(catalog_find_load(&catalog, "incidents")->n_tasks, 4);
    assert_null(catalog_find_load(&catalog, "nothing"));
}

static void the_shipped_catalog_has_the_agreed_columns(void **state)
{
    (void)state;

    static const struct {
        const char *task;
        const char *columns;
    } least[] = {
        {"incident",
         "number short_description state active priority impact urgency category subcategory "
         "contact_type close_code assignment_group assigned_to caller_id opened_by resolved_by "
         "opened_at resolved_at closed_at sys_created_on sys_updated_on sys_mod_count made_sla "
         "reassignment_count reopen_count"},
        {"incident_sla",
         "task sla stage active has_breached start_time end_time duration sys_created_on "
         "sys_updated_on"},
        {"incident_task",
         "number short_description state active incident assigned_to opened_at sys_created_on "
         "sys_updated_on"},
        {"task_time_worked", "task user time_in_seconds sys_created_on sys_updated_on"},
        {"contract_sla", "name active target duration sys_updated_on"},
        {"groups", "name active sys_updated_on sn_source"},
        {"sys_company", "name city country sys_updated_on"},
        {"sys_user", "name user_name email active sys_updated_on"},
        {"cmdb_ci_network_link", "name company install_status sys_updated_on"},
    };
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    assert_true(catalog_load(&catalog, NULL, 0, NULL, &err));
    for (size_t i = 0; i < ARRAY_SIZE(least); i++) {
        const struct task_def *task = catalog_task(&catalog, "servicenow", least[i].task);
        struct str rest = str_from(least[i].columns);
        while (rest.ptr != NULL) {
            struct str name = str_cut(&rest, ' ');
            bool found = false;
            for (size_t j = 0; j < task->n_columns; j++) {
                found = found || str_equal_c(name, task->columns[j].name);
            }
            if (!found) {
                fail_msg("%s lacks %.*s", least[i].task, STR_ARG(name));
            }
        }
    }
    assert_int_equal(catalog_task(&catalog, "servicenow", "incident")->n_columns, 40);
}

static void a_field_is_added_with_one_line(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    load_with(&catalog, &files,
              "source_type: servicenow\ntasks: {incident: {fields: {u_site: text}}}\n");
    const struct task_def *task = catalog_task(&catalog, "servicenow", "incident");
    assert_int_equal(task->n_columns, 41);
    assert_non_null(find_column(task, "u_site"));
    assert_string_equal(task->load, "incidents");
}

static void a_table_is_added_with_its_load(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    load_with(&catalog, &files,
              "source_type: servicenow\n"
              "loads: {changes: {parallel: 2}}\n"
              "tasks:\n"
              "  change_request:\n"
              "    load: changes\n"
              "    key: [sys_id]\n"
              "    page_size: 200\n"
              "    indexes: ['state,number']\n"
              "    fields: {sys_id: text, number: text, caller_id.email: text,\n"
              "             state: {type: integer, display: true}, etl_x: date}\n");
    const struct task_def *task = catalog_task(&catalog, "servicenow", "change_request");
    assert_string_equal(task->table, "change_request");
    assert_int_equal(task->page_size, 200);
    assert_int_equal(task->version_column, -1);
    assert_string_equal(task->indexes[0], "state, number");
    assert_non_null(strstr(task->defined_at, "more.yaml:4"));
    assert_int_equal(task->n_columns, 6);
    assert_non_null(find_column(task, "caller_id_email"));
    assert_non_null(find_column(task, "sn_etl_x"));
    assert_int_equal(get_column(task, "dv_state")->type, COLUMN_TEXT);
    assert_int_equal(get_column(task, "dv_state")->part, 1);
    assert_int_equal(get_column(task, "dv_state")->field, get_column(task, "state")->field);
    assert_ptr_equal(catalog_find_load(&catalog, "changes")->tasks[0], task);
    assert_int_equal(catalog_find_load(&catalog, "changes")->parallel, 2);
}

static void single_properties_of_shipped_tasks_change(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    load_with(&catalog, &files,
              "source_type: servicenow\n"
              "loads: {configurations: {parallel: 1}}\n"
              "tasks: {incident: {page_size: 250, indexes: [], filter: active=true,\n"
              "                   fields: {assigned_to: {display: true}}}}\n");
    const struct task_def *task = catalog_task(&catalog, "servicenow", "incident");
    assert_int_equal(task->page_size, 250);
    assert_int_equal(task->n_indexes, 0);
    assert_string_equal(task->filter, "active=true");
    assert_non_null(find_column(task, "dv_assigned_to"));
    assert_string_equal(task->fields[get_column(task, "assigned_to")->field].ref, "sys_user");
    assert_int_equal(catalog_find_load(&catalog, "configurations")->parallel, 1);
}

static void a_folder_is_read_in_name_order(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    (void)conf_files_write(&files, "b.yaml",
                           "source_type: servicenow\ntasks: {incident: {page_size: 2}}\n");
    (void)conf_files_write(&files, "a.yaml",
                           "source_type: servicenow\ntasks: {incident: {page_size: 1}}\n");
    (void)conf_files_write(&files, "c.txt", "not yaml: [\n");
    const char *const paths[] = {files.folder};
    assert_true(catalog_load(&catalog, paths, 1, NULL, &err));
    assert_int_equal(catalog_task(&catalog, "servicenow", "incident")->page_size, 2);
}

#define TYPE "source_type: servicenow\n"
#define NEW  TYPE "tasks: {x: {load: incidents, key: [sys_id], "

static const struct catalog_fault cases[] = {
    {"tasks: {}\n", "lacks the key \"source_type\""},
    {"source_type: jira\n", "source_type is \"jira\"; write one of: servicenow, glpi"},
    {TYPE "task: {}\n", ":2: unknown key \"task\" in the file; did you mean \"tasks\"?"},
    {TYPE "tasks: {incident: {feilds: {}}}\n", "did you mean \"fields\"?"},
    {TYPE "tasks: {incident: {fields: {state: text}}}\n",
     ":2: tasks.incident.state is text here and integer at servicenow.yaml:"},
    {TYPE "tasks: {incident: {fields: {u_a: txt}}}\n", "did you mean \"text\"?"},
    {TYPE "tasks: {incident: {fields: {u_a: }}}\n", "tasks.incident.u_a needs a type"},
    {TYPE "tasks: {incident: {fields: {u_a: {ref: x}}}}\n", "tasks.incident.u_a needs a type"},
    {TYPE "tasks: {incident: {fields: {u_a: [text]}}}\n", "tasks.incident.u_a needs a type"},
    {TYPE "tasks: {incident: {fields: {u_a: text, u_a: text}}}\n", "duplicate key \"u_a\""},
    {TYPE "tasks: {incident: {fields: {'a^b': text}}}\n", "a field name must be"},
    {TYPE "tasks: {incident: {fields: {ctid: text}}}\n", "which PostgreSQL keeps for itself"},
    {TYPE "tasks: {incident: {fields: {u.state: text, u_state: text}}}\n",
     "field u_state would land as u_state, which is another field's column already"},
    {TYPE "tasks: {incident: {fields: {dv_state: text, state: {display: true}}}}\n",
     "would land as dv_state, which is another field's column already"},
    {TYPE "tasks: {incident: {fields: "
          "{u_a23456789b123456789c123456789d123456789e123456789f123456789gggg: text}}}\n",
     "longer than the 63 bytes PostgreSQL allows"},
    {TYPE "tasks: {incident: {indexes: [nothing]}}\n",
     "tasks.incident.indexes names the column \"nothing\", which the table does not have"},
    {TYPE "tasks: {incident: {page_size: 0}}\n", "write a value from 1 to 10000"},
    {TYPE "tasks: {Incident: {}}\n", "a task name must be a lower-case letter"},
    {TYPE "loads: {Changes: {}}\n", "a load name must be a lower-case letter"},
    {TYPE "loads: {incidents: {parallel: 99}}\n", "write a value from 1 to 64"},
    {"source_type: glpi\nloads: {incidents: {}}\n",
     "loads.incidents is a load of glpi here and of servicenow at servicenow.yaml:"},
    {TYPE "tasks: {x: {key: [a], fields: {a: text}}}\n", "tasks.x lacks the key \"load\""},
    {TYPE "tasks: {x: {load: incidents, fields: {a: text}}}\n", "tasks.x lacks the key \"key\""},
    {TYPE "tasks: {x: {load: incidents, key: [a]}}\n", "tasks.x lacks the key \"fields\""},
    {TYPE "tasks: {x: {load: incidnts, key: [a], fields: {a: text}}}\n",
     "tasks.x.load names \"incidnts\", which is no load of servicenow; did you mean "
     "\"incidents\"?"},
    {NEW "fields: {sys_idd: text}}}\n",
     "tasks.x.key names \"sys_id\", which is not among its fields; did you mean \"sys_idd\"?"},
    {NEW "fields: {sys_id: jsonb}}}\n",
     "tasks.x.key names sys_id, which is jsonb; it must be text"},
    {NEW "version: v, fields: {sys_id: text, v: date}}}\n",
     "tasks.x.version names v, which is date; it must be timestamptz"},
    {NEW "version: v, revision: r, fields: {sys_id: text, v: timestamptz, r: text}}}\n",
     "tasks.x.revision names r, which is text; it must be integer or bigint"},
    {NEW "window: w, fields: {sys_id: text, w: text}}}\n", "it must be timestamptz or date"},
    {NEW "revision: r, fields: {sys_id: text, r: integer}}}\n", "has a revision but no version"},
    {TYPE "tasks: [\n", "not valid YAML"},
};

static void every_fault_names_its_place(void **state)
{
    (void)state;
    assert_faults_are_named(cases, ARRAY_SIZE(cases));
}

static void several_faults_are_joined_in_one_message(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    struct catalog catalog;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    const char *const paths[] = {
        conf_files_write(&files, "m.yaml", "source_type: glpi\na: 1\nb: 2\n"), "/nonexistent"};
    assert_false(catalog_load(&catalog, paths, 2, NULL, &err));
    assert_non_null(strstr(err.msg, "m.yaml:2: unknown key \"a\""));
    assert_non_null(strstr(err.msg, "; "));
    assert_non_null(strstr(err.msg, "cannot read /nonexistent"));
}

static void types_have_postgresql_names(void **state)
{
    (void)state;
    assert_string_equal(column_type_name(COLUMN_TEXT), "text");
    assert_string_equal(column_type_name(COLUMN_TIMESTAMPTZ), "timestamptz");
    assert_string_equal(column_type_name(COLUMN_JSONB), "jsonb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_catalog_has_the_agreed_tasks),
        cmocka_unit_test(the_shipped_catalog_has_the_agreed_columns),
        cmocka_unit_test(a_field_is_added_with_one_line),
        cmocka_unit_test(a_table_is_added_with_its_load),
        cmocka_unit_test(single_properties_of_shipped_tasks_change),
        cmocka_unit_test(a_folder_is_read_in_name_order),
        cmocka_unit_test(every_fault_names_its_place),
        cmocka_unit_test(several_faults_are_joined_in_one_message),
        cmocka_unit_test(types_have_postgresql_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
