#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "worker/cli/commands.h"
#include "worker/cli/session.h"
#include "worker/load/migrate.h"
#include "worker/run/hub.h"
#include "worker/run/policy.h"
#include "worker/run/signals.h"
#include "worker/sources/connector.h"

#define OUT_MAX_BYTES    ((size_t)4 * 1024 * 1024)
#define FAULTS_MAX_BYTES ((size_t)256 * 1024)

struct findings {
    bool json;
    struct buf out; /* JSON */
    size_t n;
    int code;
};

static const char *level_name(enum finding_level level)
{
    switch (level) {
    case FINDING_OK:
        return "ok";
    case FINDING_WARNING:
        return "warning";
    case FINDING_ERROR:
        return "error";
    }
    return "error";
}

static void worsen(struct findings *findings, const struct finding *finding)
{
    struct error as_error = {.code = finding->code, .http_status = finding->http_status};
    /* Here the source's own refusal is a matter of the configuration too: a wrong url, say. */
    int code = finding->code == ERROR_CONFIG ? EXIT_BAD_CONFIG : policy_exit_of_error(&as_error);
    findings->code = policy_exit_worse(findings->code, code);
}

static void add_finding(void *arg, const struct finding *finding)
{
    struct findings *findings = arg;
    if (findings->json) {
        buf_addf(&findings->out, "%s{\"level\":\"%s\",\"subject\":", findings->n > 0 ? "," : "",
                 level_name(finding->level));
        buf_add_json_string(&findings->out, str_from(finding->subject));
        buf_add_c(&findings->out, ",\"text\":");
        buf_add_json_string(&findings->out, str_from(finding->text));
        buf_add_char(&findings->out, '}');
    } else {
        printf("%-8s %s: %s\n", level_name(finding->level), finding->subject, finding->text);
        (void)fflush(stdout);
    }
    findings->n++;
    if (finding->level == FINDING_ERROR) {
        worsen(findings, finding);
    }
}

static void add_simple(struct findings *findings,
                       enum finding_level level,
                       const char *subject,
                       const char *text)
{
    add_finding(findings,
                &(struct finding){.level = level,
                                  .code = level == FINDING_ERROR ? ERROR_CONFIG : ERROR_NONE,
                                  .subject = subject,
                                  .text = text});
}

static void add_error(struct findings *findings, const char *subject, const struct error *err)
{
    add_finding(findings, &(struct finding){.level = FINDING_ERROR,
                                            .code = err->code,
                                            .http_status = err->http_status,
                                            .subject = subject,
                                            .text = err->msg});
}

static void check_database(struct findings *findings, const struct config *config)
{
    struct error err = ERROR_INIT;
    struct db_settings settings = {.url = config->database_url,
                                   .application_name = "foz-worker check"};
    struct db *db CLEANUP(db_closep) = db_open(&settings, &err);
    if (db == NULL) {
        add_error(findings, "database", &err);
        return;
    }
    struct db_result *row CLEANUP(db_result_freep) = db_query(
        db, "SELECT current_setting('server_version'), current_setting('server_version_num')::int",
        DB_NO_PARAMS, &err);
    if (row == NULL) {
        add_error(findings, "database", &err);
        return;
    }
    char text[256];
    (void)snprintf(text, sizeof(text), "PostgreSQL %s answers", db_text(row, 0, 0));
    add_simple(findings, FINDING_OK, "database", text);
    if (db_int64(row, 0, 1) < 150000) {
        add_simple(findings, FINDING_ERROR, "database",
                   "foz needs PostgreSQL 15 or later; upgrade the server");
    }
    if (migrate_check(db, config, &err)) {
        add_simple(findings, FINDING_OK, "schema", "up to date");
    } else {
        add_error(findings, "schema", &err);
    }
}

static const struct task_def **
enabled_tasks(const struct config *config, const struct source_config *source, size_t *ret_n)
{
    const struct task_def **tasks = xcalloc(config->catalog.n_tasks + 1, sizeof(struct task_def *));
    size_t n = 0;
    for (size_t i = 0; i < config->catalog.n_tasks; i++) {
        const struct task_def *task = config->catalog.tasks[i];
        if (strcmp(task->source_type, source->type) == 0 &&
            config_task_is_enabled(config, source, task->name)) {
            tasks[n++] = config_task(config, source, task->name);
        }
    }
    *ret_n = n;
    return tasks;
}

