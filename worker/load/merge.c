#include "worker/load/merge.h"

#include <inttypes.h>
#include <string.h>

#include "worker/load/bulk.h"
#include "worker/load/dead_letter.h"
#include "worker/load/merge_count.h"
#include "worker/load/merge_fuse.h"

enum {
    BIG_ROWS = 50000,      /* from here on hash joins, and checks that cost no sort */
    ANALYZED_ROWS = 10000, /* of delta */
    NOTABLE_ROWS = 1000,   /* new in a table */
};

static const char UNIQUE_VIOLATION[] = "23505";

bool merge_check_request(const struct merge_request *request, struct error *err)
{
    const struct task_def *task = request->staging->task;
    if (request->has_window && task->window_column < 0) {
        return error_set(err, ERROR_BUG, "task %s has no window column, yet a window was asked for",
                         task->name);
    }
    if ((request->parent != NULL || request->deletes == MERGE_DELETE_OWED) &&
        task->parent_column < 0) {
        return error_set(err, ERROR_BUG, "task %s has no parent column, yet a parent was named",
                         task->name);
    }
    if (request->keeps_newer && task->version_column < 0) {
        return error_set(err, ERROR_BUG, "task %s has no version, yet older ones were to be told",
                         task->name);
    }
    if (task->is_history && request->deletes != MERGE_DELETE_NONE) {
        return error_set(err, ERROR_BUG, "task %s is history, yet something was to be deleted",
                         task->name);
    }
    return true;
}

/* Hash joins over whole tables want memory. */
static bool tune(struct merge *merge, struct error *err)
{
    return db_script(merge->db,
                     "SELECT set_config('work_mem', '128MB', true)"
                     " WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('128MB')",
                     err);
}

static bool is_big(const struct merge *merge)
{
    return merge->result.staged > BIG_ROWS || merge->n_census > BIG_ROWS;
}

static bool prefer_hash_joins(struct merge *merge, bool on, struct error *err)
{
    if (!is_big(merge)) {
        return true;
    }
    return db_script(merge->db,
                     on ? "SET LOCAL enable_mergejoin TO off; SET LOCAL enable_nestloop TO off"
                        : "SET LOCAL enable_mergejoin TO DEFAULT;"
                          "SET LOCAL enable_nestloop TO DEFAULT",
                     err);
}

static bool drop_foreign(struct merge *merge, struct error *err)
{
    return merge->sql.request->parent == NULL ||
           merge_run(merge,
                     "DELETE FROM {rows} s WHERE NOT EXISTS (SELECT FROM {parent} p"
                     " WHERE p.\"source\" = {source} AND p.{parent key} = {s.parent key})",
                     &merge->result.foreign, err);
}

static const char delete_duplicates[] =
    "DELETE FROM {rows} USING"
    " (SELECT s.ctid AS row, row_number() OVER (PARTITION BY {s.key} ORDER BY {newest first}) AS n"
    "    FROM {rows} s WHERE ({s.key}) IN"
    "      (SELECT {s.key} FROM {rows} s GROUP BY {s.key} HAVING count(*) > 1)) older"
    " WHERE {rows}.ctid = older.row AND older.n > 1";

static bool deduplicate(struct merge *merge, struct error *err)
{
    int64_t n = 0;
    /* A sort of a million keys takes thrice as long as hashing them. */
    if (!db_script(merge->db, "SET LOCAL enable_sort TO off", err) ||
        !merge_ask_number(merge,
                          "SELECT count(*) FROM (SELECT FROM {rows} s GROUP BY {s.key}"
                          " HAVING count(*) > 1 LIMIT 1) doubled",
                          &n, err) ||
        !db_script(merge->db, "SET LOCAL enable_sort TO DEFAULT", err)) {
        return false;
    }
    return n == 0 || merge_run(merge, delete_duplicates, &merge->result.duplicates, err);
}

static const char delete_older[] =
    "DELETE FROM {rows} s USING {table} t"
    " WHERE t.\"source\" = {source} AND {s=t} AND s.{version column} < t.{version column}";

