#pragma once

#include "common/base/stop.h"
#include "worker/run/signals.h"

/*
 * `foz-worker run`: claims queued executions as they come (NOTIFY, and a look every few seconds in
 * case one was lost), at most worker.max_loads at a time, each in a thread of its own with its own
 * connection. Marks what dead workers left, queues what they had begun once more, reloads the
 * configuration on SIGHUP for the executions to come, drains on stop.
 */

/* Runs until `stop`; returns the exit code: 143 after a clean drain, or at once 69, 77 or 78 when
 * the database cannot be used at the start. Later it may come and go. `config_path` is read again
 * on reload; a faulty file is reported and the old configuration stays. */
int daemon_run(const char *config_path, struct stop *stop, struct signals *signals);
