#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/conf/config.h"
#include "common/io/db.h"
#include "worker/load/landed.h"

/*
 * The common model: schema `core`, made from the landed tables by the functions of
 * schema/projections. What is here only calls them; what a ticket is made of is said there.
 */

/* Inside the transaction of a publish: how late it is by the source's clock, for what is told by no
 * time of its own. Without it that is the source's latest watermark. */
bool project_set_time(struct db *db, int64_t source_us, struct error *err);

/* Inside the transaction of a publish, after merge_apply: brings core up to what pg_temp.delta
 * lists, or leaves it to project_settle if that is very much. Waits for other publishes that change
 * core. */
bool project_refresh(struct db *db,
                     const struct source_config *source,
                     const char *task,
                     int64_t execution_id,
                     const char *trace_id,
                     struct error *err);

/* Did publishes of the source leave something to project_settle? */
bool project_owes(struct db *db, const char *source, bool *ret_owes, struct error *err);

/* At the end of an execution, in a transaction of its own: what publishes of the source left
 * because they changed very many rows. *ret_settled false: they left nothing. */
bool project_settle(struct db *db,
                    const struct source_config *source,
                    int64_t execution_id,
                    const char *trace_id,
                    bool *ret_settled,
                    struct error *err);

struct project_totals {
    int64_t tickets;
    int64_t changed; /* tickets that were not as the landed rows say */
    int64_t technicians;
    int64_t events; /* recorded just now */
};

/* Computes core anew, in one transaction of its own; events that are recorded stay. */
bool project_rebuild(struct db *db,
                     const struct config *config,
                     struct project_totals *ret_totals,
                     struct error *err);

/* Records the deadlines that passed. *ret_events = -1: core is being changed, try again later. */
bool project_tick(struct db *db, int64_t *ret_events, struct error *err);

/* Steps of a migration: the catalog's mappings; with `renewed` or other mappings than before,
 * everything in core. */
bool project_migrate(struct migration *migration,
                     const struct config *config,
                     bool renewed,
                     struct error *err);
