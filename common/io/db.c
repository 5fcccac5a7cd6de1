#include "common/io/db.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/io/db_private.h"

/* libpq keeps a connection unusable while a COPY is open: end it and drop what follows. */
static void abandon_copy(struct db *db, ExecStatusType status)
{
    if (status == PGRES_COPY_IN || status == PGRES_COPY_BOTH) {
        PQputCopyEnd(db->conn, "not expected here");
    }
    char *line = NULL;
    while (status == PGRES_COPY_OUT && PQgetCopyData(db->conn, &line, 0) > 0) {
        PQfreemem(line);
    }
    for (PGresult *rest = PQgetResult(db->conn); rest != NULL; rest = PQgetResult(db->conn)) {
        PQclear(rest);
    }
}

/* Takes ownership of `result`. */
static PGresult *expect_success(struct db *db, PGresult *result, struct error *err)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
        return result;
    }
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
        abandon_copy(db, status);
        error_set(err, ERROR_BUG, "a COPY statement was run without its data: use db_copy_in");
    } else {
        db_error_from(db, result, err);
    }
    PQclear(result);
    return NULL;
}

static struct db_result *wrap(PGresult *native)
{
    if (native == NULL) {
        return NULL;
    }
    struct db_result *result = XNEW(struct db_result);
    result->native = native;
    return result;
}

static PGresult *
run(struct db *db, const char *sql, const char *const *params, size_t n_params, struct error *err)
{
    DB_BUSY(db);
    PGresult *result = PQexecParams(db->conn, sql, (int)n_params, NULL, params, NULL, NULL, 0);
    return expect_success(db, result, err);
}

struct db_result *db_query(
    struct db *db, const char *sql, const char *const *params, size_t n_params, struct error *err)
{
    return wrap(run(db, sql, params, n_params, err));
}

struct db_result *db_query_binary(
    struct db *db, const char *sql, const struct str *params, size_t n_params, struct error *err)
{
    const char *values[DB_BINARY_PARAMS_MAX];
    int lengths[DB_BINARY_PARAMS_MAX];
    int formats[DB_BINARY_PARAMS_MAX];
    assert(n_params <= DB_BINARY_PARAMS_MAX);
    for (size_t i = 0; i < n_params; i++) {
        values[i] = params[i].ptr;
        lengths[i] = (int)params[i].len;
        formats[i] = 1;
    }
    DB_BUSY(db);
    PGresult *result =
        PQexecParams(db->conn, sql, (int)n_params, NULL, values, lengths, formats, 1);
    return wrap(expect_success(db, result, err));
}

bool db_execute(struct db *db,
                const char *sql,
                const char *const *params,
                size_t n_params,
                int64_t *ret_rows,
                struct error *err)
{
    PGresult *result CLEANUP(pg_result_clear) = run(db, sql, params, n_params, err);
    if (result == NULL) {
        return false;
    }
    if (ret_rows != NULL) {
        *ret_rows = strtoll(PQcmdTuples(result), NULL, 10);
    }
    return true;
}

/* The server counts characters, so UTF-8 continuation bytes do not count. */
static int line_at(const char *sql, long position)
{
    int line = 1;
    for (const char *p = sql; *p != '\0' && position > 1; p++) {
        line += *p == '\n';
        position -= ((unsigned char)p[1] & 0xc0) != 0x80;
    }
    return line;
}

bool db_script(struct db *db, const char *sql, struct error *err)
{
    DB_BUSY(db);
    PGresult *result = PQexec(db->conn, sql);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    int line = position == NULL ? 0 : line_at(sql, strtol(position, NULL, 10));
    PGresult *done CLEANUP(pg_result_clear) = expect_success(db, result, err);
    if (done == NULL) {
        return line == 0 ? false : error_wrap(err, "line %d of the statement", line);
    }
    return true;
}

bool db_begin(struct db *db, struct error *err)
{
    return db_script(db, "BEGIN", err);
}

bool db_commit(struct db *db, struct error *err)
{
    if (PQstatus(db->conn) == CONNECTION_BAD) {
        return db_error_from(db, NULL, err); /* nothing was sent: nothing is uncertain */
    }
    PGresult *result CLEANUP(pg_result_clear) = PQexec(db->conn, "COMMIT");
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        if (strcmp(PQcmdStatus(result), "COMMIT") == 0) {
            return true;
        }
        return error_set(err, ERROR_BUG,
                         "COMMIT of a transaction that had already failed: it was rolled back");
    }
    if (PQstatus(db->conn) == CONNECTION_BAD) {
        return error_set(err, ERROR_UNCERTAIN,
                         "the connection was lost while COMMIT was under way, %s: the transaction "
                         "may or may not be committed",
                         db->server);
    }
    return db_error_from(db, result, err);
}