static void check_source(struct findings *findings,
                         const struct config *config,
                         const struct hub *hub,
                         size_t index,
                         struct stop *stop)
{
    const struct source_config *source = &config->sources[index];
    const struct connector *connector = connector_find(source->type);
    if (hub->sources[index] == NULL) {
        add_error(findings, source->name, &hub->errors[index]);
        return;
    }
    if (connector == NULL) {
        char text[160];
        (void)snprintf(text, sizeof(text), "this version of foz has no connector for type %s",
                       source->type);
        add_simple(findings, FINDING_ERROR, source->name, text);
        return;
    }
    size_t n = 0;
    const struct task_def **tasks = enabled_tasks(config, source, &n);
    struct http_client *client =
        http_client_new(hub->sources[index], stop, (size_t)config->worker.page_memory_bytes);
    connector->check(source, client, tasks, n, add_finding, findings);
    http_client_free(client);
    xfree(tasks);
}

static void
check_configuration(struct findings *findings, const struct config *config, const struct hub *hub)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "%s: %zu source%s, %zu tasks in the catalog", config->path,
                   config->n_sources, config->n_sources == 1 ? "" : "s", config->catalog.n_tasks);
    add_simple(findings, FINDING_OK, "configuration", text);
    if (config->n_sources == 0) {
        add_simple(findings, FINDING_WARNING, "configuration",
                   "no source is configured, so no load has anything to do; add one under sources");
    }
    for (size_t i = 0; i < config->n_sources; i++) {
        if (hub->sources[i] == NULL) {
            add_error(findings, config->sources[i].name, &hub->errors[i]);
        }
    }
}

static void print_end(struct findings *findings)
{
    if (findings->json) {
        printf("{\"findings\":[%s],\"exit_code\":%d}\n", findings->out.ptr, findings->code);
    }
    buf_release(&findings->out);
}

/* A program that reads JSON finds the faults of the configuration there like all others. */
static bool read_config(const struct args *args,
                        struct config *config,
                        struct findings *findings,
                        int *ret_code)
{
    if (!args->json) {
        *ret_code = session_config(args, config);
        return *ret_code == EXIT_COMPLETE;
    }
    struct buf faults CLEANUP(buf_release);
    buf_init(&faults, FAULTS_MAX_BYTES);
    struct error err = ERROR_INIT;
    if (session_read_config(args, config, &faults, &err)) {
        return true;
    }
    struct str rest = buf_str(&faults);
    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        char *text = xstrndup(line.ptr, line.len);
        add_simple(findings, FINDING_ERROR, "configuration", text);
        xfree(text);
    }
    if (findings->n == 0) {
        add_error(findings, "configuration", &err);
    }
    *ret_code = findings->code;
    print_end(findings);
    return false;
}

int command_check(const struct args *args)
{
    struct config config;
    int code = EXIT_COMPLETE;
    struct findings findings = {.json = args->json};
    buf_init(&findings.out, OUT_MAX_BYTES);
    if (!read_config(args, &config, &findings, &code)) {
        buf_release(&findings.out);
        return code;
    }
    struct stop *stop = stop_new(NULL);
    struct signals *signals = signals_start(stop);
    struct hub hub;
    hub_init(&hub, &config, stop);
    check_configuration(&findings, &config, &hub);
    if (!args->offline) {
        check_database(&findings, &config);
        for (size_t i = 0; i < config.n_sources && !stop_is_requested(stop); i++) {
            if (hub.sources[i] != NULL) {
                check_source(&findings, &config, &hub, i, stop);
            }
        }
    }
    print_end(&findings);
    code = stop_is_requested(stop) ? EXIT_STOPPED : findings.code;
    hub_release(&hub);
    signals_stop(signals);
    stop_free(stop);
    config_release(&config);
    return code;
}
