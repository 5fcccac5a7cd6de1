#include "common/io/db_copy.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/io/db_private.h"

#define CHUNK_BYTES ((size_t)64 * 1024)

void db_copy_begin(struct buf *out)
{
    static const char signature[11] = "PGCOPY\n\377\r\n\0";
    buf_add(out, signature, sizeof(signature));
    buf_add_be32(out, 0); /* flags */
    buf_add_be32(out, 0); /* length of the header's extension */
}

void db_copy_end(struct buf *out)
{
    buf_add_be16(out, UINT16_MAX);
}

/* Reads to the end of the command, where COPY tells its errors. *ret_rows counts what arrived. */
static bool finish(struct db *db, int64_t *ret_rows, struct error *err)
{
    bool ok = true;
    for (PGresult *result = PQgetResult(db->conn); result != NULL; result = PQgetResult(db->conn)) {
        ExecStatusType status = PQresultStatus(result);
        bool in_copy = status == PGRES_COPY_IN || status == PGRES_COPY_OUT;
        if (status == PGRES_COMMAND_OK) {
            *ret_rows = strtoll(PQcmdTuples(result), NULL, 10);
        } else if (ok) {
            ok = in_copy ? error_set(err, ERROR_BUG, "COPY did not end")
                         : db_error_from(db, result, err);
        }
        PQclear(result);
        if (in_copy || PQstatus(db->conn) == CONNECTION_BAD) {
            break; /* libpq would hand out the same state for ever */
        }
    }
    if (ok && PQstatus(db->conn) == CONNECTION_BAD) {
        return db_error_from(db, NULL, err);
    }
    return ok;
}

static bool start(struct db *db, const char *sql, ExecStatusType expected, struct error *err)
{
    PGresult *result CLEANUP(pg_result_clear) = PQexec(db->conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status == expected) {
        return true;
    }
    if (status == PGRES_COPY_IN) {
        PQputCopyEnd(db->conn, "this is not an export");
    }
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
        int64_t rows = 0;
        struct error ignored = ERROR_INIT; /* the statement is wrong, whatever it now says */
        (void)finish(db, &rows, &ignored);
    }
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN ||
        status == PGRES_COPY_OUT) {
        return error_set(err, ERROR_BUG, "not a COPY statement of the wanted direction");
    }
    return db_error_from(db, result, err);
}

bool db_copy_in(
    struct db *db, const char *sql, struct str data, int64_t expected_rows, struct error *err)
{
    DB_BUSY(db);
    if (!start(db, sql, PGRES_COPY_IN, err)) {
        return false;
    }
    bool sent = true;
    for (size_t at = 0; sent && at < data.len; at += CHUNK_BYTES) {
        size_t n = data.len - at < CHUNK_BYTES ? data.len - at : CHUNK_BYTES;
        sent = PQputCopyData(db->conn, data.ptr + at, (int)n) == 1;
    }
    PQputCopyEnd(db->conn, sent ? NULL : "the client could not send all rows");
    int64_t rows = -1;
    if (!finish(db, &rows, err)) {
        return false;
    }
    if (!sent) {
        return error_set(err, ERROR_TRANSIENT, "COPY could not be sent whole");
    }
    if (rows != expected_rows) {
        return error_set(err, ERROR_BUG, "COPY stored %" PRId64 " rows where %" PRId64 " were sent",
                         rows, expected_rows);
    }
    return true;
}

static void cancel(struct db *db)
{
    PGcancel *handle = PQgetCancel(db->conn);
    if (handle != NULL) {
        char why[256];
        PQcancel(handle, why, sizeof(why)); /* if it fails, the rest is read and dropped */
        PQfreeCancel(handle);
    }
}

bool db_copy_out(struct db *db,
                 const char *sql,
                 bool (*on_line)(void *arg, struct str line),
                 void *arg,
                 struct error *err)
{
    DB_BUSY(db);
    if (!start(db, sql, PGRES_COPY_OUT, err)) {
        return false;
    }
    bool wanted = true;
    char *line = NULL;
    int len = PQgetCopyData(db->conn, &line, 0);
    for (; len > 0; len = PQgetCopyData(db->conn, &line, 0)) {
        size_t n = (size_t)len;
        if (wanted && !on_line(arg, (struct str){line, line[n - 1] == '\n' ? n - 1 : n})) {
            wanted = false;
            cancel(db);
        }
        PQfreemem(line);
    }
    int64_t rows = 0;
    struct error failure = ERROR_INIT;
    if (finish(db, &rows, &failure)) {
        return true;
    }
    if (!wanted && PQstatus(db->conn) == CONNECTION_OK) {
        return true; /* the cancellation that was asked for */
    }
    *err = failure;
    return false;
}
