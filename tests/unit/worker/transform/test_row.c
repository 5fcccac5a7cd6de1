#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "worker/transform/row.h"

enum { HEADER_BYTES = 19, TRAILER_BYTES = 2, N_COLUMNS = 5, LIMIT_BYTES = 1 << 20 };

static const struct field fields[] = {
    {.name = "sys_id", .type = COLUMN_TEXT},
    {.name = "state", .type = COLUMN_INTEGER, .display = true},
    {.name = "sys_updated_on", .type = COLUMN_TIMESTAMPTZ},
    {.name = "sys_mod_count", .type = COLUMN_INTEGER},
};

static const struct column columns[N_COLUMNS] = {
    {"state", COLUMN_INTEGER, 1, 0},
    {"dv_state", COLUMN_TEXT, 1, 1},
    {"sys_id", COLUMN_TEXT, 0, 0},
    {"sys_mod_count", COLUMN_INTEGER, 3, 0},
    {"sys_updated_on", COLUMN_TIMESTAMPTZ, 2, 0},
};

static const size_t key_columns[] = {2};

static const struct task_def task = {
    .name = "incident",
    .fields = fields,
    .n_fields = ARRAY_SIZE(fields),
    .columns = columns,
    .n_columns = N_COLUMNS,
    .key_columns = key_columns,
    .n_key_columns = 1,
    .version_column = 4,
    .revision_column = 3,
    .window_column = -1,
};

#define TEXT(literal)                                                                              \
    {                                                                                              \
        CELL_TEXT, false,                                                                          \
        {                                                                                          \
            (literal), sizeof(literal) - 1                                                         \
        }                                                                                          \
    }
