#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/sources/azure_devops/walk.h"

/* What the tasks that read lists share: cells by field name, and the restriction to given keys. */

const char *ado_table_name(const struct task_def *task)
{
    return task->latest_of != NULL ? "work_item" : task->table;
}

void ado_cells_init(struct ado_cells *cells, const struct task_def *task)
{
    *cells = (struct ado_cells){.task = task};
    cells->cells = xcalloc(task->n_columns + 1, sizeof(*cells->cells));
    ado_cells_reset(cells);
}

void ado_cells_release(struct ado_cells *cells)
{
    xfree(cells->cells);
    cells->cells = NULL;
}

void ado_cells_reset(struct ado_cells *cells)
{
    cells->n_numbers = 0;
    for (size_t i = 0; i < cells->task->n_columns; i++) {
        cells->cells[i] = (struct cell){.kind = CELL_NULL};
    }
}

void ado_cells_set(struct ado_cells *cells, const char *field, struct cell cell)
{
    const struct task_def *task = cells->task;
    for (size_t i = 0; i < task->n_columns; i++) {
        if (task->columns[i].part == PART_VALUE &&
            strcmp(task->fields[task->columns[i].field].name, field) == 0) {
            cells->cells[i] = cell;
        }
    }
}

/* "Never" is no moment. */
static bool is_never(const char *text)
{
    return strncmp(text, "0001-01-01T00:00:00", 19) == 0 ||
           strncmp(text, "9999-01-01T00:00:00", 19) == 0;
}

void ado_cells_set_text(struct ado_cells *cells, const char *field, const char *text)
{
    bool is_empty = text == NULL || text[0] == '\0' || is_never(text);
    ado_cells_set(cells, field,
                  is_empty ? (struct cell){.kind = CELL_NULL}
                           : (struct cell){CELL_TEXT, false, str_from(text)});
}

void ado_cells_set_bool(struct ado_cells *cells, const char *field, bool value)
{
    ado_cells_set(
        cells, field,
        (struct cell){CELL_BOOL, false, value ? STR_LITERAL("true") : STR_LITERAL("false")});
}

void ado_cells_set_int(struct ado_cells *cells, const char *field, int64_t value)
{
    if (cells->n_numbers == ARRAY_SIZE(cells->numbers)) {
        return; /* more numbers than any of these records has */
    }
    char *text = cells->numbers[cells->n_numbers++];
    (void)snprintf(text, sizeof(cells->numbers[0]), "%lld", (long long)value);
    ado_cells_set(cells, field, (struct cell){CELL_NUMBER, false, str_from(text)});
}

void ado_cells_set_member(struct ado_cells *cells,
                          const char *field,
                          const struct json *object,
                          const char *member)
{
    const struct json *node = json_find(object, member);
    int64_t number = 0;
    if (node != NULL && json_kind(node) == JSON_KIND_BOOL) {
        ado_cells_set_bool(cells, field, json_bool(node, false));
    } else if (json_int64(node, &number)) {
        ado_cells_set_int(cells, field, number);
    } else {
        ado_cells_set_text(cells, field, json_string(node));
    }
}

static bool is_given(const struct walk *walk, const struct cell *cells)
{
    struct buf key CLEANUP(buf_release);
    buf_init(&key, 4096);
    row_record_key(walk->task, cells, &key);
    for (size_t i = 0; i < walk->partition->n_keys; i++) {
        if (str_equal(walk->partition->keys[i], buf_str(&key))) {
            return true;
        }
    }
    return false;
}

bool ado_add_record(const struct walk *walk,
                    struct row_batch *batch,
                    const struct cell *cells,
                    struct error *err)
{
    return (walk->partition->kind == WALK_GIVEN && !is_given(walk, cells)) ||
           row_batch_add(batch, cells, STR_NONE, err);
}
