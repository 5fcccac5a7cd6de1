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

/* Children before their parents, a derived task before its origin: all that tasks may say of each
 * other. */
#define AZURE                                                                                      \
    "source_type: azure_devops\n"                                                                  \
    "loads: {t-items: {}, t-projects: {}}\n"                                                       \
    "tasks:\n"                                                                                     \
    "  t_item:\n"                                                                                  \
    "    load: t-items\n"                                                                          \
    "    latest_of: t_revision\n"                                                                  \
    "    key: [System.Id]\n"                                                                       \
    "    window: System.CreatedDate\n"                                                             \
    "    gone: gone_since\n"                                                                       \
    "    indexes: [gone_since, assigned_to_id]\n"                                                  \
    "  t_revision:\n"                                                                              \
    "    load: t-items\n"                                                                          \
    "    table: reporting/workitemrevisions\n"                                                     \
    "    key: [System.Id, System.Rev]\n"                                                           \
    "    version: System.ChangedDate\n"                                                            \
    "    revision: System.Rev\n"                                                                   \
    "    created: System.CreatedDate\n"                                                            \
    "    history: true\n"                                                                          \
    "    fields:\n"                                                                                \
    "      System.Id: bigint\n"                                                                    \
    "      System.AssignedTo: identity\n"                                                          \
    "      System.Rev: integer\n"                                                                  \
    "      System.ChangedDate: timestamptz\n"                                                      \
    "      System.CreatedDate: timestamptz\n"                                                      \
    "      fields: {type: jsonb, rest: true}\n"                                                    \
    "  t_identity:\n"                                                                              \
    "    load: t-projects\n"                                                                       \
    "    key: [id]\n"                                                                              \
    "    people_of: t_revision\n"                                                                  \
    "    fields: {id: text, unique_name: text, display_name: text}\n"                              \
    "  t_state:\n"                                                                                 \
    "    load: t-projects\n"                                                                       \
    "    key: [id]\n"                                                                              \
    "    first_seen: first_seen\n"                                                                 \
    "    last_seen: last_seen\n"                                                                   \
    "    fields: {id: text}\n"

#define GLPI                                                                                       \
    "source_type: glpi\n"                                                                          \
    "loads: {t-desk: {}}\n"                                                                        \
    "tasks:\n"                                                                                     \
    "  t_grandchild:\n"                                                                            \
    "    load: t-desk\n"                                                                           \
    "    key: [id]\n"                                                                              \
    "    parent: {task: t_child, field: children_id, refresh: late}\n"                             \
    "    fields: {id: bigint, children_id: integer}\n"                                             \
    "  t_alone: {load: t-desk, key: [id], fields: {id: bigint}}\n"                                 \
    "  t_child:\n"                                                                                 \
    "    load: t-desk\n"                                                                           \
    "    key: [id]\n"                                                                              \
    "    parent: {task: t_parent, field: parents_id}\n"                                            \
    "    fields: {id: bigint, parents_id: bigint}\n"                                               \
    "  t_parent: {load: t-desk, key: [id], fields: {id: bigint}}\n"

/* A column by its index, "" for -1. */
static const char *column_name(const struct task_def *task, int column)
{
    return column < 0 ? "" : task->columns[column].name;
}

static size_t place_of(const struct load_def *load, const char *task)
{
    for (size_t i = 0; i < load->n_tasks; i++) {
        if (strcmp(load->tasks[i]->name, task) == 0) {
            return i;
        }
    }
    fail_msg("%s is not in load %s", task, load->name);
    return 0;
}

static void parents_come_before_their_children(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    load_with(&catalog, &files, GLPI);
    const struct load_def *load = catalog_find_load(&catalog, "t-desk");
    assert_int_equal(load->n_tasks, 4);
    assert_int_equal(place_of(load, "t_parent"), 0);
    assert_int_equal(place_of(load, "t_child"), 1);
    assert_int_equal(place_of(load, "t_grandchild"), 2);
    assert_int_equal(place_of(load, "t_alone"), 3);
}

