#include <string.h>

#include "common/base/str.h"
#include "common/conf/catalog.h"
#include "tests/fuzz/conf_input.h"

/*
 * Any bytes as an operator's catalog file on top of the shipped catalog:
 *   - what is refused is refused with words;
 *   - every task of what is accepted can become a table: columns are distinct identifiers, and
 *     every index points to something.
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
    claim_columns(task);
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
