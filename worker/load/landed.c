#include "worker/load/landed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/io/db_prepared.h"
#include "common/io/hash.h"
#include "worker/load/landed_kept.h"

#define SQL_MAX        ((size_t)1024 * 1024)
#define NAME_MAX_BYTES 63 /* PostgreSQL cuts longer identifiers without a word */

/* As format_type() writes them. */
static const char *stored_type_name(enum column_type type)
{
    return type == COLUMN_TIMESTAMPTZ ? "timestamp with time zone" : column_type_name(type);
}

void landed_table(struct buf *out, const struct task_def *task)
{
    db_quote_ident(out, str_from(task->source_type));
    buf_add_char(out, '.');
    db_quote_ident(out, str_from(task->name));
}

/* The faults of all tables make one error: the operator wants to see them together. */
static void add_fault(struct error *faults, const char *message)
{
    if (error_is_set(faults)) {
        error_append(faults, "%s", message);
    } else {
        error_set(faults, ERROR_CONFIG, "%s", message);
    }
}

static void add_column_definition(struct buf *sql, const struct column *column)
{
    db_quote_ident(sql, str_from(column->name));
    buf_addf(sql, " %s", column_type_name(column->type));
}

static void add_key(struct buf *sql, const struct task_def *task)
{
    buf_add_c(sql, "\"source\"");
    for (size_t i = 0; i < task->n_key_columns; i++) {
        buf_add_c(sql, ", ");
        db_quote_ident(sql, str_from(task->columns[task->key_columns[i]].name));
    }
}

/* What a reader of the database should know of a column; false if there is nothing. */
static bool describe(const struct task_def *task, const struct column *column, char text[320])
{
    const struct field *field = &task->fields[column->field];
    if (column->part != PART_VALUE) {
        const char *what = !field->identity          ? "display value of"
                           : column->part == PART_ID ? "id of the person in"
                                                     : "display name of the person in";
        (void)snprintf(text, 320, "%s %s", what, field->name);
        return true;
    }
    if (field->rest) {
        (void)snprintf(text, 320, "what no other column holds of the record");
    } else if (field->ref != NULL) {
        (void)snprintf(text, 320, "refers to %s", field->ref);
    }
    return field->rest || field->ref != NULL;
}

static void add_comment(struct buf *sql, const struct task_def *task, const struct column *column)
{
    char text[320];
    if (!describe(task, column, text)) {
        return;
    }
    buf_add_c(sql, "; COMMENT ON COLUMN ");
    landed_table(sql, task);
    buf_add_char(sql, '.');
    db_quote_ident(sql, str_from(column->name));
    buf_add_c(sql, " IS ");
    db_quote_literal(sql, str_from(text));
}

static void add_table_comment(struct buf *sql, const struct task_def *task)
{
    char text[512];
    if (task->latest_of != NULL) {
        (void)snprintf(text, sizeof(text),
                       "the latest of %s for each key, kept by foz (task %s of load %s)",
                       task->latest_of, task->name, task->load);
    } else {
        (void)snprintf(text, sizeof(text), "copy of %s table %s, kept by foz (task %s of load %s)",
                       task->source_type, task->table == NULL ? task->name : task->table,
                       task->name, task->load);
    }
    buf_add_c(sql, "; COMMENT ON TABLE ");
    landed_table(sql, task);
    buf_add_c(sql, " IS ");
    db_quote_literal(sql, str_from(text));
}

static void add_kept_definition(struct buf *sql, const struct kept_column *kept)
{
    db_quote_ident(sql, str_from(kept->name));
    buf_addf(sql, " timestamptz%s", kept->is_null ? "" : " NOT NULL DEFAULT now()");
}

static void
add_kept_comment(struct buf *sql, const struct task_def *task, const struct kept_column *kept)
{
    buf_add_c(sql, "; COMMENT ON COLUMN ");
    landed_table(sql, task);
    buf_add_char(sql, '.');
    db_quote_ident(sql, str_from(kept->name));
    buf_add_c(sql, " IS ");
    db_quote_literal(sql, str_from(kept->comment));
}