#define ABSENT                                                                                     \
    {                                                                                              \
        CELL_ABSENT, false,                                                                        \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
#define NULL_CELL                                                                                  \
    {                                                                                              \
        CELL_NULL, false,                                                                          \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

static const struct cell good_cells[N_COLUMNS] = {TEXT("6"), TEXT("Resolved"), TEXT("9d38"),
                                                  TEXT("4"), TEXT("2000-01-01 00:00:01")};

static void add(struct row_batch *batch, const struct cell *cells)
{
    struct error err = ERROR_INIT;
    assert_true(row_batch_add(batch, cells, STR_LITERAL("{\"state\":\"6\"}"), &err));
}

static void row_full_tuple_has_columns_hash_and_absent(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
    add(&batch, good_cells);
    row_batch_finish(&batch);
    assert_int_equal(batch.n_rows, 1);
    assert_int_equal(batch.n_rejects, 0);
    static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
    assert_memory_equal(batch.rows.ptr, header, HEADER_BYTES);
    static const char tuple[] = "\0\7"
                                "\0\0\0\4\0\0\0\6"
                                "\0\0\0\10Resolved"
                                "\0\0\0\0049d38"
                                "\0\0\0\4\0\0\0\4"
                                "\0\0\0\10\0\0\0\0\0\17\102\100"
                                "\0\0\0\20";
    const char *at = batch.rows.ptr + HEADER_BYTES;
    assert_memory_equal(at, tuple, sizeof(tuple) - 1);
    at += sizeof(tuple) - 1 + 16;
    assert_memory_equal(at, "\377\377\377\377\377\377", 6);
    assert_ptr_equal(at + 6, batch.rows.ptr + batch.rows.len);
    assert_int_equal(batch.rejects.len, HEADER_BYTES + TRAILER_BYTES);
}

static void row_keys_tuple_has_key_version_and_revision_in_catalog_order(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_KEYS, LIMIT_BYTES);
    struct cell cells[N_COLUMNS] = {TEXT("not read"), ABSENT, TEXT("9d38"), ABSENT, TEXT("")};
    add(&batch, cells);
    static const char tuple[] = "\0\3\0\0\0\0049d38\377\377\377\377\377\377\377\377";
    assert_int_equal(batch.rows.len, HEADER_BYTES + sizeof(tuple) - 1);
    assert_memory_equal(batch.rows.ptr + HEADER_BYTES, tuple, sizeof(tuple) - 1);
    assert_int_equal(batch.absent_columns[0], 1 << 3);
}

/* The 16 bytes of etl_hash of a batch with one row. */
static void hash_of_cells(const struct cell *cells, char out[16])
{
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
    add(&batch, cells);
    assert_int_equal(batch.n_rows, 1);
    size_t at = HEADER_BYTES + 2;
    for (size_t i = 0; i < N_COLUMNS; i++) {
        uint32_t len = 0;
        memcpy(&len, batch.rows.ptr + at, sizeof(len));
        len = __builtin_bswap32(len);
        at += sizeof(len) + (len == UINT32_MAX ? 0 : len);
    }
    memcpy(out, batch.rows.ptr + at + 4, 16);
}

static void row_hash_is_equal_if_the_typed_content_is(void **state)
{
    (void)state;
    char first[16];
    char second[16];
    hash_of_cells(good_cells, first);
    struct cell same[N_COLUMNS] = {{CELL_NUMBER, false, STR_LITERAL("6.0")},
                                   TEXT("Resolved"),
                                   TEXT("9d38"),
                                   TEXT("4"),
                                   TEXT("2000-01-01T01:00:01+01:00")};
    hash_of_cells(same, second);
    assert_memory_equal(first, second, 16);
}

static void row_hash_differs_if_the_content_does(void **state)
{
    (void)state;
    static const struct cell variants[][N_COLUMNS] = {
        {TEXT("6"), TEXT("Resolved"), TEXT("9d38"), TEXT("4"), TEXT("2000-01-01 00:00:01")},
        {TEXT("7"), TEXT("Resolved"), TEXT("9d38"), TEXT("4"), TEXT("2000-01-01 00:00:01")},
        {TEXT("6"), TEXT("Resolved9"), TEXT("d38"), TEXT("4"), TEXT("2000-01-01 00:00:01")},
        {TEXT("6"), NULL_CELL, TEXT("9d38"), TEXT("4"), TEXT("2000-01-01 00:00:01")},
        {TEXT("6"), ABSENT, TEXT("9d38"), TEXT("4"), TEXT("2000-01-01 00:00:01")},
        {ABSENT, NULL_CELL, TEXT("9d38"), TEXT("4"), TEXT("2000-01-01 00:00:01")},
        {NULL_CELL, NULL_CELL, TEXT("9d38"), TEXT("4"), TEXT("2000-01-01 00:00:01")},
        {NULL_CELL, ABSENT, TEXT("9d38"), TEXT("4"), TEXT("2000-01-01 00:00:01")},
    };
    char hashes[ARRAY_SIZE(variants)][16];
    for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
        hash_of_cells(variants[i], hashes[i]);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(hashes[i], hashes[j], 16);
        }
    }
}

static void row_absent_is_a_bit_string_and_null_is_not_absent(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
    struct cell cells[N_COLUMNS] = {ABSENT, NULL_CELL, TEXT("9d38"), ABSENT, NULL_CELL};
    add(&batch, cells);
    static const char varbit[] = "\0\0\0\5\0\0\0\5\x90"; /* 5 bits: 10010 */
    assert_memory_equal(batch.rows.ptr + batch.rows.len - 9, varbit, 9);
    assert_int_equal(batch.absent_columns[0], 9);
    row_batch_reset(&batch);
    assert_int_equal(batch.absent_columns[0], 0);
    assert_int_equal(batch.n_rows, 0);
    assert_int_equal(batch.rows.len, HEADER_BYTES);
}

/* Text and payload of the only reject of a batch. */
static void expect_reject(const struct row_batch *batch,
                          const char *key,
                          const char *reason,
                          const char *payload)
{
    struct buf expected CLEANUP(buf_release) = {0};
    buf_init(&expected, 10000);
    buf_add_be16(&expected, 3);
    buf_add_be32(&expected, (uint32_t)strlen(key));
    buf_add_c(&expected, key);
    buf_add_be32(&expected, (uint32_t)strlen(reason));
    buf_add_c(&expected, reason);
    if (payload == NULL) {
        buf_add_be32(&expected, UINT32_MAX);
    } else {
        buf_add_be32(&expected, (uint32_t)strlen(payload) + 1);
        buf_add_char(&expected, 1);
        buf_add_c(&expected, payload);
    }
    assert_int_equal(batch->n_rejects, 1);
    assert_int_equal(batch->rejects.len, HEADER_BYTES + expected.len);
    assert_memory_equal(batch->rejects.ptr + HEADER_BYTES, expected.ptr, expected.len);
}