static void a_child_knows_its_parent(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    load_with(&catalog, &files, GLPI);
    const struct task_def *child = catalog_task(&catalog, "glpi", "t_child");
    const struct task_def *grandchild = catalog_task(&catalog, "glpi", "t_grandchild");
    const struct task_def *alone = catalog_task(&catalog, "glpi", "t_alone");
    assert_string_equal(child->parent, "t_parent");
    assert_string_equal(column_name(child, child->parent_column), "parents_id");
    assert_int_equal(child->parent_refresh, REFRESH_CHANGED);
    assert_int_equal(grandchild->parent_refresh, REFRESH_LATE);
    assert_string_equal(column_name(grandchild, grandchild->parent_column), "children_id");
    assert_null(alone->parent);
    assert_int_equal(alone->parent_column, -1);
    assert_int_equal(alone->created_column, -1);
}

static void a_derived_task_has_what_its_origin_has(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    load_with(&catalog, &files, AZURE);
    const struct task_def *item = catalog_task(&catalog, "azure_devops", "t_item");
    const struct task_def *origin = catalog_task(&catalog, "azure_devops", "t_revision");
    assert_int_equal(item->n_columns, origin->n_columns);
    for (size_t i = 0; i < item->n_columns; i++) {
        assert_string_equal(item->columns[i].name, origin->columns[i].name);
    }
    assert_int_equal(item->n_key_columns, 1);
    assert_string_equal(column_name(item, (int)item->key_columns[0]), "id");
    assert_string_equal(item->latest_of, "t_revision");
    assert_string_equal(item->parent, "t_revision");
    assert_string_equal(column_name(item, item->parent_column), "id");
    assert_int_equal(item->parent_refresh, REFRESH_CHANGED);
    assert_string_equal(column_name(item, item->version_column), "changed_date");
    assert_string_equal(column_name(item, item->revision_column), "rev");
    assert_string_equal(column_name(item, item->created_column), "created_date");
    assert_string_equal(column_name(item, item->window_column), "created_date");
    assert_int_equal(origin->window_column, -1);
    assert_string_equal(item->table, "reporting/workitemrevisions");
    assert_false(item->is_history);
    assert_true(origin->is_history);
    const struct load_def *load = catalog_find_load(&catalog, "t-items");
    assert_true(place_of(load, "t_revision") < place_of(load, "t_item"));
}

static void a_field_added_to_the_origin_serves_both(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    (void)conf_files_write(&files, "a.yaml", AZURE);
    (void)conf_files_write(&files, "b.yaml",
                           "source_type: azure_devops\n"
                           "tasks: {t_revision: {fields: {Custom.Site: text}}}\n");
    const char *const paths[] = {files.folder};
    if (!catalog_load(&catalog, paths, 1, NULL, &err)) {
        fail_msg("%s", err.msg);
    }
    const struct task_def *item = catalog_task(&catalog, "azure_devops", "t_item");
    assert_string_equal(item->columns[item->n_columns - 1].name, "site");
}

static void people_come_from_identities_of_any_load(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    load_with(&catalog, &files, AZURE);
    const struct task_def *identity = catalog_task(&catalog, "azure_devops", "t_identity");
    assert_string_equal(identity->people_of, "t_revision");
    assert_null(identity->parent);
    assert_int_equal(identity->parent_column, -1);
}

static void columns_of_the_engine_are_no_fields(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(catalog_release) struct catalog catalog;
    load_with(&catalog, &files, AZURE);
    const struct task_def *item = catalog_task(&catalog, "azure_devops", "t_item");
    const struct task_def *kept = catalog_task(&catalog, "azure_devops", "t_state");
    assert_string_equal(item->gone_column, "gone_since");
    assert_null(item->first_seen_column);
    assert_string_equal(item->indexes[0], "gone_since");
    assert_string_equal(kept->first_seen_column, "first_seen");
    assert_string_equal(kept->last_seen_column, "last_seen");
    assert_int_equal(kept->n_columns, 1);
}

#define DESK          "source_type: glpi\nloads: {d: {}, e: {}}\ntasks:\n"
#define PARENT        "  p: {load: d, key: [id], fields: {id: bigint, t: text}}\n"
#define PAIR          "  r: {load: d, key: [id, rev], fields: {id: bigint, rev: integer, s: text}}\n"
#define CHILD(parent) "  c: {load: d, key: [id], fields: {id: bigint, p_id: bigint}, " parent "}\n"

