#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/instant.h"
#include "common/base/log.h"
#include "common/base/thread.h"

/* Stderr goes to a file while a test speaks. */
struct capture {
    FILE *file;
    int saved_stderr;
    char text[64 * 1024];
};

static void capture_start(struct capture *capture)
{
    capture->file = tmpfile();
    assert_non_null(capture->file);
    capture->saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fileno(capture->file), STDERR_FILENO) >= 0);
}

static const char *capture_stop(struct capture *capture)
{
    assert_true(dup2(capture->saved_stderr, STDERR_FILENO) >= 0);
    close(capture->saved_stderr);
    rewind(capture->file);
    size_t len = fread(capture->text, 1, sizeof(capture->text) - 1, capture->file);
    capture->text[len] = '\0';
    (void)fclose(capture->file);
    return capture->text;
}

static void log_json_is_one_object_a_line(void **state)
{
    (void)state;
    static struct capture capture;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture_start(&capture);
    log_info("task \"x\" published", LOG_TEXT("task", "a\nb\xFF"), LOG_INT("rows", -3),
             LOG_FLOAT("share", 0.25), LOG_FLOAT("nothing", NAN), LOG_TEXT("none", NULL));
    log_fail("plain");
    const char *text = capture_stop(&capture);
    static const char start[] = "{\"ts\":\"";
    assert_memory_equal(text, start, strlen(start));
    int64_t us = 0;
    struct str rest = str_from(text + strlen(start));
    assert_true(instant_parse_rfc3339(str_cut(&rest, '"'), &us));
    struct str line = str_cut(&rest, '\n');
    assert_true(str_equal_c(line,
                            ",\"level\":\"info\",\"msg\":\"task \\\"x\\\" published\",\"task\":"
                            "\"a\\nb\xEF\xBF\xBD\",\"rows\":-3,\"share\":0.25,\"nothing\":null,"
                            "\"none\":null}"));
    assert_true(str_ends_with(rest, STR_LITERAL(",\"level\":\"error\",\"msg\":\"plain\"}\n")));
}

static void log_text_quotes_what_is_not_a_word(void **state)
{
    (void)state;
    static struct capture capture;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture_start(&capture);
    log_warn("it happened", LOG_TEXT("a", "word"), LOG_TEXT("b", "two words"), LOG_INT("n", 1),
             LOG_TEXT("c", ""));
    const char *text = capture_stop(&capture);
    assert_true(str_ends_with(
        str_from(text), STR_LITERAL("Z WARN  it happened a=word b=\"two words\" n=1 c=\"\"\n")));
}

static void log_below_the_level_is_silent(void **state)
{
    (void)state;
    static struct capture capture;
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    capture_start(&capture);
    log_debug("no");
    log_info("no");
    assert_string_equal(capture_stop(&capture), "");
    assert_false(log_is_enabled(LOG_LEVEL_INFO));
    assert_true(log_is_enabled(LOG_LEVEL_ERROR));
}

static void log_scope_adds_fields_until_its_block_ends(void **state)
{
    (void)state;
    static struct capture capture;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture_start(&capture);
    {
        LOG_SCOPE(LOG_INT("execution_id", 17));
        {
            LOG_SCOPE(LOG_TEXT("task", "incident"));
            log_info("inner", LOG_INT("n", 1));
        }
        log_info("outer");
    }
    log_info("outside");
    struct str rest = str_from(capture_stop(&capture));
    assert_true(str_ends_with(str_cut(&rest, '\n'),
                              STR_LITERAL(" inner execution_id=17 task=incident n=1")));
    assert_true(str_ends_with(str_cut(&rest, '\n'), STR_LITERAL(" outer execution_id=17")));
    assert_true(str_ends_with(str_cut(&rest, '\n'), STR_LITERAL(" outside")));
}

static void log_scope_drops_what_is_too_deep(void **state)
{
    (void)state;
    static struct capture capture;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture_start(&capture);
    struct log_scope scopes[10];
    for (size_t i = 0; i < 10; i++) {
        scopes[i] = log_scope_push(LOG_INT("depth", i));
    }
    log_info("deep");
    for (size_t i = 10; i-- > 0;) {
        log_scope_pop(&scopes[i]);
    }
    log_info("flat");
    struct str rest = str_from(capture_stop(&capture));
    assert_true(str_ends_with(str_cut(&rest, '\n'), STR_LITERAL(" depth=6 depth=7")));
    assert_true(str_ends_with(str_cut(&rest, '\n'), STR_LITERAL(" flat")));
}

enum { N_TALKERS = 4, N_LINES = 200 };

static void *talk(void *arg)
{
    LOG_SCOPE(LOG_TEXT("talker", arg));
    for (int i = 0; i < N_LINES; i++) {
        log_info("line", LOG_TEXT("end", "."));
    }
    return NULL;
}

static void log_lines_of_threads_do_not_interleave(void **state)
{
    (void)state;
    static struct capture capture;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture_start(&capture);
    static char names[N_TALKERS][2] = {"a", "b", "c", "d"};
    struct thread threads[N_TALKERS] = {0};
    for (size_t i = 0; i < N_TALKERS; i++) {
        thread_start(&threads[i], "talker", talk, names[i]);
    }
    for (size_t i = 0; i < N_TALKERS; i++) {
        thread_join(&threads[i]);
    }
    struct str rest = str_from(capture_stop(&capture));
    size_t n_lines = 0;
    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        assert_true(str_starts_with(line, STR_LITERAL("2")));
        struct str tail = {line.ptr + line.len - 20, 20};
        assert_true(str_starts_with(tail, STR_LITERAL(" line talker=")));
        assert_true(str_ends_with(tail, STR_LITERAL(" end=.")));
        n_lines++;
    }
    assert_int_equal(n_lines, N_TALKERS * N_LINES);
}

static void log_cuts_endless_text_but_keeps_the_line_whole(void **state)
{
    (void)state;
    static char endless[1024 * 1024];
    memset(endless, 'x', sizeof(endless) - 1);
    static struct capture capture;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture_start(&capture);
    log_info("big", LOG_TEXT("text", endless));
    const char *text = capture_stop(&capture);
    assert_true(strlen(text) < 10000);
    assert_true(str_ends_with(str_from(text), STR_LITERAL("xxx\"}\n")));
}

static void log_settings_parse_their_names_only(void **state)
{
    (void)state;
    enum log_level level = LOG_LEVEL_DEBUG;
    assert_true(log_level_parse("warn", &level));
    assert_int_equal(level, LOG_LEVEL_WARN);
    assert_false(log_level_parse("loud", &level));
    enum log_format format = LOG_FORMAT_TEXT;
    assert_true(log_format_parse("json", &format));
    assert_int_equal(format, LOG_FORMAT_JSON);
    assert_true(log_format_parse("text", &format));
    assert_int_equal(format, LOG_FORMAT_TEXT);
    assert_false(log_format_parse("xml", &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_json_is_one_object_a_line),
        cmocka_unit_test(log_text_quotes_what_is_not_a_word),
        cmocka_unit_test(log_below_the_level_is_silent),
        cmocka_unit_test(log_scope_adds_fields_until_its_block_ends),
        cmocka_unit_test(log_scope_drops_what_is_too_deep),
        cmocka_unit_test(log_lines_of_threads_do_not_interleave),
        cmocka_unit_test(log_cuts_endless_text_but_keeps_the_line_whole),
        cmocka_unit_test(log_settings_parse_their_names_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