/* What is landed has seen more than a row that a feed repeats. */
static bool drop_older(struct merge *merge, struct error *err)
{
    int64_t n = 0;
    if (!merge->sql.request->keeps_newer) {
        return true;
    }
    bool ok = prefer_hash_joins(merge, true, err) && merge_run(merge, delete_older, &n, err) &&
              prefer_hash_joins(merge, false, err);
    merge->result.duplicates += n;
    return ok;
}

static bool fail_rows(
    const struct merge *merge, int64_t n, int64_t expected, const char *what, struct error *err)
{
    return error_set(err, ERROR_BUG,
                     "%" PRId64 " rows of %s.%s were %s where %" PRId64
                     " should have been: did a trigger or somebody else write to the table? remove "
                     "it and load again",
                     n, merge->sql.task->source_type, merge->sql.task->name, what, expected);
}

static bool drop_old_delta(struct merge *merge, struct error *err)
{
    return db_script(merge->db, "DROP TABLE IF EXISTS pg_temp.delta", err);
}

/* Known rows hold no content to write: they must be landed still as they were when their page was
 * read. */
static bool check_known(const struct merge *merge, int64_t n_differing, struct error *err)
{
    return n_differing == 0 || staging_fail_edited(merge->sql.request->staging, n_differing, err);
}

/* --- the first load of a source ------------------------------------------------------------- */

static const char insert_everything[] =
    "INSERT INTO {table} (\"source\", {columns}, etl_execution_id, etl_hash)"
    " SELECT {source}, {s.columns}, {execution}, s.etl_hash FROM {rows} s";

static const char delta_of_everything[] =
    "CREATE TEMPORARY TABLE delta ON COMMIT DROP AS"
    " SELECT {s.key}, 'i'::\"char\" AS kind, NULL::tid AS etl_row{s.ticket} FROM {rows} s";

static bool insert_and_index(struct merge *merge, struct bulk *bulk, struct error *err)
{
    return merge_run(merge, insert_everything, &merge->result.inserted, err) && bulk_end(bulk, err);
}

/* Duplicates are rare and looking for them is not free: the primary key finds them. */
static bool insert_hopefully(struct merge *merge, struct error *err)
{
    struct bulk bulk CLEANUP(bulk_release) = BULK_INIT;
    if (!bulk_begin(&bulk, merge->db, merge->sql.task, err) ||
        !db_script(merge->db, "SAVEPOINT merge_rows", err)) {
        return false;
    }
    if (insert_and_index(merge, &bulk, err)) {
        return true;
    }
    if (strcmp(err->sqlstate, UNIQUE_VIOLATION) != 0) {
        return false;
    }
    error_clear(err);
    return db_script(merge->db, "ROLLBACK TO SAVEPOINT merge_rows", err) &&
           deduplicate(merge, err) && insert_and_index(merge, &bulk, err);
}

static bool merge_into_nothing(struct merge *merge, struct error *err)
{
    bool ok = false;
    if (!check_known(merge, merge->n_known, err)) {
        return false;
    }
    if (is_big(merge)) {
        ok = insert_hopefully(merge, err);
    } else {
        ok = deduplicate(merge, err) &&
             merge_run(merge, insert_everything, &merge->result.inserted, err);
    }
    if (!ok) {
        return false;
    }
    const struct merge_result *result = &merge->result;
    int64_t expected = result->staged - result->foreign - result->duplicates;
    if (result->inserted != expected) {
        return fail_rows(merge, result->inserted, expected, "inserted", err);
    }
    return merge_run(merge, delta_of_everything, NULL, err);
}

/* --- what differs --------------------------------------------------------------------------- */

static const char delta_of_table[] =
    "CREATE TEMPORARY TABLE delta ON COMMIT DROP AS"
    " SELECT {either key},"
    "        CASE WHEN t.\"source\" IS NULL THEN 'i' WHEN s.ctid IS NULL THEN 'd' ELSE 'c' END"
    "          ::\"char\" AS kind, s.ctid AS etl_row{either ticket}"
    "   FROM {rows} s FULL JOIN (SELECT t.* FROM {table} t WHERE {scope}) t ON {s=t}"
    "  WHERE t.\"source\" IS NULL OR s.ctid IS NULL OR s.etl_hash IS DISTINCT FROM t.etl_hash";