static void expect_rejected_cells(const struct cell *cells, const char *key, const char *reason)
{
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
    struct error err = ERROR_INIT;
    assert_true(row_batch_add(&batch, cells, STR_LITERAL("{\"a\":1}"), &err));
    assert_int_equal(batch.n_rows, 0);
    assert_int_equal(batch.rows.len, HEADER_BYTES);
    expect_reject(&batch, key, reason, "{\"a\":1}");
}

static void row_rejects_name_field_and_value(void **state)
{
    (void)state;
    struct cell cells[N_COLUMNS];
    memcpy(cells, good_cells, sizeof(cells));
    cells[0] = (struct cell)TEXT("abc");
    expect_rejected_cells(cells, "9d38", "state: \"abc\" is not an integer");
    cells[0] = (struct cell){CELL_NUMBER, false, STR_LITERAL("2.5")};
    expect_rejected_cells(cells, "9d38", "state: 2.5 is not an integer");
    cells[0] = (struct cell){CELL_TEXT, true, STR_LITERAL("1\0")};
    expect_rejected_cells(cells, "9d38", "state: \"1\\u0000\" is not an integer");
    memcpy(cells, good_cells, sizeof(cells));
    cells[4] = (struct cell)TEXT("yesterday");
    expect_rejected_cells(cells, "9d38", "sys_updated_on: \"yesterday\" is not a timestamp");
}

static void row_reject_shortens_the_value_at_a_character(void **state)
{
    (void)state;
    struct cell cells[N_COLUMNS];
    memcpy(cells, good_cells, sizeof(cells));
    char value[202];
    char expected[300] = "state: \"";
    for (size_t i = 0; i < sizeof(value); i += 2) {
        memcpy(value + i, "\xC3\xA7", 2);
    }
    value[0] = 'x';
    value[1] = 'y';
    value[2] = 'z'; /* an odd start: byte 100 would be the middle of a character */
    memmove(value + 3, "\xC3\xA7", 2);
    for (size_t i = 3; i + 1 < sizeof(value); i += 2) {
        memcpy(value + i, "\xC3\xA7", 2);
    }
    size_t prefix = strlen(expected);
    memcpy(expected + prefix, value, 99);
    memcpy(expected + prefix + 99, "\"... is not an integer", 23);
    cells[0] = (struct cell){CELL_TEXT, false, {value, 201}};
    expect_rejected_cells(cells, "9d38", expected);
}

static void row_without_a_key_is_a_reject(void **state)
{
    (void)state;
    struct cell cells[N_COLUMNS];
    memcpy(cells, good_cells, sizeof(cells));
    cells[2] = (struct cell)TEXT("");
    expect_rejected_cells(cells, "", "sys_id: \"\" the key is empty");
    cells[2] = (struct cell)NULL_CELL;
    expect_rejected_cells(cells, "", "sys_id: the key is empty");
    cells[2] = (struct cell)ABSENT;
    expect_rejected_cells(cells, "", "sys_id: the key is missing");
}

static void row_rejects_go_on_with_the_rest(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
    struct cell cells[N_COLUMNS];
    memcpy(cells, good_cells, sizeof(cells));
    add(&batch, cells);
    size_t one_row = batch.rows.len - HEADER_BYTES;
    cells[0] = (struct cell)TEXT("abc");
    add(&batch, cells);
    add(&batch, good_cells);
    assert_int_equal(batch.n_rows, 2);
    assert_int_equal(batch.n_rejects, 1);
    assert_int_equal(batch.rows.len, HEADER_BYTES + 2 * one_row);
}

