#include "api/handlers/freshness.h"

#include <string.h>

#include "common/io/db.h"

#define DESCRIPTION_MAX (1024UL * 1024)

const struct list_column freshness_columns[] = {
    {"version", CELL_NUMBER},     {"changed_at", CELL_INSTANT}, {"as_of", CELL_INSTANT},
    {"lag_seconds", CELL_NUMBER}, {"watermark", CELL_INSTANT},  {"last_execution_id", CELL_NUMBER},
    {"last_status", CELL_TEXT},   {"last_error", CELL_TEXT},
};
const size_t freshness_columns_count = ARRAY_SIZE(freshness_columns);

bool freshness_is_fresh(const struct db_result *rows, size_t row)
{
    return !db_is_null(rows, row, FRESHNESS_LAG_SECONDS) &&
           db_int64(rows, row, FRESHNESS_LAG_SECONDS) <= FRESH_SECONDS;
}

static void add_task(struct buf *out, const char *load, const char *source, const char *task)
{
    buf_add_c(out, out->len > 1 ? ",{\"load\":" : "{\"load\":");
    buf_add_json_string(out, str_from(load));
    buf_add_c(out, ",\"source\":");
    buf_add_json_string(out, str_from(source));
    buf_add_c(out, ",\"task\":");
    buf_add_json_string(out, str_from(task));
    buf_add_char(out, '}');
}

void freshness_describe(const struct config *config, struct buf *ret_loads, struct buf *ret_tasks)
{
    buf_init(ret_loads, DESCRIPTION_MAX);
    buf_init(ret_tasks, DESCRIPTION_MAX);
    buf_add_char(ret_loads, '[');
    buf_add_char(ret_tasks, '[');
    for (size_t i = 0; i < config->catalog.n_loads; i++) {
        const struct load_def *load = config->catalog.loads[i];
        buf_add_c(ret_loads, i == 0 ? "" : ",");
        buf_add_json_string(ret_loads, str_from(load->name));
        for (size_t s = 0; s < config->n_sources; s++) {
            const struct source_config *source = &config->sources[s];
            if (strcmp(source->type, load->source_type) != 0) {
                continue;
            }
            for (size_t t = 0; t < load->n_tasks; t++) {
                if (config_task_is_enabled(config, source, load->tasks[t]->name)) {
                    add_task(ret_tasks, load->name, source->name, load->tasks[t]->name);
                }
            }
        }
    }
    buf_add_char(ret_loads, ']');
    buf_add_char(ret_tasks, ']');
}
