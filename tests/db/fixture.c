#include "tests/db/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/load/migrate.h"

/* The migrated database that every test of the program copies: copying is quick, migrating is not.
 * It goes with the cluster. */
static const char *migrated(const struct config *config)
{
    static const struct task_def **landed;
    static char name[64];
    if (landed == NULL) {
        support_create_database(name, NULL);
        struct db *db CLEANUP(db_closep) = support_open(name);
        struct buf plan CLEANUP(buf_release) = {0};
        buf_init(&plan, 1 << 20);
        struct error err = ERROR_INIT;
        assert_ok(migrate_run(db, config, false, &plan, &err), err);
        landed = config->landed;
    }
    assert_ptr_equal(landed, config->landed); /* one catalog a program */
    return name;
}

int make_fixture_of(void **state, const struct config *config, const struct task_def *task)
{
    struct fixture *fixture = XNEW(struct fixture);
    support_create_database(fixture->database, migrated(config));
    fixture->db = support_open(fixture->database);
    fixture->task = task;
    fixture->execution_id = 100;
    *state = fixture;
    return 0;
}

int make_fixture(void **state)
{
    const struct config config = support_config();
    return make_fixture_of(state, &config, &support_things);
}

int drop_fixture(void **state)
{
    struct fixture *fixture = *state;
    staging_free(fixture->staging);
    db_close(fixture->db);
    support_drop_database(fixture->database);
    xfree(fixture);
    return 0;
}

void begin_load(struct fixture *fixture, const char *source)
{
    struct error err = ERROR_INIT;
    staging_free(fixture->staging);
    fixture->staging = NULL;
    fixture->staging =
        staging_create(fixture->db, ++fixture->execution_id, source, fixture->task, true, &err);
    assert_ok(fixture->staging != NULL, err);
    fixture->request = (struct merge_request){
        .staging = fixture->staging, .source = source, .max_delete_fraction = 0.3};
}

struct cell cell_of(const char *text)
{
    if (text == ABSENT) {
        return (struct cell){.kind = CELL_ABSENT};
    }
    return (struct cell){.kind = text == NULL ? CELL_NULL : CELL_TEXT, .text = str_from(text)};
}

void make_page(struct fixture *fixture,
               enum row_shape shape,
               const char *const *texts,
               size_t n_rows,
               struct row_batch *ret_batch)
{
    row_batch_init(ret_batch, fixture->task, shape, 1 << 24);
    struct error err = ERROR_INIT;
    size_t width = fixture->task->n_columns;
    for (size_t i = 0; i < n_rows; i++) {
        struct cell cells[16];
        for (size_t k = 0; k < width; k++) {
            cells[k] = cell_of(texts[i * width + k]);
        }
        assert_ok(row_batch_add(ret_batch, cells, STR_LITERAL("{\"as\": \"received\"}"), &err),
                  err);
    }
    row_batch_finish(ret_batch);
}

/* Stages rows of n_columns texts each as one page. */
void stage(struct fixture *fixture, enum row_shape shape, const char *const *texts, size_t n_rows)
{
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    struct error err = ERROR_INIT;
    make_page(fixture, shape, texts, n_rows, &batch);
    assert_ok(staging_add(fixture->db, fixture->staging, &batch, &err), err);
}

/* Stages `n` rows with numbered keys from `first` on. */
void stage_many(struct fixture *fixture, int first, int n, const char *title)
{
    char(*ids)[16] = xcalloc((size_t)n, sizeof(*ids));
    const char **texts = xcalloc((size_t)n * 7, sizeof(*texts));
    for (int i = 0; i < n; i++) {
        snprintf(ids[i], sizeof(ids[i]), "k%07d", first + i);
        const char *row[] = {THING(ids[i], title, MAY_1, "1")};
        memcpy(texts + (size_t)i * 7, row, sizeof(row));
    }
    stage(fixture, ROW_FULL, texts, (size_t)n);
    xfree(texts);
    xfree(ids);
}

void merge(struct fixture *fixture, enum merge_deletes deletes)
{
    struct error err = ERROR_INIT;
    fixture->request.deletes = deletes;
    fixture->result = (struct merge_result){0};
    assert_ok(db_begin(fixture->db, &err), err);
    assert_ok(merge_apply(fixture->db, &fixture->request, &fixture->result, &err), err);
    if (fixture->result.held) {
        db_rollback(fixture->db);
    } else {
        assert_ok(db_commit(fixture->db, &err), err);
    }
}

/* "i2 u0 =1 d0 x0 r0": inserted, updated, unchanged, deleted, duplicates, rejected */
void expect(const struct fixture *fixture, const char *counters)
{
    const struct merge_result *r = &fixture->result;
    char text[128];
    snprintf(text, sizeof(text), "i%d u%d =%d d%d x%d r%d%s", (int)r->inserted, (int)r->updated,
             (int)r->unchanged, (int)r->deleted, (int)r->duplicates, (int)r->rejected,
             r->held ? " held" : "");
    assert_string_equal(text, counters);
    if (!r->held) {
        assert_int_equal(r->staged,
                         r->foreign + r->duplicates + r->inserted + r->updated + r->unchanged);
    }
}

void expect_titles(struct fixture *fixture, const char *titles)
{
    assert_string_equal(support_value(fixture->db,
                                      "SELECT string_agg(source || '/' || id || '=' || "
                                      "coalesce(title, '-'), ' ' ORDER BY source, id) "
                                      "FROM \"Odd type\".things"),
                        titles);
}

void load_two(struct fixture *fixture)
{
    begin_load(fixture, "s");
    STAGE(fixture, THING("a", "one", MAY_1, "1"), THING("b", "two", MAY_2, "1"));
    merge(fixture, MERGE_DELETE_MISSING);
    expect(fixture, "i2 u0 =0 d0 x0 r0");
}

void load_two_of_older_catalog(struct fixture *fixture)
{
    static struct task_def smaller; /* the staging refers to it until the next one is begun */
    smaller = support_things;
    smaller.n_columns = 6;
    smaller.revision_column = -1;
    fixture->task = &smaller;
    begin_load(fixture, "s");
    STAGE(fixture, "a", "one", "u1", "w", "7", MAY_1, "b", "two", "u1", "w", "7", MAY_1);
    merge(fixture, MERGE_DELETE_MISSING);
    fixture->task = &support_things;
}

void collect(void *arg, struct str key)
{
    struct buf *keys = arg;
    buf_add_str(keys, key);
    buf_add_char(keys, ' ');
}

void expect_conflict(struct fixture *fixture, enum merge_deletes deletes)
{
    struct error err = ERROR_INIT;
    fixture->request.deletes = deletes;
    fixture->request.allow_mass_delete = true;
    assert_ok(db_begin(fixture->db, &err), err);
    assert_false(merge_apply(fixture->db, &fixture->request, &fixture->result, &err));
    assert_int_equal(err.code, ERROR_TRANSIENT);
    assert_non_null(strstr(err.msg, "changed or deleted by somebody else"));
    db_rollback(fixture->db);
}
