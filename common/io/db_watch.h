#pragma once

#include <stdint.h>

#include "common/base/stop.h"
#include "common/io/db.h"

/*
 * Who is to stop may be in a statement that waits for somebody's lock, or takes minutes. A watch
 * cancels the statements of its connections that go on for longer than its patience once a stop is
 * requested: they fail with ERROR_CANCELLED and are rolled back. COMMIT is left alone.
 */

struct db_watch;

/* Starts the thread that waits for the stop. */
struct db_watch *db_watch_new(struct stop *stop, int64_t patience_us);
void db_watch_free(struct db_watch *watch); /* its connections are closed; accepts NULL */

/* Until db is closed. By the thread that db belongs to. */
void db_watch_add(struct db_watch *watch, struct db *db);