static void row_payloads_are_always_good_for_jsonb(void **state)
{
    (void)state;

    static const struct {
        struct str payload;
        const char *stored;
    } cases[] = {
        {{"{\"a\":[1,null]}", 14}, "{\"a\":[1,null]}"},
        {{"{\"a\":\"x\\u0000y\"}", 16}, "{\"a\":\"xy\"}"},
        {{"{\"a\":1e400000}", 14}, "\"{\\\"a\\\":1e400000}\""},
        {{"{\"a\":", 5}, "\"{\\\"a\\\":\""},
        {{"\"\\ud800\"", 8}, "\"\\\"\\\\ud800\\\"\""},
        {{"{} x", 4}, "\"{} x\""},
        {{"\xFF\0z", 3}, "\"\xEF\xBF\xBDz\""},
        {{NULL, 0}, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct row_batch batch CLEANUP(row_batch_release) = {0};
        row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
        struct error err = ERROR_INIT;
        assert_true(
            row_batch_reject(&batch, STR_LITERAL("k"), "is not an object", cases[i].payload, &err));
        expect_reject(&batch, "k", "is not an object", cases[i].stored);
    }
}

static void row_reject_texts_are_always_good_for_text(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
    struct error err = ERROR_INIT;
    assert_true(row_batch_reject(&batch, STR_LITERAL("k\0\xFFz"), "\xC3(", STR_LITERAL("1"), &err));
    expect_reject(&batch, "k??z", "?(", "1");
}

static void row_counts_removed_nul_of_what_lands(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
    struct cell cells[N_COLUMNS];
    memcpy(cells, good_cells, sizeof(cells));
    cells[1] = (struct cell){CELL_TEXT, true, STR_LITERAL("\0Re\0solved")};
    add(&batch, cells);
    assert_int_equal(batch.n_nul_removed, 2);
    row_batch_reset(&batch);
    assert_int_equal(batch.n_nul_removed, 0);
}

static void row_that_does_not_fit_is_error_limit_and_leaves_the_batch_alone(void **state)
{
    (void)state;
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, 400);
    struct error err = ERROR_INIT;
    int64_t n_rows = 0;
    size_t len = batch.rows.len;
    while (row_batch_add(&batch, good_cells, STR_NONE, &err)) {
        n_rows++;
        len = batch.rows.len;
    }
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_non_null(strstr(err.msg, "incident"));
    assert_int_equal(n_rows, 4);
    assert_int_equal(batch.n_rows, n_rows);
    assert_int_equal(batch.rows.len, len);
    error_clear(&err);
    char payload[500];
    memset(payload, '1', sizeof(payload));
    size_t rejects_len = batch.rejects.len;
    struct str digits = {payload, sizeof(payload)};
    assert_false(row_batch_reject(&batch, STR_LITERAL("k"), "why", digits, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(batch.n_rejects, 0);
    assert_int_equal(batch.rejects.len, rejects_len);
    row_batch_finish(&batch);
    assert_true(batch.rows.len + batch.rejects.len <= 400);
    row_batch_reset(&batch);
    error_clear(&err);
    assert_true(row_batch_add(&batch, good_cells, STR_NONE, &err));
}

static void row_record_key_joins_key_columns(void **state)
{
    (void)state;
    static const size_t two_keys[] = {2, 0};
    struct task_def composite = task;
    composite.key_columns = two_keys;
    composite.n_key_columns = 2;
    struct buf key CLEANUP(buf_release) = {0};
    buf_init(&key, 100);
    row_record_key(&composite, good_cells, &key);
    assert_string_equal(key.ptr, "9d38:6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_full_tuple_has_columns_hash_and_absent),
        cmocka_unit_test(row_keys_tuple_has_key_version_and_revision_in_catalog_order),
        cmocka_unit_test(row_hash_is_equal_if_the_typed_content_is),
        cmocka_unit_test(row_hash_differs_if_the_content_does),
        cmocka_unit_test(row_absent_is_a_bit_string_and_null_is_not_absent),
        cmocka_unit_test(row_rejects_name_field_and_value),
        cmocka_unit_test(row_reject_shortens_the_value_at_a_character),
        cmocka_unit_test(row_without_a_key_is_a_reject),
        cmocka_unit_test(row_rejects_go_on_with_the_rest),
        cmocka_unit_test(row_payloads_are_always_good_for_jsonb),
        cmocka_unit_test(row_reject_texts_are_always_good_for_text),
        cmocka_unit_test(row_counts_removed_nul_of_what_lands),
        cmocka_unit_test(row_that_does_not_fit_is_error_limit_and_leaves_the_batch_alone),
        cmocka_unit_test(row_record_key_joins_key_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
