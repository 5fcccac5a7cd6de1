#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/io/db.h"

/*
 * Readers that answer from memory, and what is published meanwhile. NOTIFY tells a reader that its
 * answers are old, some time after the commit: on a busy machine long enough for somebody to load,
 * ask, and be told what was true before. So a reader shows in PostgreSQL which version its answers
 * are of, and an execution ends only when nobody shows an older one.
 *
 * What is shown is a session advisory lock, shared, LOCK_READERS with the low 31 bits of
 * the version: it needs no table and goes with the connection.
 */

/* `version` as api.meta tells it. The connection holds no other session lock. */
bool readers_show(struct db *db, int64_t version, struct error *err);

/* Nothing is answered from memory for now. */
bool readers_hide(struct db *db, struct error *err);

/* One that is stuck must not stop the loads. */
#define READERS_PATIENCE_US (2 * US_PER_S)

/* Waits, at most patience_us, until no reader shows what was true before the last commit. False:
 * one does not take notice, or the database could not be asked; that is logged, and all there is to
 * do: the reader finds the notification when it can. */
bool readers_wait(struct db *db, int64_t patience_us);
