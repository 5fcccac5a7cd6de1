#include "worker/run/claim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/instant.h"
#include "common/ops/locks.h"

#define ID_TEXT_MAX 24

static const char *id_text(int64_t id, char out[ID_TEXT_MAX])
{
    (void)snprintf(out, ID_TEXT_MAX, "%" PRId64, id);
    return out;
}

void claim_worker_name(char *out, size_t size)
{
    char host[128] = "localhost";
    if (gethostname(host, sizeof(host) - 1) != 0) {
        (void)snprintf(host, sizeof(host), "localhost");
    }
    (void)snprintf(out, size, "%s:%ld", host, (long)getpid());
}

/* An order that its foreground had not begun goes back to the queue; an execution that the dead
 * foreground had made for itself does not. What was begun is tried once more, whoever ran it. */
static const char SQL_SWEEP[] =
    "WITH dead AS ("
    "  UPDATE ops.execution_log e"
    "     SET status = 'interrupted', finished_at = clock_timestamp(),"
    "         retry_due = (e.status = 'running' AND e.attempt = 1),"
    "         duration_ms = (extract(epoch FROM clock_timestamp() - e.started_at) * 1000)::bigint,"
    "         error_message = concat_ws('; ', e.error_message,"
    "           'the worker ' || e.worker || ' ended without finishing; tasks it published stay, "
    "run the load again for the rest')"
    "   WHERE (e.status = 'running'"
    "          OR (e.status = 'queued' AND e.worker IS NOT NULL AND NOT e.retry_due))"
    "     AND NOT ops.execution_is_owned(e.id)"
    "  RETURNING e.id),"
    " given_back AS ("
    "  UPDATE ops.execution_log e SET worker = NULL, retry_due = false"
    "   WHERE e.status = 'queued' AND e.worker IS NOT NULL AND e.retry_due"
    "     AND NOT ops.execution_is_owned(e.id)"
    "  RETURNING pg_notify('" EXECUTION_QUEUE_CHANNEL "', e.id::text)),"
    " tasks AS ("
    "  UPDATE ops.execution_task t"
    "     SET status = 'interrupted', finished_at = clock_timestamp(),"
    "         error_message = coalesce(t.error_message, 'the worker ended before the task was ' ||"
    "           CASE t.status WHEN 'queued' THEN 'begun' ELSE 'published' END ||"
    "           '; run the load again')"
    "    FROM dead WHERE t.execution_id = dead.id AND t.status IN ('queued', 'running')"
    "  RETURNING 1)"
    " SELECT count(*), (SELECT count(*) FROM given_back) FROM dead";

/* The counters of an execution are the sums over its tasks, whatever became of it. */
static const char SQL_SUM_UP[] =
    "UPDATE ops.execution_log e"
    "   SET records_read = t.r, records_inserted = t.i, records_updated = t.u,"
    "       records_unchanged = t.n, records_deleted = t.d, records_rejected = t.x"
    "  FROM (SELECT execution_id, sum(records_read) r, sum(records_inserted) i,"
    "               sum(records_updated) u, sum(records_unchanged) n, sum(records_deleted) d,"
    "               sum(records_rejected) x"
    "          FROM ops.execution_task GROUP BY execution_id) t"
    " WHERE e.id = t.execution_id AND e.status = 'interrupted'"
    "   AND e.finished_at > clock_timestamp() - interval '1 minute'";

bool claim_sweep(struct db *db, int64_t *ret_marked, struct error *err)
{
    struct db_result *result CLEANUP(db_result_freep) = db_query(db, SQL_SWEEP, DB_NO_PARAMS, err);
    if (result == NULL) {
        return error_wrap(err, "looking for executions without a worker");
    }
    int64_t marked = db_int64(result, 0, 0);
    if (marked > 0 && !db_execute(db, SQL_SUM_UP, DB_NO_PARAMS, NULL, err)) {
        return false;
    }
    if (ret_marked != NULL) {
        *ret_marked = marked;
    }
    return true;
}

/* Of n and d. */
#define SAME_REQUEST                                                                               \
    "(n.load, n.mode, n.params) = (d.load, d.mode, d.params)"                                      \
    " AND n.window_from IS NOT DISTINCT FROM d.window_from"                                        \
    " AND n.window_to IS NOT DISTINCT FROM d.window_to"

/* A later execution of the same request stands in for the retry once it has brought a result; while
 * it may still bring one, the retry waits. One that was cancelled or interrupted brings none. Of
 * several that are due only the last is retried: what it reads is what all of them were to read. */
