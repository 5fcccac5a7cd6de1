#include "common/conf/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/conf/catalog_files.h"
#include "common/conf/config_check.h"
#include "common/conf/config_tables.h"
#include "common/conf/config_tasks.h"
#include "common/conf/options.h"

/* A bug guard, not a quota: files are bounded in size. */
#define ARENA_MAX_BYTES  (1024UL * 1024 * 1024)
#define FAULTS_MAX_BYTES (64UL * 1024)
#define DEFAULT_PATH     "/etc/foz/foz.yaml"

/* The folder part of `path`: "" for the working directory. */
static const char *folder_of(struct option_reader *reader, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return "";
    }
    return options_copy(reader, path, slash == path ? 1 : (size_t)(slash - path));
}

static const char *find_path(const char *path)
{
    if (path != NULL) {
        return path;
    }
    const char *variable = getenv("FOZ_CONFIG");
    return variable != NULL && variable[0] != '\0' ? variable : DEFAULT_PATH;
}

static bool check_exists(const char *path, struct error *err)
{
    if (access(path, F_OK) == 0) {
        return true;
    }
    return error_set(err, ERROR_CONFIG,
                     "no configuration file at %s; name one with -c FILE or in the environment "
                     "variable FOZ_CONFIG, or put it at " DEFAULT_PATH,
                     path);
}

static void apply_overrides(struct option_reader *reader, struct config *config)
{
    for (size_t i = 0; i < config_overrides_count; i++) {
        const struct config_override *override = &config_overrides[i];
        const char *text = getenv(override->variable);
        if (text != NULL && text[0] != '\0') {
            CLEANUP(buf_release) struct buf where;
            buf_init(&where, 128);
            buf_addf(&where, "environment variable %s", override->variable);
            void *object = (char *)config + override->object_offset;
            options_set_text(reader, override->option, where.ptr, text, object);
        }
    }
}

static void
read_tree(struct option_reader *reader, const struct yaml_node *root, struct config *config)
{
    options_defaults(reader, &config_table, config);
    options_read(reader, &config_table, root, "", config);
    const char *url_of_file = config->database_url;
    apply_overrides(reader, config);
    /* Readers that were on the same database stay there. */
    if (config->read_url == NULL || strcmp(config->read_url, url_of_file) == 0) {
        config->read_url = config->database_url;
    }
}

/* The files of the option `catalog`; what cannot be read is noted where it is written. */
static void list_catalog(struct option_reader *reader,
                         const struct yaml_node *root,
                         const struct config *config,
                         struct catalog_files *files)
{
    const struct yaml_node *list = yaml_find(root, "catalog");
    for (size_t i = 0; i < config->n_catalog_paths; i++) {
        catalog_files_add(reader, files, config->catalog_paths[i], list->items[i]->line);
    }
}

/* False leaves no catalog: with a part of it, faults that are none would be found. */
static bool
load_catalog(struct option_reader *reader, const struct yaml_node *root, struct config *config)
{
    struct error err = ERROR_INIT;
    struct catalog_files files = {.n = 0};
    size_t n_faults = reader->n_faults;
    list_catalog(reader, root, config, &files);
    bool is_whole = reader->n_faults == n_faults;
    size_t before = reader->faults->len;
    if (catalog_load(&config->catalog, files.paths, files.n, reader->faults, &err)) {
        if (!is_whole) {
            catalog_release(&config->catalog);
        }
        return is_whole;
    }
    size_t n_lines = 0;
    for (size_t i = before; i < reader->faults->len; i++) {
        n_lines += reader->faults->ptr[i] == '\n';
    }
    reader->n_faults += n_lines > 0 ? n_lines : 1;
    return false;
}

static bool load(struct config *config, struct option_reader *reader, struct error *err)
{
    const struct yaml_node *root = yaml_read(config->path, reader->arena, err);
    if (root == NULL) {
        return false;
    }
    read_tree(reader, root, config);
    bool has_catalog = load_catalog(reader, root, config);
    config_check(reader, root, config);
    if (has_catalog) {
        config_resolve_tasks(reader, config);
    }
    if (reader->n_faults == 0) {
        return true;
    }
    return error_set(err, ERROR_CONFIG, "configuration %s has %zu fault%s", config->path,
                     reader->n_faults, reader->n_faults == 1 ? "" : "s");
}

bool config_load(struct config *config, const char *path, struct buf *faults, struct error *err)
{
    struct config loaded = {0};
    CLEANUP(buf_release) struct buf own;
    buf_init(&own, FAULTS_MAX_BYTES);
    arena_init(&loaded.arena, ARENA_MAX_BYTES);
    struct option_reader reader = {.arena = &loaded.arena,
                                   .faults = faults != NULL ? faults : &own};
    const char *chosen = find_path(path);
    loaded.path = options_copy(&reader, chosen, strlen(chosen));
    reader.file = loaded.path;
    reader.folder = folder_of(&reader, loaded.path);
    if (!check_exists(loaded.path, err)) {
        config_release(&loaded);
        return false;
    }
    if (!load(&loaded, &reader, err)) {
        config_release(&loaded);
        return false;
    }
    *config = loaded;
    return true;
}

void config_release(struct config *config)
{
    catalog_release(&config->catalog);
    arena_release(&config->arena);
    *config = (struct config){0};
}

const struct source_config *config_source(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_sources; i++) {
        if (strcmp(config->sources[i].name, name) == 0) {
            return &config->sources[i];
        }
    }
    return NULL;
}

const struct task_config *source_task(const struct source_config *source, const char *task)
{
    for (size_t i = 0; i < source->n_tasks; i++) {
        if (strcmp(source->tasks[i].name, task) == 0) {
            return &source->tasks[i];
        }
    }
    return NULL;
}

const struct task_def *
config_task(const struct config *config, const struct source_config *source, const char *task)
{
    for (size_t i = 0; i < config->n_source_tasks; i++) {
        const struct source_task *resolved = &config->source_tasks[i];
        if (strcmp(resolved->source, source->name) == 0 && strcmp(resolved->def->name, task) == 0) {
            return resolved->def;
        }
    }
    return NULL;
}

const struct task_def *config_landed_task(const struct config *config, const struct task_def *task)
{
    for (size_t i = 0; i < config->catalog.n_tasks; i++) {
        const struct task_def *landed = config->landed[i];
        if (strcmp(landed->source_type, task->source_type) == 0 &&
            strcmp(landed->name, task->name) == 0) {
            return landed;
        }
    }
    return NULL;
}

bool config_task_is_enabled(const struct config *config,
                            const struct source_config *source,
                            const char *task)
{
    const struct task_def *def = catalog_task(&config->catalog, source->type, task);
    while (def != NULL) {
        const struct task_config *settings = source_task(source, def->name);
        if (settings != NULL && !settings->enabled) {
            return false;
        }
        if (def->parent == NULL) {
            return true;
        }
        def = catalog_task(&config->catalog, source->type, def->parent);
    }
    return false;
}

int64_t config_load_parallel(const struct config *config, const struct load_def *load)
{
    for (size_t i = 0; i < config->n_loads; i++) {
        if (strcmp(config->loads[i].name, load->name) == 0 && config->loads[i].parallel != 0) {
            return config->loads[i].parallel;
        }
    }
    return load->parallel != 0 ? load->parallel : config->worker.parallel;
}

void config_describe(struct buf *out)
{
    options_describe(&config_table, "", out);
}
