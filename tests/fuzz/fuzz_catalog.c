#include <string.h>

#include "common/base/str.h"
#include "common/conf/catalog.h"
#include "tests/fuzz/conf_input.h"

/*
 * Any bytes as an operator's catalog file on top of the shipped catalog:
 *   - what is refused is refused with words;
 *   - every task of what is accepted can become a table: columns are distinct identifiers, and
 *     every index points to something;
 *   - parents exist, come first, and have the key that their children hold.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void claim_columns(const struct task_def *task)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        const char *name = task->columns[i].name;
        CLAIM(task->columns[i].field < task->n_fields);
        CLAIM(name[0] != '\0' && strlen(name) <= 63);
        CLAIM(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name));
        CLAIM(strcmp(name, "source") != 0 && strncmp(name, "etl_", 4) != 0);
        for (size_t j = 0; j < i; j++) {
            CLAIM(strcmp(name, task->columns[j].name) != 0);
        }
    }
}

/* What tasks are to each other, as the engine relies on it. */
static void claim_family(const struct catalog *catalog, const struct task_def *task)
{
    CLAIM((task->parent == NULL) == (task->parent_column < 0));
    CLAIM(task->latest_of == NULL || strcmp(task->latest_of, task->parent) == 0);
    CLAIM(task->people_of == NULL ||
          catalog_task(catalog, task->source_type, task->people_of) != NULL);
    if (task->parent == NULL) {
        return;
    }
    const struct task_def *parent = catalog_task(catalog, task->source_type, task->parent);
    CLAIM(parent != NULL && strcmp(parent->load, task->load) == 0);
    const struct load_def *load = catalog_find_load(catalog, task->load);
    bool has_parent = false;
    for (size_t i = 0; load->tasks[i] != task; i++) {
        CLAIM(i < load->n_tasks);
        has_parent = has_parent || load->tasks[i] == parent;
    }
    CLAIM(has_parent);
    CLAIM(parent->n_key_columns == (task->latest_of != NULL ? 2 : 1));
    CLAIM(task->latest_of == NULL || task->n_columns == parent->n_columns);
    for (size_t i = 0; task->latest_of != NULL && i < task->n_columns; i++) {
        CLAIM(strcmp(task->columns[i].name, parent->columns[i].name) == 0);
    }
}

/* Columns that the engine keeps are identifiers of their own. */
static void claim_kept(const struct task_def *task)
{
    const char *const kept[] = {task->gone_column, task->first_seen_column, task->last_seen_column};
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        for (size_t j = 0; kept[i] != NULL && j < task->n_columns; j++) {
            CLAIM(strcmp(kept[i], task->columns[j].name) != 0);
        }
        for (size_t j = 0; kept[i] != NULL && j < i; j++) {
            CLAIM(kept[j] == NULL || strcmp(kept[i], kept[j]) != 0);
        }
        CLAIM(kept[i] == NULL || (strlen(kept[i]) <= 63 && strcmp(kept[i], "source") != 0));
    }
}

static void claim_task(const struct catalog *catalog, const struct task_def *task)
{
    const struct load_def *load = catalog_find_load(catalog, task->load);
    CLAIM(load != NULL && strcmp(load->source_type, task->source_type) == 0);
    CLAIM(catalog_task(catalog, task->source_type, task->name) == task);
    CLAIM(task->n_key_columns > 0 && task->table != NULL && task->defined_at != NULL);
    for (size_t i = 0; i < task->n_key_columns; i++) {
        CLAIM(task->key_columns[i] < task->n_columns);
        CLAIM(task->columns[task->key_columns[i]].part == 0);
    }
    CLAIM(task->version_column < (int)task->n_columns);
    CLAIM(task->revision_column < (int)task->n_columns);
    CLAIM(task->window_column < (int)task->n_columns);
    CLAIM(task->created_column < (int)task->n_columns);
    CLAIM(task->parent_column < (int)task->n_columns);
    claim_columns(task);
    claim_family(catalog, task);
    claim_kept(task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_release) struct buf faults;
    struct catalog catalog;
    struct error err = ERROR_INIT;
    const char *const paths[] = {conf_input(data, size)};
    buf_init(&faults, 1 << 20);
    if (catalog_load(&catalog, paths, 1, &faults, &err)) {
        for (size_t i = 0; i < catalog.n_tasks; i++) {
            claim_task(&catalog, catalog.tasks[i]);
        }
        catalog_release(&catalog);
    } else {
        CLAIM(err.code == ERROR_CONFIG && faults.len > 0);
    }
    return 0;
}
