#include "worker/load/form.h"

#include "common/base/buf.h"
#include "common/io/db_prepared.h"
#include "worker/load/landed.h"

#define TEXT_MAX ((size_t)256 * 1024)

/* $3: the columns. One that is made again gets another number. */
static const char SQL_NUMBERS[] = "SELECT string_agg(a.attnum::text, ',' ORDER BY w.place)"
                                  "  FROM unnest($3::text[]) WITH ORDINALITY w (name, place)"
                                  "  LEFT JOIN pg_attribute a ON a.attrelid = " SQL_RELATION
                                  "   AND a.attname = w.name AND NOT a.attisdropped";

bool form_read(struct db *db,
               const struct task_def *task,
               struct hash128 *ret_form,
               struct error *err)
{
    struct buf names CLEANUP(buf_release) = {0};
    struct buf array CLEANUP(buf_release) = {0};
    buf_init(&names, TEXT_MAX);
    buf_init(&array, TEXT_MAX);
    for (size_t i = 0; i < task->n_columns; i++) {
        struct str name = str_from(task->columns[i].name);
        buf_add_char(&array, i == 0 ? '{' : ',');
        buf_add_json_string(&array, name); /* array literals quote the same way */
        buf_add_str(&names, name);
        buf_add_char(&names, '\n');
    }
    buf_add_char(&array, '}');
    struct db_result *found CLEANUP(db_result_freep) = db_query_prepared(
        db, "landed form", SQL_NUMBERS, DB_PARAMS(task->source_type, task->name, array.ptr), err);
    if (found == NULL) {
        return error_wrap(err, "cannot read the columns of %s.%s", task->source_type, task->name);
    }
    buf_add_str(&names, db_str(found, 0, 0));
    *ret_form = hash128_of(buf_str(&names));
    return true;
}
