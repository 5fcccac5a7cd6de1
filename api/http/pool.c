#include "api/http/pool.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/io/db.h"

#define CONNECT_TIMEOUT_S 3
#define LOCK_TIMEOUT_MS   5000
/* For so long after a failed attempt nobody tries again: the failure is handed out instead. */
#define RECONNECT_AFTER_US (500 * US_PER_MS)

struct connection {
    const char *url;
    struct db *db;
    bool schema_is_known;
};

/* In order of arrival. */
struct queue {
    struct pool_job *first;
    struct pool_job **last;
};

struct pool_worker {
    struct pool *pool;
    bool is_for_urgent;
    int64_t place_until_us; /* of the usual job it runs; 0 = none; guarded by the pool's lock */
    struct thread thread;
    struct connection read;
    struct connection write;
    bool is_shared; /* read and write are one database: only `write` is used */
};

struct pool {
    struct pool_settings settings;
    struct mutex lock;
    struct condition wake;        /* of those who do everything */
    struct condition wake_urgent; /* of the one who does not */
    struct queue usual;           /* guarded by lock */
    struct queue urgent;          /* guarded by lock */
    size_t n_queued;              /* guarded by lock */
    struct pool_job *later;       /* by due_us; guarded by lock */
    size_t n_later;               /* guarded by lock */
    size_t n_watching;            /* who wait for a place to become free; guarded by lock */
    bool stopping;                /* guarded by lock */
    struct error away;            /* last connection failure; guarded by lock */
    int64_t away_until_us;        /* guarded by lock */
    struct pool_worker *workers;
};

static bool check_schema(struct pool *pool, struct connection *connection, struct error *err)
{
    struct db_result *result CLEANUP(db_result_freep) = db_query(
        connection->db, "SELECT coalesce(max(version), 0) FROM ops.migration", DB_NO_PARAMS, err);
    if (result == NULL) {
        bool is_missing =
            strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0;
        if (is_missing) {
            error_clear(err);
            return error_set(err, ERROR_CONFIG,
                             "the database has no foz schema: run `foz-worker migrate`");
        }
        return false;
    }
    int64_t version = db_int64(result, 0, 0);
    if (version < pool->settings.schema_version) {
        return error_set(err, ERROR_CONFIG,
                         "the database schema has version %lld, this program needs %lld: run "
                         "`foz-worker migrate`",
                         (long long)version, (long long)pool->settings.schema_version);
    }
    connection->schema_is_known = true;
    return true;
}

static bool recently_failed(struct pool *pool, struct error *err)
{
    MUTEX_GUARD(&pool->lock);
    if (clock_monotonic_us() >= pool->away_until_us) {
        return false;
    }
    *err = pool->away;
    return true;
}

static void remember_failure(struct pool *pool, const struct error *err)
{
    bool is_new = false;
    {
        MUTEX_GUARD(&pool->lock);
        is_new = !error_is_set(&pool->away);
        pool->away = *err;
        pool->away_until_us = clock_monotonic_us() + RECONNECT_AFTER_US;
    }
    if (is_new) {
        log_fail("database unreachable", LOG_TEXT("error", err->msg),
                 LOG_TEXT("pool", pool->settings.name));
    }
}

static void forget_failure(struct pool *pool)
{
    bool was_away = false;
    {
        MUTEX_GUARD(&pool->lock);
        was_away = error_is_set(&pool->away);
        pool->away = (struct error)ERROR_INIT;
        pool->away_until_us = 0;
    }
    if (was_away) {
        log_info("database reachable again", LOG_TEXT("pool", pool->settings.name));
    }
}

static bool reopen(struct pool *pool, struct connection *connection, struct error *err)
{
    if (recently_failed(pool, err)) {
        return false;
    }
    db_close(TAKE(connection->db));
    connection->schema_is_known = false;
    struct db_settings settings = {
        .url = connection->url,
        .application_name = pool->settings.name,
        .connect_timeout_s = CONNECT_TIMEOUT_S,
        .statement_timeout_ms = pool->settings.statement_timeout_ms,
        .lock_timeout_ms = LOCK_TIMEOUT_MS,
    };
    connection->db = db_open(&settings, err);
    if (connection->db == NULL) {
        remember_failure(pool, err);
        return false;
    }
    forget_failure(pool);
    return true;
}