static const char delta_of_rows[] =
    "CREATE TEMPORARY TABLE delta ON COMMIT DROP AS"
    " SELECT {s.key}, CASE WHEN t.\"source\" IS NULL THEN 'i' ELSE 'c' END::\"char\" AS kind,"
    "        s.ctid AS etl_row{either ticket}"
    "   FROM {rows} s LEFT JOIN {table} t ON t.\"source\" = {source} AND {s=t}"
    "  WHERE t.\"source\" IS NULL OR s.etl_hash IS DISTINCT FROM t.etl_hash";

static const char add_gone_rows[] = "INSERT INTO pg_temp.delta ({key}, kind{ticket})"
                                    " SELECT {t.key}, 'd'{t.ticket} FROM {table} t WHERE {gone}";

static const char keep_rejected[] = "DELETE FROM pg_temp.delta d USING {rejects} r"
                                    " WHERE d.kind = 'd' AND r.record_key = {d.key text}";

static bool count_delta(struct merge *merge, struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) =
        merge_ask(merge,
                  "SELECT count(*) FILTER (WHERE kind = 'i'), count(*) FILTER (WHERE kind = 'c'),"
                  " count(*) FILTER (WHERE kind = 'd') FROM pg_temp.delta",
                  err);
    if (found == NULL) {
        return false;
    }
    merge->n_new = db_int64(found, 0, 0);
    merge->n_changed = db_int64(found, 0, 1);
    merge->result.gone_rows = db_int64(found, 0, 2);
    return merge->n_new + merge->n_changed + merge->result.gone_rows < ANALYZED_ROWS ||
           db_script(merge->db, "ANALYZE pg_temp.delta", err);
}

static bool build_delta(struct merge *merge, const char *template, struct error *err)
{
    return drop_old_delta(merge, err) && prefer_hash_joins(merge, true, err) &&
           merge_run(merge, template, NULL, err) && prefer_hash_joins(merge, false, err);
}

/* The join of whole tables tells of duplicates for nothing: without them as many staged rows found
 * a landed row as landed rows found a staged one, and no new key comes twice. */
static bool has_duplicates(struct merge *merge, bool *ret_any, struct error *err)
{
    const struct merge_result *result = &merge->result;
    int64_t n = 0;
    if (result->staged - result->foreign - merge->n_new != result->scope_rows - result->gone_rows) {
        n = 1;
    } else if (merge->n_new > 0 &&
               !merge_ask_number(
                   merge,
                   "SELECT count(*) FROM (SELECT FROM pg_temp.delta d WHERE kind = 'i'"
                   " GROUP BY {d.key} HAVING count(*) > 1 LIMIT 1) doubled",
                   &n, err)) {
        return false;
    }
    *ret_any = n > 0;
    return true;
}

static bool compare_tables(struct merge *merge, struct error *err)
{
    bool any = false;
    if (!build_delta(merge, delta_of_table, err) || !count_delta(merge, err) ||
        !has_duplicates(merge, &any, err)) {
        return false;
    }
    if (any && (!deduplicate(merge, err) || !build_delta(merge, delta_of_table, err))) {
        return false;
    }
    return merge->n_rejects == 0 || merge_run(merge, keep_rejected, NULL, err);
}

static bool compare_rows(struct merge *merge, struct error *err)
{
    if (!deduplicate(merge, err) || !drop_older(merge, err) ||
        !build_delta(merge, delta_of_rows, err)) {
        return false;
    }
    if (merge->sql.request->deletes == MERGE_DELETE_NONE) {
        return true;
    }
    return prefer_hash_joins(merge, true, err) && merge_run(merge, add_gone_rows, NULL, err) &&
           prefer_hash_joins(merge, false, err);
}

/* --- writing it ----------------------------------------------------------------------------- */

static const char find_updated[] = "UPDATE pg_temp.delta d SET kind = 'u' FROM {rows} s, {table} t"
                                   " WHERE d.kind = 'c' AND s.ctid = d.etl_row AND t.\"source\" = "
                                   "{source} AND {s=t} AND {differs}";

static const char update_rows[] =
    "UPDATE {table} t SET {assignments}etl_hash = s.etl_hash, etl_updated_at = now(),"
    "  etl_execution_id = {execution}"
    " FROM pg_temp.delta d, {rows} s"
    " WHERE d.kind = 'u' AND s.ctid = d.etl_row AND t.\"source\" = {source} AND {s=t}";

