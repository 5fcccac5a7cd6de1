#include <stdio.h>

#include "worker/cli/commands.h"
#include "worker/cli/result_table.h"
#include "worker/cli/session.h"
#include "worker/run/claim.h"

/* What is shown, each as a query: for people as it is, for programs as an array of objects. */
struct section {
    const char *name;
    const char *title;
    const char *sql;
    const char *when_empty;
};

static const struct section SECTIONS[] = {
    {"executions", "last executions",
     "SELECT id, load, mode, status, to_char(coalesce(started_at, queued_at), 'YYYY-MM-DD "
     "HH24:MI:SS') AS started,"
     " round(duration_ms / 1000.0, 1) AS seconds, records_read AS read, records_inserted AS "
     "inserted,"
     " records_updated AS updated, records_deleted AS deleted, records_rejected AS rejected,"
     " coalesce(error_message, '') AS message"
     " FROM ops.execution_log ORDER BY id DESC LIMIT 10",
     "no load has run yet; start one with foz-worker load"},
    {"freshness", "freshness",
     "SELECT t.source, t.task, t.status AS last_status,"
     " to_char(w.high, 'YYYY-MM-DD HH24:MI:SS') AS complete_until,"
     " to_char(p.checked_at, 'YYYY-MM-DD HH24:MI:SS') AS last_success,"
     " extract(epoch FROM clock_timestamp() - p.checked_at)::bigint AS age_seconds"
     " FROM (SELECT DISTINCT ON (source, task) source, task, status FROM ops.execution_task"
     "        ORDER BY source, task, execution_id DESC) t"
     " LEFT JOIN ops.watermark w USING (source, task)"
     " LEFT JOIN ops.projection_version p USING (source, task)"
     " ORDER BY t.source, t.task",
     "nothing was loaded yet"},
    {"queue", "queue",
     "SELECT id, load, mode, status, to_char(queued_at, 'YYYY-MM-DD HH24:MI:SS') AS queued,"
     " coalesce(worker, '') AS worker, trigger, requested_by FROM ops.execution_log"
     " WHERE status IN ('queued', 'running') ORDER BY id",
     "empty"},
    {"dead_letters", "open dead letters",
     "SELECT source, task, count(*) AS records, to_char(max(last_seen), 'YYYY-MM-DD HH24:MI:SS') "
     "AS last_seen,"
     " min(reason) AS for_example FROM ops.dead_letter WHERE resolved_at IS NULL"
     " GROUP BY source, task ORDER BY source, task",
     "none"},
};

static int print_sections(struct db *db)
{
    for (size_t i = 0; i < ARRAY_SIZE(SECTIONS); i++) {
        struct error err = ERROR_INIT;
        struct db_result *rows CLEANUP(db_result_freep) =
            db_query(db, SECTIONS[i].sql, DB_NO_PARAMS, &err);
        if (rows == NULL) {
            return session_fail(&err);
        }
        printf("%s%s\n", i > 0 ? "\n" : "", SECTIONS[i].title);
        if (db_rows(rows) == 0) {
            printf("  %s\n", SECTIONS[i].when_empty);
        } else {
            result_table_print(rows);
        }
    }
    return 0;
}

static int print_json(struct db *db)
{
    struct buf sql CLEANUP(buf_release);
    buf_init(&sql, (size_t)64 * 1024);
    buf_add_c(&sql, "SELECT json_build_object(");
    for (size_t i = 0; i < ARRAY_SIZE(SECTIONS); i++) {
        buf_addf(&sql, "%s'%s', (SELECT coalesce(json_agg(x), '[]') FROM (%s) x)",
                 i > 0 ? ", " : "", SECTIONS[i].name, SECTIONS[i].sql);
    }
    buf_add_char(&sql, ')');
    struct error err = ERROR_INIT;
    struct db_result *row CLEANUP(db_result_freep) = db_query(db, sql.ptr, DB_NO_PARAMS, &err);
    if (row == NULL) {
        return session_fail(&err);
    }
    printf("%s\n", db_text(row, 0, 0));
    return 0;
}

int command_status(const struct args *args)
{
    struct session session;
    struct error err = ERROR_INIT;
    int failed = session_begin(args, true, &session);
    if (failed == 0 && !claim_sweep(session.db, NULL, &err)) {
        failed = session_fail(&err);
    }
    if (failed == 0) {
        failed = args->json ? print_json(session.db) : print_sections(session.db);
    }
    return session_end(&session, failed);
}
