#include "worker/load/landed_kept.h"

#include <string.h>

#include "common/io/db_prepared.h"

#define SQL_MAX ((size_t)64 * 1024)

void kept_list(const struct task_def *task, struct kept_column ret_kept[N_KEPT_COLUMNS])
{
    ret_kept[0] =
        (struct kept_column){task->gone_column, true, "since when the source has it no more"};
    ret_kept[1] = (struct kept_column){task->first_seen_column, false, "when the row came"};
    ret_kept[2] =
        (struct kept_column){task->last_seen_column, false, "when the source last had the row"};
}

/* Our own merges always move the hash, so they never pay for the trigger's function. What moves a
 * kept column is ours too, and leaves the hash as it is. */
static void add_trigger(struct buf *sql, const struct task_def *task)
{
    buf_add_c(sql, "CREATE TRIGGER etl_forget_hash BEFORE UPDATE ON ");
    landed_table(sql, task);
    buf_add_c(sql, " FOR EACH ROW WHEN (OLD.etl_hash IS NOT DISTINCT FROM NEW.etl_hash AND OLD.* "
                   "IS DISTINCT FROM NEW.*");
    struct kept_column kept[N_KEPT_COLUMNS];
    kept_list(task, kept);
    for (size_t i = 0; i < N_KEPT_COLUMNS; i++) {
        if (kept[i].name != NULL) {
            buf_add_c(sql, " AND OLD.");
            db_quote_ident(sql, str_from(kept[i].name));
            buf_add_c(sql, " IS NOT DISTINCT FROM NEW.");
            db_quote_ident(sql, str_from(kept[i].name));
        }
    }
    buf_add_c(sql, ") EXECUTE FUNCTION ops.forget_hash()");
}

/* The columns that the trigger's condition names are what it depends on. */
static struct db_result *read_trigger(struct db *db, const struct task_def *task, struct error *err)
{
    return db_query_prepared(db, "landed trigger",
                             "SELECT (SELECT a.attname FROM pg_attribute a"
                             "         WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid)"
                             "  FROM pg_trigger t LEFT JOIN pg_depend d"
                             "    ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid"
                             "   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.tgrelid"
                             "   AND d.refobjsubid > 0"
                             " WHERE t.tgrelid = " SQL_RELATION " AND t.tgname = 'etl_forget_hash'",
                             DB_PARAMS(task->source_type, task->name), err);
}

static bool is_named(const struct db_result *named, const char *column)
{
    for (size_t row = 0; row < db_rows(named); row++) {
        if (!db_is_null(named, row, 0) && strcmp(db_text(named, row, 0), column) == 0) {
            return true;
        }
    }
    return false;
}

static bool trigger_is_current(const struct task_def *task, const struct db_result *named)
{
    struct kept_column kept[N_KEPT_COLUMNS];
    kept_list(task, kept);
    for (size_t i = 0; i < N_KEPT_COLUMNS; i++) {
        if (kept[i].name != NULL && !is_named(named, kept[i].name)) {
            return false;
        }
    }
    return true;
}

bool kept_ensure_trigger(struct migration *migration,
                         const struct task_def *task,
                         struct error *err)
{
    struct db_result *named CLEANUP(db_result_freep) = read_trigger(migration->db, task, err);
    if (named == NULL) {
        return false;
    }
    bool exists = db_rows(named) > 0;
    if (exists && trigger_is_current(task, named)) {
        return true;
    }
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    if (exists) {
        buf_add_c(&sql, "DROP TRIGGER etl_forget_hash ON ");
        landed_table(&sql, task);
        buf_add_c(&sql, "; ");
    }
    add_trigger(&sql, task);
    return migration_step(migration, sql.ptr, err, "%s trigger etl_forget_hash on %s.%s",
                          exists ? "replace" : "create", task->source_type, task->name);
}
