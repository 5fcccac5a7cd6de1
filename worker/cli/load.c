#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "worker/cli/commands.h"
#include "worker/cli/foreground.h"
#include "worker/cli/session.h"
#include "worker/run/policy.h"
#include "worker/run/signals.h"

static const char *requester(char *out, size_t size)
{
    const char *user = getenv("SUDO_USER");
    user = user != NULL ? user : getenv("USER");
    char host[128] = "localhost";
    if (gethostname(host, sizeof(host) - 1) != 0) {
        (void)snprintf(host, sizeof(host), "localhost");
    }
    (void)snprintf(out, size, "%s@%s", user != NULL ? user : "cli", host);
    return out;
}

/* A W3C trace id of our own, so that log lines and rows of one command can be found together. */
static void make_trace_id(char out[33])
{
    unsigned char bytes[16];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* All requests are checked before the first begins. */
static int check_requests(const struct args *args,
                          const struct config *config,
                          const char *who,
                          const char *trace_id,
                          struct load_request *requests,
                          struct load_order *orders)
{
    const char *trigger = args->trigger != NULL ? args->trigger : getenv("FOZ_TRIGGER");
    trigger = trigger != NULL && trigger[0] != '\0' ? trigger : "cli";
    if (strcmp(trigger, "cli") != 0 && strcmp(trigger, "timer") != 0) {
        (void)fprintf(stderr, "foz-worker: trigger \"%s\" is neither cli nor timer\n", trigger);
        return EXIT_BAD_USAGE;
    }
    for (size_t i = 0; i < args->n_names; i++) {
        requests[i] = (struct load_request){
            .load = args->names[i],
            .mode = args->mode,
            .from = args->from,
            .to = args->to,
            .sources = args->sources,
            .n_sources = args->n_sources,
            .tasks = args->tasks,
            .n_tasks = args->n_tasks,
            .allow_mass_delete = args->allow_mass_delete,
            .trigger = trigger,
            .requested_by = who,
            .trace_id = trace_id,
        };
        struct error err = ERROR_INIT;
        if (!load_request_check(config, &requests[i], &orders[i], &err)) {
            (void)fprintf(stderr, "foz-worker: %s\n", err.msg);
            return EXIT_BAD_USAGE;
        }
    }
    return EXIT_COMPLETE;
}

static bool is_wanted(const struct args *args, const char *source)
{
    for (size_t i = 0; i < args->n_sources; i++) {
        if (strcmp(args->sources[i], source) == 0) {
            return true;
        }
    }
    return args->n_sources == 0;
}

/* Where no source that is wanted has its secret there is nothing to do: said before anything
 * begins. Else those that lack theirs are failures of their own tasks. */
static int check_secrets(const struct args *args,
                         const struct config *config,
                         const struct hub *hub,
                         const struct load_order *orders)
{
    const struct error *first = NULL;
    for (size_t i = 0; i < config->n_sources; i++) {
        for (size_t k = 0; k < args->n_names; k++) {
            if (strcmp(config->sources[i].type, orders[k].load->source_type) != 0 ||
                !is_wanted(args, config->sources[i].name)) {
                continue;
            }
            if (hub->sources[i] != NULL) {
                return EXIT_COMPLETE;
            }
            first = first != NULL ? first : &hub->errors[i];
        }
    }
    return first != NULL ? session_fail(first) : EXIT_COMPLETE;
}

static int run_requests(const struct args *args,
                        struct foreground *foreground,
                        const struct load_request *requests,
                        const struct load_order *orders)
{
    int code = EXIT_COMPLETE;
    size_t n_done = 0;
    struct run_report *reports = xcalloc(args->n_names, sizeof(*reports));
    for (size_t i = 0; i < args->n_names && !stop_is_requested(foreground->stop); i++) {
        int one = foreground_run(foreground, &requests[i], &orders[i], &reports[i]);
        code = policy_exit_worse(code, one);
        if (!args->json && reports[i].tasks != NULL) {
            load_output_table(&reports[i], args->names[i]);
        } else if (!args->json && reports[i].message != NULL) {
            (void)fprintf(stderr, "foz-worker: %s: %s\n", args->names[i], reports[i].message);
        }
        n_done++;
    }
    if (args->json) {
        load_output_json(reports, args->names, n_done);
    }
    for (size_t i = 0; i < n_done; i++) {
        run_report_release(&reports[i]);
    }
    xfree(reports);
    return code;
}

int command_load(const struct args *args)
{
    struct config config;
    int code = session_config(args, &config);
    if (code != EXIT_COMPLETE) {
        return code;
    }
    char who[256];
    char trace_id[33];
    struct load_request *requests = xcalloc(args->n_names, sizeof(*requests));
    struct load_order *orders = xcalloc(args->n_names, sizeof(*orders));
    struct foreground foreground = {.config = &config, .no_wait = args->no_wait};
    make_trace_id(trace_id);
    code = check_requests(args, &config, requester(who, sizeof(who)), trace_id, requests, orders);
    if (code == EXIT_COMPLETE) {
        code = session_database(&config, true, &foreground.owner);
    }
    if (code == EXIT_COMPLETE) {
        struct hub hub;
        foreground.stop = stop_new(NULL);
        struct signals *signals = signals_start(foreground.stop);
        hub_init(&hub, &config, foreground.stop);
        foreground.hub = &hub;
        load_progress_init(&foreground.progress);
        if (foreground.progress.enabled && config.log_level == LOG_LEVEL_INFO) {
            log_configure(LOG_LEVEL_WARN, config.log_format); /* the progress line tells the rest */
        }
        code = check_secrets(args, &config, &hub, orders);
        if (code == EXIT_COMPLETE) {
            code = run_requests(args, &foreground, requests, orders);
        }
        hub_release(&hub);
        signals_stop(signals);
        stop_free(foreground.stop);
    }
    db_close(foreground.owner);
    xfree(requests);
    xfree(orders);
    config_release(&config);
    return code;
}