static struct db *use(struct pool *pool, struct connection *connection, struct error *err)
{
    if ((connection->db == NULL || !db_is_alive(connection->db)) &&
        !reopen(pool, connection, err)) {
        return NULL;
    }
    if (!connection->schema_is_known && !check_schema(pool, connection, err)) {
        return NULL;
    }
    return connection->db;
}

struct db *pool_write(struct pool_worker *worker, struct error *err)
{
    return use(worker->pool, &worker->write, err);
}

struct db *pool_read(struct pool_worker *worker, struct error *err)
{
    return use(worker->pool, worker->is_shared ? &worker->write : &worker->read, err);
}

void pool_failed(struct pool_worker *worker, const struct error *err)
{
    if (strncmp(err->sqlstate, "42", 2) == 0 || strcmp(err->sqlstate, "3F000") == 0) {
        worker->read.schema_is_known = false;
        worker->write.schema_is_known = false;
    }
}

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.first = NULL, .last = &queue->first};
}

static void queue_add(struct queue *queue, struct pool_job *job)
{
    job->next = NULL;
    *queue->last = job;
    queue->last = &job->next;
}

static struct pool_job *queue_take(struct queue *queue)
{
    struct pool_job *job = queue->first;
    if (job != NULL) {
        queue->first = job->next;
        if (queue->first == NULL) {
            queue->last = &queue->first;
        }
    }
    return job;
}

/* Under the lock. */
static bool has_place(const struct pool *pool, int64_t now_us)
{
    size_t n_taken = 0;
    for (size_t i = 0; i < pool->settings.threads; i++) {
        n_taken += pool->workers[i].place_until_us > now_us ? 1 : 0;
    }
    return n_taken < pool->settings.places;
}

/* When the next place becomes free if nobody is done before. Under the lock. */
static int64_t next_place_us(const struct pool *pool, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < pool->settings.threads; i++) {
        int64_t until_us = pool->workers[i].place_until_us;
        next_us = until_us > now_us && until_us < next_us ? until_us : next_us;
    }
    return next_us;
}

/* Somebody for the usual jobs that wait. Of those who find no place one is enough, who watches; who
 * is done takes the next job anyway. Under the lock. */
static void wake_one(struct pool *pool, int64_t now_us)
{
    if (pool->usual.first != NULL && (pool->n_watching == 0 || has_place(pool, now_us))) {
        condition_signal(&pool->wake);
    }
}

/* Under the lock. */
static struct pool_job *take_job(struct pool_worker *worker, int64_t now_us, bool *ret_late)
{
    struct pool *pool = worker->pool;
    struct pool_job *job = pool->later;
    if (job != NULL && job->due_us <= now_us) {
        pool->later = job->next;
        pool->n_later--;
        *ret_late = false;
        return job;
    }
    job = queue_take(&pool->urgent);
    if (job == NULL && !worker->is_for_urgent && has_place(pool, now_us)) {
        job = queue_take(&pool->usual);
        worker->place_until_us = job != NULL ? now_us + POOL_SHORT_US : 0;
    }
    if (job != NULL) {
        pool->n_queued--;
        *ret_late = now_us - job->queued_us > pool->settings.wait_limit_us;
    }
    return job;
}

/* Until a job comes, is due, or may be taken. Under the lock. */
static void wait_for_job(struct pool_worker *worker, int64_t now_us)
{
    struct pool *pool = worker->pool;
    struct condition *wake = worker->is_for_urgent ? &pool->wake_urgent : &pool->wake;
    bool is_watching = !worker->is_for_urgent && pool->usual.first != NULL;
    int64_t until_us = is_watching ? next_place_us(pool, now_us) : INT64_MAX;
    if (pool->later != NULL && pool->later->due_us < until_us) {
        until_us = pool->later->due_us;
    }
    pool->n_watching += is_watching ? 1 : 0;
    if (until_us < INT64_MAX) {
        (void)condition_wait_until(wake, &pool->lock, until_us);
    } else {
        condition_wait(wake, &pool->lock);
    }
    pool->n_watching -= is_watching ? 1 : 0;
}

