#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/error.h"

/*
 * Threads that own database connections, fed by one bounded queue, so that a slow statement never
 * holds a thread that polls sockets. Each thread has at most two connections, one for reading and
 * one for writing (one in all where both go to the same place), opened when first needed and
 * replaced when lost. While the database is away requests fail at once instead of each waiting for
 * its own connection attempt. Who has waited too long for a thread is refused: a flood is over for
 * the others soon after it ended. One thread is there for urgent jobs alone.
 *
 * Short statements gain nothing from more of them than there are processors: they only take turns,
 * and now and then one waits for a tenth of a second until it is its turn. So only `places` usual
 * jobs run beside each other, but who is not done within POOL_SHORT_US gives its place away.
 *
 * Jobs are embedded in the caller's memory and belong to the pool from pool_submit until `run` or
 * `refuse` is called.
 */

struct db;
struct pool;
struct pool_worker;

#define POOL_SHORT_US (20 * US_PER_MS)

enum pool_refusal { POOL_STOPS, POOL_LATE };

struct pool_job {
    /* On a pool thread. Returns 0 when done (the job may be gone by then), or the monotonic time
     * in microseconds at which it wants to be run again. */
    int64_t (*run)(struct pool_job *job, struct pool_worker *worker);
    /* The pool stops before the job could (again) be run, or the job has waited too long. On any
     * thread. */
    void (*refuse)(struct pool_job *job, enum pool_refusal why);
    bool is_urgent; /* quickly done, and not to wait behind what is not */
    /* the pool's */
    struct pool_job *next;
    int64_t queued_us;
    int64_t due_us;
};

struct pool_settings {
    const char *name; /* application_name and thread name, at most 11 bytes */
    const char *write_url;
    const char *read_url;
    size_t threads;     /* of more than one the first is for urgent jobs alone */
    size_t places;      /* for short jobs that are not urgent; at least 1 */
    size_t queue_limit; /* jobs that may wait to be run for the first time */
    int64_t wait_limit_us;
    int64_t statement_timeout_ms;
    int64_t schema_version; /* ops.migration must have at least this */
};

struct pool *pool_start(const struct pool_settings *settings);
void pool_stop(
    struct pool *pool); /* finishes running jobs, refuses the others, joins; accepts NULL */

/* false: the queue is full or the pool is stopping, and the job stays the caller's. */
bool pool_submit(struct pool *pool, struct pool_job *job);

/* The calling thread's connection, open and with a schema this program knows. NULL: ERROR_CONFIG
 * names `foz-worker migrate`, other codes mean that the database cannot be reached. */
struct db *pool_read(struct pool_worker *worker, struct error *err);
struct db *pool_write(struct pool_worker *worker, struct error *err);

/* To be called when a statement failed: forgets what was known of the schema if `err` says that
 * something of it is missing. */
void pool_failed(struct pool_worker *worker, const struct error *err);

size_t pool_waiting(struct pool *pool); /* queued and put off */
