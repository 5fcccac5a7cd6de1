#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/io/db_copy.h"
#include "worker/transform/row_known.h"

static const struct column columns[] = {
    {.name = "text"},
    {.name = "id", .type = COLUMN_INTEGER},
    {.name = "parent"},
    {.name = "version", .type = COLUMN_INTEGER},
};
static const size_t key_columns[] = {1};
static const struct field fields[] = {{.name = "text"}};

static const struct task_def task = {
    .name = "notes",
    .fields = fields,
    .n_fields = ARRAY_SIZE(fields),
    .columns = columns,
    .n_columns = ARRAY_SIZE(columns),
    .key_columns = key_columns,
    .n_key_columns = 1,
    .version_column = 3,
    .revision_column = -1,
    .parent_column = 2,
};

/* text, key, parent NULL, version "5" */
static void add(struct row_batch *batch, const char *text, const char *id)
{
    struct cell cells[] = {
        {.kind = CELL_TEXT, .text = str_from(text)},
        {.kind = CELL_TEXT, .text = str_from(id)},
        {.kind = CELL_NULL},
        {.kind = CELL_TEXT, .text = STR_LITERAL("5")},
    };
    struct error err = ERROR_INIT;
    assert_true(row_batch_add(batch, cells, STR_NONE, &err));
}

static void make_batch(struct row_batch *batch)
{
    row_batch_init(batch, &task, ROW_FULL, 1 << 20);
    add(batch, "first", "1");
    add(batch, "second", "2");
    add(batch, "", "3");
    row_batch_finish(batch);
}

enum { HASH_BEHIND = ROW_HASH_BYTES + 4 }; /* the hash from the tuple's end: etl_absent is NULL */

/* The hash of the batch's row, whose text is `text`. */
static void add_hash_of(struct buf *hashes, const char *text, const char *id)
{
    struct row_batch batch CLEANUP(row_batch_release);
    row_batch_init(&batch, &task, ROW_FULL, 1 << 20);
    add(&batch, text, id);
    buf_add(hashes, batch.rows.ptr + batch.rows.len - HASH_BEHIND, ROW_HASH_BYTES);
}

static void a_known_row_keeps_key_parent_version_and_hash(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release);
    struct buf hashes CLEANUP(buf_release) = {0};
    struct buf known CLEANUP(buf_release) = {0};
    buf_init(&hashes, 1 << 10);
    buf_init(&known, 1 << 10);
    make_batch(&batch);
    add_hash_of(&hashes, "second", "2");
    assert_int_equal(row_known_cut(&batch, buf_str(&hashes), &known), 1);
    static const char head[] = {0,  5,  0,  0,  0, 4, 0, 0, 0, 2,       /* key */
                                -1, -1, -1, -1, 0, 0, 0, 4, 0, 0, 0, 5, /* parent, version */
                                0,  0,  0,  16};
    static const char tail[] = {0, 0, 0, 4, 0, 0, 0, 0};
    assert_int_equal(known.len, sizeof(head) + ROW_HASH_BYTES + sizeof(tail));
    assert_memory_equal(known.ptr, head, sizeof(head));
    assert_memory_equal(known.ptr + sizeof(head), hashes.ptr, ROW_HASH_BYTES);
    assert_memory_equal(known.ptr + sizeof(head) + ROW_HASH_BYTES, tail, sizeof(tail));
}

static void the_other_rows_stay_as_they_were(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release);
    struct row_batch rest CLEANUP(row_batch_release);
    struct buf hashes CLEANUP(buf_release) = {0};
    struct buf known CLEANUP(buf_release) = {0};
    buf_init(&hashes, 1 << 10);
    buf_init(&known, 1 << 10);
    make_batch(&batch);
    add_hash_of(&hashes, "unheard of", "0");
    add_hash_of(&hashes, "second", "2");
    assert_int_equal(row_known_cut(&batch, buf_str(&hashes), &known), 1);
    row_batch_init(&rest, &task, ROW_FULL, 1 << 20);
    add(&rest, "first", "1");
    add(&rest, "", "3");
    row_batch_finish(&rest);
    assert_int_equal(batch.n_rows, 2);
    assert_int_equal(batch.rows.len, rest.rows.len);
    assert_memory_equal(batch.rows.ptr, rest.rows.ptr, rest.rows.len);
}

static void a_landed_row_stands_for_one_row_only(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release);
    struct buf hashes CLEANUP(buf_release) = {0};
    struct buf known CLEANUP(buf_release) = {0};
    buf_init(&hashes, 1 << 10);
    buf_init(&known, 1 << 10);
    row_batch_init(&batch, &task, ROW_FULL, 1 << 20);
    add(&batch, "same", "1");
    add(&batch, "same", "1");
    row_batch_finish(&batch);
    add_hash_of(&hashes, "same", "1");
    assert_int_equal(row_known_cut(&batch, buf_str(&hashes), &known), 1);
    assert_int_equal(batch.n_rows, 1);
}

static void without_landed_rows_none_is_known(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release);
    struct buf known CLEANUP(buf_release) = {0};
    buf_init(&known, 1 << 10);
    make_batch(&batch);
    size_t len = batch.rows.len;
    assert_int_equal(row_known_cut(&batch, STR_NONE, &known), 0);
    assert_int_equal(batch.n_rows, 3);
    assert_int_equal(batch.rows.len, len);
    assert_int_equal(known.len, 0);
}

static void the_first_key_is_told_as_it_is_encoded(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release);
    struct str key = STR_NONE;
    make_batch(&batch);
    row_known_first(&batch, &key);
    assert_int_equal(key.len, 4);
    assert_memory_equal(key.ptr, "\0\0\0\1", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_row_keeps_key_parent_version_and_hash),
        cmocka_unit_test(the_other_rows_stay_as_they_were),
        cmocka_unit_test(a_landed_row_stands_for_one_row_only),
        cmocka_unit_test(without_landed_rows_none_is_known),
        cmocka_unit_test(the_first_key_is_told_as_it_is_encoded),
    };
    return cmocka_run_group_tests_name("row_known", tests, NULL, NULL);
}