/* The next job to run, waiting for one; NULL when the pool stops. */
static struct pool_job *next_job(struct pool_worker *worker, bool *ret_late)
{
    struct pool *pool = worker->pool;
    MUTEX_GUARD(&pool->lock);
    worker->place_until_us = 0;
    while (!pool->stopping) {
        int64_t now_us = clock_monotonic_us();
        struct pool_job *job = take_job(worker, now_us, ret_late);
        if (job != NULL) {
            wake_one(pool, now_us); /* this one may have been the one who watched */
            return job;
        }
        wait_for_job(worker, now_us);
    }
    return NULL;
}

/* false when the pool is stopping. */
static bool put_off(struct pool *pool, struct pool_job *job, int64_t due_us)
{
    MUTEX_GUARD(&pool->lock);
    if (pool->stopping) {
        return false;
    }
    job->due_us = due_us;
    struct pool_job **place = &pool->later;
    while (*place != NULL && (*place)->due_us <= due_us) {
        place = &(*place)->next;
    }
    job->next = *place;
    *place = job;
    pool->n_later++;
    condition_signal(&pool->wake);
    condition_signal(&pool->wake_urgent);
    return true;
}

static void *worker_main(void *arg)
{
    struct pool_worker *worker = arg;
    struct pool_job *job = NULL;
    bool is_late = false;
    while ((job = next_job(worker, &is_late)) != NULL) {
        if (is_late) {
            job->refuse(job, POOL_LATE);
            continue;
        }
        int64_t due_us = job->run(job, worker);
        if (due_us > 0 && !put_off(worker->pool, job, due_us)) {
            job->refuse(job, POOL_STOPS);
        }
    }
    db_close(TAKE(worker->read.db));
    db_close(TAKE(worker->write.db));
    return NULL;
}

struct pool *pool_start(const struct pool_settings *settings)
{
    assert(settings->threads > 0 && settings->places > 0);
    struct pool *pool = XNEW(struct pool);
    pool->settings = *settings;
    queue_init(&pool->usual);
    queue_init(&pool->urgent);
    mutex_init(&pool->lock);
    condition_init(&pool->wake);
    condition_init(&pool->wake_urgent);
    pool->workers = xcalloc(settings->threads, sizeof(*pool->workers));
    for (size_t i = 0; i < settings->threads; i++) {
        struct pool_worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->is_for_urgent = i == 0 && settings->threads > 1;
        worker->read.url = settings->read_url;
        worker->write.url = settings->write_url;
        worker->is_shared = strcmp(settings->read_url, settings->write_url) == 0;
        char name[16];
        (void)snprintf(name, sizeof(name), "%.11s %zu", settings->name, i % 100);
        thread_start(&worker->thread, name, worker_main, worker);
    }
    return pool;
}

bool pool_submit(struct pool *pool, struct pool_job *job)
{
    MUTEX_GUARD(&pool->lock);
    if (pool->stopping || pool->n_queued >= pool->settings.queue_limit) {
        return false;
    }
    job->queued_us = clock_monotonic_us();
    queue_add(job->is_urgent ? &pool->urgent : &pool->usual, job);
    pool->n_queued++;
    if (job->is_urgent) {
        condition_signal(&pool->wake);
        condition_signal(&pool->wake_urgent);
    } else {
        wake_one(pool, job->queued_us);
    }
    return true;
}

size_t pool_waiting(struct pool *pool)
{
    MUTEX_GUARD(&pool->lock);
    return pool->n_queued + pool->n_later;
}

static void refuse_all(struct pool_job *job)
{
    while (job != NULL) {
        struct pool_job *next = job->next;
        job->refuse(job, POOL_STOPS);
        job = next;
    }
}

void pool_stop(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    struct pool_job *usual = NULL;
    struct pool_job *urgent = NULL;

    struct pool_job *later = NULL;
    {
        MUTEX_GUARD(&pool->lock);
        pool->stopping = true;
        usual = pool->usual.first;
        urgent = pool->urgent.first;
        later = TAKE(pool->later);
        queue_init(&pool->usual);
        queue_init(&pool->urgent);
        condition_broadcast(&pool->wake);
        condition_broadcast(&pool->wake_urgent);
    }

    refuse_all(usual);
    refuse_all(urgent);
    refuse_all(later);
    for (size_t i = 0; i < pool->settings.threads; i++) {
        thread_join(&pool->workers[i].thread);
    }
    condition_release(&pool->wake);
    condition_release(&pool->wake_urgent);
    mutex_release(&pool->lock);
    xfree(pool->workers);
    xfree(pool);
}
