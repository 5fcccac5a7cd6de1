#include "worker/run/daemon.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "worker/load/migrate.h"
#include "worker/load/staging.h"
#include "worker/run/claim.h"
#include "worker/run/hub.h"
#include "worker/run/load_run.h"
#include "worker/run/policy.h"
#include "worker/run/tick.h"

#define LOOK_AGAIN_US (2 * US_PER_S)
#define RECONNECT_US  US_PER_S

/* A configuration in use: the daemon's and one for each execution that runs on it. */
struct generation {
    struct config config;
    struct hub hub;
    int users; /* guarded by daemon.mutex */
};

struct daemon {
    const char *config_path;
    struct stop *stop;
    struct signals *signals;
    char worker[160];
    struct db *db; /* the claimer; becomes the owner's connection of what it claims */
    int64_t next_tick_us;
    bool sweep_due; /* at the start and after a loss: staging of runs that ended meanwhile */
    struct mutex mutex;
    struct generation *generation; /* the present one */
    struct load_slot *slots;
    size_t n_slots;
};

/* One execution under way. */
struct load_slot {
    struct daemon *daemon;
    struct thread thread;
    struct generation *generation;
    struct db *owner;
    struct claim claim;
    bool is_busy; /* guarded by daemon.mutex */
};

static struct generation *generation_new(const char *path, struct stop *stop)
{
    struct buf faults CLEANUP(buf_release);
    buf_init(&faults, (size_t)256 * 1024);
    struct error err = ERROR_INIT;
    struct generation *generation = XNEW(struct generation);
    if (!config_load(&generation->config, path, &faults, &err)) {
        log_fail("the configuration was not loaded", LOG_TEXT("error", err.msg),
                 LOG_TEXT("faults", faults.ptr));
        xfree(generation);
        return NULL;
    }
    hub_init(&generation->hub, &generation->config, stop);
    generation->users = 1;
    return generation;
}

static void generation_free(struct generation *generation)
{
    hub_release(&generation->hub);
    config_release(&generation->config);
    xfree(generation);
}

static void generation_leave(struct daemon *daemon, struct generation *generation)
{
    mutex_lock(&daemon->mutex);
    bool is_last = --generation->users == 0;
    mutex_unlock(&daemon->mutex);
    if (is_last) {
        generation_free(generation);
    }
}

static void *slot_main(void *arg)
{
    struct load_slot *slot = arg;
    struct daemon *daemon = slot->daemon;
    struct load_run_options options = {.stop = daemon->stop, .retry_when_stopped = true};
    struct run_report report;
    load_run(&slot->generation->config, &slot->generation->hub, slot->owner, &slot->claim, &options,
             &report);
    run_report_release(&report);
    db_close(TAKE(slot->owner));
    generation_leave(daemon, TAKE(slot->generation));
    mutex_lock(&daemon->mutex);
    slot->is_busy = false;
    mutex_unlock(&daemon->mutex);
    return NULL;
}

static struct load_slot *free_slot(struct daemon *daemon)
{
    MUTEX_GUARD(&daemon->mutex);
    size_t limit = (size_t)daemon->generation->config.worker.max_loads;
    limit = limit < daemon->n_slots ? limit : daemon->n_slots;
    size_t n_busy = 0;
    struct load_slot *found = NULL;
    for (size_t i = 0; i < daemon->n_slots; i++) {
        n_busy += daemon->slots[i].is_busy ? 1 : 0;
        found = found == NULL && !daemon->slots[i].is_busy ? &daemon->slots[i] : found;
    }
    return n_busy < limit ? found : NULL;
}

static void start_slot(struct daemon *daemon, struct load_slot *slot, const struct claim *claim)
{
    thread_join(&slot->thread); /* of the execution before, long ended */
    mutex_lock(&daemon->mutex);
    slot->daemon = daemon;
    slot->claim = *claim;
    slot->owner = TAKE(daemon->db);
    slot->generation = daemon->generation;
    slot->generation->users++;
    slot->is_busy = true;
    mutex_unlock(&daemon->mutex);
    thread_start(&slot->thread, "load", slot_main, slot);
}

/* The claimer's connection: listening, on a database of the right version. */
static bool connect_claimer(struct daemon *daemon, struct error *err)
{
    if (daemon->db != NULL && !db_is_alive(daemon->db)) {
        db_close(TAKE(daemon->db));
    }
    if (daemon->db != NULL) {
        return true;
    }
    const struct config *config = &daemon->generation->config;
    struct db_settings settings = {.url = config->database_url,
                                   .application_name = "foz-worker run"};
    int64_t dropped = 0;
    struct db *db = db_open(&settings, err);
    if (db == NULL || !migrate_check(db, config, err) ||
        !db_execute(db, "LISTEN " EXECUTION_QUEUE_CHANNEL, DB_NO_PARAMS, NULL, err) ||
        (daemon->sweep_due && !staging_sweep(db, &dropped, err))) {
        db_close(db);
        return false;
    }
    daemon->db = db;
    daemon->sweep_due = false;
    return true;
}

/* Claims what there is room for; *ret_full: there is no room for more. */
static bool claim_all(struct daemon *daemon, bool *ret_full, struct error *err)
{
    for (;;) {
        struct load_slot *slot = free_slot(daemon);
        *ret_full = slot == NULL;
        if (slot == NULL || stop_is_requested(daemon->stop)) {
            return true;
        }
        struct claim claim;
        enum claim_result result = claim_next(daemon->db, daemon->worker, &claim, err);
        if (result == CLAIM_ERROR) {
            return false;
        }
        if (result != CLAIM_DONE) {
            return true;
        }
        start_slot(daemon, slot, &claim);
        if (!connect_claimer(daemon, err)) {
            return false;
        }
    }
}

