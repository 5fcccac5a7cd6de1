#include "worker/load/merge_count.h"

#include "worker/load/dead_letter.h"

static struct fingerprint read_fingerprint(const struct db_result *found, size_t column)
{
    return (struct fingerprint){
        .n_rows = db_int64(found, 0, column),
        .n_hashed = db_int64(found, 0, column + 1),
        .sums = {(uint64_t)db_int64(found, 0, column + 2),
                 (uint64_t)db_int64(found, 0, column + 3)},
    };
}

static struct spans *spans_of(const struct merge *merge)
{
    struct span_pool *pool = merge->sql.request->staging->spans;
    return pool != NULL && pool->ended.n_spans > 0 ? &pool->ended : NULL;
}

static bool count_staged(struct merge *merge, struct error *err)
{
    const struct spans *spans = spans_of(merge);
    struct db_result *found CLEANUP(db_result_freep) =
        merge_ask(merge,
                  "SELECT count(s.etl_absent), count(*) FILTER (WHERE " MERGE_IS_KNOWN "),"
                  " " FINGERPRINT_SQL("s") " FROM {rows} s",
                  err);
    if (found == NULL) {
        return false;
    }
    merge->n_known = db_int64(found, 0, 1);
    merge->sql.has_absent = db_int64(found, 0, 0) > merge->n_known;
    merge->print = read_fingerprint(found, 2);
    if (spans != NULL) {
        fingerprint_join(&merge->print, &spans->rows);
    }
    merge->result.staged = merge->print.n_rows + merge->result.foreign;
    return merge->sql.request->deletes != MERGE_DELETE_UNLISTED ||
           merge_ask_number(merge, "SELECT count(*) FROM {census}", &merge->n_census, err);
}

/* Also finds out whether the rows in scope are those in staging, every one and no other. Rows
 * without a hash are counted apart, so they never are. */
static bool count_scope(struct merge *merge, struct error *err)
{
    if (merge->sql.request->deletes == MERGE_DELETE_NONE) {
        return true;
    }
    struct db_result *found CLEANUP(db_result_freep) =
        merge_ask(merge, "SELECT " FINGERPRINT_SQL("t") " FROM {table} t WHERE {scope}", err);
    if (found == NULL) {
        return false;
    }
    struct fingerprint scope = read_fingerprint(found, 0);
    merge->result.scope_rows = scope.n_rows;
    merge->is_same = merge->sql.request->deletes == MERGE_DELETE_MISSING &&
                     fingerprint_equal(&merge->print, &scope);
    return true;
}

/* What differs can be told only of staged rows; *ret_staged: they are now. */
static bool compare(struct merge *merge, bool *ret_staged, struct error *err)
{
    struct spans *spans = spans_of(merge);
    *ret_staged = false;
    if (!count_staged(merge, err) || !count_scope(merge, err)) {
        return false;
    }
    if (spans == NULL || merge->is_same) {
        return true;
    }
    *ret_staged = true;
    return spans_stage(merge->db, merge->sql.request->staging, spans, err);
}

/* Which dead letters can be resolved can be told only of staged rows, too. */
static bool stage_for_letters(struct merge *merge, bool *ret_staged, struct error *err)
{
    struct spans *spans = spans_of(merge);
    bool has_letters = merge->n_rejects > 0;
    *ret_staged = false;
    if (spans == NULL ||
        (!has_letters && !dead_letter_any_open(merge->db, &merge->sql, &has_letters, err))) {
        return spans == NULL;
    }
    *ret_staged = has_letters;
    return !has_letters || spans_stage(merge->db, merge->sql.request->staging, spans, err);
}

bool merge_count(struct merge *merge, struct error *err)
{
    bool is_staged = false;
    if (!compare(merge, &is_staged, err) ||
        (!is_staged && !stage_for_letters(merge, &is_staged, err))) {
        return false;
    }
    return !is_staged || count_staged(merge, err);
}

bool merge_settle_spans(struct db *db,
                        const struct merge_request *request,
                        bool *ret_same,
                        struct error *err)
{
    struct merge merge CLEANUP(merge_release) = merge_of(db, request);
    bool is_staged = false;
    *ret_same = false;
    if (spans_of(&merge) == NULL) {
        return true;
    }
    if (!merge_check_request(request, err) || !db_begin(db, err)) {
        return false;
    }
    if (!compare(&merge, &is_staged, err) || !db_commit(db, err)) {
        db_rollback(db);
        return error_wrap(err, "compare %s.%s with what is landed", merge.sql.task->source_type,
                          merge.sql.task->name);
    }
    *ret_same = merge.is_same;
    return true;
}