static const char SQL_RETRY[] =
    "WITH due AS ("
    "  UPDATE ops.execution_log d SET retry_due = false"
    "   WHERE d.retry_due AND d.status = 'interrupted'"
    "     AND NOT EXISTS (SELECT FROM ops.execution_log n WHERE n.id > d.id"
    "                        AND n.status IN ('queued', 'running') AND " SAME_REQUEST ")"
    "  RETURNING *)"
    " INSERT INTO ops.execution_log (load, mode, window_from, window_to, params, trigger,"
    "   requested_by, trace_id, attempt, retry_of)"
    " SELECT d.load, d.mode, d.window_from, d.window_to, d.params, d.trigger, d.requested_by,"
    "        d.trace_id, d.attempt + 1, d.id"
    "   FROM due d"
    "  WHERE NOT EXISTS (SELECT FROM due n WHERE n.id > d.id AND " SAME_REQUEST ")"
    "    AND NOT EXISTS (SELECT FROM ops.execution_log n WHERE n.id > d.id"
    "                       AND n.status NOT IN ('queued', 'running', 'cancelled', 'interrupted')"
    "                       AND " SAME_REQUEST ")";

bool claim_retry_interrupted(struct db *db, int64_t *ret_queued, struct error *err)
{
    return db_execute(db, SQL_RETRY, DB_NO_PARAMS, ret_queued, err) ||
           error_wrap(err, "queueing interrupted executions again");
}

static bool lock_execution(struct db *db, int64_t id, bool *ret_locked, struct error *err)
{
    char text[ID_TEXT_MAX];
    struct db_result *result CLEANUP(db_result_freep) = db_query(
        db, "SELECT pg_try_advisory_lock(" LOCK_EXECUTION ", ($1::bigint & 2147483647)::int)",
        DB_PARAMS(id_text(id, text)), err);
    if (result == NULL) {
        return false;
    }
    *ret_locked = db_bool(result, 0, 0);
    return true;
}

static void unlock_execution(struct db *db, int64_t id)
{
    char text[ID_TEXT_MAX];
    struct error ignored = ERROR_INIT; /* the lock goes with the connection anyway */
    (void)db_execute(
        db, "SELECT pg_advisory_unlock(" LOCK_EXECUTION ", ($1::bigint & 2147483647)::int)",
        DB_PARAMS(id_text(id, text)), NULL, &ignored);
}

/* Behind unlock_execution: whoever is woken wants that lock. */
static void notify_queue(struct db *db, int64_t id)
{
    char text[ID_TEXT_MAX];
    struct error ignored = ERROR_INIT; /* those who wait look again by themselves */
    (void)db_execute(db, "SELECT pg_notify('" EXECUTION_QUEUE_CHANNEL "', $1)",
                     DB_PARAMS(id_text(id, text)), NULL, &ignored);
}

/* Inside a transaction whose connection holds the lock of `id`. */
static const char SQL_START[] =
    "UPDATE ops.execution_log e"
    "   SET status = 'running', worker = $2, started_at = clock_timestamp(),"
    "       heartbeat_at = clock_timestamp(), fence = nextval('ops.fence_seq')"
    " WHERE id = $1 AND status = 'queued' AND cancel_requested_at IS NULL"
    " RETURNING id, fence, attempt, load, mode, params, coalesce(trace_id, ''),"
    "   CASE WHEN window_from IS NOT NULL THEN (extract(epoch FROM window_from) * 1000000)::bigint "
    "END,"
    "   CASE WHEN window_to IS NOT NULL THEN (extract(epoch FROM window_to) * 1000000)::bigint END,"
    "   retry_due";

static bool read_mode(const char *text, enum load_mode *ret_mode)
{
    if (strcmp(text, load_mode_name(MODE_RETRY)) == 0) {
        *ret_mode = MODE_RETRY;
        return true;
    }
    return load_mode_parse(text, ret_mode);
}

