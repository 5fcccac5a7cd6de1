#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/str.h"

/*
 * A PostgreSQL connection and its statements: with db_copy.h the only wrapper of libpq. A
 * connection belongs to one thread.
 *
 * Every failure becomes a struct error: code from the SQLSTATE class (08, 57P0x, 53 and 40 are
 * TRANSIENT; 28 and 42501 DENIED; 22 and 23 DATA; 55P03 and 57014 TRANSIENT or CANCELLED; a lost
 * connection while COMMIT is under way UNCERTAIN; the rest BUG), `sqlstate` set. Error texts of
 * the server can quote row values: messages carry SQLSTATE, severity, primary message only for
 * classes without data (never DETAIL), table and constraint.
 */

struct db;

struct db_settings {
    const char *url;              /* conninfo or URI */
    const char *application_name; /* "foz-worker lane 2" */
    int64_t connect_timeout_s;    /* 0 = 10 */
    int64_t statement_timeout_ms; /* 0 = none */
    int64_t lock_timeout_ms;      /* 0 = none */
};

/* What is wrong with a conninfo or URI, and the cure; NULL if nothing is. Never repeats it: it may
 * hold a password. Static. */
const char *db_url_fault(const char *url);

/* Connects; sets TimeZone=UTC, DateStyle=ISO, client_encoding=UTF8, standard_conforming_strings,
 * keepalives and tcp_user_timeout. NULL on failure with a message naming host and database and
 * never the password. */
struct db *db_open(const struct db_settings *settings, struct error *err);
void db_close(struct db *db); /* accepts NULL */

/* A parameter: text form; NULL text = SQL NULL. */
#define DB_PARAMS(...)                                                                             \
    ((const char *const[]){__VA_ARGS__}), ARRAY_SIZE(((const char *const[]){__VA_ARGS__}))
#define DB_NO_PARAMS NULL, 0

struct db_result;

/* Runs one statement with $1... parameters; any number of rows. NULL on failure. The caller
 * releases the result. */
struct db_result *db_query(
    struct db *db, const char *sql, const char *const *params, size_t n_params, struct error *err);

/* The same with parameters and values in PostgreSQL's binary form (see db_str); at most
 * DB_BINARY_PARAMS_MAX parameters, none NULL. */
enum { DB_BINARY_PARAMS_MAX = 16 };
struct db_result *db_query_binary(
    struct db *db, const char *sql, const struct str *params, size_t n_params, struct error *err);

/* As db_query, for a statement whose rows do not matter; *ret_rows (may be NULL) = rows affected.
 */
bool db_execute(struct db *db,
                const char *sql,
                const char *const *params,
                size_t n_params,
                int64_t *ret_rows,
                struct error *err);

/* Several statements separated by semicolons, no parameters: migrations. */
bool db_script(struct db *db, const char *sql, struct error *err);

bool db_begin(struct db *db, struct error *err);
bool db_commit(struct db *db, struct error *err); /* ERROR_UNCERTAIN if the answer was lost */
void db_rollback(struct db *db);                  /* best effort; no-op outside a transaction */
bool db_in_transaction(const struct db *db);

/* false once the server or the network has gone (peeks at the socket, sends nothing). */
bool db_is_alive(struct db *db);

void db_result_free(struct db_result *result); /* accepts NULL */
size_t db_rows(const struct db_result *result);
size_t db_columns(const struct db_result *result);
const char *db_column_name(const struct db_result *result, size_t column);
bool db_is_null(const struct db_result *result, size_t row, size_t column);
/* "" for NULL; lives as long as the result. */
const char *db_text(const struct db_result *result, size_t row, size_t column);
struct str db_str(const struct db_result *result, size_t row, size_t column);
int64_t db_int64(const struct db_result *result, size_t row, size_t column); /* 0 for NULL */
bool db_bool(const struct db_result *result, size_t row, size_t column);     /* false for NULL */

DEFINE_CLEANUP(struct db *, db_close);
DEFINE_CLEANUP(struct db_result *, db_result_free);

/* Waits until a NOTIFY arrives on a channel this connection LISTENs to, or deadline_us
 * (monotonic), or wake_fd (-1 for none) becomes readable. Returns false only on a lost connection.
 * *ret_notified says whether something came; all pending notifications are drained. */
bool db_wait_notify(
    struct db *db, int64_t deadline_us, int wake_fd, bool *ret_notified, struct error *err);

/* Appends "name" quoted as an identifier, 'text' quoted as a literal. */
void db_quote_ident(struct buf *out, struct str name);
void db_quote_literal(struct buf *out, struct str text);
