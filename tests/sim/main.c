#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/azure_devops/azure_devops.h"
#include "tests/sim/control.h"
#include "tests/sim/glpi/glpi.h"
#include "tests/sim/servicenow/servicenow.h"

#define GENERATED_UNTIL_US (INT64_C(1768478400) * US_PER_S) /* 2026-01-15T12:00:00Z */
#define TICKETS_MAX        INT64_C(50000000)

static const char usage[] =
    "usage: foz-sim [--listen HOST:PORT] [--seed N] [--tickets N] [--data DIR]\n"
    "               [--clock INSTANT|now] [--fault SPEC]...\n"
    "\n"
    "Simulated sources for foz; docs/SIMULATOR.md is the manual.\n"
    "  --listen HOST:PORT   default 127.0.0.1:0 (any free port)\n"
    "  --seed N             of the generated data and of chance, default 1\n"
    "  --tickets N          generated incidents, default 24000\n"
    "  --data DIR           replay recorded logs instead of generating\n"
    "  --clock INSTANT|now  where the simulated clock starts; generated data leads up to it\n"
    "  --fault SPEC         KIND[:key=value,...]; may be repeated\n";

/* Every system there is. */
static const struct {
    simulated_open *open;
    const char *log; /* below --data */
} catalog[] = {
    {servicenow_open, SERVICENOW_LOG},
    {glpi_open, GLPI_LOG},
    {azure_devops_open, AZURE_DEVOPS_LOG},
};

enum { N_SYSTEMS = ARRAY_SIZE(catalog) };

struct settings {
    const char *listen;
    struct simulated_options options;
    const char *clock;
};

struct simulator {
    struct sim_clock clock;
    struct faults faults;
    struct journal *journal;
    struct simulated systems[N_SYSTEMS];
    int n_systems; /* opened */
    struct control *control;
};

static const struct simulated *find_system(const struct simulator *sim, struct str path)
{
    for (int i = 0; i < sim->n_systems; i++) {
        struct str prefix = str_from(sim->systems[i].prefix);

        if (str_starts_with(path, prefix) && path.len > prefix.len && path.ptr[prefix.len] == '/') {
            return &sim->systems[i];
        }
    }
    return NULL;
}

static void answer(void *context, const struct request *request, struct reply *reply)
{
    struct simulator *sim = context;

    if (control_answer(sim->control, request, reply)) {
        return;
    }
    uint64_t number = journal_begin(sim->journal, request);

    control_before_request(sim->control, request);
    const struct simulated *system = find_system(sim, request->path);

    if (system != NULL) {
        system->answer(system->self, request, reply);
    } else {
        reply->status = 404;
        reply_header(reply, "Content-Type", "text/plain");
        buf_add_c(&reply->body, "foz-sim serves /_control");
        for (int i = 0; i < sim->n_systems; i++) {
            buf_addf(&reply->body, " and %s", sim->systems[i].prefix);
        }
        buf_add_char(&reply->body, '\n');
    }
    journal_end(sim->journal, number, reply);
}

static bool read_number(const char *name, const char *text, int64_t max, int64_t *ret)
{
    if (!str_to_int64(str_from(text), 0, max, ret)) {
        fprintf(stderr, "foz-sim: %s %s: must be a whole number up to %lld\n", name, text,
                (long long)max);
        return false;
    }
    return true;
}

/* 0: go on; else an exit status. */
static int read_arguments(int argc, char **argv, struct settings *settings, struct faults *faults)
{
    int64_t seed = 1;
    struct error err = ERROR_INIT;

    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool ok = true;

        if (strcmp(name, "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        }
        if (strcmp(name, "--version") == 0) {
            printf("foz-sim %s\n", FOZ_VERSION);
            return -1;
        }
        if (value == NULL) {
            fprintf(stderr, "foz-sim: %s: unknown, or its value is missing\n%s", name, usage);
            return 64;
        }
        i++;
        if (strcmp(name, "--listen") == 0) {
            settings->listen = value;
        } else if (strcmp(name, "--seed") == 0) {
            ok = read_number(name, value, INT64_MAX, &seed);
        } else if (strcmp(name, "--tickets") == 0) {
            ok = read_number(name, value, TICKETS_MAX, &settings->options.n_tickets);
        } else if (strcmp(name, "--data") == 0) {
            settings->options.data_dir = value;
        } else if (strcmp(name, "--clock") == 0) {
            settings->clock = value;
        } else if (strcmp(name, "--fault") == 0) {
            ok = faults_add_spec(faults, value, &err);
            fputs(ok ? "" : err.msg, stderr);
            fputs(ok ? "" : "\n", stderr);
        } else {
            fprintf(stderr, "foz-sim: %s: unknown option\n%s", name, usage);
            ok = false;
        }
        if (!ok) {
            return 64;
        }
    }
    settings->options.seed = (uint64_t)seed;
    return 0;
}

static bool start_instant(const char *text, int64_t *ret_us)
{
    *ret_us = GENERATED_UNTIL_US;
    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "now") == 0) {
        *ret_us = clock_wall_us() / US_PER_S * US_PER_S;
        return true;
    }
    if (instant_parse_rfc3339(str_from(text), ret_us)) {
        return true;
    }
    fprintf(stderr, "foz-sim: --clock %s: must be an instant like 2026-01-15T12:00:00Z, or now\n",
            text);
    return false;
}