static bool read_claim(const struct db_result *row, struct claim *claim, struct error *err)
{
    *claim = (struct claim){.id = db_int64(row, 0, 0),
                            .fence = db_int64(row, 0, 1),
                            .attempt = (int)db_int64(row, 0, 2),
                            .is_order = db_bool(row, 0, 9)};
    claim->from_us = db_is_null(row, 0, 7) ? INT64_MIN : db_int64(row, 0, 7);
    claim->to_us = db_is_null(row, 0, 8) ? INT64_MAX : db_int64(row, 0, 8);
    if (!read_mode(db_text(row, 0, 4), &claim->mode) ||
        db_str(row, 0, 3).len >= sizeof(claim->load) ||
        db_str(row, 0, 5).len >= sizeof(claim->params)) {
        return error_set(err, ERROR_BUG, "execution %" PRId64 ": unreadable row", claim->id);
    }
    (void)snprintf(claim->load, sizeof(claim->load), "%s", db_text(row, 0, 3));
    (void)snprintf(claim->params, sizeof(claim->params), "%s", db_text(row, 0, 5));
    (void)snprintf(claim->trace_id, sizeof(claim->trace_id), "%.63s", db_text(row, 0, 6));
    return true;
}

/* In the open transaction: running, or busy because of the one-running index. Ends it. */
static enum claim_result start_locked(
    struct db *db, int64_t id, const char *worker, struct claim *ret_claim, struct error *err)
{
    char text[ID_TEXT_MAX];
    struct db_result *row CLEANUP(db_result_freep) =
        db_query(db, SQL_START, DB_PARAMS(id_text(id, text), worker), err);
    if (row == NULL) {
        db_rollback(db);
        if (strcmp(err->sqlstate, "23505") == 0) {
            error_clear(err);
            return CLAIM_BUSY;
        }
        return CLAIM_ERROR;
    }
    if (db_rows(row) == 0) {
        db_rollback(db);
        return CLAIM_NONE;
    }
    if (!read_claim(row, ret_claim, err)) {
        db_rollback(db);
        return CLAIM_ERROR;
    }
    return db_commit(db, err) ? CLAIM_DONE : CLAIM_ERROR;
}

enum claim_result
claim_next(struct db *db, const char *worker, struct claim *ret_claim, struct error *err)
{
    if (!db_begin(db, err)) {
        return CLAIM_ERROR;
    }
    struct db_result *next CLEANUP(db_result_freep) =
        db_query(db,
                 "SELECT e.id FROM ops.execution_log e"
                 " WHERE e.status = 'queued' AND e.worker IS NULL"
                 "   AND NOT EXISTS (SELECT FROM ops.execution_log r"
                 "                    WHERE r.load = e.load AND r.status = 'running')"
                 " ORDER BY e.id LIMIT 1 FOR UPDATE SKIP LOCKED",
                 DB_NO_PARAMS, err);
    if (next == NULL || db_rows(next) == 0) {
        db_rollback(db);
        return next == NULL ? CLAIM_ERROR : CLAIM_NONE;
    }
    int64_t id = db_int64(next, 0, 0);
    bool locked = false;
    if (!lock_execution(db, id, &locked, err)) {
        db_rollback(db);
        return CLAIM_ERROR;
    }
    if (!locked) {
        db_rollback(db);
        return CLAIM_BUSY;
    }
    enum claim_result result = start_locked(db, id, worker, ret_claim, err);
    if (result != CLAIM_DONE) {
        unlock_execution(db, id);
    }
    return result;
}

bool claim_reserve(struct db *db,
                   const struct load_request *request,
                   const struct load_order *order,
                   const char *worker,
                   int64_t *ret_id,
                   struct error *err)
{
    bool joined = false;
    bool locked = false;
    int64_t id = 0;
    /* Until the row says whose it is, a daemon may take it: then queue another. */
    for (int tries = 0; tries < 10; tries++) {
        char text[ID_TEXT_MAX];
        int64_t rows = 0;
        if (!db_begin(db, err)) {
            return false;
        }
        if (!execution_enqueue(db, request, order, &id, &joined, err) ||
            !lock_execution(db, id, &locked, err) ||
            (locked && !db_execute(db,
                                   "UPDATE ops.execution_log SET worker = $2, retry_due = $3"
                                   " WHERE id = $1 AND status = 'queued' AND worker IS NULL",
                                   DB_PARAMS(id_text(id, text), worker, joined ? "true" : "false"),
                                   &rows, err))) {
            db_rollback(db);
            return error_wrap(err, "queueing load %s", request->load);
        }
        if (locked && rows == 1) {
            *ret_id = id;
            return db_commit(db, err);
        }
        db_rollback(db);
        if (locked) {
            unlock_execution(db, id);
        }
    }
    return error_set(err, ERROR_TRANSIENT,
                     "load %s: other workers keep taking its executions; try again", request->load);
}

enum claim_result claim_start(
    struct db *db, int64_t id, const char *worker, struct claim *ret_claim, struct error *err)
{
    return db_begin(db, err) ? start_locked(db, id, worker, ret_claim, err) : CLAIM_ERROR;
}

