#include "common/io/db_prepared.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/io/db_private.h"

/* Not known here, or its columns have changed their types since it was prepared. */
static bool must_be_prepared(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return sqlstate != NULL && (strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "0A000") == 0);
}

static void forget(struct db *db, const char *name)
{
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "DEALLOCATE \"%s\"", name);
    PQclear(PQexec(db->conn, sql)); /* that it was not known is no failure */
}

static bool
prepare(struct db *db, const char *name, const char *sql, size_t n_params, struct error *err)
{
    PGresult *result CLEANUP(pg_result_clear) = PQprepare(db->conn, name, sql, (int)n_params, NULL);
    return PQresultStatus(result) == PGRES_COMMAND_OK || db_error_from(db, result, err);
}

static PGresult *
execute(struct db *db, const char *name, const char *const *params, size_t n_params)
{
    return PQexecPrepared(db->conn, name, (int)n_params, params, NULL, NULL, 0);
}

struct db_result *db_query_prepared(struct db *db,
                                    const char *name,
                                    const char *sql,
                                    const char *const *params,
                                    size_t n_params,
                                    struct error *err)
{
    PGresult *native CLEANUP(pg_result_clear) = execute(db, name, params, n_params);
    if (must_be_prepared(native)) {
        forget(db, name);
        if (!prepare(db, name, sql, n_params, err)) {
            return NULL;
        }
        PQclear(native);
        native = execute(db, name, params, n_params);
    }
    if (PQresultStatus(native) != PGRES_TUPLES_OK) {
        (void)db_error_from(db, native, err);
        return NULL;
    }
    struct db_result *result = XNEW(struct db_result);
    result->native = TAKE(native);
    return result;
}
