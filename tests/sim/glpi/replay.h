#pragma once

#include "common/base/error.h"
#include "tests/sim/glpi/items.h"

/*
 * Replays the recorded events of a help desk: as of an instant the tables hold what GLPI would
 * after them, history included. Moving back in time starts over, which forgets every other change.
 * The caller holds the lock exclusively, but for glpi_replay_is_due.
 */

struct glpi_replay;

/* Also fills in the directory that the events refer to. */
struct glpi_replay *glpi_replay_open(const char *data_dir, struct items *items, struct error *err);
void glpi_replay_close(struct glpi_replay *replay); /* accepts NULL */
int64_t glpi_replay_end_s(const struct glpi_replay *replay);
bool glpi_replay_is_due(const struct glpi_replay *replay, int64_t now_s);
void glpi_replay_advance(struct glpi_replay *replay, struct items *items, int64_t now_s);
/* After the tables were reset: the directory again, no ticket yet. */
void glpi_replay_rewind(struct glpi_replay *replay, struct items *items);
