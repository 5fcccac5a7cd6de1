#include "worker/load/derive.h"

#include <inttypes.h>
#include <string.h>

#include "worker/load/form.h"
#include "worker/load/landed.h"

#define SQL_MAX ((size_t)512 * 1024)

static void add_quoted(struct buf *sql, const char *before, const char *name)
{
    buf_add_c(sql, before);
    db_quote_ident(sql, str_from(name));
}

static void add_columns(struct buf *sql, const struct task_def *task)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        add_quoted(sql, i == 0 ? "" : ", ", task->columns[i].name);
    }
}

static void add_keys(struct buf *sql, const struct task_def *task)
{
    for (size_t i = 0; i < task->n_key_columns; i++) {
        add_quoted(sql, i == 0 ? "" : ", ", task->columns[task->key_columns[i]].name);
    }
}

/* A hash of ours never equals one of row.c, so the first fetched copy rewrites the row; two
 * derivations of the same content are equal. */
static bool add_hash(
    struct buf *sql, struct db *db, const struct task_def *task, const char *row, struct error *err)
{
    struct hash128 form;
    if (!form_read(db, task, &form, err)) {
        return false;
    }
    buf_add_c(sql, "md5('");
    for (size_t i = 0; i < sizeof(form.bytes); i++) {
        buf_addf(sql, "%02x", form.bytes[i]);
    }
    buf_addf(sql, "' || %s::text)::uuid, ", row);
    return true;
}

static bool
add_insert(struct buf *sql, struct db *db, const struct staging *staging, struct error *err)
{
    buf_addf(sql, "INSERT INTO %s (etl_hash, ", staging->rows);
    add_columns(sql, staging->task);
    buf_add_c(sql, ") SELECT ");
    if (!add_hash(sql, db, staging->task, "origin", err)) {
        return false;
    }
    buf_add_c(sql, "origin.* FROM (SELECT DISTINCT ON (");
    return true;
}

static void
add_only_owed(struct buf *sql, const struct task_def *task, const char *source, int64_t up_to)
{
    const struct column *key = &task->columns[task->key_columns[0]];
    add_quoted(sql, " AND ", key->name);
    buf_addf(sql, " IN (SELECT o.parent_key::%s FROM ops.owed o WHERE o.source = ",
             column_type_name(key->type));
    db_quote_literal(sql, str_from(source));
    buf_add_c(sql, " AND o.task = ");
    db_quote_literal(sql, str_from(task->name));
    buf_addf(sql, " AND o.id <= %" PRId64 ")", up_to);
}

/* What is gone and was not written since would come back for a moment and be gone anew. */
static void add_not_gone(struct buf *sql,
                         const struct task_def *task,
                         const struct task_def *origin,
                         const char *source)
{
    const char *key = task->columns[task->key_columns[0]].name;
    if (task->gone_column == NULL) {
        return;
    }
    buf_add_c(sql, " AND NOT EXISTS (SELECT FROM ");
    landed_table(sql, task);
    buf_add_c(sql, " t WHERE t.\"source\" = ");
    db_quote_literal(sql, str_from(source));
    add_quoted(sql, " AND t.", key);
    add_quoted(sql, " = r.", key);
    /* Asked of those that are gone only: the rest would each cost a look at all their revisions. */
    add_quoted(sql, " AND t.", task->gone_column);
    buf_add_c(sql, " IS NOT NULL");
    add_quoted(sql, " AND t.", task->gone_column);
    buf_add_c(sql, " >= (SELECT max(n.etl_updated_at) FROM ");
    landed_table(sql, origin);
    buf_add_c(sql, " n WHERE n.\"source\" = ");
    db_quote_literal(sql, str_from(source));
    add_quoted(sql, " AND n.", key);
    add_quoted(sql, " = t.", key);
    buf_add_c(sql, "))");
}

static void
add_newest_first(struct buf *sql, const struct task_def *task, const struct task_def *origin)
{
    size_t last = origin->key_columns[origin->n_key_columns - 1];
    buf_add_c(sql, " ORDER BY ");
    add_keys(sql, task);
    add_quoted(sql, ", ", origin->columns[last].name);
    buf_add_c(sql, " DESC) origin");
}

