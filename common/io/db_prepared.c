#include "common/io/db_prepared.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/io/db_private.h"

static bool is_remembered(const struct db *db, const char *name)
{
    for (size_t i = 0; i < db->n_prepared; i++) {
        if (strcmp(db->prepared[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void remember(struct db *db, const char *name)
{
    if (!is_remembered(db, name)) {
        db->prepared = xrealloc(db->prepared, (db->n_prepared + 1) * sizeof(*db->prepared));
        db->prepared[db->n_prepared++] = xstrdup(name);
    }
}

void db_forget_prepared(struct db *db)
{
    for (size_t i = 0; i < db->n_prepared; i++) {
        xfree(db->prepared[i]);
    }
    xfree(db->prepared);
    db->prepared = NULL;
    db->n_prepared = 0;
}

/* Somebody between has dropped it. */
static bool is_unknown(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return sqlstate != NULL && strcmp(sqlstate, "26000") == 0;
}

/* Its columns have changed their types since it was prepared. */
static bool is_outdated(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return sqlstate != NULL && strcmp(sqlstate, "0A000") == 0;
}

static bool drop(struct db *db, const char *name, struct error *err)
{
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "DEALLOCATE \"%s\"", name);
    return db_script(db, sql, err);
}

static bool
prepare(struct db *db, const char *name, const char *sql, size_t n_params, struct error *err)
{
    PGresult *result CLEANUP(pg_result_clear) = PQprepare(db->conn, name, sql, (int)n_params, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        return db_error_from(db, result, err);
    }
    remember(db, name);
    return true;
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
    if (!is_remembered(db, name) && !prepare(db, name, sql, n_params, err)) {
        return NULL;
    }
    PGresult *native CLEANUP(pg_result_clear) = execute(db, name, params, n_params);
    if (is_unknown(native) || is_outdated(native)) {
        if ((is_outdated(native) && !drop(db, name, err)) ||
            !prepare(db, name, sql, n_params, err)) {
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