static const struct catalog_fault cases[] = {
    /* parents */
    {DESK PARENT CHILD("parent: p"), "tasks.c.parent must be a mapping"},
    {DESK PARENT CHILD("parent: {task: p}"), "more.yaml:5: tasks.c.parent lacks the key \"field\""},
    {DESK PARENT CHILD("parent: {field: p_id}"), "tasks.c.parent lacks the key \"task\""},
    {DESK PARENT CHILD("parent: {}"), "tasks.c.parent lacks the key \"task\""},
    {DESK PARENT CHILD("parent: {tsk: p, field: p_id}"),
     "unknown key \"tsk\" in tasks.c.parent; did you mean \"task\"?"},
    {DESK PARENT CHILD("parent: {task: p, field: p_id, refresh: lat}"),
     "tasks.c.parent.refresh is \"lat\"; did you mean \"late\"?"},
    {DESK PARENT CHILD("parent: {task: c, field: p_id}"),
     "tasks.c.parent names the task itself; name another one"},
    {DESK "  prnt: {load: d, key: [id], fields: {id: bigint}}\n" CHILD(
         "parent: {task: prn, field: p_id}"),
     ":5: tasks.c.parent names \"prn\", which is no task of glpi; did you mean \"prnt\"?"},
    {DESK PARENT CHILD("parent: {task: incident, field: p_id}"), "which is no task of glpi"},
    {DESK PARENT CHILD("parent: {task: p, field: p_idd}"),
     "tasks.c.parent names \"p_idd\", which is not among its fields; did you mean \"p_id\"?"},
    {DESK
     "  p: {load: e, key: [id], fields: {id: bigint}}\n" CHILD("parent: {task: p, field: p_id}"),
     "tasks.c.parent names p, which belongs to the load e, not to d"},
    {DESK "  p: {load: d, key: [t], fields: {t: text}}\n" CHILD("parent: {task: p, field: p_id}"),
     "tasks.c.parent.field names p_id, which is bigint; the key of p is text"},
    {DESK PAIR CHILD("parent: {task: r, field: p_id}"),
     "tasks.c.parent names r, whose key has 2 fields; a parent has one"},
    {DESK "  p: {load: d, key: [id], fields: {id: bigint}, parent: {task: c, field: id}}\n" CHILD(
         "parent: {task: p, field: p_id}"),
     ":4: tasks.p.parent leads back to p; a task cannot be its own ancestor"},
    /* derived tasks */
    {DESK PAIR "  l: {load: d, key: [id], latest_of: rr}\n",
     ":5: tasks.l.latest_of names \"rr\", which is no task of glpi; did you mean \"r\"?"},
    {DESK PAIR "  l: {load: d, key: [rev], latest_of: r}\n",
     ":5: tasks.l.key must be the key of r without its last field; write [id]"},
    {DESK PAIR "  l: {load: d, key: [id, rev], latest_of: r}\n", "write [id]"},
    {DESK PAIR "  l: {load: d, latest_of: r}\n", "tasks.l lacks the key \"key\""},
    {DESK PARENT "  l: {load: d, key: [id], latest_of: p}\n",
     "tasks.l.latest_of needs a task with two key fields, of which the second tells the latest; p "
     "has 1"},
    {DESK "  r: {load: d, key: [id, s], fields: {id: bigint, s: text}}\n"
          "  l: {load: d, key: [id], latest_of: r}\n",
     "tasks.l.latest_of: the last key field of r is text; it must be integer or bigint"},
    {DESK PAIR "  l: {load: e, key: [id], latest_of: r}\n",
     "tasks.l.latest_of names r, which belongs to the load d, not to e"},
    {DESK PAIR PARENT "  l: {load: d, key: [id], latest_of: r, parent: {task: p, field: id}}\n",
     "tasks.l has latest_of, so its parent is r and it has nothing else"},
    {DESK PAIR "  l: {load: d, key: [id], latest_of: r}\n"
               "  m: {load: d, key: [id], latest_of: l}\n",
     ":6: tasks.m.latest_of names l, which is derived itself"},
    {DESK PAIR "  l: {load: d, key: [id], latest_of: r, fields: {x: text}}\n",
     "tasks.l has its fields from r, where x is not or is another; declare it there only"},
    {DESK PAIR "  l: {load: d, key: [id], latest_of: r, fields: {s: jsonb}}\n",
     "tasks.l has its fields from r, where s is not or is another"},
    {DESK "  l: {load: d, key: [id], latest_of: r}\n"
          "  r: {load: d, key: [id, rev], fields: {id: bigint, rev: integer},\n"
          "      parent: {task: l, field: id}}\n",
     "tasks.l.latest_of leads back to l"},
    {DESK PARENT CHILD("people_of: p"),
     "tasks.c.people_of names p, which has no field of the type identity"},
    {DESK PARENT CHILD("people_of: pp"),
     "tasks.c.people_of names \"pp\", which is no task of glpi"},
    /* columns of the engine */
    {DESK "  c: {load: d, key: [id], fields: {id: bigint}, history: maybe}\n",
     "tasks.c.history is \"maybe\"; write true or false"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint}, gone: Gone}\n",
     ":4: tasks.c.gone is \"Gone\"; a column must be a lower-case letter"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint}, gone: source}\n",
     "tasks.c.gone is \"source\", which is a column of every table"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint}, last_seen: etl_seen}\n",
     "tasks.c.last_seen is \"etl_seen\", which is a column of every table"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint}, first_seen: xmin}\n",
     "tasks.c.first_seen is \"xmin\", which is a column of every table"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint}, gone: at, last_seen: at}\n",
     "tasks.c.last_seen and gone both name at; each has its own"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint, Gone-At: text}, gone: gone_at}\n",
     "field Gone-At would land as gone_at, which is a column that foz keeps (gone)"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint}, created: id}\n",
     "tasks.c.created names id, which is bigint; it must be timestamptz"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint}, created: at}\n",
     "tasks.c.created names \"at\", which is not among its fields"},
    /* fields */
    {DESK "  c: {load: d, key: [id], fields: {id: bigint, who: identity}}\n",
     ":4: field who is an identity, which only azure_devops has"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint, r: {type: text, rest: true}}}\n",
     "tasks.c.r takes the rest of the record, so its type must be jsonb"},
    {DESK "  c: {load: d, key: [id], fields: {id: bigint, a: {type: jsonb, rest: true},\n"
          "      b: {type: jsonb, rest: true}}}\n",
     ":5: tasks.c: fields a and b both take the rest of the record; one can"},
    {"source_type: azure_devops\nloads: {d: {}}\ntasks:\n"
     "  c: {load: d, key: [id], fields: {id: bigint, who: {type: identity, display: true}}}\n",
     "tasks.c.who is an identity, which has a column for the display name already"},
};

