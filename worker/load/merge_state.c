#include "worker/load/merge_state.h"

#define SQL_MAX ((size_t)512 * 1024)

struct merge merge_of(struct db *db, const struct merge_request *request)
{
    struct merge merge = {.db = db, .sql = {.request = request, .task = request->staging->task}};
    buf_init(&merge.text, SQL_MAX);
    return merge;
}

void merge_release(struct merge *merge)
{
    buf_release(&merge->text);
}

bool merge_run(struct merge *merge, const char *template, int64_t *ret_rows, struct error *err)
{
    merge_sql_expand(&merge->sql, template, &merge->text);
    return db_execute(merge->db, merge->text.ptr, DB_NO_PARAMS, ret_rows, err);
}

struct db_result *merge_ask(struct merge *merge, const char *template, struct error *err)
{
    merge_sql_expand(&merge->sql, template, &merge->text);
    return db_query(merge->db, merge->text.ptr, DB_NO_PARAMS, err);
}

bool merge_ask_number(struct merge *merge,
                      const char *template,
                      int64_t *ret_value,
                      struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) = merge_ask(merge, template, err);
    if (found == NULL) {
        return false;
    }
    *ret_value = db_int64(found, 0, 0);
    return true;
}
