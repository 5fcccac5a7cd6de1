#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "common/ops/execution.h"

/*
 * Owning an execution. The owner holds a session advisory lock on a connection of its own and the
 * fencing token in the row; heartbeats only show progress. A `running` row whose lock is free has
 * lost its worker, and whoever notices says so in the log.
 *
 * A foreground load makes an execution for itself, or adopts an equal one that is queued: somebody
 * else's order, which outlives it. Adopting sets retry_due in the queued row, so that whoever finds
 * the foreground gone knows which it was.
 *
 * All calls take the owner's connection and belong to one thread.
 */

struct claim {
    int64_t id;
    int64_t fence;
    int attempt;
    bool is_order; /* adopted: somebody else waits for it to be run */
    char load[128];
    enum load_mode mode;
    int64_t from_us; /* INT64_MIN = open */
    int64_t to_us;   /* INT64_MAX = open */
    char params[4096];
    char trace_id[64];
};

enum claim_result { CLAIM_ERROR = -1, CLAIM_NONE, CLAIM_BUSY, CLAIM_DONE };

/* "host:pid", for ops.execution_log.worker. */
void claim_worker_name(char *out, size_t size);

/* Marks what dead workers left as interrupted; those that were running for the first time are due
 * for a retry. Orders that a dead foreground had adopted and not begun are queued as before.
 * *ret_marked counts the interrupted ones and may be NULL. */
bool claim_sweep(struct db *db, int64_t *ret_marked, struct error *err);

/* Queues those that are due again, once, unless a later execution of the same request brought a
 * result: the daemon's part. */
bool claim_retry_interrupted(struct db *db, int64_t *ret_queued, struct error *err);

/* Takes the oldest queued execution whose load is not running. BUSY: there was one, but another
 * worker was faster. */
enum claim_result
claim_next(struct db *db, const char *worker, struct claim *ret_claim, struct error *err);

/* Puts a foreground load into the log as queued and owned, or adopts an equal request that nobody
 * owns yet. Only the caller can start it. */
bool claim_reserve(struct db *db,
                   const struct load_request *request,
                   const struct load_order *order,
                   const char *worker,
                   int64_t *ret_id,
                   struct error *err);

/* Starts a reserved execution. BUSY while its load is running; NONE if it was cancelled meanwhile.
 */
enum claim_result claim_start(
    struct db *db, int64_t id, const char *worker, struct claim *ret_claim, struct error *err);

/* Lets go of a reserved execution that the caller will not run: its own is cancelled for `reason`,
 * an adopted one is given back to the queue. */
bool claim_withdraw(
    struct db *db, int64_t id, const char *reason, bool *ret_given_back, struct error *err);

struct claim_pulse {
    bool cancel_requested;
    bool lost; /* the row is not ours any more */
};

bool claim_heartbeat(struct db *db,
                     const struct claim *claim,
                     int64_t records_read,
                     struct claim_pulse *ret_pulse,
                     struct error *err);

/* Writes the final status; counters are summed from the tasks. Tasks that are not final become
 * what the execution became. With retry_due an interrupted execution is queued again by `run`. A
 * row that is not ours any more is left alone. */
bool claim_finish(struct db *db,
                  const struct claim *claim,
                  const char *status,
                  const char *message,
                  bool retry_due,
                  struct error *err);
