#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/base/clock.h"
#include "common/io/db.h"

/*
 * What the files of this wrapper share and nobody else includes: the connection itself and the
 * translation of libpq's failures.
 */

struct db {
    PGconn *conn;
    struct db_watch *watch; /* NULL = not watched */
    struct db *watched_next;
    PGcancel *cancel;
    _Atomic int64_t busy_since_us; /* monotonic; 0 = no statement is under way */
    int64_t cancelled_since_us;    /* the watch's: the statement that it has asked to cancel, ... */
    int64_t cancelled_us;          /* ... and when */
    char **prepared;               /* names of the statements it has prepared */
    size_t n_prepared;
    int64_t statement_timeout_ms;
    char server[320]; /* "database "foz" at /run/postgresql port 5432", for messages */
};

struct db_result {
    PGresult *native;
};

static inline void db_idle(struct db **db)
{
    (*db)->busy_since_us = 0;
}

/* Until the end of the block a statement is under way. */
#define DB_BUSY(pointer)                                                                           \
    struct db *db_busy_ CLEANUP(db_idle) = (pointer);                                              \
    db_busy_->busy_since_us = clock_monotonic_us()

/* For db_close. */
void db_unwatch(struct db *db);
void db_forget_prepared(struct db *db);

static inline void pg_result_clear(PGresult **result)
{
    PQclear(*result);
}

/* Sets err from a failed result (NULL allowed: the connection then tells). Returns false. */
bool db_error_from(const struct db *db, const PGresult *result, struct error *err);

/* The error code of a SQLSTATE; statement_timed tells whether 57014 may be our own timeout. */
enum error_code db_error_code(const char *sqlstate, bool statement_timed);