static bool
create_table(struct migration *migration, const struct task_def *task, struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql, "CREATE TABLE ");
    landed_table(&sql, task);
    buf_add_c(&sql, " (\"source\" text NOT NULL");
    for (size_t i = 0; i < task->n_columns; i++) {
        buf_add_c(&sql, ", ");
        add_column_definition(&sql, &task->columns[i]);
        buf_add_c(&sql, task_is_key_column(task, i) ? " NOT NULL" : "");
    }
    struct kept_column kept[N_KEPT_COLUMNS];
    kept_list(task, kept);
    for (size_t i = 0; i < N_KEPT_COLUMNS; i++) {
        if (kept[i].name != NULL) {
            buf_add_c(&sql, ", ");
            add_kept_definition(&sql, &kept[i]);
        }
    }
    buf_add_c(&sql, ", \"etl_created_at\" timestamptz NOT NULL DEFAULT now(), \"etl_updated_at\" "
                    "timestamptz NOT NULL DEFAULT now(), \"etl_execution_id\" bigint, "
                    "\"etl_hash\" uuid, PRIMARY KEY (");
    add_key(&sql, task);
    buf_add_c(&sql, "))");
    add_table_comment(&sql, task);
    for (size_t i = 0; i < task->n_columns; i++) {
        add_comment(&sql, task, &task->columns[i]);
    }
    for (size_t i = 0; i < N_KEPT_COLUMNS; i++) {
        if (kept[i].name != NULL) {
            add_kept_comment(&sql, task, &kept[i]);
        }
    }
    return migration_step(migration, sql.ptr, err, "create table %s.%s", task->source_type,
                          task->name);
}

static struct db_result *read_columns(struct db *db, const struct task_def *task, struct error *err)
{
    return db_query_prepared(db, "landed columns",
                             "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
                             "       a.atthasdef"
                             "  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
                             " WHERE c.oid = " SQL_RELATION
                             " AND a.attnum > 0 AND NOT a.attisdropped"
                             "   AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
                             DB_PARAMS(task->source_type, task->name), err);
}

/* The row that describes a column, -1 if the table has none of that name. */
static int find_stored(const struct db_result *columns, const char *name)
{
    for (size_t row = 0; row < db_rows(columns); row++) {
        if (strcmp(db_text(columns, row, 0), name) == 0) {
            return (int)row;
        }
    }
    return -1;
}

static const char *find_type(const struct db_result *columns, const char *name)
{
    int row = find_stored(columns, name);
    return row < 0 ? NULL : db_text(columns, (size_t)row, 1);
}

static void fault_type(struct error *faults,
                       const struct task_def *task,
                       const char *column,
                       const char *stored,
                       const char *wanted)
{
    char text[400];
    (void)snprintf(text, sizeof(text),
                   "%s: column %s.%s.%s is %s in the database and %s in the catalog; correct the "
                   "catalog, or drop the column, migrate and run a full load",
                   task->defined_at == NULL ? "catalog" : task->defined_at, task->source_type,
                   task->name, column, stored, wanted);
    add_fault(faults, text);
}

static bool add_column(struct migration *migration,
                       const struct task_def *task,
                       const struct column *column,
                       struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql, "ALTER TABLE ");
    landed_table(&sql, task);
    buf_add_c(&sql, " ADD COLUMN ");
    add_column_definition(&sql, column);
    add_comment(&sql, task, column);
    return migration_step(migration, sql.ptr, err, "add column %s.%s.%s %s", task->source_type,
                          task->name, column->name, column_type_name(column->type));
}

static const struct column etl_columns[] = {
    {.name = "etl_created_at", .type = COLUMN_TIMESTAMPTZ},
    {.name = "etl_updated_at", .type = COLUMN_TIMESTAMPTZ},
    {.name = "etl_execution_id", .type = COLUMN_BIGINT},
};

static void
check_own_columns(const struct task_def *task, const struct db_result *stored, struct error *faults)
{
    for (size_t i = 0; i < ARRAY_SIZE(etl_columns); i++) {
        const char *type = find_type(stored, etl_columns[i].name);
        if (type == NULL || strcmp(type, stored_type_name(etl_columns[i].type)) != 0) {
            fault_type(faults, task, etl_columns[i].name, type == NULL ? "missing" : type,
                       stored_type_name(etl_columns[i].type));
        }
    }
    const char *hash = find_type(stored, "etl_hash");
    if (hash == NULL || strcmp(hash, "uuid") != 0) {
        fault_type(faults, task, "etl_hash", hash == NULL ? "missing" : hash, "uuid");
    }
}

