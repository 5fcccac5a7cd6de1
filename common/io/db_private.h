#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/io/db.h"

/*
 * What the files of this wrapper share and nobody else includes: the connection itself and the
 * translation of libpq's failures.
 */

struct db {
    PGconn *conn;
    int64_t statement_timeout_ms;
    char server[320]; /* "database "foz" at /run/postgresql port 5432", for messages */
};

struct db_result {
    PGresult *native;
};

static inline void pg_result_clear(PGresult **result)
{
    PQclear(*result);
}

/* Sets err from a failed result (NULL allowed: the connection then tells). Returns false. */
bool db_error_from(const struct db *db, const PGresult *result, struct error *err);

/* The error code of a SQLSTATE; statement_timed tells whether 57014 may be our own timeout. */
enum error_code db_error_code(const char *sqlstate, bool statement_timed);
