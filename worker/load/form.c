#include "worker/load/form.h"

#include "common/base/buf.h"
#include "worker/load/landed.h"

#define SQL_MAX  ((size_t)256 * 1024)
#define TEXT_MAX ((size_t)256 * 1024)

/* A column that is made again gets another number. */
bool form_read(struct db *db,
               const struct task_def *task,
               struct hash128 *ret_form,
               struct error *err)
{
    struct buf names CLEANUP(buf_release) = {0};
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&names, TEXT_MAX);
    buf_init(&sql, SQL_MAX);
    buf_add_c(&sql, "SELECT string_agg(a.attnum::text, ',' ORDER BY w.place)"
                    "  FROM unnest(ARRAY[");
    for (size_t i = 0; i < task->n_columns; i++) {
        struct str name = str_from(task->columns[i].name);
        buf_add_c(&sql, i == 0 ? "" : ",");
        db_quote_literal(&sql, name);
        buf_add_str(&names, name);
        buf_add_char(&names, '\n');
    }
    buf_add_c(&sql, "]) WITH ORDINALITY w (name, place)"
                    "  LEFT JOIN pg_attribute a ON a.attrelid = " SQL_RELATION
                    "   AND a.attname = w.name AND NOT a.attisdropped");
    struct db_result *found CLEANUP(db_result_freep) =
        db_query(db, sql.ptr, DB_PARAMS(task->source_type, task->name), err);
    if (found == NULL) {
        return error_wrap(err, "cannot read the columns of %s.%s", task->source_type, task->name);
    }
    buf_add_str(&names, db_str(found, 0, 0));
    *ret_form = hash128_of(buf_str(&names));
    return true;
}