static bool
check_key(struct db *db, const struct task_def *task, struct error *faults, struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) =
        db_query_prepared(db, "landed key",
                          "SELECT string_agg(quote_literal(a.attname), ', '"
                          "                  ORDER BY array_position(i.indkey::int2[], a.attnum))"
                          "  FROM pg_index i JOIN pg_attribute a"
                          "    ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])"
                          " WHERE i.indisprimary AND i.indrelid = " SQL_RELATION,
                          DB_PARAMS(task->source_type, task->name), err);
    if (found == NULL) {
        return false;
    }
    struct buf wanted CLEANUP(buf_release) = {0};
    buf_init(&wanted, SQL_MAX);
    buf_add_c(&wanted, "'source'");
    for (size_t i = 0; i < task->n_key_columns; i++) {
        buf_add_c(&wanted, ", ");
        db_quote_literal(&wanted, str_from(task->columns[task->key_columns[i]].name));
    }
    if (!str_equal(db_str(found, 0, 0), buf_str(&wanted))) {
        char text[400];
        (void)snprintf(
            text, sizeof(text),
            "%s: the primary key of table %s.%s is (%s) in the database and (%s) in the "
            "catalog; correct the catalog, or drop the table, migrate and run a full load",
            task->defined_at == NULL ? "catalog" : task->defined_at, task->source_type, task->name,
            db_text(found, 0, 0), wanted.ptr);
        add_fault(faults, text);
    }
    return true;
}

/* NOT NULL and a default belong together here: a kept column has both or neither. */
static const char *kept_type(bool is_null)
{
    return is_null ? "timestamp with time zone that may be NULL"
                   : "timestamp with time zone NOT NULL DEFAULT now()";
}

static void check_kept(const struct task_def *task,
                       const struct kept_column *kept,
                       const struct db_result *stored,
                       size_t row,
                       struct error *faults)
{
    bool is_not_null = db_bool(stored, row, 2);
    const char *type = db_text(stored, row, 1);
    if (strcmp(type, stored_type_name(COLUMN_TIMESTAMPTZ)) != 0) {
        fault_type(faults, task, kept->name, type, stored_type_name(COLUMN_TIMESTAMPTZ));
    } else if (kept->is_null == is_not_null || (!kept->is_null && !db_bool(stored, row, 3))) {
        char text[80];
        (void)snprintf(text, sizeof(text), "%s%s%s", type, is_not_null ? " NOT NULL" : "",
                       db_bool(stored, row, 3) ? " with a default" : " without a default");
        fault_type(faults, task, kept->name, text, kept_type(kept->is_null));
    }
}

static bool add_kept(struct migration *migration,
                     const struct task_def *task,
                     const struct kept_column *kept,
                     struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql, "ALTER TABLE ");
    landed_table(&sql, task);
    buf_add_c(&sql, " ADD COLUMN ");
    add_kept_definition(&sql, kept);
    add_kept_comment(&sql, task, kept);
    return migration_step(migration, sql.ptr, err, "add column %s.%s.%s timestamptz",
                          task->source_type, task->name, kept->name);
}

static bool extend_kept(struct migration *migration,
                        const struct task_def *task,
                        const struct db_result *stored,
                        struct error *faults,
                        struct error *err)
{
    struct kept_column kept[N_KEPT_COLUMNS];
    kept_list(task, kept);
    for (size_t i = 0; i < N_KEPT_COLUMNS; i++) {
        int row = kept[i].name == NULL ? -1 : find_stored(stored, kept[i].name);
        if (row >= 0) {
            check_kept(task, &kept[i], stored, (size_t)row, faults);
        } else if (kept[i].name != NULL && !add_kept(migration, task, &kept[i], err)) {
            return false;
        }
    }
    return true;
}

static bool extend_table(struct migration *migration,
                         const struct task_def *task,
                         const struct db_result *stored,
                         struct error *faults,
                         struct error *err)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        const struct column *column = &task->columns[i];
        const char *type = find_type(stored, column->name);
        const char *wanted = stored_type_name(column->type);
        if (type == NULL && !add_column(migration, task, column, err)) {
            return false;
        }
        if (type != NULL && strcmp(type, wanted) != 0) {
            fault_type(faults, task, column->name, type, wanted);
        }
    }
    check_own_columns(task, stored, faults);
    return extend_kept(migration, task, stored, faults, err) &&
           check_key(migration->db, task, faults, err);
}

/* "opened_at, state" -> "incident_opened_at_state_idx", shortened by a hash where too long. */
static char *index_name(const struct task_def *task, const char *columns)
{
    struct buf name CLEANUP(buf_release) = {0};
    buf_init(&name, SQL_MAX);
    buf_add_c(&name, task->name);
    struct str rest = str_from(columns);
    while (rest.ptr != NULL) {
        buf_add_char(&name, '_');
        buf_add_str(&name, str_trim(str_cut(&rest, ',')));
    }
    buf_add_c(&name, "_idx");
    if (name.len <= NAME_MAX_BYTES) {
        return buf_take(&name);
    }
    struct hash128 hash = hash128_of(buf_str(&name));
    buf_truncate(&name, NAME_MAX_BYTES - 13);
    buf_addf(&name, "_%02x%02x%02x%02x_idx", hash.bytes[0], hash.bytes[1], hash.bytes[2],
             hash.bytes[3]);
    return buf_take(&name);
}

