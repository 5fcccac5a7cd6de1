#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/cli/commands.h"
#include "worker/cli/foreground.h"
#include "worker/cli/result_table.h"
#include "worker/cli/session.h"
#include "worker/run/policy.h"
#include "worker/run/signals.h"

/* $1, $2: names of sources and tasks as array literals; empty = all. */
#define OPEN_LETTERS                                                                               \
    " FROM ops.dead_letter WHERE resolved_at IS NULL"                                              \
    " AND ($1::text[] = '{}' OR source = ANY ($1::text[]))"                                        \
    " AND ($2::text[] = '{}' OR task = ANY ($2::text[]))"

static void add_array(struct buf *out, const char *const *names, size_t n)
{
    buf_add_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        buf_add_c(out, i > 0 ? "," : "");
        buf_add_json_string(out, str_from(names[i])); /* array literals quote the same way */
    }
    buf_add_char(out, '}');
}

static struct db_result *
select_letters(struct db *db, const struct args *args, const char *sql, struct error *err)
{
    struct buf sources CLEANUP(buf_release);
    struct buf tasks CLEANUP(buf_release);
    buf_init(&sources, (size_t)64 * 1024);
    buf_init(&tasks, (size_t)64 * 1024);
    add_array(&sources, args->sources, args->n_sources);
    add_array(&tasks, args->tasks, args->n_tasks);
    return db_query(db, sql, DB_PARAMS(sources.ptr, tasks.ptr), err);
}

static int list(struct db *db, const struct args *args)
{
    struct error err = ERROR_INIT;
    struct db_result *rows CLEANUP(db_result_freep) = select_letters(
        db, args,
        args->json ? "SELECT coalesce(json_agg(d ORDER BY id), '[]') FROM (SELECT *" OPEN_LETTERS
                     ") d"
                   : "SELECT id, source, task, record_key, reason,"
                     " to_char(first_seen, 'YYYY-MM-DD HH24:MI:SS') AS first_seen,"
                     " to_char(last_seen, 'YYYY-MM-DD HH24:MI:SS') AS last_seen" OPEN_LETTERS
                     " ORDER BY id",
        &err);
    if (rows == NULL) {
        return session_fail(&err);
    }
    if (args->json) {
        printf("%s\n", db_text(rows, 0, 0));
    } else if (db_rows(rows) == 0) {
        printf("no open dead letters\n");
    } else {
        result_table_print(rows);
    }
    return EXIT_COMPLETE;
}