/* Serves until SIGTERM or SIGINT. */
static int serve(struct simulator *sim, const struct settings *settings, const sigset_t *signals)
{
    struct error err = ERROR_INIT;
    struct server *server = server_start(settings->listen, answer, sim, &err);
    int received;

    if (server == NULL) {
        fprintf(stderr, "foz-sim: %s\n", err.msg);
        return 69;
    }
    for (int i = 0; i < sim->n_systems; i++) {
        sim->systems[i].set_address(sim->systems[i].self, server_address(server));
    }
    printf("foz-sim listening on http://%s\n", server_address(server));
    fflush(stdout);
    (void)sigwait(signals, &received);
    server_stop(server);
    return 0;
}

/* Opens all systems; each replays its log if the data folder has it. */
static bool open_systems(struct simulator *sim, const struct settings *settings, struct error *err)
{
    int n_logs = 0;

    for (int i = 0; i < N_SYSTEMS; i++) {
        struct simulated_options options = settings->options;

        options.recorded = options.data_dir != NULL;
        if (options.recorded) {
            char *path CLEANUP(xfreep) = xasprintf("%s/%s", options.data_dir, catalog[i].log);
            bool there = access(path, R_OK) == 0;

            options.data_dir = there ? options.data_dir : NULL;
            n_logs += there ? 1 : 0;
        }
        if (!catalog[i].open(&sim->systems[i], &options, &sim->clock, &sim->faults, err)) {
            return false;
        }
        sim->n_systems++;
    }
    if (settings->options.data_dir != NULL && n_logs == 0) {
        return error_set(err, ERROR_CONFIG,
                         "--data %s: holds none of the recorded logs, the first would be %s",
                         settings->options.data_dir, catalog[0].log);
    }
    return true;
}

static void close_systems(struct simulator *sim)
{
    for (int i = 0; i < sim->n_systems; i++) {
        sim->systems[i].free(sim->systems[i].self);
    }
    sim->n_systems = 0;
}

static int run(struct simulator *sim, struct settings *settings, const sigset_t *signals)
{
    struct error err = ERROR_INIT;
    int64_t start_us;
    int64_t recorded_s = 0;
    bool recorded = settings->options.data_dir != NULL;

    if (!start_instant(settings->clock, &start_us)) {
        return 64;
    }
    settings->options.base_s = start_us / US_PER_S;
    /* Recorded data stands still until a test moves it. */
    sim_clock_init(&sim->clock, start_us, !recorded);
    if (!open_systems(sim, settings, &err)) {
        fprintf(stderr, "foz-sim: %s\n", err.msg);
        close_systems(sim);
        return 69;
    }
    for (int i = 0; i < sim->n_systems; i++) {
        int64_t until_s = sim->systems[i].recorded_until_s;

        recorded_s = until_s > recorded_s ? until_s : recorded_s;
    }
    if (recorded && settings->clock == NULL) {
        start_us = (recorded_s + 3600) * US_PER_S;
        sim_clock_set(&sim->clock, start_us);
    }
    sim->journal = journal_new();
    struct control_parts parts = {&sim->clock,    &sim->faults, sim->journal, sim->systems,
                                  sim->n_systems, start_us,     !recorded};

    sim->control = control_new(&parts);
    int status = serve(sim, settings, signals);

    control_free(sim->control);
    journal_free(sim->journal);
    close_systems(sim);
    sim_clock_release(&sim->clock);
    return status;
}

int main(int argc, char **argv)
{
    struct settings settings = {.listen = "127.0.0.1:0", .options = {.n_tickets = 24000}};
    struct simulator *sim CLEANUP(xfreep) = XNEW(struct simulator);
    sigset_t signals;

    faults_init(&sim->faults, 1);
    int status = read_arguments(argc, argv, &settings, &sim->faults);

    if (status != 0) {
        return status < 0 ? 0 : status;
    }
    /* All threads inherit the mask; main alone waits for the two that end the program. */
    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    status = run(sim, &settings, &signals);
    faults_release(&sim->faults);
    return status;
}
