#include "worker/load/bulk.h"

#include <string.h>

#include "worker/load/landed.h"

#define SQL_MAX ((size_t)256 * 1024)

static const char LOCK_NOT_GIVEN[] = "55P03";
static const char NO_RIGHT[] = "42501";

/* Dropping an index needs the table to itself; waiting long for that would not pay. */
static bool lock_table(struct bulk *bulk, const char *table, bool *ret_locked, struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_addf(&sql,
             "SAVEPOINT bulk_lock;"
             "SELECT set_config('foz.lock_timeout', current_setting('lock_timeout'), true);"
             "SET LOCAL lock_timeout TO '2s'; LOCK TABLE %s IN ACCESS EXCLUSIVE MODE;"
             "SELECT set_config('lock_timeout', current_setting('foz.lock_timeout'), true)",
             table);
    struct error why = ERROR_INIT;
    *ret_locked = db_script(bulk->db, sql.ptr, &why);
    if (*ret_locked) {
        return true;
    }
    if (strcmp(why.sqlstate, LOCK_NOT_GIVEN) != 0 && strcmp(why.sqlstate, NO_RIGHT) != 0) {
        *err = why;
        return false;
    }
    return db_script(bulk->db, "ROLLBACK TO SAVEPOINT bulk_lock", err);
}

/* Asked again under the lock: another source may have filled the table meanwhile. */
static bool may_drop(struct bulk *bulk, const char *table, bool *ret_may, struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_addf(&sql,
             "SELECT NOT EXISTS (SELECT FROM %s) AND pg_has_role(c.relowner, 'USAGE')"
             "  FROM pg_class c WHERE c.oid = $1::regclass",
             table);
    struct db_result *found CLEANUP(db_result_freep) =
        db_query(bulk->db, sql.ptr, DB_PARAMS(table), err);
    if (found == NULL) {
        return false;
    }
    *ret_may = db_rows(found) == 1 && db_bool(found, 0, 0);
    return true;
}

/* The primary key stays where somebody's view or foreign key rests on it. */
static const char find_indexes[] =
    "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),"
    "       format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname,"
    "              pg_get_constraintdef(c.oid))"
    "  FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid"
    " WHERE c.conrelid = $1::regclass AND c.contype = 'p'"
    "   AND NOT i.indisreplident AND NOT i.indisclustered"
    "   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_constraint'::regclass"
    "                      AND d.refobjid = c.oid AND d.deptype = 'n')"
    " UNION ALL "
    "SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)"
    "  FROM pg_index i"
    " WHERE i.indrelid = $1::regclass AND NOT i.indisunique AND NOT i.indisexclusion"
    "   AND i.indisvalid AND NOT i.indisreplident AND NOT i.indisclustered";

static bool drop_indexes(struct bulk *bulk, const char *table, struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) =
        db_query(bulk->db, find_indexes, DB_PARAMS(table), err);
    if (found == NULL) {
        return false;
    }
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    for (size_t row = 0; row < db_rows(found); row++) {
        buf_addf(&sql, "%s;", db_text(found, row, 0));
        buf_addf(&bulk->recreate, "%s;", db_text(found, row, 1));
    }
    return sql.len == 0 || db_script(bulk->db, sql.ptr, err);
}

bool bulk_begin(struct bulk *bulk, struct db *db, const struct task_def *task, struct error *err)
{
    bulk->db = db;
    buf_init(&bulk->recreate, SQL_MAX);
    struct buf table CLEANUP(buf_release) = {0};
    buf_init(&table, SQL_MAX);
    landed_table(&table, task);
    bool may = false;
    bool locked = false;
    if (!may_drop(bulk, table.ptr, &may, err)) {
        return false;
    }
    if (!may) {
        return true;
    }
    if (!lock_table(bulk, table.ptr, &locked, err) ||
        (locked && !may_drop(bulk, table.ptr, &may, err))) {
        return false;
    }
    return !locked || !may || drop_indexes(bulk, table.ptr, err);
}

bool bulk_end(struct bulk *bulk, struct error *err)
{
    if (bulk->recreate.len == 0) {
        return true;
    }
    return db_script(bulk->db,
                     "SELECT set_config('maintenance_work_mem', '256MB', true)"
                     " WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < "
                     "pg_size_bytes('256MB')",
                     err) &&
           db_script(bulk->db, bulk->recreate.ptr, err);
}

void bulk_release(struct bulk *bulk)
{
    buf_release(&bulk->recreate);
}