static bool is_in(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *load_of(const struct config *config, const char *source, const char *task)
{
    const struct source_config *known = config_source(config, source);
    const struct task_def *def =
        known != NULL ? catalog_task(&config->catalog, known->type, task) : NULL;
    return def != NULL ? def->load : NULL;
}

static void add_name(const char *names[ARGS_LIST_MAX], size_t *n, const char *name)
{
    if (!is_in(names, *n, name) && *n < ARGS_LIST_MAX) {
        names[(*n)++] = name;
    }
}

/* What is made from the task's records is made again with them. */
static void add_derived(const struct config *config,
                        const char *source,
                        const char *task,
                        const char *names[ARGS_LIST_MAX],
                        size_t *n)
{
    const struct source_config *known = config_source(config, source);
    for (size_t i = 0; i < config->catalog.n_tasks; i++) {
        const struct task_def *derived = config->catalog.tasks[i];
        if (strcmp(derived->source_type, known->type) == 0 && derived->latest_of != NULL &&
            strcmp(derived->latest_of, task) == 0 &&
            config_task_is_enabled(config, known, derived->name)) {
            add_name(names, n, derived->name);
        }
    }
}

/* One execution for each load with open letters, restricted to the tasks that have them and to
 * what is derived from those. */
static int retry_load(struct foreground *foreground,
                      const struct db_result *pairs,
                      const char *load,
                      struct run_report *ret_report)
{
    const char *sources[ARGS_LIST_MAX];
    const char *tasks[ARGS_LIST_MAX];
    size_t n_sources = 0;
    size_t n_tasks = 0;
    for (size_t i = 0; i < db_rows(pairs); i++) {
        const char *source = db_text(pairs, i, 0);
        const char *task = db_text(pairs, i, 1);
        const char *its_load = load_of(foreground->config, source, task);
        if (its_load == NULL || strcmp(its_load, load) != 0) {
            continue;
        }
        add_name(sources, &n_sources, source);
        add_name(tasks, &n_tasks, task);
        add_derived(foreground->config, source, task, tasks, &n_tasks);
    }
    struct load_request request = {.load = load,
                                   .sources = sources,
                                   .n_sources = n_sources,
                                   .tasks = tasks,
                                   .n_tasks = n_tasks,
                                   .trigger = "cli",
                                   .requested_by = "dead-letters retry"};
    struct load_order order;
    struct error err = ERROR_INIT;
    if (!load_request_check(foreground->config, &request, &order, &err)) {
        return session_fail(&err);
    }
    order.mode = MODE_RETRY;
    return foreground_run(foreground, &request, &order, ret_report);
}

/* The loads of the pairs, each once; a pair that the configuration does not know any more is told.
 * Returns the exit code so far. */
static int list_loads(const struct config *config,
                      const struct db_result *pairs,
                      const char *loads[ARGS_LIST_MAX],
                      size_t *ret_n)
{
    int code = EXIT_COMPLETE;
    for (size_t i = 0; i < db_rows(pairs); i++) {
        const char *load = load_of(config, db_text(pairs, i, 0), db_text(pairs, i, 1));
        if (load != NULL) {
            add_name(loads, ret_n, load);
            continue;
        }
        (void)fprintf(stderr,
                      "foz-worker: %s.%s is not in the configuration any more; its dead letters "
                      "stay\n",
                      db_text(pairs, i, 0), db_text(pairs, i, 1));
        code = EXIT_PARTIAL;
    }
    return code;
}

static int retry(struct foreground *foreground, const struct args *args)
{
    struct error err = ERROR_INIT;
    struct db_result *pairs CLEANUP(db_result_freep) =
        select_letters(foreground->owner, args,
                       "SELECT DISTINCT source, task" OPEN_LETTERS " ORDER BY 1, 2", &err);
    if (pairs == NULL) {
        return session_fail(&err);
    }
    if (db_rows(pairs) == 0) {
        if (args->json) {
            load_output_json(NULL, NULL, 0);
        } else {
            printf("no open dead letters\n");
        }
        return EXIT_COMPLETE;
    }
    const char *loads[ARGS_LIST_MAX];
    size_t n_loads = 0;
    int code = list_loads(foreground->config, pairs, loads, &n_loads);
    struct run_report *reports = xcalloc(n_loads + 1, sizeof(*reports));
    for (size_t i = 0; i < n_loads; i++) {
        code = policy_exit_worse(code, retry_load(foreground, pairs, loads[i], &reports[i]));
        if (!args->json && reports[i].tasks != NULL) {
            load_output_table(&reports[i], loads[i]);
        }
    }
    if (args->json) {
        load_output_json(reports, loads, n_loads);
    }
    for (size_t i = 0; i < n_loads; i++) {
        run_report_release(&reports[i]);
    }
    xfree(reports);
    return code;
}

static int command_list(const struct args *args)
{
    struct session session;
    int code = session_begin(args, true, &session);
    return session_end(&session, code == EXIT_COMPLETE ? list(session.db, args) : code);
}

static int retry_all(const struct config *config, struct db *db, const struct args *args)
{
    struct foreground foreground = {.config = config, .owner = db, .no_wait = args->no_wait};
    struct hub hub;
    foreground.stop = stop_new(NULL);
    struct signals *signals = signals_start(foreground.stop);
    hub_init(&hub, config, foreground.stop);
    foreground.hub = &hub;
    load_progress_init(&foreground.progress);
    int code = retry(&foreground, args);
    hub_release(&hub);
    signals_stop(signals);
    stop_free(foreground.stop);
    return code;
}

static int command_retry(const struct args *args)
{
    struct config config;
    int code = session_config(args, &config);
    if (code != EXIT_COMPLETE) {
        return code;
    }
    struct db *db = NULL;
    code = session_database(&config, true, &db);
    if (code == EXIT_COMPLETE) {
        code = retry_all(&config, db, args);
    }
    db_close(db);
    config_release(&config);
    return code;
}

int command_dead_letters(const struct args *args)
{
    if (strcmp(args->names[0], "list") == 0) {
        return command_list(args);
    }
    if (strcmp(args->names[0], "retry") == 0) {
        return command_retry(args);
    }
    (void)fprintf(stderr, "foz-worker: dead-letters takes list or retry, not \"%s\"\n",
                  args->names[0]);
    return EXIT_BAD_USAGE;
}
