#include "worker/load/known.h"

#include "common/io/db_copy.h"
#include "worker/transform/row_known.h"

/* PostgreSQL prepares a COPY for a thousand rows at a time, at a cost that grows with the square of
 * them: one COPY of many pages pays it once. */
#define ENOUGH_BYTES ((size_t)160 * 1024)

/* Landed rows that the source has no more push later ones back: so many may, till some are sent. */
enum { SPARE_ROWS = 32 };

static void begin(struct known *known)
{
    buf_reset(&known->rows);
    db_copy_begin(&known->rows);
    known->n_rows = 0;
}

void known_init(struct known *known, const struct staging *staging)
{
    *known = (struct known){.staging = staging, .is_worth = true};
    buf_init(&known->rows, SIZE_MAX / 2); /* a page, which is bounded, past ENOUGH_BYTES */
    spans_init(&known->spans);
    begin(known);
}

void known_release(struct known *known)
{
    buf_release(&known->rows);
    spans_release(&known->spans);
}

/* The hashes of the landed rows from the batch's first key on, as one value. */
static struct db_result *read_hashes(struct db *db,
                                     const struct staging *staging,
                                     struct row_batch *batch,
                                     struct error *err)
{
    size_t n_keys = staging->task->n_key_columns;
    struct str params[DB_BINARY_PARAMS_MAX];
    row_known_first(batch, params);
    uint64_t most = __builtin_bswap64((uint64_t)batch->n_rows + SPARE_ROWS);
    params[n_keys] = (struct str){(const char *)&most, sizeof(most)};
    return db_query_binary(db, staging->select_hashes, params, n_keys + 1, err);
}

static bool send_rows(struct db *db, struct known *known, struct error *err)
{
    if (known->n_rows == 0) {
        return true;
    }
    db_copy_end(&known->rows);
    if (!db_copy_in(db, known->staging->copy_known, buf_str(&known->rows), known->n_rows, err)) {
        return error_wrap(err, "cannot stage known rows of %s", known->staging->task->name);
    }
    begin(known);
    return true;
}

static bool keeps_spans(const struct known *known)
{
    return known->staging->spans != NULL && !atomic_load(&known->staging->spans->is_over) &&
           !spans_are_many(&known->spans);
}

static void add_span(struct known *known, struct row_batch *batch)
{
    struct str first[DB_BINARY_PARAMS_MAX];
    struct str last[DB_BINARY_PARAMS_MAX];
    struct fingerprint rows = {0};
    row_known_first(batch, first);
    row_known_last(batch, last);
    for (size_t at = 0; at < batch->hashes.len; at += ROW_HASH_BYTES) {
        fingerprint_add(&rows, batch->hashes.ptr + at);
    }
    spans_add(&known->spans, first, last, batch->task->n_key_columns, &rows);
    row_batch_drop_rows(batch);
}

/* Something differs here or in another walk of the task, or there are too many to remember: from
 * now on all rows are staged. */
static bool end_spans(struct db *db, struct known *known, struct error *err)
{
    if (known->staging->spans == NULL) {
        return true;
    }
    atomic_store(&known->staging->spans->is_over, true);
    if (known->spans.n_spans == 0) {
        return true;
    }
    if (!db_begin(db, err)) {
        return false;
    }
    if (!spans_stage(db, known->staging, &known->spans, err) || !db_commit(db, err)) {
        db_rollback(db);
        return false;
    }
    return true;
}

bool known_take(struct db *db,
                struct known *known,
                struct row_batch *batch,
                int64_t *ret_rows,
                struct error *err)
{
    const struct task_def *task = known->staging->task;
    *ret_rows = 0;
    if (!known->is_worth || batch->n_rows == 0 || task->n_key_columns >= DB_BINARY_PARAMS_MAX) {
        return true;
    }
    struct db_result *found CLEANUP(db_result_freep) = read_hashes(db, known->staging, batch, err);
    if (found == NULL) {
        return error_wrap(err, "cannot read the hashes of %s", task->name);
    }
    struct str hashes = db_str(found, 0, 0);
    if (keeps_spans(known) && row_known_are_all(batch, hashes)) {
        *ret_rows = batch->n_rows;
        add_span(known, batch);
        return true;
    }
    if (!end_spans(db, known, err)) {
        return false;
    }
    *ret_rows = row_known_cut(batch, hashes, &known->rows);
    known->n_rows += *ret_rows;
    known->is_worth = *ret_rows >= batch->n_rows;
    return known->rows.len < ENOUGH_BYTES || send_rows(db, known, err);
}

bool known_flush(struct db *db, struct known *known, struct error *err)
{
    if (known->spans.n_spans > 0) {
        MUTEX_GUARD(&known->staging->spans->mutex);
        spans_move(&known->staging->spans->ended, &known->spans);
    }
    return send_rows(db, known, err);
}
