#include "worker/load/staging.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/io/db_copy.h"
#include "common/io/hash.h"
#include "worker/load/landed.h"
#include "worker/transform/row_known.h"

#define SQL_MAX ((size_t)256 * 1024)
/* PostgreSQL cuts identifiers at 63 bytes; two are for ".k". */
#define BASE_NAME_MAX  61
#define HASH_SUFFIX    17
#define LOCK_NOT_GIVEN "55P03"

/* "e17.snow.incident": neither a source nor a task has a dot in its name, so names never meet. */
static void
base_name(struct buf *name, int64_t execution_id, const char *source, const struct task_def *task)
{
    buf_addf(name, "e%" PRId64 ".%s.%s", execution_id, source, task->name);
    if (name->len <= BASE_NAME_MAX) {
        return;
    }
    struct hash128 hash = hash128_of(buf_str(name));
    buf_truncate(name, BASE_NAME_MAX - HASH_SUFFIX);
    buf_add_char(name, '.');
    for (size_t i = 0; i < 8; i++) {
        buf_addf(name, "%02x", hash.bytes[i]);
    }
}

static char *qualify(const struct buf *base, const char *suffix)
{
    struct buf plain CLEANUP(buf_release) = {0};
    buf_init(&plain, SQL_MAX);
    buf_add_str(&plain, buf_str(base));
    buf_add_c(&plain, suffix);
    struct buf quoted CLEANUP(buf_release) = {0};
    buf_init(&quoted, SQL_MAX);
    buf_add_c(&quoted, "\"staging\".");
    db_quote_ident(&quoted, buf_str(&plain));
    return buf_take(&quoted);
}

static bool is_in_census(const struct task_def *task, size_t column)
{
    return task_is_key_column(task, column) || (int)column == task->version_column ||
           (int)column == task->revision_column;
}

static bool is_any(const struct task_def *task, size_t column)
{
    return column < task->n_columns;
}

/* Names in the order in which the encoder of rows writes them, then those of `more`. */
static char *copy_statement(const char *table,
                            const struct task_def *task,
                            bool (*has_column)(const struct task_def *task, size_t column),
                            const char *more)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_addf(&sql, "COPY %s (", table);
    bool first = true;
    for (size_t i = 0; i < task->n_columns; i++) {
        if (!has_column(task, i)) {
            continue;
        }
        buf_add_c(&sql, first ? "" : ", ");
        db_quote_ident(&sql, str_from(task->columns[i].name));
        first = false;
    }
    buf_addf(&sql, "%s) FROM STDIN (FORMAT binary)", more);
    return buf_take(&sql);
}

static void add_key(struct buf *sql, const struct task_def *task)
{
    for (size_t i = 0; i < task->n_key_columns; i++) {
        buf_add_c(sql, i == 0 ? "t." : ", t.");
        db_quote_ident(sql, str_from(task->columns[task->key_columns[i]].name));
    }
}

static char *select_hashes(const char *source, const struct task_def *task)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql,
              "SELECT string_agg(uuid_send(landed.etl_hash), '') FROM (SELECT t.etl_hash FROM ");
    landed_table(&sql, task);
    buf_add_c(&sql, " t WHERE t.etl_hash IS NOT NULL AND t.\"source\" = ");
    db_quote_literal(&sql, str_from(source));
    buf_add_c(&sql, " AND (");
    add_key(&sql, task);
    for (size_t i = 0; i < task->n_key_columns; i++) {
        buf_addf(&sql, "%s$%zu", i == 0 ? ") >= (" : ", ", i + 1);
    }
    buf_add_c(&sql, ") ORDER BY t.\"source\", ");
    add_key(&sql, task);
    buf_addf(&sql, " LIMIT $%zu) landed", task->n_key_columns + 1);
    return buf_take(&sql);
}

/* Of a key column in pg_temp.span. */
static void add_end(struct buf *sql, const char *end, size_t i)
{
    buf_addf(sql, "%s_%zu", end, i);
}

static void add_ends(struct buf *sql, const struct task_def *task, const char *end)
{
    for (size_t i = 0; i < task->n_key_columns; i++) {
        buf_add_c(sql, i == 0 ? "" : ", ");
        add_end(sql, end, i);
        buf_addf(sql, " %s", column_type_name(task->columns[task->key_columns[i]].type));
    }
}

static char *create_spans(const struct task_def *task)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql, "CREATE TEMPORARY TABLE span (");
    add_ends(&sql, task, "first");
    buf_add_c(&sql, ", ");
    add_ends(&sql, task, "last");
    buf_add_c(&sql, ") ON COMMIT DROP");
    return buf_take(&sql);
}

static void add_known_columns(struct buf *sql, const struct task_def *task, const char *alias)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        if (row_is_known_column(task, i)) {
            buf_add_c(sql, alias);
            db_quote_ident(sql, str_from(task->columns[i].name));
            buf_add_c(sql, ", ");
        }
    }
}

