#include "worker/cli/foreground.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "worker/cli/session.h"
#include "worker/load/staging.h"
#include "worker/run/claim.h"
#include "worker/run/policy.h"

static bool is_running(struct db *db, const char *load, int64_t *ret_id, struct error *err)
{
    struct db_result *row CLEANUP(db_result_freep) =
        db_query(db, "SELECT id FROM ops.execution_log WHERE load = $1 AND status = 'running'",
                 DB_PARAMS(load), err);
    *ret_id = row != NULL && db_rows(row) > 0 ? db_int64(row, 0, 0) : 0;
    return row != NULL;
}

static bool tidy(struct db *db, bool is_start, struct error *err)
{
    int64_t marked = 0;
    int64_t dropped = 0;
    return claim_sweep(db, &marked, err) &&
           ((marked == 0 && !is_start) || staging_sweep(db, &dropped, err));
}

/* Waits for its turn; the execution is reserved. */
static enum claim_result wait_and_start(struct foreground *foreground,
                                        int64_t id,
                                        const char *load,
                                        const char *worker,
                                        struct claim *claim,
                                        struct error *err)
{
    bool told = false;
    for (;;) {
        enum claim_result result = claim_start(foreground->owner, id, worker, claim, err);
        if (result != CLAIM_BUSY || foreground->no_wait || stop_is_requested(foreground->stop)) {
            return result;
        }
        int64_t other = 0;
        if (!is_running(foreground->owner, load, &other, err)) {
            return CLAIM_ERROR;
        }
        if (!told && other != 0) {
            (void)fprintf(stderr,
                          "foz-worker: load %s is running as execution %" PRId64
                          "; waiting for its turn\n",
                          load, other);
            told = true;
        }
        bool notified = false;
        if (!db_wait_notify(foreground->owner, clock_monotonic_us() + 500 * US_PER_MS, -1,
                            &notified, err) ||
            !tidy(foreground->owner, false, err)) {
            return CLAIM_ERROR;
        }
    }
}

/* The execution will not be run here. */
static bool let_go(struct foreground *foreground, int64_t id, const char *reason, struct error *err)
{
    bool given_back = false;
    if (!claim_withdraw(foreground->owner, id, reason, &given_back, err)) {
        return false;
    }
    if (given_back) {
        (void)fprintf(stderr,
                      "foz-worker: execution %" PRId64
                      " was ordered by somebody else and stays queued for foz-worker run\n",
                      id);
    }
    return true;
}

static int give_up(struct foreground *foreground, int64_t id, const char *load)
{
    bool stopped = stop_is_requested(foreground->stop);
    struct error err = ERROR_INIT;
    if (!let_go(foreground, id,
                stopped ? "stopped while waiting for its turn" : "the load was running (--no-wait)",
                &err)) {
        return session_fail(&err);
    }
    if (!stopped) {
        (void)fprintf(stderr,
                      "foz-worker: load %s is running; try again later, or leave out "
                      "--no-wait to wait for it\n",
                      load);
    }
    return stopped ? EXIT_STOPPED : EXIT_BUSY;
}

/* Waiting went wrong. Where the connection is lost too, the next worker to look sees to the row. */
static int fail(struct foreground *foreground, int64_t id, const struct error *err)
{
    struct error ignored = ERROR_INIT;
    (void)let_go(foreground, id, err->msg, &ignored);
    return session_fail(err);
}

int foreground_run(struct foreground *foreground,
                   const struct load_request *request,
                   const struct load_order *order,
                   struct run_report *ret_report)
{
    *ret_report = (struct run_report){.status = TASK_CANCELLED, .exit_code = EXIT_BUSY};
    struct error err = ERROR_INIT;
    char worker[160];
    claim_worker_name(worker, sizeof(worker));
    int64_t other = 0;
    if (!tidy(foreground->owner, true, &err) ||
        !is_running(foreground->owner, request->load, &other, &err)) {
        return ret_report->exit_code = session_fail(&err);
    }
    if (other != 0 && foreground->no_wait) {
        (void)fprintf(stderr,
                      "foz-worker: load %s is running as execution %" PRId64
                      "; try again later, or leave out --no-wait to wait for it\n",
                      request->load, other);
        return EXIT_BUSY;
    }
    int64_t id = 0;
    struct claim claim;
    if (!db_execute(foreground->owner, "LISTEN " EXECUTION_QUEUE_CHANNEL, DB_NO_PARAMS, NULL,
                    &err) ||
        !claim_reserve(foreground->owner, request, order, worker, &id, &err)) {
        return ret_report->exit_code = session_fail(&err);
    }
    ret_report->execution_id = id;
    switch (wait_and_start(foreground, id, request->load, worker, &claim, &err)) {
    case CLAIM_ERROR:
        return ret_report->exit_code = fail(foreground, id, &err);
    case CLAIM_BUSY:
        return ret_report->exit_code = give_up(foreground, id, request->load);
    case CLAIM_NONE:
        (void)fprintf(stderr, "foz-worker: execution %" PRId64 " was cancelled before it began\n",
                      id);
        return ret_report->exit_code = EXIT_TASK_FAILED;
    case CLAIM_DONE:
        break;
    }
    struct load_run_options options = {
        .stop = foreground->stop,
        .on_progress = foreground->progress.enabled ? load_progress_show : NULL,
        .arg = &foreground->progress,
        .retry_when_stopped = claim.is_order,
    };
    load_run(foreground->config, foreground->hub, foreground->owner, &claim, &options, ret_report);
    load_progress_clear(&foreground->progress);
    return ret_report->exit_code;
}
