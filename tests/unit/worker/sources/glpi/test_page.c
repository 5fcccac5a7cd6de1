#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "test_data.h"
#include "tests/unit/worker/http/cmocka_all.h"
#include "tests/unit/worker/sources/copy_stream.h"
#include "tests/unit/worker/sources/task_of.h"
#include "worker/sources/glpi/filter.h"
#include "worker/sources/glpi/page.h"

/* One answer, from bytes to rows; and what GLPI's strings mean. */

static const struct field FIELDS[] = {
    {.name = "id", .type = COLUMN_BIGINT},
    {.name = "name", .type = COLUMN_TEXT},
    {.name = "completename", .type = COLUMN_TEXT},
    {.name = "date_mod", .type = COLUMN_TIMESTAMPTZ},
    {.name = "is_deleted", .type = COLUMN_BOOLEAN},
};
static const struct column COLUMNS[] = {
    {"id", COLUMN_BIGINT, 0, 0},          {"name", COLUMN_TEXT, 1, 0},
    {"completename", COLUMN_TEXT, 2, 0},  {"date_mod", COLUMN_TIMESTAMPTZ, 3, 0},
    {"is_deleted", COLUMN_BOOLEAN, 4, 0},
};
static const size_t KEY[] = {0};
static const struct task_def TASK = {.name = "t",
                                     .source_type = "glpi",
                                     .load = "l",
                                     .table = "T",
                                     .filter = NULL,
                                     TASK_OF(FIELDS, COLUMNS, KEY),
                                     .version_column = 3,
                                     .revision_column = -1,
                                     .window_column = -1};

struct reading {
    struct buf body;
    struct row_batch batch;
    struct error err;
    struct zone *zone;
    size_t n_looked;
};

static enum glpi_take take(void *arg, int64_t id, const struct cell *cells, struct error *err)
{
    struct reading *reading = arg;
    (void)cells;
    (void)err;
    reading->n_looked++;
    return id == 666 ? GLPI_ROW_SKIP : GLPI_ROW_TAKE;
}

static enum glpi_page read_as(struct reading *reading,
                              const char *zone,
                              enum glpi_encoding encoding,
                              bool is_item,
                              struct str body)
{
    *reading = (struct reading){0};
    reading->zone = zone_open(zone, &reading->err);
    assert_non_null(reading->zone);
    buf_init(&reading->body, (size_t)8 << 20);
    buf_add_str(&reading->body, body);
    row_batch_init(&reading->batch, &TASK, ROW_FULL, (size_t)8 << 20);
    row_batch_reset(&reading->batch);
    struct glpi_reader *reader = glpi_reader_new(&TASK, reading->zone, encoding);
    enum glpi_page page =
        glpi_page_read(reader, &reading->body, (struct glpi_page_shape){.is_item = is_item}, take,
                       reading, &reading->batch, &reading->err);
    glpi_reader_free(reader);
    assert_int_equal(page != GLPI_PAGE_GOOD, error_is_set(&reading->err));
    return page;
}

static void reading_release(struct reading *reading)
{
    buf_release(&reading->body);
    row_batch_release(&reading->batch);
    zone_close(reading->zone);
}

/* The first row's columns. */
static void first_row(struct reading *reading, struct copy_tuple *tuple)
{
    struct copy_stream stream;
    row_batch_finish(&reading->batch);
    copy_stream_init(&stream, buf_str(&reading->batch.rows));
    assert_true(copy_stream_next(&stream, tuple));
}

static int64_t instant_of(struct str field)
{
    uint64_t value = 0;
    for (size_t i = 0; i < field.len; i++) {
        value = value << 8 | (unsigned char)field.ptr[i];
    }
    return (int64_t)value + INT64_C(946684800) * US_PER_S;
}

