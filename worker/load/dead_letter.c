#include "worker/load/dead_letter.h"

#define SQL_MAX ((size_t)256 * 1024)

static bool run(struct db *db, const struct merge_sql *sql, const char *template, struct error *err)
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, SQL_MAX);
    merge_sql_expand(sql, template, &text);
    return db_execute(db, text.ptr, DB_NO_PARAMS, NULL, err);
}

bool dead_letter_any_open(struct db *db,
                          const struct merge_sql *sql,
                          bool *ret_any,
                          struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) =
        db_query(db,
                 "SELECT EXISTS (SELECT FROM ops.dead_letter"
                 " WHERE source = $1 AND task = $2 AND resolved_at IS NULL)",
                 DB_PARAMS(sql->request->source, sql->task->name), err);
    if (found == NULL) {
        return false;
    }
    *ret_any = db_bool(found, 0, 0);
    return true;
}

static const char record[] =
    "INSERT INTO ops.dead_letter AS o (execution_id, source, task, record_key, reason, payload)"
    " SELECT DISTINCT ON (r.record_key)"
    "        {execution}, {source}, {task}, r.record_key, r.reason, r.payload"
    "   FROM {rejects} r WHERE r.record_key IS NOT NULL ORDER BY r.record_key, r.ctid DESC"
    " ON CONFLICT (source, task, record_key) WHERE resolved_at IS NULL"
    " DO UPDATE SET execution_id = excluded.execution_id, reason = excluded.reason,"
    "               payload = excluded.payload, last_seen = clock_timestamp()";

static const char resolve_landed[] =
    "UPDATE ops.dead_letter o SET resolved_at = clock_timestamp()"
    " WHERE o.source = {source} AND o.task = {task} AND o.resolved_at IS NULL"
    "   AND EXISTS (SELECT FROM {rows} s WHERE {s.key text} = o.record_key)";

/* Only a walk of the whole table can tell that a record is gone. */
static const char resolve_gone[] =
    "UPDATE ops.dead_letter o SET resolved_at = clock_timestamp()"
    " WHERE o.source = {source} AND o.task = {task} AND o.resolved_at IS NULL"
    "   AND NOT EXISTS (SELECT FROM {rejects} r WHERE r.record_key = o.record_key)";

static const char and_unlisted[] =
    "   AND NOT EXISTS (SELECT FROM {census} k WHERE {k.key text} = o.record_key)";

static bool resolve_the_gone(struct db *db, const struct merge_sql *sql, struct error *err)
{
    if (sql->request->deletes == MERGE_DELETE_NONE || sql->request->deletes == MERGE_DELETE_OWED ||
        sql->request->has_window) {
        return true;
    }
    struct buf template CLEANUP(buf_release) = {0};
    buf_init(&template, SQL_MAX);
    buf_add_c(&template, resolve_gone);
    buf_add_c(&template, sql->request->deletes == MERGE_DELETE_UNLISTED ? and_unlisted : "");
    return run(db, sql, template.ptr, err);
}

bool dead_letter_merge(struct db *db,
                       const struct merge_sql *sql,
                       int64_t n_rejects,
                       struct error *err)
{
    bool any = n_rejects > 0;
    if (!any && !dead_letter_any_open(db, sql, &any, err)) {
        return false;
    }
    if (!any) {
        return true;
    }
    return (n_rejects == 0 || run(db, sql, record, err)) && run(db, sql, resolve_landed, err) &&
           resolve_the_gone(db, sql, err);
}