static void every_fault_names_its_place(void **state)
{
    (void)state;
    assert_faults_are_named(cases, ARRAY_SIZE(cases));
}

/* A type is given once; later files cannot make a text of a person. */
static void an_identity_stays_an_identity(void **state)
{
    (void)state;
    static const char *const more[] = {"text", "{type: text}"};
    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        CLEANUP(conf_files_release) struct conf_files files;
        CLEANUP(buf_release) struct buf text;
        struct catalog catalog;
        struct error err = ERROR_INIT;
        conf_files_init(&files);
        buf_init(&text, 10000);
        buf_addf(&text,
                 "source_type: azure_devops\n"
                 "tasks: {t_revision: {fields: {System.AssignedTo: %s}}}\n",
                 more[i]);
        (void)conf_files_write(&files, "a.yaml", AZURE);
        (void)conf_files_write(&files, "b.yaml", text.ptr);
        const char *const paths[] = {files.folder};
        assert_false(catalog_load(&catalog, paths, 1, NULL, &err));
        assert_non_null(strstr(err.msg, "System.AssignedTo is text here and identity at"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parents_come_before_their_children),
        cmocka_unit_test(a_child_knows_its_parent),
        cmocka_unit_test(a_derived_task_has_what_its_origin_has),
        cmocka_unit_test(a_field_added_to_the_origin_serves_both),
        cmocka_unit_test(people_come_from_identities_of_any_load),
        cmocka_unit_test(columns_of_the_engine_are_no_fields),
        cmocka_unit_test(every_fault_names_its_place),
        cmocka_unit_test(an_identity_stays_an_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
