#pragma once

#include "common/base/stop.h"

/*
 * Signals as requests: SIGTERM and SIGINT stop the token, SIGHUP asks for a reload. A thread waits
 * for them, so no code runs in a handler. main blocks all signals before anything else
 * (thread_block_signals), so that every thread inherits that.
 */

struct signals;

struct signals *signals_start(struct stop *stop);
void signals_stop(struct signals *signals); /* accepts NULL */

/* Readable after a signal came; for waiting on it beside other things. */
int signals_fd(const struct signals *signals);

/* True once per SIGHUP; also drains signals_fd. */
bool signals_take_reload(struct signals *signals);
