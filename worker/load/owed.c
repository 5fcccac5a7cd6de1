#include "worker/load/owed.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"
#include "worker/load/merge_sql.h"

#define SQL_MAX ((size_t)512 * 1024)

static bool copy_keys(const struct db_result *rows, struct arena *arena, struct owed *owed)
{
    struct str *keys = arena_alloc(arena, (db_rows(rows) + 1) * sizeof(*keys));
    for (size_t i = 0; keys != NULL && i < db_rows(rows); i++) {
        struct str key = db_str(rows, i, 0);
        char *copy = arena_strndup(arena, key.ptr, key.len);
        if (copy == NULL) {
            return false;
        }
        keys[i] = (struct str){copy, key.len};
    }
    owed->keys = keys;
    owed->n = keys == NULL ? 0 : db_rows(rows);
    return keys != NULL;
}

bool owed_read(struct db *db,
               const char *source,
               const char *task,
               struct arena *arena,
               struct owed *ret_owed,
               struct error *err)
{
    *ret_owed = (struct owed){0};
    struct db_result *sum CLEANUP(db_result_freep) =
        db_query(db,
                 "SELECT coalesce(max(id), 0), count(DISTINCT parent_key) FROM ops.owed"
                 " WHERE source = $1 AND task = $2",
                 DB_PARAMS(source, task), err);
    if (sum == NULL) {
        return false;
    }
    ret_owed->up_to = db_int64(sum, 0, 0);
    ret_owed->is_cut = db_int64(sum, 0, 1) > OWED_LISTED_MAX;
    if (ret_owed->up_to == 0 || ret_owed->is_cut) {
        return true;
    }
    struct db_result *rows CLEANUP(db_result_freep) = db_query(
        db, "SELECT DISTINCT parent_key FROM ops.owed WHERE source = $1 AND task = $2 ORDER BY 1",
        DB_PARAMS(source, task), err);
    if (rows == NULL) {
        return false;
    }
    return copy_keys(rows, arena, ret_owed) ||
           error_set(err, ERROR_LIMIT, "too many records are owed to list them");
}

static const char record[] =
    "INSERT INTO ops.owed (source, task, parent_key, execution_id)"
    " SELECT {source}, %s, owing.parent_key, {execution} FROM (%s) owing"
    "  WHERE EXISTS (SELECT FROM ops.watermark w WHERE w.source = {source} AND w.task = %s)"
    "    AND NOT EXISTS (SELECT FROM ops.owed o WHERE o.source = {source} AND o.task = %s"
    "                       AND o.parent_key = owing.parent_key)";

static const char changed_parents[] = "SELECT {d.%s}::text AS parent_key FROM pg_temp.delta d";

static const char unsettled_parents[] =
    " UNION SELECT {s.%s}::text FROM {rows} s WHERE s.{version column} >= '%s'::timestamptz";

static const char late_parents[] =
    "SELECT {d.%s}::text AS parent_key FROM pg_temp.delta d LEFT JOIN {rows} s ON {s=d}"
    " WHERE d.kind = 'd' OR d.kind = 'i' AND (s.{created column}"
    "   <= (SELECT coalesce(w.high, 'infinity') FROM ops.watermark w"
    "        WHERE w.source = {source} AND w.task = %s)) IS NOT FALSE";

/* A derived task names its rows by a part of the parent's key: the first column of it. */
static void add_owing(const struct task_def *parent,
                      const struct task_def *child,
                      int64_t unsettled_us,
                      const char *child_literal,
                      struct buf *out)
{
    const char *key = child->latest_of != NULL ? "first key" : "key";
    if (child->parent_refresh == REFRESH_LATE && parent->created_column >= 0) {
        buf_addf(out, late_parents, key, child_literal);
        return;
    }
    buf_addf(out, changed_parents, key);
    if (parent->version_column >= 0 && unsettled_us != INT64_MAX) {
        char instant[INSTANT_TEXT_MAX];
        buf_addf(out, unsettled_parents, key,
                 unsettled_us == INT64_MIN ? "-infinity"
                                           : instant_format_rfc3339(unsettled_us, instant));
    }
}

bool owed_record(struct db *db,
                 const struct merge_request *parent,
                 const struct task_def *child,
                 int64_t unsettled_us,
                 struct error *err)
{
    struct merge_sql sql = {.request = parent, .task = parent->staging->task};
    struct buf literal CLEANUP(buf_release) = {0};
    struct buf owing CLEANUP(buf_release) = {0};
    struct buf template CLEANUP(buf_release) = {0};
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&literal, SQL_MAX);
    buf_init(&owing, SQL_MAX);
    buf_init(&template, SQL_MAX);
    buf_init(&text, SQL_MAX);
    db_quote_literal(&literal, str_from(child->name));
    add_owing(sql.task, child, unsettled_us, literal.ptr, &owing);
    buf_addf(&template, record, literal.ptr, owing.ptr, literal.ptr, literal.ptr);
    merge_sql_expand(&sql, template.ptr, &text);
    return db_execute(db, text.ptr, DB_NO_PARAMS, NULL, err) ||
           error_wrap(err, "cannot record what %s owes", child->name);
}

bool owed_clear(
    struct db *db, const char *source, const char *task, int64_t up_to, struct error *err)
{
    if (up_to == 0) {
        return true;
    }
    char id[24];
    (void)snprintf(id, sizeof(id), "%" PRId64, up_to);
    return db_execute(db, "DELETE FROM ops.owed WHERE source = $1 AND task = $2 AND id <= $3",
                      DB_PARAMS(source, task, id), NULL, err);
}
