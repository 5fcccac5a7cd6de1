#include "worker/run/tick.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/load/project.h"

#define TICK_US (60 * US_PER_S)

/* While a load publishes. */
#define TRY_AGAIN_US (2 * US_PER_S)

bool tick_when_due(struct db *db, int64_t *next_us, struct error *err)
{
    if (clock_monotonic_us() < *next_us) {
        return true;
    }
    int64_t events = 0;
    if (!project_tick(db, &events, err)) {
        if (!db_is_alive(db)) {
            return false;
        }
        log_fail("deadlines were not looked at", LOG_TEXT("error", err->msg));
        error_clear(err); /* the queue is served all the same */
    }
    *next_us = clock_monotonic_us() + (events < 0 ? TRY_AGAIN_US : TICK_US);
    if (events > 0) {
        log_info("deadlines passed", LOG_INT("events", events));
    }
    return true;
}