bool derive_latest(struct db *db,
                   const struct derivation *derivation,
                   int64_t *ret_rows,
                   struct error *err)
{
    const struct task_def *task = derivation->staging->task;
    const struct task_def *origin = derivation->origin;
    const char *source = derivation->source;
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    if (!add_insert(&sql, db, derivation->staging, err)) {
        return false;
    }
    add_keys(&sql, task);
    buf_add_c(&sql, ") ");
    add_columns(&sql, task);
    buf_add_c(&sql, " FROM ");
    landed_table(&sql, origin);
    buf_add_c(&sql, " r WHERE \"source\" = ");
    db_quote_literal(&sql, str_from(source));
    if (derivation->all) {
        add_not_gone(&sql, task, origin, source);
    } else {
        add_only_owed(&sql, task, source, derivation->owed_up_to);
    }
    add_newest_first(&sql, task, origin);
    return db_execute(db, sql.ptr, DB_NO_PARAMS, ret_rows, err) ||
           error_wrap(err, "cannot derive %s", task->name);
}

/* The name of part `part` of the identity field whose value is column `i`. */
static const char *part_of(const struct task_def *task, size_t i, uint8_t part)
{
    for (size_t c = 0; c < task->n_columns; c++) {
        if (task->columns[c].field == task->columns[i].field && task->columns[c].part == part) {
            return task->columns[c].name;
        }
    }
    return NULL;
}

/* One scan: each record once, beside it a row for each person it names. */
static size_t add_people(struct buf *sql, const struct task_def *origin, const char *source)
{
    size_t n = 0;
    buf_add_c(sql, "SELECT p.id, p.unique_name, p.display_name, max(");
    if (origin->version_column >= 0) {
        add_quoted(sql, "o.", origin->columns[origin->version_column].name);
    } else {
        buf_add_c(sql, "NULL::timestamptz");
    }
    buf_add_c(sql, ") AS seen FROM ");
    landed_table(sql, origin);
    buf_add_c(sql, " o, LATERAL (VALUES ");
    for (size_t i = 0; i < origin->n_columns; i++) {
        const struct column *column = &origin->columns[i];
        const char *id = part_of(origin, i, PART_ID);
        const char *display = part_of(origin, i, PART_DISPLAY_NAME);
        if (!origin->fields[column->field].identity || column->part != PART_VALUE || id == NULL ||
            display == NULL) {
            continue;
        }
        add_quoted(sql, n++ > 0 ? ", (o." : "(o.", id);
        add_quoted(sql, ", o.", column->name);
        add_quoted(sql, ", o.", display);
        buf_add_char(sql, ')');
    }
    buf_add_c(sql, ") p (id, unique_name, display_name) WHERE o.\"source\" = ");
    db_quote_literal(sql, str_from(source));
    buf_add_c(sql, " AND p.id IS NOT NULL GROUP BY p.id, p.unique_name, p.display_name");
    return n;
}

/* What a mention does not tell stays as it is stored: a directory that cannot be read for a while
 * takes nobody's mail away. */
static void add_absent(struct buf *sql, const struct task_def *task, const char *key)
{
    buf_add_c(sql, "B'");
    for (size_t i = 0; i < task->n_columns; i++) {
        const char *name = task->columns[i].name;
        bool is_told = strcmp(name, key) == 0 || strcmp(name, "unique_name") == 0 ||
                       strcmp(name, "display_name") == 0;
        buf_add_char(sql, is_told ? '0' : '1');
    }
    buf_add_c(sql, "'::varbit");
}

bool derive_people(struct db *db,
                   const struct staging *staging,
                   const char *source,
                   const struct task_def *origin,
                   int64_t *ret_rows,
                   struct error *err)
{
    const struct task_def *task = staging->task;
    const char *key = task->columns[task->key_columns[0]].name;
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    buf_addf(&sql, "INSERT INTO %s (etl_hash, etl_absent", staging->rows);
    add_quoted(&sql, ", ", key);
    buf_add_c(&sql, ", unique_name, display_name) SELECT ");
    if (!add_hash(&sql, db, task, "person", err)) {
        return false;
    }
    add_absent(&sql, task, key);
    buf_add_c(&sql,
              ", person.* FROM (SELECT DISTINCT ON (id) id, unique_name, display_name FROM (");
    if (add_people(&sql, origin, source) == 0) {
        *ret_rows = 0;
        return true;
    }
    buf_addf(&sql, ") named WHERE NOT EXISTS (SELECT FROM %s s WHERE s.", staging->rows);
    add_quoted(&sql, "", key);
    buf_add_c(&sql, " = named.id) ORDER BY id, seen DESC NULLS LAST, unique_name) person");
    return db_execute(db, sql.ptr, DB_NO_PARAMS, ret_rows, err) ||
           error_wrap(err, "cannot collect the people of %s", origin->name);
}
