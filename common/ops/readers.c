#include "common/ops/readers.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/log.h"
#include "common/ops/locks.h"

#define VERSION_TEXT_MAX 24
#define LOOK_FIRST_US    (1 * US_PER_MS)
#define LOOK_MAX_US      (32 * US_PER_MS)

bool readers_show(struct db *db, int64_t version, struct error *err)
{
    char text[VERSION_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%" PRId64, version);
    return db_execute(
        db, "SELECT pg_advisory_lock_shared(" LOCK_READERS ", ($1::bigint & 2147483647)::int)",
        DB_PARAMS(text), NULL, err);
}

bool readers_hide(struct db *db, struct error *err)
{
    return db_execute(db, "SELECT pg_advisory_unlock_all()", DB_NO_PARAMS, NULL, err);
}

/* $1 NULL: the version of now. Of two versions of 31 bits the later one is less than half the way
 * round ahead. */
static const char SQL_BEHIND[] =
    "SELECT v.version, count(l.objid)"
    "  FROM (SELECT coalesce($1::bigint, sum(version)::bigint, 0) AS version"
    "          FROM ops.projection_version) v"
    "  LEFT JOIN pg_locks l ON l.locktype = 'advisory' AND l.classid = " LOCK_READERS
    "   AND l.objsubid = 2 AND l.granted"
    "   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    "   AND (v.version - l.objid::bigint) & 2147483647 BETWEEN 1 AND 1073741823"
    " GROUP BY v.version";

/* How many are behind `version`; "": behind what is published now, which is written there. */
static bool
count_behind(struct db *db, char version[VERSION_TEXT_MAX], int64_t *ret_behind, struct error *err)
{
    struct db_result *behind CLEANUP(db_result_freep) =
        db_query(db, SQL_BEHIND, DB_PARAMS(version[0] != '\0' ? version : NULL), err);
    if (behind == NULL) {
        return false;
    }
    (void)snprintf(version, VERSION_TEXT_MAX, "%s", db_text(behind, 0, 0));
    *ret_behind = db_int64(behind, 0, 1);
    return true;
}

bool readers_wait(struct db *db, int64_t patience_us)
{
    char version[VERSION_TEXT_MAX] = "";
    int64_t until_us = clock_monotonic_us() + patience_us;
    int64_t n_behind = 0;
    for (int64_t pause_us = LOOK_FIRST_US;; pause_us *= 2) {
        struct error err = ERROR_INIT;
        if (!count_behind(db, version, &n_behind, &err)) {
            log_warn("whether readers still serve what was before is not known",
                     LOG_TEXT("error", err.msg));
            return false;
        }
        if (n_behind == 0) {
            return true;
        }
        if (clock_monotonic_us() >= until_us) {
            log_warn("readers do not take notice of what was published and may still serve what "
                     "was before",
                     LOG_INT("readers", n_behind));
            return false;
        }
        clock_sleep_us(pause_us < LOOK_MAX_US ? pause_us : LOOK_MAX_US);
    }
}