static bool tend(struct daemon *daemon, struct error *err)
{
    int64_t marked = 0;
    int64_t queued = 0;
    if (!claim_sweep(daemon->db, &marked, err) ||
        !claim_retry_interrupted(daemon->db, &queued, err)) {
        return false;
    }
    if (marked > 0) {
        log_warn("executions without a living worker were marked as interrupted",
                 LOG_INT("executions", marked));
        int64_t dropped = 0;
        if (!staging_sweep(daemon->db, &dropped, err)) {
            return false;
        }
    }
    if (queued > 0) {
        log_info("interrupted executions were queued once more", LOG_INT("executions", queued));
    }
    return true;
}

/* A field that no `migrate` has made room for would stop every load. A database that does not
 * answer is no reason: the next connection finds out. */
static bool is_migrated(const struct config *config)
{
    struct error err = ERROR_INIT;
    struct db_settings settings = {.url = config->database_url,
                                   .application_name = "foz-worker run"};
    struct db *db CLEANUP(db_closep) = db_open(&settings, &err);
    if (db == NULL || migrate_check(db, config, &err)) {
        return true;
    }
    log_fail("the configuration does not fit the database", LOG_TEXT("error", err.msg));
    return false;
}

static void reload(struct daemon *daemon)
{
    struct generation *fresh = generation_new(daemon->config_path, daemon->stop);
    if (fresh != NULL && !is_migrated(&fresh->config)) {
        generation_leave(daemon, TAKE(fresh));
    }
    if (fresh == NULL) {
        log_warn("the old configuration stays");
        return;
    }
    struct generation *old = daemon->generation;
    hub_continue(&fresh->hub, &old->hub);
    log_configure(fresh->config.log_level, fresh->config.log_format);
    mutex_lock(&daemon->mutex);
    daemon->generation = fresh;
    mutex_unlock(&daemon->mutex);
    generation_leave(daemon, old);
    db_close(TAKE(daemon->db));
    log_info("configuration reloaded");
}

/* One round: tidy when it is time, claim what there is, wait for more. */
static bool serve_once(struct daemon *daemon, int64_t *next_tend_us, struct error *err)
{
    bool full = false;
    bool notified = false;
    if (!connect_claimer(daemon, err)) {
        return false;
    }
    if (clock_monotonic_us() >= *next_tend_us) {
        if (!tend(daemon, err)) {
            return false;
        }
        *next_tend_us = clock_monotonic_us() + LOOK_AGAIN_US;
    }
    return claim_all(daemon, &full, err) && tick_when_due(daemon->db, &daemon->next_tick_us, err) &&
           db_wait_notify(daemon->db,
                          clock_monotonic_us() + (full ? 100 * US_PER_MS : LOOK_AGAIN_US),
                          signals_fd(daemon->signals), &notified, err);
}

static void note_loss(struct daemon *daemon, bool was_lost, const struct error *err)
{
    if (!was_lost) {
        log_fail("the queue cannot be read; trying again every second",
                 LOG_TEXT("error", err->msg));
    }
    db_close(TAKE(daemon->db));
    daemon->sweep_due = true;
    (void)stop_sleep_until(daemon->stop, clock_monotonic_us() + RECONNECT_US);
}

static void serve(struct daemon *daemon)
{
    bool was_lost = false;
    int64_t next_tend_us = 0;
    while (!stop_is_requested(daemon->stop)) {
        struct error err = ERROR_INIT;
        if (signals_take_reload(daemon->signals)) {
            reload(daemon);
        }
        bool good = serve_once(daemon, &next_tend_us, &err);
        if (!good) {
            note_loss(daemon, was_lost, &err);
        } else if (was_lost) {
            log_info("the database is back");
        }
        was_lost = !good;
    }
}

int daemon_run(const char *config_path, struct stop *stop, struct signals *signals)
{
    struct daemon daemon = {.config_path = config_path, .stop = stop, .signals = signals};
    daemon.generation = generation_new(config_path, stop);
    if (daemon.generation == NULL) {
        return EXIT_BAD_CONFIG;
    }
    claim_worker_name(daemon.worker, sizeof(daemon.worker));
    /* What is wrong at the start is for the operator; what goes wrong later passes. */
    struct error err = ERROR_INIT;
    daemon.sweep_due = true;
    if (!connect_claimer(&daemon, &err)) {
        log_fail("cannot start", LOG_TEXT("error", err.msg));
        generation_free(daemon.generation);
        return policy_exit_of_error(&err);
    }
    mutex_init(&daemon.mutex);
    daemon.n_slots = 64;
    daemon.slots = xcalloc(daemon.n_slots, sizeof(*daemon.slots));
    log_info("waiting for executions", LOG_TEXT("worker", daemon.worker));
    serve(&daemon);
    for (size_t i = 0; i < daemon.n_slots; i++) {
        thread_join(&daemon.slots[i].thread);
    }
    generation_leave(&daemon, daemon.generation);
    db_close(daemon.db);
    xfree(daemon.slots);
    mutex_release(&daemon.mutex);
    log_info("drained");
    return EXIT_STOPPED;
}