static void times_become_utc(void **state)
{
    (void)state;

    static const struct {
        const char *zone;
        const char *value;    /* JSON */
        const char *expected; /* NULL: NULL */
    } CASES[] = {
        {"UTC", "\"2026-10-13 06:43:47\"", "2026-10-13 06:43:47"},
        {"America/Sao_Paulo", "\"2026-10-13 03:43:47\"", "2026-10-13 06:43:47"},
        {"Europe/Berlin", "\"2026-10-25 02:30:00\"", "2026-10-25 00:30:00"}, /* the earlier */
        {"UTC", "\"0000-00-00 00:00:00\"", NULL},
        {"UTC", "\"\"", NULL},
        {"UTC", "null", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct reading reading;
        struct copy_tuple row = {0};
        char body[128];
        char text[INSTANT_TEXT_MAX];
        (void)snprintf(body, sizeof(body), "[{\"id\":1,\"date_mod\":%s}]", CASES[i].value);
        assert_int_equal(GLPI_PAGE_GOOD,
                         read_as(&reading, CASES[i].zone, GLPI_PLAIN, false, str_from(body)));
        first_row(&reading, &row);
        if (CASES[i].expected == NULL) {
            assert_null(row.fields[3].ptr);
        } else {
            assert_string_equal(CASES[i].expected,
                                instant_format_plain(instant_of(row.fields[3]), text));
        }
        reading_release(&reading);
    }
}

static void a_time_that_is_none_rejects_the_row(void **state)
{
    (void)state;
    struct reading reading;
    assert_int_equal(GLPI_PAGE_GOOD,
                     read_as(&reading, "UTC", GLPI_PLAIN, false,
                             STR_LITERAL("[{\"id\":1,\"date_mod\":\"yesterday\"}]")));
    assert_int_equal(0, reading.batch.n_rows);
    assert_int_equal(1, reading.batch.n_rejects);
    reading_release(&reading);
}

static void text_is_decoded_exactly_once(void **state)
{
    (void)state;

    static const struct {
        int version;
        const char *field;
        const char *sent;
        const char *expected;
    } CASES[] = {
        /* 9.5 stores and sends everything encoded, in one of two ways */
        {9, "name", "&lt;p&gt;a &amp;amp; b&lt;/p&gt;", "<p>a &amp; b</p>"},
        {9, "name", "&#60;p&#62;a &#38;amp; b", "<p>a &amp; b"},
        {9, "name", "&#38;#60;", "&#60;"},
        {9, "name", "a & b &quot;c&quot; &#39;", "a & b &quot;c&quot; &#39;"},
        {9, "name", "&", "&"},
        {9, "name", "&#6", "&#6"},
        /* 10 decodes by itself, but for trees */
        {10, "name", "<p>a &amp; b</p>", "<p>a &amp; b</p>"},
        {10, "name", "A > B &#38; C", "A > B &#38; C"},
        {10, "completename", "Matriz > Filial Norte &#38; Sul", "Matriz > Filial Norte & Sul"},
        {10, "completename", "R &#38;amp; D > X", "R &amp; D > X"},
        {10, "completename", "R &amp; D", "R &amp; D"}, /* no separator: already decoded */
        /* 11 sends what is meant */
        {11, "name", "&#60; &lt;", "&#60; &lt;"},
        {11, "completename", "A > B &#38; C", "A > B &#38; C"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct reading reading;
        struct copy_tuple row = {0};
        char body[256];
        (void)snprintf(body, sizeof(body), "[{\"id\":1,\"%s\":\"%s\"}]", CASES[i].field,
                       CASES[i].sent);
        assert_int_equal(
            GLPI_PAGE_GOOD,
            read_as(&reading, "UTC", glpi_encoding_of(CASES[i].version), false, str_from(body)));
        first_row(&reading, &row);
        struct str value = row.fields[strcmp(CASES[i].field, "name") == 0 ? 1 : 2];
        if (!str_equal_c(value, CASES[i].expected)) {
            fail_msg("version %d: %s became %.*s", CASES[i].version, CASES[i].sent, STR_ARG(value));
        }
        reading_release(&reading);
    }
}

static void values_come_as_numbers_texts_and_words(void **state)
{
    (void)state;
    static const char *const BODIES[] = {
        "[{\"id\":24,\"is_deleted\":1,\"links\":[{\"rel\":\"x\"}]}]",
        "[{\"id\":\"24\",\"is_deleted\":\"1\"}]", /* 9.4 and older */
        "[{\"is_deleted\":true,\"id\":24,\"unknown\":{\"a\":[1]}}]",
    };
    for (size_t i = 0; i < ARRAY_SIZE(BODIES); i++) {
        struct reading reading;
        struct copy_tuple row = {0};
        assert_int_equal(GLPI_PAGE_GOOD,
                         read_as(&reading, "UTC", GLPI_PLAIN, false, str_from(BODIES[i])));
        first_row(&reading, &row);
        assert_true(str_equal(row.fields[0], (struct str){"\0\0\0\0\0\0\0\x18", 8}));
        assert_true(str_equal(row.fields[4], (struct str){"\x01", 1}));
        /* columns the version lacks */
        assert_null(row.fields[1].ptr);
        assert_int_equal(0, reading.batch.absent_columns[0]);
        reading_release(&reading);
    }
}

static void only_a_whole_list_of_records_is_a_page(void **state)
{
    (void)state;

    static const struct {
        const char *body;
        bool is_item;
        enum glpi_page page;
    } CASES[] = {
        {"[]", false, GLPI_PAGE_GOOD},
        {" [ {\"id\":1} , {\"id\":2} ] ", false, GLPI_PAGE_GOOD},
        {"{\"id\":1}", true, GLPI_PAGE_GOOD},
        {"{\"id\":1}", false, GLPI_PAGE_BROKEN},
        {"[{\"id\":1}]", true, GLPI_PAGE_BROKEN},
        {"[\"ERROR\",\"words\"]", false, GLPI_PAGE_BROKEN},
        {"true", false, GLPI_PAGE_BROKEN},
        {"[{\"id\":1},]", false, GLPI_PAGE_BROKEN},
        {"[{\"id\":1}] <br/>Fatal error", false, GLPI_PAGE_BROKEN},
        {"<br/>Warning [{\"id\":1}]", false, GLPI_PAGE_BROKEN},
        {"[{\"name\":\"x\"}]", false, GLPI_PAGE_WRONG},
        {"[{\"id\":null}]", false, GLPI_PAGE_WRONG},
        {"[{\"id\":-1}]", false, GLPI_PAGE_WRONG},
        {"[{\"id\":\"x\"}]", false, GLPI_PAGE_WRONG},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct reading reading;
        enum glpi_page page =
            read_as(&reading, "UTC", GLPI_PLAIN, CASES[i].is_item, str_from(CASES[i].body));
        if (page != CASES[i].page) {
            fail_msg("%s: %d", CASES[i].body, page);
        }
        reading_release(&reading);
    }
}

static void an_answer_cut_anywhere_is_no_page(void **state)
{
    (void)state;
    static const char BODY[] =
        "[{\"id\":1,\"name\":\"a \\u00e9 \\\"b\\\"\",\"date_mod\":\"2026-10-13 06:43:47\"},"
        "{\"id\":2,\"is_deleted\":0,\"x\":[1,{\"y\":null}]}]";
    for (size_t len = 0; len < sizeof(BODY) - 1; len++) {
        struct reading reading;
        assert_int_equal(GLPI_PAGE_BROKEN,
                         read_as(&reading, "UTC", GLPI_ENCODED, false, (struct str){BODY, len}));
        reading_release(&reading);
    }
}

static void rows_that_are_not_taken_do_not_count(void **state)
{
    (void)state;
    struct reading reading;
    assert_int_equal(GLPI_PAGE_GOOD, read_as(&reading, "UTC", GLPI_PLAIN, false,
                                             STR_LITERAL("[{\"id\":1},{\"id\":666},{\"id\":2}]")));
    assert_int_equal(3, reading.n_looked);
    assert_int_equal(2, reading.batch.n_rows);
    reading_release(&reading);
}

static void content_ranges_are_read(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        bool good;
        int64_t start;
        int64_t end;
        int64_t total;
    } CASES[] = {
        {"0-14/126", true, 0, 14, 126},
        {"126-125/126", true, 126, 125, 126},
        {"1000-6999/100126", true, 1000, 6999, 100126},
        {"", false, 0, 0, 0},
        {"0-14", false, 0, 0, 0},
        {"a-b/c", false, 0, 0, 0},
        {"0-14/*", false, 0, 0, 0},
        {"-1-14/20", false, 0, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        int64_t start = 0;
        int64_t end = 0;
        int64_t total = 0;
        assert_int_equal(CASES[i].good,
                         glpi_content_range(str_from(CASES[i].text), &start, &end, &total));
        assert_int_equal(CASES[i].start, start);
        assert_int_equal(CASES[i].end, end);
        assert_int_equal(CASES[i].total, total);
    }
}

static void filters_become_parameters_and_hold_for_rows(void **state)
{
    (void)state;
    struct task_def task = TASK;
    struct glpi_filter filter;
    struct error err = ERROR_INIT;
    struct buf url CLEANUP(buf_release);
    struct cell cells[ARRAY_SIZE(COLUMNS)] = {{0}};
    buf_init(&url, 1024);
    task.filter = "name=^A b$&completename=x&is_deleted=^0$";
    assert_true(glpi_filter_parse(&task, &filter, &err));
    glpi_filter_add(&filter, &url);
    assert_string_equal("&searchText%5Bname%5D=%5EA%20b%24&searchText%5Bcompletename%5D=x"
                        "&searchText%5Bis_deleted%5D=%5E0%24",
                        url.ptr);
    cells[1] = (struct cell){CELL_TEXT, false, STR_LITERAL("a B")};
    cells[4] = (struct cell){CELL_NUMBER, false, STR_LITERAL("0")};
    assert_true(glpi_filter_holds(&filter, cells)); /* completename is not checked: not exact */
    cells[4].text = STR_LITERAL("1");
    assert_false(glpi_filter_holds(&filter, cells));
}

/* Recorded answers: whole files {"request", "response": {"body": [...]}}. */
static void recorded_lists_are_read(void **state)
{
    (void)state;
    static const char *const FILES[] = {
        "ticket_list_range_0_2",
        "ticket_list_deleted",
        "ticket_list_datemod_desc",
        "ticket_list_by_day",
        "ticket_sub_Ticket_User",
        "ticket_sub_Log",
        "log_feed_desc",
        "dim_User",
        "dim_Entity",
        "dim_ITILCategory",
        "ticket_list_range_126_130",
        "all_TicketTask",
    };
    for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "fixtures/glpi/%s.json", FILES[i]);
        struct buf body CLEANUP(buf_release);
        if (!test_data_body(name, &body)) {
            print_message("no recorded answers here (FOZ_TEST_DATA): skipped\n");
            skip();
        }
        struct reading reading;
        assert_int_equal(GLPI_PAGE_GOOD,
                         read_as(&reading, "UTC", GLPI_ENCODED_TREES, false, buf_str(&body)));
        assert_int_equal(0, reading.batch.n_rejects);
        assert_int_equal((int64_t)reading.n_looked, reading.batch.n_rows);
        assert_true(reading.n_looked > 0 || strstr(name, "126") != NULL);
        reading_release(&reading);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_become_utc),
        cmocka_unit_test(a_time_that_is_none_rejects_the_row),
        cmocka_unit_test(text_is_decoded_exactly_once),
        cmocka_unit_test(values_come_as_numbers_texts_and_words),
        cmocka_unit_test(only_a_whole_list_of_records_is_a_page),
        cmocka_unit_test(an_answer_cut_anywhere_is_no_page),
        cmocka_unit_test(rows_that_are_not_taken_do_not_count),
        cmocka_unit_test(content_ranges_are_read),
        cmocka_unit_test(filters_become_parameters_and_hold_for_rows),
        cmocka_unit_test(recorded_lists_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
