#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf/catalog_task.h"
#include "tests/unit/common/conf/conf_files.h"

static void assert_name(const char *type, const char *field, bool full, const char *expected)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct option_reader reader = {.arena = &arena};
    assert_string_equal(catalog_column_name(&reader, type, field, full), expected);
    arena_release(&arena);
}

struct naming {
    const char *type;
    const char *field;
    const char *column;
};

static void assert_names(const struct naming *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_name(names[i].type, names[i].field, false, names[i].column);
    }
}

static void servicenow_names_stay(void **state)
{
    (void)state;
    static const struct naming names[] = {
        {"servicenow", "sys_id", "sys_id"},
        {"servicenow", "caller_id.email", "caller_id_email"},
        {"servicenow", "u_Site", "u_site"},
        {"servicenow", "u-x", "u_x"},
    };
    assert_names(names, ARRAY_SIZE(names));
}

static void names_of_ours_get_a_prefix(void **state)
{
    (void)state;
    static const struct naming names[] = {
        {"servicenow", "source", "sn_source"}, {"servicenow", "etl_id", "sn_etl_id"},
        {"glpi", "source", "glpi_source"},     {"azure_devops", "Custom.Source", "ado_source"},
        {"servicenow", "sources", "sources"},  {"servicenow", "etl", "etl"},
    };
    assert_names(names, ARRAY_SIZE(names));
}

static void azure_names_lose_their_namespace(void **state)
{
    (void)state;
    static const struct naming names[] = {
        {"azure_devops", "System.ChangedDate", "changed_date"},
        {"azure_devops", "Microsoft.VSTS.Common.Priority", "priority"},
        {"azure_devops", "System.Id", "id"},
        {"azure_devops", "System.IterationID", "iteration_id"},
        {"azure_devops", "Custom.HTTPStatusCode", "http_status_code"},
        {"azure_devops", "System.AreaLevel1", "area_level1"},
        {"azure_devops", "Title", "title"},
        {"azure_devops", "Custom.", "custom_"},
    };
    assert_names(names, ARRAY_SIZE(names));
}

/* What a feed of work items is asked for, and where it lands. */
static void common_azure_fields_have_telling_columns(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"System.Id", "id"},
        {"System.Rev", "rev"},
        {"System.TeamProject", "team_project"},
        {"System.WorkItemType", "work_item_type"},
        {"System.Title", "title"},
        {"System.State", "state"},
        {"System.Reason", "reason"},
        {"System.AssignedTo", "assigned_to"},
        {"System.CreatedDate", "created_date"},
        {"System.CreatedBy", "created_by"},
        {"System.ChangedDate", "changed_date"},
        {"System.ChangedBy", "changed_by"},
        {"System.AreaPath", "area_path"},
        {"System.IterationPath", "iteration_path"},
        {"System.Tags", "tags"},
        {"System.IsDeleted", "is_deleted"},
        {"System.Watermark", "watermark"},
        {"System.Parent", "parent"},
        {"System.CommentCount", "comment_count"},
        {"System.BoardColumnDone", "board_column_done"},
        {"Microsoft.VSTS.Common.Priority", "priority"},
        {"Microsoft.VSTS.Common.Severity", "severity"},
        {"Microsoft.VSTS.Common.StateChangeDate", "state_change_date"},
        {"Microsoft.VSTS.Common.ClosedDate", "closed_date"},
        {"Microsoft.VSTS.Common.ResolvedDate", "resolved_date"},
        {"Microsoft.VSTS.Common.Activity", "activity"},
        {"Microsoft.VSTS.Scheduling.OriginalEstimate", "original_estimate"},
        {"Microsoft.VSTS.Scheduling.RemainingWork", "remaining_work"},
        {"Microsoft.VSTS.Scheduling.CompletedWork", "completed_work"},
        {"Microsoft.VSTS.Scheduling.DueDate", "due_date"},
        {"Microsoft.VSTS.Scheduling.TargetDate", "target_date"},
        {"Microsoft.VSTS.Scheduling.StoryPoints", "story_points"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_name("azure_devops", names[i][0], false, names[i][1]);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(names[i][1], names[j][1]);
        }
    }
}

static void glpi_names_stay(void **state)
{
    (void)state;
    static const char *const names[] = {"id",
                                        "entities_id",
                                        "users_id_recipient",
                                        "itilcategories_id",
                                        "date_mod",
                                        "solvedate",
                                        "takeintoaccount_delay_stat",
                                        "slas_id_ttr",
                                        "is_deleted",
                                        "time_to_own",
                                        "itemtype_link"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_name("glpi", names[i], false, names[i]);
    }
    assert_name("glpi", "etl_hash", false, "glpi_etl_hash");
}

