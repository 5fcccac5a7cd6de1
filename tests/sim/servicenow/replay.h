#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "tests/sim/store.h"

/*
 * Replays the recorded audit log of a real instance (servicenow_uci498/incident_event_log.csv.gz):
 * as of an instant the store holds, per incident, its last recorded version. Moving back in time
 * starts over, which forgets every other change to the store as well. The caller holds the store's
 * lock exclusively, but for replay_is_due.
 */

struct replay;

struct replay *replay_open(const char *data_dir, struct store *store, struct error *err);
void replay_close(struct replay *replay); /* accepts NULL */
int64_t replay_end_s(const struct replay *replay);
bool replay_is_due(const struct replay *replay, int64_t now_s);
void replay_advance(struct replay *replay, struct store *store, int64_t now_s);
/* After the store was reset: dimension rows again, no incident yet. */
void replay_rewind(struct replay *replay, struct store *store);