void db_rollback(struct db *db)
{
    if (db_in_transaction(db)) {
        PQclear(PQexec(db->conn, "ROLLBACK"));
    }
}

bool db_in_transaction(const struct db *db)
{
    PGTransactionStatusType status = PQtransactionStatus(db->conn);
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR || status == PQTRANS_ACTIVE;
}

/* 1: bytes wait, 0: quiet, -1: the other side has gone. */
static int peek(const struct db *db)
{
    char byte;
    ssize_t n = recv(PQsocket(db->conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    return n > 0 ? 1 : -1;
}

bool db_is_alive(struct db *db)
{
    if (PQstatus(db->conn) != CONNECTION_OK) {
        return false;
    }
    int state = peek(db);
    if (state > 0) {
        /* A notification, or the server's last words before it closed. */
        state =
            PQconsumeInput(db->conn) == 1 && PQstatus(db->conn) == CONNECTION_OK ? peek(db) : -1;
    }
    return state >= 0;
}

void db_result_free(struct db_result *result)
{
    if (result != NULL) {
        PQclear(result->native);
        xfree(result);
    }
}

size_t db_rows(const struct db_result *result)
{
    return (size_t)PQntuples(result->native);
}

size_t db_columns(const struct db_result *result)
{
    return (size_t)PQnfields(result->native);
}

const char *db_column_name(const struct db_result *result, size_t column)
{
    const char *name = PQfname(result->native, (int)column);
    return name == NULL ? "" : name;
}

bool db_is_null(const struct db_result *result, size_t row, size_t column)
{
    return PQgetisnull(result->native, (int)row, (int)column) == 1;
}

const char *db_text(const struct db_result *result, size_t row, size_t column)
{
    const char *text = PQgetvalue(result->native, (int)row, (int)column);
    return text == NULL ? "" : text;
}

struct str db_str(const struct db_result *result, size_t row, size_t column)
{
    return (struct str){db_text(result, row, column),
                        (size_t)PQgetlength(result->native, (int)row, (int)column)};
}

int64_t db_int64(const struct db_result *result, size_t row, size_t column)
{
    return strtoll(db_text(result, row, column), NULL, 10);
}

bool db_bool(const struct db_result *result, size_t row, size_t column)
{
    return db_text(result, row, column)[0] == 't';
}

static bool drain_notifications(struct db *db)
{
    bool any = false;
    for (PGnotify *note = PQnotifies(db->conn); note != NULL; note = PQnotifies(db->conn)) {
        PQfreemem(note);
        any = true;
    }
    return any;
}

static int wait_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_monotonic_us();
    if (left_us <= 0) {
        return 0;
    }
    int64_t left_ms = (left_us + US_PER_MS - 1) / US_PER_MS;
    return left_ms > 60000 ? 60000 : (int)left_ms;
}

bool db_wait_notify(
    struct db *db, int64_t deadline_us, int wake_fd, bool *ret_notified, struct error *err)
{
    bool notified = drain_notifications(db); /* those that came with an earlier answer */
    bool woken = false;
    while (!notified && !woken) {
        struct pollfd fds[] = {{.fd = PQsocket(db->conn), .events = POLLIN},
                               {.fd = wake_fd, .events = POLLIN}};
        int timeout_ms = wait_ms(deadline_us);
        int n = poll(fds, ARRAY_SIZE(fds), timeout_ms); /* a negative fd is ignored */
        if (n < 0 && errno == EINTR) {
            break; /* a signal is a reason to look around */
        }
        if (fds[0].fd < 0 || (n > 0 && fds[0].revents != 0 && PQconsumeInput(db->conn) == 0) ||
            PQstatus(db->conn) == CONNECTION_BAD) {
            return db_error_from(db, NULL, err);
        }
        notified = drain_notifications(db);
        woken = n > 0 && fds[1].revents != 0;
        if (n <= 0 && clock_monotonic_us() >= deadline_us) {
            break;
        }
    }
    *ret_notified = notified;
    return true;
}

static void quote(struct buf *out, struct str text, char mark)
{
    buf_add_char(out, mark);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == mark) {
            buf_add_char(out, mark);
        }
        buf_add_char(out, text.ptr[i]);
    }
    buf_add_char(out, mark);
}

void db_quote_ident(struct buf *out, struct str name)
{
    quote(out, name, '"');
}

/* standard_conforming_strings is on in every session of ours, so a backslash is a backslash. */
void db_quote_literal(struct buf *out, struct str text)
{
    quote(out, text, '\'');
}