static void
add_bound(struct buf *sql, const struct task_def *task, const char *compare, const char *end)
{
    buf_add_c(sql, " AND (");
    add_key(sql, task);
    buf_addf(sql, ") %s (", compare);
    for (size_t i = 0; i < task->n_key_columns; i++) {
        buf_add_c(sql, i == 0 ? "p." : ", p.");
        add_end(sql, end, i);
    }
    buf_add_c(sql, ")");
}

static char *
stage_spans(const struct staging *staging, const char *source, const struct task_def *task)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_addf(&sql, "INSERT INTO %s (", staging->rows);
    add_known_columns(&sql, task, "");
    buf_add_c(&sql, "\"etl_hash\", \"etl_absent\") SELECT ");
    add_known_columns(&sql, task, "t.");
    buf_add_c(&sql, "t.etl_hash, ''::varbit FROM pg_temp.span p JOIN ");
    landed_table(&sql, task);
    buf_add_c(&sql, " t ON t.etl_hash IS NOT NULL AND t.\"source\" = ");
    db_quote_literal(&sql, str_from(source));
    add_bound(&sql, task, ">=", "first");
    add_bound(&sql, task, "<=", "last");
    return buf_take(&sql);
}

static void add_column(struct buf *sql, const struct column *column)
{
    buf_add_c(sql, ", ");
    db_quote_ident(sql, str_from(column->name));
    buf_addf(sql, " %s", column_type_name(column->type));
}

/* What the merge's scans look at comes first: reaching a column costs decoding all before it. */
static void add_create_rows(struct buf *sql, const struct staging *staging)
{
    const struct task_def *task = staging->task;
    buf_addf(sql, "CREATE UNLOGGED TABLE %s (\"etl_hash\" uuid, \"etl_absent\" varbit",
             staging->rows);
    for (size_t i = 0; i < task->n_key_columns; i++) {
        add_column(sql, &task->columns[task->key_columns[i]]);
    }
    for (size_t i = 0; i < task->n_columns; i++) {
        if (!task_is_key_column(task, i)) {
            add_column(sql, &task->columns[i]);
        }
    }
    buf_add_c(sql, ") WITH (autovacuum_enabled = false);");
}

static void add_create_keys(struct buf *sql, const struct staging *staging)
{
    struct buf columns CLEANUP(buf_release) = {0};
    buf_init(&columns, SQL_MAX);
    for (size_t i = 0; i < staging->task->n_columns; i++) {
        if (is_in_census(staging->task, i)) {
            add_column(&columns, &staging->task->columns[i]);
        }
    }
    buf_addf(sql, "CREATE UNLOGGED TABLE %s (%s) WITH (autovacuum_enabled = false);", staging->keys,
             columns.len < 2 ? "" : columns.ptr + 2);
}

/* The row without a key is the mark that the tables are whole: a crash of the server empties
 * UNLOGGED tables, and an empty table must not be taken for an empty source. */
static void add_create_rejects(struct buf *sql, const struct staging *staging)
{
    buf_addf(sql,
             "CREATE UNLOGGED TABLE %s (record_key text, reason text, payload jsonb)"
             " WITH (autovacuum_enabled = false); INSERT INTO %s DEFAULT VALUES;",
             staging->rejects, staging->rejects);
}

static struct staging *
staging_new(int64_t execution_id, const char *source, const struct task_def *task)
{
    struct buf base CLEANUP(buf_release) = {0};
    buf_init(&base, SQL_MAX);
    base_name(&base, execution_id, source, task);
    struct staging *staging = XNEW(struct staging);
    staging->execution_id = execution_id;
    staging->task = task;
    staging->rows = qualify(&base, "");
    staging->keys = qualify(&base, ".k");
    staging->rejects = qualify(&base, ".r");
    static const char columns_of_hash[] = ", \"etl_hash\", \"etl_absent\"";
    staging->copy_rows = copy_statement(staging->rows, task, is_any, columns_of_hash);
    staging->copy_known = copy_statement(staging->rows, task, row_is_known_column, columns_of_hash);
    staging->copy_keys = copy_statement(staging->keys, task, is_in_census, "");
    staging->copy_rejects = xasprintf("COPY %s FROM STDIN (FORMAT binary)", staging->rejects);
    staging->select_hashes = select_hashes(source, task);
    staging->create_spans = create_spans(task);
    staging->copy_spans = xasprintf("COPY pg_temp.span FROM STDIN (FORMAT binary)");
    staging->stage_spans = stage_spans(staging, source, task);
    return staging;
}

void staging_free(struct staging *staging)
{
    if (staging == NULL) {
        return;
    }
    xfree(staging->rows);
    xfree(staging->keys);
    xfree(staging->rejects);
    xfree(staging->copy_rows);
    xfree(staging->copy_keys);
    xfree(staging->copy_rejects);
    xfree(staging->copy_known);
    xfree(staging->select_hashes);
    xfree(staging->create_spans);
    xfree(staging->copy_spans);
    xfree(staging->stage_spans);
    span_pool_free(staging->spans);
    xfree(staging);
}

DEFINE_CLEANUP(struct staging *, staging_free);