/* All three of them, or a reader could not tell which belong together. */
static void columns_of_an_identity_keep_their_namespace_together(void **state)
{
    (void)state;
    static const char *const expected[] = {"id",
                                           "owner_id",
                                           "custom_owner",
                                           "custom_owner_id",
                                           "custom_owner_display",
                                           "custom_owner2",
                                           "owner2",
                                           "owner2_id",
                                           "owner2_display"};
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    const char *const paths[] = {
        conf_files_write(&files, "azure.yaml",
                         "source_type: azure_devops\n"
                         "loads: {items: {}}\n"
                         "tasks:\n"
                         "  thing:\n"
                         "    load: items\n"
                         "    key: [System.Id]\n"
                         "    fields: {System.Id: bigint, System.OwnerId: text,\n"
                         "             Custom.Owner: identity, Custom.custom_owner2: text,\n"
                         "             System.Owner2: identity}\n")};
    assert_true(catalog_load(&catalog, paths, 1, NULL, &err));
    const struct task_def *task = catalog_task(&catalog, "azure_devops", "thing");
    assert_int_equal(task->n_columns, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_string_equal(task->columns[i].name, expected[i]);
    }
    assert_int_equal(task->columns[2].part, PART_VALUE);
    assert_int_equal(task->columns[3].part, PART_ID);
    assert_int_equal(task->columns[4].part, PART_DISPLAY_NAME);
    assert_int_equal(task->columns[4].type, COLUMN_TEXT);
    assert_int_equal(task->columns[4].field, 2);
    assert_true(task->fields[2].identity);
    assert_int_equal(task->fields[2].type, COLUMN_TEXT);
}

static void a_clash_keeps_the_namespace(void **state)
{
    (void)state;
    assert_name("azure_devops", "Custom.Priority", true, "custom_priority");
    assert_name("azure_devops", "Microsoft.VSTS.Common.Priority", true,
                "microsoft_vsts_common_priority");
}

static void the_second_of_two_equal_azure_names_keeps_its_namespace(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    const char *const paths[] = {
        conf_files_write(&files, "azure.yaml",
                         "source_type: azure_devops\n"
                         "loads: {items: {}}\n"
                         "tasks:\n"
                         "  thing:\n"
                         "    load: items\n"
                         "    key: [System.Id, System.Rev]\n"
                         "    fields: {System.Id: bigint, System.Rev: integer,\n"
                         "             Microsoft.VSTS.Common.Priority: integer,\n"
                         "             Custom.Priority: text}\n")};
    assert_true(catalog_load(&catalog, paths, 1, NULL, &err));
    const struct task_def *task = catalog_task(&catalog, "azure_devops", "thing");
    assert_int_equal(task->n_key_columns, 2);
    assert_string_equal(task->columns[task->key_columns[1]].name, "rev");
    assert_string_equal(task->columns[2].name, "priority");
    assert_string_equal(task->columns[3].name, "custom_priority");
}

/* "tasks:" with one task of this many text fields, `displayed` of them with a second column. */
static void write_wide_task(struct buf *yaml, int n_fields, int displayed)
{
    buf_add_c(yaml, "source_type: servicenow\nloads: {wide: {}}\ntasks:\n"
                    "  wide:\n    load: wide\n    key: [f0]\n    fields:\n");
    for (int i = 0; i < n_fields; i++) {
        buf_addf(yaml, "      f%d: %s\n", i,
                 i > 0 && i <= displayed ? "{type: text, display: true}" : "text");
    }
}

static bool load_wide(int n_fields, int displayed, struct buf *faults)
{
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    CLEANUP(buf_release) struct buf yaml;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    buf_init(&yaml, 100000);
    buf_reset(faults);
    write_wide_task(&yaml, n_fields, displayed);
    const char *const paths[] = {conf_files_write(&files, "wide.yaml", yaml.ptr)};
    return catalog_load(&catalog, paths, 1, faults, &err);
}

static void a_table_has_no_more_columns_than_a_record_is_typed_into(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf faults;
    buf_init(&faults, 100000);
    if (!load_wide(TASK_MAX_COLUMNS - 10, 10, &faults)) {
        fail_msg("%s", faults.ptr);
    }
    assert_false(load_wide(TASK_MAX_COLUMNS - 10, 11, &faults));
    assert_non_null(
        strstr(faults.ptr, "wide.yaml:4: tasks.wide has 513 columns, more than the 512"));
    assert_false(load_wide(TASK_MAX_COLUMNS + 1, 0, &faults));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servicenow_names_stay),
        cmocka_unit_test(names_of_ours_get_a_prefix),
        cmocka_unit_test(azure_names_lose_their_namespace),
        cmocka_unit_test(common_azure_fields_have_telling_columns),
        cmocka_unit_test(glpi_names_stay),
        cmocka_unit_test(columns_of_an_identity_keep_their_namespace_together),
        cmocka_unit_test(a_clash_keeps_the_namespace),
        cmocka_unit_test(the_second_of_two_equal_azure_names_keeps_its_namespace),
        cmocka_unit_test(a_table_has_no_more_columns_than_a_record_is_typed_into),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
