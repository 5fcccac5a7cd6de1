#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf/catalog.h"
#include "tests/unit/common/conf/conf_files.h"

static const char *
mapped(const struct catalog *catalog, const char *type, const char *kind, const char *raw)
{
    for (size_t i = 0; i < catalog->n_mappings; i++) {
        const struct mapping_def *mapping = &catalog->mappings[i];
        if (strcmp(mapping->source_type, type) == 0 && strcmp(mapping->kind, kind) == 0 &&
            strcmp(mapping->raw, raw) == 0) {
            return mapping->mapped;
        }
    }
    return "nothing";
}

static void the_shipped_mappings_are_those_agreed(void **state)
{
    (void)state;
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    assert_true(catalog_load(&catalog, NULL, 0, NULL, &err));
    assert_string_equal(mapped(&catalog, "servicenow", "status", "8"), "cancelled");
    assert_string_equal(mapped(&catalog, "servicenow", "status", "20"), "nothing");
    assert_string_equal(mapped(&catalog, "glpi", "status", "10"), "new");
    assert_string_equal(mapped(&catalog, "glpi", "priority", "6"), "1");
    assert_string_equal(mapped(&catalog, "azure_devops", "status", "Completed"), "closed");
}

static void a_later_file_overrides_single_entries(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    (void)conf_files_write(&files, "a.yaml",
                           "source_type: servicenow\n"
                           "mappings: {status: {\"20\": pending, \"1\": closed}}\n");
    (void)conf_files_write(&files, "b.yaml",
                           "source_type: servicenow\nmappings: {status: {\"20\": unmapped}}\n");
    const char *const paths[] = {files.folder};
    assert_true(catalog_load(&catalog, paths, 1, NULL, &err));
    assert_string_equal(mapped(&catalog, "servicenow", "status", "20"), "unmapped");
    assert_string_equal(mapped(&catalog, "servicenow", "status", "1"), "closed");
    assert_string_equal(mapped(&catalog, "servicenow", "status", "2"), "in_progress");
}

static void every_fault_of_a_mapping_names_its_place(void **state)
{
    (void)state;

    static const struct {
        const char *yaml;
        const char *words;
    } cases[] = {
        {"mappings: {status: {\"1\": open}}", "mappings.status.1 is \"open\"; it must be new, "},
        {"mappings:\n  status: {\"1\": pendign}", "more.yaml:3: mappings.status.1"},
        {"mappings: {status: {\"1\": [new]}}", "mappings.status.1 is \"\""},
        {"mappings: {priority: {\"1\": 6}}", "mappings.priority.1 is \"6\"; it must be a number"},
        {"mappings: {statuses: {}}", "unknown key \"statuses\""},
        {"mappings: {status: {\"1\": new, \"1\": closed}}", "more.yaml:2"},
        {"mappings: [new]", "mappings"},
        {"tasks: {incident: {ticket: nothing}}", "tasks.incident.ticket names \"nothing\""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(conf_files_release) struct conf_files files;
        CLEANUP(buf_release) struct buf yaml;
        conf_files_init(&files);
        buf_init(&yaml, 4096);
        buf_addf(&yaml, "source_type: servicenow\n%s\n", cases[i].yaml);
        const char *const paths[] = {conf_files_write(&files, "more.yaml", yaml.ptr)};
        struct catalog catalog;
        struct error err = ERROR_INIT;
        assert_false(catalog_load(&catalog, paths, 1, NULL, &err));
        if (strstr(err.msg, cases[i].words) == NULL) {
            fail_msg("%s: %s", cases[i].yaml, err.msg);
        }
    }
}

static void a_row_tells_its_ticket_by_its_own_field_or_its_parents(void **state)
{
    (void)state;
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    assert_true(catalog_load(&catalog, NULL, 0, NULL, &err));
    assert_string_equal(catalog_task(&catalog, "servicenow", "incident_sla")->ticket_column,
                        "task");
    assert_string_equal(catalog_task(&catalog, "glpi", "ticket_user")->ticket_column, "tickets_id");
    assert_null(catalog_task(&catalog, "glpi", "ticket")->ticket_column);
    assert_null(catalog_task(&catalog, "azure_devops", "work_item")->ticket_column);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_mappings_are_those_agreed),
        cmocka_unit_test(a_later_file_overrides_single_entries),
        cmocka_unit_test(every_fault_of_a_mapping_names_its_place),
        cmocka_unit_test(a_row_tells_its_ticket_by_its_own_field_or_its_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
