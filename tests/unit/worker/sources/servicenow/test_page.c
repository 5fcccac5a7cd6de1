#include <stdio.h>
#include <string.h>

#include "tests/unit/worker/http/cmocka_all.h"
#include "tests/unit/worker/sources/copy_stream.h"
#include "tests/unit/worker/sources/task_of.h"
#include "worker/sources/servicenow/page.h"

static const struct field FIELDS[] = {
    {.name = "sys_id", .type = COLUMN_TEXT},
    {.name = "company", .type = COLUMN_TEXT, .display = true, .ref = "core_company"},
    {.name = "reopen_count", .type = COLUMN_INTEGER},
    {.name = "active", .type = COLUMN_BOOLEAN},
    {.name = "watch_list", .type = COLUMN_TEXT},
};
static const struct column COLUMNS[] = {
    {"sys_id", COLUMN_TEXT, 0, 0},     {"company", COLUMN_TEXT, 1, 0},
    {"dv_company", COLUMN_TEXT, 1, 1}, {"reopen_count", COLUMN_INTEGER, 2, 0},
    {"active", COLUMN_BOOLEAN, 3, 0},  {"watch_list", COLUMN_TEXT, 4, 0},
};
static const size_t KEY[] = {0};
static const struct task_def TASK = {
    .name = "t",
    .table = "u_t",
    TASK_OF(FIELDS, COLUMNS, KEY),
    .version_column = -1,
    .revision_column = -1,
    .window_column = -1,
};

enum { N_CELLS = ARRAY_SIZE(COLUMNS) + 1, EXTRA = ARRAY_SIZE(COLUMNS) };

/* What the check saw of the last record. */
struct reading {
    enum cell_kind kinds[N_CELLS];
    char texts[N_CELLS][64];
    size_t n_checked;
    const char *refuses; /* a key */
    enum servicenow_page result;
    int64_t records;
    int64_t n_rows;
    int64_t n_rejects;
    struct error err;
};

static bool look(void *arg, const struct cell *cells, struct error *err)
{
    struct reading *reading = arg;
    reading->n_checked++;
    for (size_t i = 0; i < N_CELLS; i++) {
        reading->kinds[i] = cells[i].kind;
        (void)snprintf(reading->texts[i], sizeof(reading->texts[i]), "%.*s",
                       STR_ARG(cells[i].text));
    }
    return reading->refuses == NULL || !str_equal_c(cells[0].text, reading->refuses) ||
           error_set(err, ERROR_DATA, "refused");
}

static void count_tuples(const struct buf *bytes, int64_t expected)
{
    struct copy_stream stream;
    struct copy_tuple tuple;
    int64_t n = 0;
    copy_stream_init(&stream, buf_str(bytes));
    while (copy_stream_next(&stream, &tuple)) {
        n++;
    }
    assert_false(stream.is_broken);
    assert_int_equal(expected, n);
}

static void read_bytes(struct reading *reading, struct str text, const char *extra, size_t limit)
{
    struct buf body CLEANUP(buf_release);
    struct row_batch batch;
    buf_init(&body, 1 << 20);
    buf_add_str(&body, text);
    row_batch_init(&batch, &TASK, ROW_FULL, limit);
    row_batch_reset(&batch);
    struct servicenow_reader *reader = servicenow_reader_new(&TASK, extra);
    error_clear(&reading->err);
    reading->records = -1;
    reading->n_checked = 0;
    reading->result = servicenow_page_read(reader, &body, look, reading, &batch, &reading->records,
                                           &reading->err);
    assert_int_equal(reading->result != SERVICENOW_PAGE_GOOD, error_is_set(&reading->err));
    reading->n_rows = batch.n_rows;
    reading->n_rejects = batch.n_rejects;
    if (reading->result == SERVICENOW_PAGE_GOOD) {
        row_batch_finish(&batch);
        count_tuples(&batch.rows, batch.n_rows);
        count_tuples(&batch.rejects, batch.n_rejects);
        assert_int_equal(reading->records, batch.n_rows + batch.n_rejects);
    } else {
        assert_int_equal(-1, reading->records);
    }
    servicenow_reader_free(reader);
    row_batch_release(&batch);
}

