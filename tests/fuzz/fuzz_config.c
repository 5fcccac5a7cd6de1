#include <string.h>

#include "common/base/str.h"
#include "common/conf/config.h"
#include "tests/fuzz/conf_input.h"

/*
 * Any bytes as a configuration file:
 *   - what is refused is refused with words, one fault a line, each of them text;
 *   - what is accepted keeps the promises of config.h to its users.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void claim_printable(struct str text)
{
    CLAIM(str_is_utf8(text));
    for (size_t i = 0; i < text.len; i++) {
        CLAIM((unsigned char)text.ptr[i] >= ' ' || text.ptr[i] == '\n');
    }
}

static void claim_refusal(const struct buf *faults, const struct error *err)
{
    /* "has 2 faults" alone would tell nobody which. */
    CLAIM(error_is_set(err) && err->msg[0] != '\0');
    CLAIM(faults->len > 0 || faults->overflow || strstr(err->msg, " fault") == NULL);
    claim_printable(str_from(err->msg));
    CLAIM(faults->len == 0 || faults->ptr[faults->len - 1] == '\n');
    claim_printable(buf_str(faults));
}

static void claim_task(const struct task_def *task)
{
    CLAIM(task->n_key_columns > 0 && task->page_size >= 0);
    for (size_t i = 0; i < task->n_key_columns; i++) {
        CLAIM(task->key_columns[i] < task->n_columns);
    }
    for (size_t i = 0; i < task->n_columns; i++) {
        CLAIM(task->columns[i].field < task->n_fields);
        CLAIM(strlen(task->columns[i].name) <= 63);
    }
    CLAIM(task->version_column < (int)task->n_columns);
    CLAIM(task->window_column < (int)task->n_columns);
}

static void claim_config(const struct config *config)
{
    CLAIM(config->database_url != NULL && config->read_url != NULL);
    CLAIM(config->worker.parallel >= 1 && config->api.listen != NULL);
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct source_config *source = &config->sources[i];
        CLAIM(config_source(config, source->name) == source);
        CLAIM(source->type != NULL && source->url != NULL);
        for (size_t j = 0; j < config->catalog.n_tasks; j++) {
            const struct task_def *base = config->catalog.tasks[j];
            CLAIM(config_landed_task(config, base) != NULL);
            if (strcmp(base->source_type, source->type) == 0) {
                claim_task(config_task(config, source, base->name));
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_release) struct buf faults;
    struct config config;
    struct error err = ERROR_INIT;
    buf_init(&faults, 1 << 20);
    if (config_load(&config, conf_input(data, size), &faults, &err)) {
        CLAIM(faults.len == 0);
        claim_config(&config);
        config_release(&config);
    } else {
        claim_refusal(&faults, &err);
    }
    return 0;
}