/* The content is the same but the catalog has grown, or other fields were absent. */
static const char restamp_rows[] =
    "UPDATE {table} t SET etl_hash = s.etl_hash FROM pg_temp.delta d, {rows} s"
    " WHERE d.kind = 'c' AND s.ctid = d.etl_row AND t.\"source\" = {source} AND {s=t}";

static const char delete_rows[] = "DELETE FROM {table} t USING pg_temp.delta d"
                                  " WHERE d.kind = 'd' AND t.\"source\" = {source} AND {d=t}";

static const char stamp_rows[] =
    "UPDATE {table} t SET {gone column} = now(), etl_hash = NULL, etl_updated_at = now(),"
    "  etl_execution_id = {execution}"
    " FROM pg_temp.delta d WHERE d.kind = 'd' AND t.\"source\" = {source} AND {d=t}";

static const char touch_rows[] =
    "UPDATE {table} t SET {last seen column} = now() FROM {rows} s"
    " WHERE t.\"source\" = {source} AND {s=t} AND t.{last seen column} IS DISTINCT FROM now()";

/* A census shows rows that are not read again. */
static const char touch_listed[] =
    "UPDATE {table} t SET {last seen column} = now() FROM {census} k"
    " WHERE t.\"source\" = {source} AND {k=t} AND t.{last seen column} IS DISTINCT FROM now()";

static const char insert_rows[] =
    "INSERT INTO {table} (\"source\", {columns}, etl_execution_id, etl_hash)"
    " SELECT {source}, {s.columns}, {execution}, s.etl_hash"
    "   FROM pg_temp.delta d JOIN {rows} s ON s.ctid = d.etl_row WHERE d.kind = 'i'";

static bool run_exactly(struct merge *merge,
                        const char *template,
                        int64_t expected,
                        const char *what,
                        struct error *err)
{
    int64_t n = 0;
    if (expected == 0) {
        return true;
    }
    if (!merge_run(merge, template, &n, err)) {
        return false;
    }
    return n == expected || fail_rows(merge, n, expected, what, err);
}

static bool write_changed(struct merge *merge, struct error *err)
{
    int64_t *updated = &merge->result.updated;
    if (merge->n_changed == 0) {
        return true;
    }
    if (!merge_run(merge, find_updated, updated, err) ||
        (merge->n_changed >= ANALYZED_ROWS &&
         !db_script(merge->db, "ANALYZE pg_temp.delta", err))) {
        return false;
    }
    int64_t restamped = merge->n_changed - *updated;
    return run_exactly(merge, update_rows, *updated, "updated", err) &&
           run_exactly(merge, restamp_rows, restamped, "restamped", err) &&
           run_exactly(merge, "DELETE FROM pg_temp.delta WHERE kind = 'c'", restamped, "settled",
                       err);
}

static bool write_delta(struct merge *merge, struct error *err)
{
    const char *remove = merge->sql.task->gone_column != NULL ? stamp_rows : delete_rows;
    if (!run_exactly(merge, remove, merge->result.gone_rows, "deleted", err) ||
        !write_changed(merge, err) ||
        !run_exactly(merge, insert_rows, merge->n_new, "inserted", err)) {
        return false;
    }
    merge->result.deleted = merge->result.gone_rows;
    merge->result.inserted = merge->n_new;
    return true;
}

static const char empty_delta[] = "CREATE TEMPORARY TABLE delta ON COMMIT DROP AS"
                                  " SELECT {s.key}, ' '::\"char\" AS kind, NULL::tid AS "
                                  "etl_row{s.ticket} FROM {rows} s WITH NO DATA";

static const char count_known_of_delta[] = "SELECT count(*) FROM pg_temp.delta d JOIN {rows} s ON "
                                           "s.ctid = d.etl_row WHERE " MERGE_IS_KNOWN;