static void read_text(struct reading *reading, const char *text)
{
    *reading = (struct reading){0};
    read_bytes(reading, str_from(text), "task.class", 1 << 20);
}

static void assert_good(const char *text, int64_t records)
{
    struct reading reading;
    read_text(&reading, text);
    if (reading.result != SERVICENOW_PAGE_GOOD) {
        fail_msg("%s: %s", text, reading.err.msg);
    }
    assert_int_equal(records, reading.records);
}

static void assert_bad(enum servicenow_page result, const char *text, const char *words)
{
    struct reading reading;
    read_text(&reading, text);
    if (reading.result != result || strstr(reading.err.msg, words) == NULL) {
        fail_msg("%s: result %d, \"%s\"", text, (int)reading.result, reading.err.msg);
    }
}

static void the_result_may_stand_anywhere_in_the_envelope(void **state)
{
    (void)state;
    assert_good("{\"result\":[]}", 0);
    assert_good(" {\"result\" : [ {\"sys_id\":\"a\"} , {\"sys_id\":\"b\"} ] } ", 2);
    assert_good("{\"session\":{\"debug_logs\":[{\"a\":[1]}]},\"result\":[{\"sys_id\":\"a\"}]}", 1);
    assert_good("{\"result\":[{\"sys_id\":\"a\"}],\"session\":{\"result\":[1]},\"x\":null}", 1);
}

static void an_error_beside_the_result_is_no_page(void **state)
{
    (void)state;
    assert_bad(SERVICENOW_PAGE_BROKEN,
               "{\"result\":[{\"sys_id\":\"a\"}],\"error\":{\"message\":\"x\"}}", "error beside");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"error\":{\"message\":\"x\"},\"result\":[]}",
               "error beside");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"error\":\"x\"}", "error beside");
}

static void a_cancelled_transaction_asks_for_less(void **state)
{
    (void)state;
    static const char *const BODIES[] = {
        "{\"result\":[{\"sys_id\":\"a\"}],\"error\":{\"message\":\"Transaction cancelled: maximum "
        "execution time exceeded\",\"detail\":null},\"status\":\"failure\"}",
        "{\"result\":[{\"sys_id\":\"a\"},\"Transaction cancelled: maximum execution time "
        "exceeded\"]}",
        "{\"result\":[{\"sys_id\":\"a\"},],\"error\":{\"message\":\"Transaction canceled\"}}",
        "{\"result\":[{\"sys_id\":\"a\"}}\"\"],\"error\":{\"message\":\"maximum execution time "
        "exceeded\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(BODIES); i++) {
        struct reading reading;
        read_text(&reading, BODIES[i]);
        assert_int_equal(SERVICENOW_PAGE_CANCELLED, reading.result);
        assert_int_equal(ERROR_LIMIT, reading.err.code);
    }
}

static void a_record_that_speaks_of_cancelling_is_a_record(void **state)
{
    (void)state;
    assert_good("{\"result\":[{\"sys_id\":\"a\",\"watch_list\":\"Transaction cancelled: maximum "
                "execution time exceeded\"}]}",
                1);
}

static void elements_must_be_objects(void **state)
{
    (void)state;
    static const char *const ELEMENTS[] = {"\"x\"", "1", "null", "true", "[]", "[{}]"};
    for (size_t i = 0; i < ARRAY_SIZE(ELEMENTS); i++) {
        char text[128];
        (void)snprintf(text, sizeof(text), "{\"result\":[{\"sys_id\":\"a\"},%s]}", ELEMENTS[i]);
        assert_bad(SERVICENOW_PAGE_BROKEN, text, "element 1 of \"result\" is not an object");
    }
}

static void other_documents_are_no_page(void **state)
{
    (void)state;
    assert_bad(SERVICENOW_PAGE_BROKEN, "", "");
    assert_bad(SERVICENOW_PAGE_BROKEN, "[]", "not a JSON object");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{}", "no \"result\"");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"result\":{\"sys_id\":\"a\"}}", "not an array");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"result\":null}", "not an array");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"result\":[],\"result\":[]}", "comes twice");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"Result\":[]}", "no \"result\"");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"result\":[]}{}", "");
    assert_bad(SERVICENOW_PAGE_BROKEN, "<html>Your instance is hibernating</html>", "");
}

