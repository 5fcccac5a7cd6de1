#include "common/io/db_watch.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/io/db_private.h"

#define PERIOD_US (500 * US_PER_MS)
/* A cancel that comes twice may meet the next statement, which records how the task ended. */
#define AGAIN_US (10 * US_PER_S)

struct db_watch {
    struct stop *stop; /* the watch's own, below the one it was made with */
    int64_t patience_us;
    struct thread thread;
    struct mutex lock;
    struct condition ends;
    struct db *first; /* guarded by lock, like the links between them */
    bool is_ending;   /* guarded by lock */
};

/* Under the lock: nobody closes a connection meanwhile. */
static void cancel_overdue(struct db_watch *watch, int64_t stopped_us)
{
    int64_t now_us = clock_monotonic_us();
    for (struct db *db = watch->first; db != NULL; db = db->watched_next) {
        int64_t since_us = db->busy_since_us;
        int64_t waited_us = now_us - (since_us > stopped_us ? since_us : stopped_us);
        bool is_asked = db->cancelled_since_us == since_us && now_us < db->cancelled_us + AGAIN_US;
        char why[256] = "";
        if (since_us == 0 || waited_us < watch->patience_us || db->cancel == NULL || is_asked) {
            continue;
        }
        db->cancelled_since_us = since_us;
        db->cancelled_us = now_us;
        if (PQcancel(db->cancel, why, sizeof(why)) == 0) {
            log_warn("a statement could not be cancelled", LOG_TEXT("error", why));
        }
    }
}

static void *watch_main(void *arg)
{
    struct db_watch *watch = arg;
    (void)stop_sleep_until(watch->stop, INT64_MAX);
    int64_t stopped_us = clock_monotonic_us();
    MUTEX_GUARD(&watch->lock);
    while (!watch->is_ending) {
        cancel_overdue(watch, stopped_us);
        (void)condition_wait_until(&watch->ends, &watch->lock, clock_monotonic_us() + PERIOD_US);
    }
    return NULL;
}

struct db_watch *db_watch_new(struct stop *stop, int64_t patience_us)
{
    struct db_watch *watch = XNEW(struct db_watch);
    watch->stop = stop_new(stop);
    watch->patience_us = patience_us;
    mutex_init(&watch->lock);
    condition_init(&watch->ends);
    thread_start(&watch->thread, "db-watch", watch_main, watch);
    return watch;
}

void db_watch_free(struct db_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    {
        MUTEX_GUARD(&watch->lock);
        watch->is_ending = true;
        condition_signal(&watch->ends);
    }
    stop_request(watch->stop, STOP_CANCELLED);
    thread_join(&watch->thread);
    condition_release(&watch->ends);
    mutex_release(&watch->lock);
    stop_free(watch->stop);
    xfree(watch);
}

void db_watch_add(struct db_watch *watch, struct db *db)
{
    db->cancel = PQgetCancel(db->conn);
    MUTEX_GUARD(&watch->lock);
    db->watch = watch;
    db->watched_next = watch->first;
    watch->first = db;
}

void db_unwatch(struct db *db)
{
    if (db->watch == NULL) {
        return;
    }
    {
        MUTEX_GUARD(&db->watch->lock);
        struct db **place = &db->watch->first;
        while (*place != db) {
            place = &(*place)->watched_next;
        }
        *place = db->watched_next;
    }
    PQfreeCancel(db->cancel);
}