static void add_drop(struct buf *sql, const struct staging *staging)
{
    buf_addf(sql, "DROP TABLE IF EXISTS %s, %s, %s;", staging->rows, staging->keys,
             staging->rejects);
}

struct staging *staging_create(struct db *db,
                               int64_t execution_id,
                               const char *source,
                               const struct task_def *task,
                               bool with_census,
                               struct error *err)
{
    struct staging *staging CLEANUP(staging_freep) = staging_new(execution_id, source, task);
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    add_drop(&sql, staging);
    add_create_rows(&sql, staging);
    if (with_census) {
        add_create_keys(&sql, staging);
    }
    add_create_rejects(&sql, staging);
    if (!db_script(db, sql.ptr, err)) {
        (void)error_wrap(err, "cannot create the staging of %s.%s", source, task->name);
        return NULL;
    }
    return TAKE(staging);
}

void staging_keep_spans(struct staging *staging)
{
    staging->spans = span_pool_new();
}

bool staging_drop(struct db *db, const struct staging *staging, struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    add_drop(&sql, staging);
    return db_script(db, sql.ptr, err);
}

static bool add_pages(struct db *db,
                      const struct staging *staging,
                      const struct row_batch *batch,
                      struct error *err)
{
    const char *copy = batch->shape == ROW_FULL ? staging->copy_rows : staging->copy_keys;

    if (batch->n_rows > 0 && !db_copy_in(db, copy, buf_str(&batch->rows), batch->n_rows, err)) {
        return false;
    }
    return batch->n_rejects == 0 ||
           db_copy_in(db, staging->copy_rejects, buf_str(&batch->rejects), batch->n_rejects, err);
}

bool staging_add(struct db *db,
                 const struct staging *staging,
                 const struct row_batch *batch,
                 struct error *err)
{
    if (batch->n_rows == 0 && batch->n_rejects == 0) {
        return true;
    }
    if (!db_begin(db, err)) {
        return false;
    }
    if (!add_pages(db, staging, batch, err) || !db_commit(db, err)) {
        db_rollback(db);
        return error_wrap(err, "cannot stage a page of %s", staging->task->name);
    }
    return true;
}

bool staging_count_rejects(struct db *db,
                           const struct staging *staging,
                           int64_t *ret_rejects,
                           struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_addf(&sql, "SELECT count(record_key), count(*) FROM %s", staging->rejects);
    struct db_result *found CLEANUP(db_result_freep) = db_query(db, sql.ptr, DB_NO_PARAMS, err);
    if (found == NULL) {
        return false;
    }
    *ret_rejects = db_int64(found, 0, 0);
    /* The row without a key is there as long as the UNLOGGED tables are whole. */
    return db_int64(found, 0, 1) > *ret_rejects ||
           error_set(err, ERROR_TRANSIENT,
                     "PostgreSQL crashed during the load and emptied the staging of task %s: "
                     "what was staged is lost, load again",
                     staging->task->name);
}

bool staging_check(struct db *db, const struct staging *staging, struct error *err)
{
    int64_t ignored = 0; /* the count proves in passing that the tables are whole */
    return staging_count_rejects(db, staging, &ignored, err);
}

/* We alone write to the table, so somebody did by hand; such rows have lost their hash, and the
 * next load sends them whole. */
bool staging_fail_edited(const struct staging *staging, int64_t n, struct error *err)
{
    return error_set(err, ERROR_TRANSIENT,
                     "%" PRId64 " rows of %s.%s were changed or deleted by somebody else while the "
                     "load compared them; nothing was published; load again",
                     n, staging->task->source_type, staging->task->name);
}

static bool drop_one(struct db *db, const char *name, struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql, "SET LOCAL lock_timeout TO '2s'; DROP TABLE IF EXISTS \"staging\".");
    db_quote_ident(&sql, str_from(name));
    /* One message is one transaction: the setting ends with it. */
    return db_script(db, sql.ptr, err);
}

bool staging_sweep(struct db *db, int64_t *ret_dropped, struct error *err)
{
    struct db_result *left CLEANUP(db_result_freep) = db_query(
        db,
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        "  LEFT JOIN ops.execution_log e"
        "    ON e.id = substring(c.relname FROM '^e([0-9]{1,18})[.]')::bigint"
        " WHERE n.nspname = 'staging' AND c.relkind = 'r' AND c.relname ~ '^e[0-9]{1,18}[.]'"
        "   AND (e.status = 'running' AND ops.execution_is_owned(e.id)) IS NOT TRUE"
        " ORDER BY c.relname",
        DB_NO_PARAMS, err);
    if (left == NULL) {
        return false;
    }
    int64_t dropped = 0;
    for (size_t row = 0; row < db_rows(left); row++) {
        struct error why = ERROR_INIT;
        bool ok = drop_one(db, db_text(left, row, 0), &why);
        if (!ok && strcmp(why.sqlstate, LOCK_NOT_GIVEN) != 0) {
            *err = why;
            return error_wrap(err, "cannot drop staging.%s", db_text(left, row, 0));
        }
        dropped += ok; /* one still in use by a dying session is left to the next sweep */
    }
    *ret_dropped = dropped;
    return true;
}
