#include "api/handlers/watch.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/handlers/queries.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/io/db.h"
#include "common/ops/execution.h"
#include "common/ops/readers.h"

#define CONNECT_TIMEOUT_S    3
#define STATEMENT_TIMEOUT_MS 5000
#define RECONNECT_US         (500 * US_PER_MS)
/* How often a standby is asked whether it has a publish yet. */
#define CATCH_UP_US (50 * US_PER_MS)
/* A connection that has died without a word is found out after this. */
#define CHECK_US (30 * US_PER_S)

struct watch {
    struct watch_settings settings;
    bool is_shared; /* one server for both */
    struct thread thread;
    int wake_fd;
    _Atomic bool stops;
    bool is_away; /* said so in the log */
};

/* The state of one server, and whether it has reached another's. */
struct standing {
    int64_t version;
    char checked_at[40]; /* "" = nothing was ever published */
    bool is_reached;
};

static bool read_standing(struct db *db,
                          const struct standing *target,
                          struct standing *ret_standing,
                          struct error *err)
{
    char version[24] = "0";
    if (target != NULL) {
        (void)snprintf(version, sizeof(version), "%lld", (long long)target->version);
    }
    bool has_time = target != NULL && target->checked_at[0] != '\0';
    struct db_result *result CLEANUP(db_result_freep) =
        db_query(db, query_text("api_projection.sql"),
                 DB_PARAMS(version, has_time ? target->checked_at : NULL), err);
    if (result == NULL) {
        return false;
    }
    ret_standing->version = db_int64(result, 0, 0);
    (void)snprintf(ret_standing->checked_at, sizeof(ret_standing->checked_at), "%s",
                   db_text(result, 0, 1));
    ret_standing->is_reached = db_bool(result, 0, 3);
    return true;
}

static struct db *open_db(const char *url, struct error *err)
{
    struct db_settings settings = {
        .url = url,
        .application_name = "foz-api watch",
        .connect_timeout_s = CONNECT_TIMEOUT_S,
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
    };
    return db_open(&settings, err);
}

/* true = the time has come, false = stop. */
static bool pause_watch(const struct watch *watch, int64_t duration_us)
{
    struct pollfd wake = {.fd = watch->wake_fd, .events = POLLIN};
    (void)poll(&wake, 1, (int)(duration_us / US_PER_MS));
    return !atomic_load(&watch->stops);
}

/* Waits until those who read see what the listening server has. */
static bool settle(struct watch *watch, struct db *listener, struct db *reader, struct error *err)
{
    struct standing target = {0};
    if (!read_standing(listener, NULL, &target, err)) {
        return false;
    }
    while (reader != NULL) {
        struct standing standing = {0};
        if (!read_standing(reader, &target, &standing, err)) {
            return false;
        }
        if (standing.is_reached) {
            target = standing;
            break;
        }
        if (!pause_watch(watch, CATCH_UP_US)) {
            return true;
        }
    }
    if (!readers_show(listener, target.version, err)) {
        return false;
    }
    cache_settle(watch->settings.cache, target.version);
    return true;
}

/* Until the connection is lost or the watch stops. */
static bool
listen_for_publishes(struct watch *watch, struct db *listener, struct db *reader, struct error *err)
{
    if (!db_execute(listener, "LISTEN " PROJECTION_CHANNEL, DB_NO_PARAMS, NULL, err)) {
        return false;
    }
    bool is_notified = true; /* what happened before is not known */
    while (!atomic_load(&watch->stops)) {
        if (is_notified) {
            cache_unsettle(watch->settings.cache);
            if (!readers_hide(listener, err) || !settle(watch, listener, reader, err)) {
                return false;
            }
        }
        struct standing ignored = {0};
        if (!db_wait_notify(listener, clock_monotonic_us() + CHECK_US, watch->wake_fd, &is_notified,
                            err) ||
            (!is_notified && !read_standing(listener, NULL, &ignored, err))) {
            return false;
        }
    }
    return true;
}

static void session(struct watch *watch)
{
    struct error err = ERROR_INIT;
    struct db *listener CLEANUP(db_closep) = open_db(watch->settings.write_url, &err);
    struct db *reader CLEANUP(db_closep) = NULL;
    if (listener != NULL && !watch->is_shared) {
        reader = open_db(watch->settings.read_url, &err);
    }
    if (listener != NULL && (watch->is_shared || reader != NULL)) {
        if (watch->is_away) {
            log_info("publishes are watched again");
            watch->is_away = false;
        }
        (void)listen_for_publishes(watch, listener, reader, &err);
    }
    cache_unsettle(watch->settings.cache);
    if (error_is_set(&err) && !watch->is_away) {
        log_warn("publishes cannot be watched: answers are not kept until they can",
                 LOG_TEXT("error", err.msg));
        watch->is_away = true;
    }
}

static void *watch_main(void *arg)
{
    struct watch *watch = arg;
    while (!atomic_load(&watch->stops)) {
        session(watch);
        (void)pause_watch(watch, RECONNECT_US);
    }
    return NULL;
}

struct watch *watch_start(const struct watch_settings *settings)
{
    struct watch *watch = XNEW(struct watch);
    watch->settings = *settings;
    watch->is_shared = strcmp(settings->read_url, settings->write_url) == 0;
    watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread_start(&watch->thread, "foz-api watch", watch_main, watch);
    return watch;
}

void watch_stop(struct watch *watch)
{
    if (watch == NULL) {
        return;
    }
    atomic_store(&watch->stops, true);
    uint64_t one = 1;
    (void)!write(watch->wake_fd, &one, sizeof(one));
    thread_join(&watch->thread);
    (void)close(watch->wake_fd);
    xfree(watch);
}
