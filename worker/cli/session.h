#pragma once

#include <stdbool.h>

#include "common/base/stop.h"
#include "common/conf/config.h"
#include "common/io/db.h"
#include "worker/cli/args.h"
#include "worker/run/signals.h"

/*
 * What the commands begin with: the configuration, the log, the database. Failures are printed on
 * stderr here, and turned into the exit code.
 */

/* Loads the configuration and sets up the log. 0, or 78 with every fault on stderr. The caller
 * releases the configuration after 0. */
int session_config(const struct args *args, struct config *config);

/* The same without a word: false leaves the faults in `faults`, one a line, and what they come to
 * in err; where the file cannot be read at all there is only err. */
bool session_read_config(const struct args *args,
                         struct config *config,
                         struct buf *faults,
                         struct error *err);

/* Connects; with need_schema the database must be at this program's version. 0, or 69, 77, 78. */
int session_database(const struct config *config, bool need_schema, struct db **ret_db);

/* "foz-worker: MESSAGE" on stderr; returns the exit code that goes with the error. */
int session_fail(const struct error *err);

/* What the commands live in that talk to the database and nobody else. A signal ends them at once,
 * even one that waits for a lock: it cancels the statement, and PostgreSQL rolls back. */
struct session {
    bool has_config;
    struct config config;
    struct db *db;
    struct stop *stop;
    struct signals *signals;
    struct db_watch *watch;
};

/* Configuration and database as above. The exit code, 0 to go on; session_end follows in any case.
 */
int session_begin(const struct args *args, bool need_schema, struct session *session);

/* Returns the exit code: `code`, or 143 if it failed because of a signal. */
int session_end(struct session *session, int code);