static bool merge_into_rows(struct merge *merge, struct error *err)
{
    if (merge->is_same) {
        return build_delta(merge, empty_delta, err); /* two scans have told all a join would */
    }
    const struct merge_request *request = merge->sql.request;
    bool whole = request->deletes == MERGE_DELETE_MISSING && !request->has_window &&
                 merge->sql.task->gone_column == NULL;
    int64_t n_differing = 0;
    if (!(whole ? compare_tables(merge, err) : compare_rows(merge, err)) ||
        !count_delta(merge, err) ||
        (merge->n_known > 0 && !merge_ask_number(merge, count_known_of_delta, &n_differing, err)) ||
        !check_known(merge, n_differing, err)) {
        return false;
    }
    if (!merge_check_fuse(merge, err)) {
        return false;
    }
    return merge->result.held || write_delta(merge, err);
}

/* Every statement's row count was checked; what is left is the sum. */
static bool check_ledger(struct merge *merge, struct error *err)
{
    struct merge_result *result = &merge->result;
    int64_t left = result->staged - result->foreign - result->duplicates;
    /* Counting again costs a scan, so only where rows were removed. */
    if (result->duplicates > 0 &&
        !merge_ask_number(merge, "SELECT count(*) FROM {rows} s", &left, err)) {
        return false;
    }
    result->unchanged = left - result->inserted - result->updated;
    result->rejected = merge->n_rejects;
    if (result->unchanged < 0 || left + result->foreign + result->duplicates != result->staged) {
        return error_set(err, ERROR_BUG,
                         "the merge of %s does not add up: %" PRId64 " staged, %" PRId64
                         " left, %" PRId64 " duplicates, %" PRId64 " inserted, %" PRId64 " updated",
                         merge->sql.task->name, result->staged, left, result->duplicates,
                         result->inserted, result->updated);
    }
    return true;
}

static bool touch(struct merge *merge, struct error *err)
{
    return merge->sql.task->last_seen_column == NULL ||
           (merge_run(merge, touch_rows, NULL, err) &&
            (merge->n_census == 0 || merge_run(merge, touch_listed, NULL, err)));
}

/* Whatever reads the table in this transaction would be planned for the table as it was: of one
 * that was empty, row by row. */
static bool tell_planner(struct merge *merge, struct error *err)
{
    int64_t known = 0;
    if (merge->result.inserted < NOTABLE_ROWS) {
        return true;
    }
    return merge_ask_number(
               merge, "SELECT reltuples::bigint FROM pg_class WHERE oid = '{table}'::regclass",
               &known, err) &&
           (known >= merge->result.inserted || merge_run(merge, "ANALYZE {table}", NULL, err));
}

static bool merge_all(struct merge *merge, struct error *err)
{
    const struct merge_request *request = merge->sql.request;
    int64_t n = 0;
    if (!merge_check_request(request, err) || !tune(merge, err) ||
        !staging_count_rejects(merge->db, request->staging, &merge->n_rejects, err) ||
        !drop_foreign(merge, err) || !merge_count(merge, err) ||
        !merge_ask_number(merge,
                          "SELECT count(*) FROM (SELECT FROM {table} t"
                          " WHERE t.\"source\" = {source} LIMIT 1) landed",
                          &n, err)) {
        return false;
    }
    bool ok = n == 0 ? drop_old_delta(merge, err) && merge_into_nothing(merge, err)
                     : merge_into_rows(merge, err);
    if (!ok || merge->result.held) {
        return ok;
    }
    return tell_planner(merge, err) && check_ledger(merge, err) && touch(merge, err) &&
           dead_letter_merge(merge->db, &merge->sql, merge->n_rejects, err);
}

bool merge_apply(struct db *db,
                 const struct merge_request *request,
                 struct merge_result *ret_result,
                 struct error *err)
{
    if (!db_in_transaction(db)) {
        return error_set(err, ERROR_BUG, "a merge needs its caller's transaction");
    }
    struct merge merge CLEANUP(merge_release) = merge_of(db, request);
    if (!merge_all(&merge, err)) {
        return error_wrap(err, "merge into %s.%s", merge.sql.task->source_type,
                          merge.sql.task->name);
    }
    *ret_result = merge.result;
    if (merge.result.held) {
        *ret_result = (struct merge_result){.staged = merge.result.staged,
                                            .scope_rows = merge.result.scope_rows,
                                            .gone_rows = merge.result.gone_rows,
                                            .held = true};
    }
    return true;
}