static void a_page_cut_at_any_byte_is_broken(void **state)
{
    (void)state;
    static const char PAGE[] = "{\"result\":[{\"sys_id\":\"a\",\"company\":{\"display_value\":"
                               "\"L\\u00e9\",\"value\":\"v\"},"
                               "\"reopen_count\":\"3\",\"active\":true,\"watch_list\":[1,{\"b\":"
                               "null}]},{\"sys_id\":\"b\"}],"
                               "\"session\":{\"x\":[1.5e3]}}";
    for (size_t len = 0; len < sizeof(PAGE) - 1; len++) {
        struct reading reading = {0};
        read_bytes(&reading, (struct str){PAGE, len}, NULL, 1 << 20);
        assert_int_equal(SERVICENOW_PAGE_BROKEN, reading.result);
        assert_int_equal(ERROR_TRANSIENT, reading.err.code);
    }
    assert_good(PAGE, 2);
}

static void assert_cell(const char *record, size_t column, enum cell_kind kind, const char *text)
{
    char page[512];
    struct reading reading;
    (void)snprintf(page, sizeof(page), "{\"result\":[%s]}", record);
    read_text(&reading, page);
    if (reading.result != SERVICENOW_PAGE_GOOD || reading.kinds[column] != kind ||
        strcmp(reading.texts[column], text) != 0) {
        fail_msg("%s: kind %d, \"%s\" %s", record, (int)reading.kinds[column],
                 reading.texts[column], reading.err.msg);
    }
}

static void values_come_in_every_shape_the_platform_uses(void **state)
{
    (void)state;
    assert_cell("{\"sys_id\":\"a\"}", 0, CELL_TEXT, "a");
    assert_cell("{\"sys_id\":\"a\"}", 1, CELL_ABSENT, "");
    assert_cell("{\"company\":\"\",\"sys_id\":\"a\"}", 1, CELL_TEXT, "");
    assert_cell("{\"company\":null,\"sys_id\":\"a\"}", 1, CELL_NULL, "");
    assert_cell("{\"company\":\"v\",\"sys_id\":\"a\"}", 2, CELL_ABSENT, "");
    assert_cell("{\"company\":{\"link\":\"https://x/v\",\"value\":\"v\"},\"sys_id\":\"a\"}", 1,
                CELL_TEXT, "v");
    assert_cell("{\"company\":{\"display_value\":\"L\",\"value\":\"v\"},\"sys_id\":\"a\"}", 1,
                CELL_TEXT, "v");
    assert_cell("{\"company\":{\"display_value\":\"L\",\"value\":\"v\"},\"sys_id\":\"a\"}", 2,
                CELL_TEXT, "L");
    assert_cell("{\"company\":{\"display_value\":null,\"value\":\"\"},\"sys_id\":\"a\"}", 2,
                CELL_NULL, "");
    assert_cell("{\"company\":{\"value\":\"v\",\"link\":{\"a\":[1]},\"display_value\":\"L\"},\"sys_"
                "id\":\"a\"}",
                2, CELL_TEXT, "L");
    assert_cell("{\"company\":{},\"sys_id\":\"a\"}", 1, CELL_ABSENT, "");
    assert_cell("{\"reopen_count\":3,\"sys_id\":\"a\"}", 3, CELL_NUMBER, "3");
    assert_cell("{\"reopen_count\":2.0,\"sys_id\":\"a\"}", 3, CELL_NUMBER, "2.0");
    assert_cell("{\"reopen_count\":{\"value\":3},\"sys_id\":\"a\"}", 3, CELL_NUMBER, "3");
    assert_cell("{\"active\":true,\"sys_id\":\"a\"}", 4, CELL_BOOL, "true");
    assert_cell("{\"active\":false,\"sys_id\":\"a\"}", 4, CELL_BOOL, "false");
    assert_cell("{\"watch_list\":[\"x\", {\"y\":1}],\"sys_id\":\"a\"}", 5, CELL_JSON,
                "[\"x\", {\"y\":1}]");
    assert_cell("{\"sys_id\":\"\\u0061\"}", 0, CELL_TEXT, "a");
    assert_cell("{\"sys_id\":\"x\",\"sys_id\":\"a\"}", 0, CELL_TEXT, "a");
    assert_cell("{\"SYS_ID\":\"x\",\"sys_id\":\"a\",\"\":\"empty\"}", 0, CELL_TEXT, "a");
    assert_cell("{\"task.class\":\"incident\",\"sys_id\":\"a\"}", EXTRA, CELL_TEXT, "incident");
    assert_cell("{\"u_new\":{\"a\":[{}]},\"sys_id\":\"a\"}", EXTRA, CELL_ABSENT, "");
}