static bool has_relation(
    struct db *db, const char *schema, const char *name, bool *ret_found, struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) = db_query_prepared(
        db, "landed relation", "SELECT " SQL_RELATION " IS NOT NULL", DB_PARAMS(schema, name), err);
    if (found == NULL) {
        return false;
    }
    *ret_found = db_bool(found, 0, 0);
    return true;
}

static bool ensure_index(struct migration *migration,
                         const struct task_def *task,
                         const char *columns,
                         struct error *err)
{
    char *name CLEANUP(xfreep) = index_name(task, columns);
    bool exists = false;
    if (!has_relation(migration->db, task->source_type, name, &exists, err) || exists) {
        return exists;
    }
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql, "CREATE INDEX ");
    db_quote_ident(&sql, str_from(name));
    buf_add_c(&sql, " ON ");
    landed_table(&sql, task);
    buf_add_c(&sql, " (\"source\"");
    struct str rest = str_from(columns);
    while (rest.ptr != NULL) {
        buf_add_c(&sql, ", ");
        db_quote_ident(&sql, str_trim(str_cut(&rest, ',')));
    }
    buf_add_char(&sql, ')');
    return migration_step(migration, sql.ptr, err, "create index %s.%s", task->source_type, name);
}

static bool
ensure_indexes(struct migration *migration, const struct task_def *task, struct error *err)
{
    const char *window = task->window_column < 0 ? NULL : task->columns[task->window_column].name;
    for (size_t i = 0; i < task->n_indexes; i++) {
        if (!ensure_index(migration, task, task->indexes[i], err)) {
            return false;
        }
        struct str rest = str_from(task->indexes[i]);
        if (window != NULL && str_equal_c(str_trim(str_cut(&rest, ',')), window)) {
            window = NULL; /* an index that begins with it serves */
        }
    }
    return window == NULL || ensure_index(migration, task, window, err);
}

static bool ensure_schema(struct migration *migration, const char *name, struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) = db_query(
        migration->db, "SELECT FROM pg_namespace WHERE nspname = $1", DB_PARAMS(name), err);
    if (found == NULL || db_rows(found) > 0) {
        return found != NULL;
    }
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql, "CREATE SCHEMA ");
    db_quote_ident(&sql, str_from(name));
    buf_add_c(&sql, "; COMMENT ON SCHEMA ");
    db_quote_ident(&sql, str_from(name));
    buf_add_c(&sql, " IS 'tables as they are at the sources of this type'");
    return migration_step(migration, sql.ptr, err, "create schema %s", name);
}

/* pg_temp.delta of a merge holds the key columns beside its own `kind`. */
static void check_names(const struct task_def *task, struct error *faults)
{
    for (size_t i = 0; i < task->n_key_columns; i++) {
        if (strcmp(task->columns[task->key_columns[i]].name, "kind") == 0) {
            char text[400];
            (void)snprintf(text, sizeof(text),
                           "%s: task %s: a key column cannot be called kind; choose another key",
                           task->defined_at == NULL ? "catalog" : task->defined_at, task->name);
            add_fault(faults, text);
        }
    }
}

static bool migrate_task(struct migration *migration,
                         const struct task_def *task,
                         struct error *faults,
                         struct error *err)
{
    check_names(task, faults);
    struct db_result *stored CLEANUP(db_result_freep) = read_columns(migration->db, task, err);
    if (stored == NULL) {
        return false;
    }
    bool ok = db_rows(stored) == 0 ? create_table(migration, task, err)
                                   : extend_table(migration, task, stored, faults, err);
    if (!ok || error_is_set(faults)) {
        return ok;
    }
    return ensure_indexes(migration, task, err) && kept_ensure_trigger(migration, task, err);
}

bool landed_migrate(struct migration *migration, const struct config *config, struct error *err)
{
    struct error faults = ERROR_INIT;
    const char *last_schema = "";
    for (size_t i = 0; i < config->catalog.n_tasks; i++) {
        const struct task_def *task = config_landed_task(config, config->catalog.tasks[i]);
        if (strcmp(task->source_type, last_schema) != 0 &&
            !ensure_schema(migration, task->source_type, err)) {
            return false;
        }
        last_schema = task->source_type;
        if (!migrate_task(migration, task, &faults, err)) {
            return error_wrap(err, "table %s.%s", task->source_type, task->name);
        }
    }
    if (error_is_set(&faults)) {
        *err = faults;
        return false;
    }
    return true;
}