static const char SQL_WITHDRAW[] =
    "UPDATE ops.execution_log"
    "   SET status = CASE WHEN retry_due THEN 'queued' ELSE 'cancelled' END,"
    "       worker = CASE WHEN NOT retry_due THEN worker END,"
    "       finished_at = CASE WHEN NOT retry_due THEN clock_timestamp() END,"
    "       error_message = CASE WHEN retry_due THEN error_message ELSE $2 END,"
    "       retry_due = false"
    " WHERE id = $1 AND status = 'queued'"
    " RETURNING status = 'queued'";

bool claim_withdraw(
    struct db *db, int64_t id, const char *reason, bool *ret_given_back, struct error *err)
{
    char text[ID_TEXT_MAX];
    struct db_result *row CLEANUP(db_result_freep) =
        db_query(db, SQL_WITHDRAW, DB_PARAMS(id_text(id, text), reason), err);
    unlock_execution(db, id);
    if (row == NULL) {
        return error_wrap(err, "withdrawing from execution %" PRId64, id);
    }
    *ret_given_back = db_rows(row) > 0 && db_bool(row, 0, 0);
    if (*ret_given_back) {
        notify_queue(db, id);
    }
    return true;
}

bool claim_heartbeat(struct db *db,
                     const struct claim *claim,
                     int64_t records_read,
                     struct claim_pulse *ret_pulse,
                     struct error *err)
{
    char id[ID_TEXT_MAX];
    char fence[ID_TEXT_MAX];
    char read[ID_TEXT_MAX];
    struct db_result *row CLEANUP(db_result_freep) =
        db_query(db,
                 "UPDATE ops.execution_log SET heartbeat_at = clock_timestamp(), records_read = $3"
                 " WHERE id = $1 AND fence = $2 AND status = 'running'"
                 " RETURNING cancel_requested_at IS NOT NULL",
                 DB_PARAMS(id_text(claim->id, id), id_text(claim->fence, fence),
                           id_text(records_read, read)),
                 err);
    if (row == NULL) {
        return false;
    }
    *ret_pulse = (struct claim_pulse){.lost = db_rows(row) == 0};
    ret_pulse->cancel_requested = !ret_pulse->lost && db_bool(row, 0, 0);
    return true;
}

static const char SQL_FINISH[] =
    "WITH tasks AS ("
    "  UPDATE ops.execution_task SET status = $3, finished_at = clock_timestamp()"
    "   WHERE execution_id = $1 AND status IN ('queued', 'running')"
    "     AND EXISTS (SELECT FROM ops.execution_log WHERE id = $1 AND fence = $2 AND status = "
    "'running')"
    "  RETURNING 1)"
    " UPDATE ops.execution_log e"
    "   SET status = $3, error_message = nullif($4, ''), retry_due = $5::boolean,"
    "       finished_at = clock_timestamp(), heartbeat_at = clock_timestamp(),"
    "       duration_ms = (extract(epoch FROM clock_timestamp() - started_at) * 1000)::bigint,"
    "       records_read = t.r, records_inserted = t.i, records_updated = t.u,"
    "       records_unchanged = t.n, records_deleted = t.d, records_rejected = t.x"
    "  FROM (SELECT coalesce(sum(records_read), 0) r, coalesce(sum(records_inserted), 0) i,"
    "               coalesce(sum(records_updated), 0) u, coalesce(sum(records_unchanged), 0) n,"
    "               coalesce(sum(records_deleted), 0) d, coalesce(sum(records_rejected), 0) x,"
    "               (SELECT count(*) FROM tasks)"
    "          FROM ops.execution_task WHERE execution_id = $1) t"
    " WHERE e.id = $1 AND e.fence = $2 AND e.status = 'running'";

bool claim_finish(struct db *db,
                  const struct claim *claim,
                  const char *status,
                  const char *message,
                  bool retry_due,
                  struct error *err)
{
    char id[ID_TEXT_MAX];
    char fence[ID_TEXT_MAX];
    bool done = db_execute(db, SQL_FINISH,
                           DB_PARAMS(id_text(claim->id, id), id_text(claim->fence, fence), status,
                                     message, retry_due ? "true" : "false"),
                           NULL, err);
    if (!done) {
        return error_wrap(err, "finishing execution %" PRId64, claim->id);
    }
    unlock_execution(db, claim->id);
    notify_queue(db, claim->id);
    return true;
}