static void a_value_inside_a_value_is_broken(void **state)
{
    (void)state;
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"result\":[{\"sys_id\":{\"value\":[1]}}]}",
               "a value inside a value");
    assert_bad(SERVICENOW_PAGE_BROKEN, "{\"result\":[{\"sys_id\":{\"value\":{}}}]}",
               "a value inside a value");
}

static void a_checked_field_of_the_task_is_read_for_both(void **state)
{
    (void)state;
    struct reading reading = {0};
    read_bytes(&reading,
               STR_LITERAL("{\"result\":[{\"active\":\"true\",\"sys_id\":\"a\",\"\":\"x\"}]}"),
               "active", 1 << 20);
    assert_int_equal(SERVICENOW_PAGE_GOOD, reading.result);
    assert_string_equal("true", reading.texts[4]);
    assert_string_equal("true", reading.texts[EXTRA]);
    assert_string_equal("a", reading.texts[0]);
}

static void records_do_not_leak_into_each_other(void **state)
{
    (void)state;
    struct reading reading;
    read_text(&reading, "{\"result\":[{\"company\":\"v\",\"sys_id\":\"a\"},{\"sys_id\":\"b\"}]}");
    assert_int_equal(CELL_ABSENT, reading.kinds[1]);
    assert_string_equal("b", reading.texts[0]);
}

static void a_record_that_fits_no_type_is_a_reject(void **state)
{
    (void)state;
    struct reading reading;
    read_text(&reading,
              "{\"result\":[{\"sys_id\":\"a\",\"reopen_count\":\"many\"},{\"sys_id\":\"b\"}]}");
    assert_int_equal(SERVICENOW_PAGE_GOOD, reading.result);
    assert_int_equal(1, reading.n_rows);
    assert_int_equal(1, reading.n_rejects);
}

static void a_refused_record_ends_the_page(void **state)
{
    (void)state;
    struct reading reading = {.refuses = "b"};
    read_bytes(
        &reading,
        STR_LITERAL("{\"result\":[{\"sys_id\":\"a\"},{\"sys_id\":\"b\"},{\"sys_id\":\"c\"}]}"),
        NULL, 1 << 20);
    assert_int_equal(SERVICENOW_PAGE_WRONG, reading.result);
    assert_int_equal(ERROR_DATA, reading.err.code);
    assert_int_equal(2, reading.n_checked);
}

static void a_page_beyond_the_memory_of_a_lane_asks_for_less(void **state)
{
    (void)state;
    struct reading reading = {0};
    struct buf text CLEANUP(buf_release);
    buf_init(&text, 1 << 20);
    buf_add_c(&text, "{\"result\":[{\"sys_id\":\"a\",\"watch_list\":\"");
    for (int i = 0; i < 5000; i++) {
        buf_add_char(&text, 'x');
    }
    buf_add_c(&text, "\"}]}");
    read_bytes(&reading, buf_str(&text), NULL, 2000);
    assert_int_equal(SERVICENOW_PAGE_WRONG, reading.result);
    assert_int_equal(ERROR_LIMIT, reading.err.code);
}

static void collect(void *arg, struct str name)
{
    buf_addf(arg, "%.*s,", STR_ARG(name));
}

static enum servicenow_page
read_names(const char *text, struct buf *names, int64_t *records, struct error *err)
{
    struct buf body CLEANUP(buf_release);
    buf_init(&body, 4096);
    buf_add_c(&body, text);
    return servicenow_page_names(&body, collect, names, records, err);
}

static void names_are_those_of_the_first_record(void **state)
{
    (void)state;
    static const char *const BODIES[] = {
        "{\"result\":[{\"a\":\"1\",\"b\":{\"value\":2},\"c\":[3]},{\"d\":4}]}", "{\"result\":[]}",
        "{\"result\":[{}]}"};
    static const char *const NAMES[] = {"a,b,c,", "", ""};
    static const int64_t RECORDS[] = {2, 0, 1};
    for (size_t i = 0; i < ARRAY_SIZE(BODIES); i++) {
        struct buf names CLEANUP(buf_release);
        struct error err = ERROR_INIT;
        int64_t records = -1;
        buf_init(&names, 4096);
        assert_int_equal(SERVICENOW_PAGE_GOOD, read_names(BODIES[i], &names, &records, &err));
        assert_string_equal(NAMES[i], names.ptr);
        assert_int_equal(RECORDS[i], records);
    }
}

static void names_of_a_broken_answer_are_refused(void **state)
{
    (void)state;
    static const char *const BODIES[] = {"", "{\"result\":[{\"a\":1}", "{\"result\":[1]}",
                                         "{\"result\":{}}", "{\"result\":[],\"error\":1}"};
    for (size_t i = 0; i < ARRAY_SIZE(BODIES); i++) {
        struct buf names CLEANUP(buf_release);
        struct error err = ERROR_INIT;
        int64_t records = -1;
        buf_init(&names, 4096);
        assert_int_equal(SERVICENOW_PAGE_BROKEN, read_names(BODIES[i], &names, &records, &err));
        assert_true(error_is_set(&err));
    }
}

static void assert_said(const char *body, const char *expected)
{
    struct buf out CLEANUP(buf_release);
    buf_init(&out, 300);
    servicenow_error_text(str_from(body), &out);
    assert_string_equal(expected, out.ptr);
}

static void error_envelopes_are_put_into_words(void **state)
{
    (void)state;
    assert_said(
        "{\"error\":{\"message\":\"User Not Authenticated\",\"detail\":\"Required to provide Auth "
        "information\"},\"status\":\"failure\"}",
        "User Not Authenticated: Required to provide Auth information");
    assert_said("{\"error\":{\"message\":\"Invalid table x\",\"detail\":null}}", "Invalid table x");
    assert_said("{\"error\":{\"message\":\"same\",\"detail\":\"same\"}}", "same");
    assert_said("{\"error\":\"server_error\",\"error_description\":\"access_denied\"}",
                "server_error: access_denied");
    assert_said(" <html>\n\x01p ", "<html>  p");
    assert_said("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_result_may_stand_anywhere_in_the_envelope),
        cmocka_unit_test(an_error_beside_the_result_is_no_page),
        cmocka_unit_test(a_cancelled_transaction_asks_for_less),
        cmocka_unit_test(a_record_that_speaks_of_cancelling_is_a_record),
        cmocka_unit_test(elements_must_be_objects),
        cmocka_unit_test(other_documents_are_no_page),
        cmocka_unit_test(a_page_cut_at_any_byte_is_broken),
        cmocka_unit_test(values_come_in_every_shape_the_platform_uses),
        cmocka_unit_test(a_value_inside_a_value_is_broken),
        cmocka_unit_test(a_checked_field_of_the_task_is_read_for_both),
        cmocka_unit_test(records_do_not_leak_into_each_other),
        cmocka_unit_test(a_record_that_fits_no_type_is_a_reject),
        cmocka_unit_test(a_refused_record_ends_the_page),
        cmocka_unit_test(a_page_beyond_the_memory_of_a_lane_asks_for_less),
        cmocka_unit_test(names_are_those_of_the_first_record),
        cmocka_unit_test(names_of_a_broken_answer_are_refused),
        cmocka_unit_test(error_envelopes_are_put_into_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
