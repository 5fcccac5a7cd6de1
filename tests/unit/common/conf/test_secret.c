#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/conf/secret.h"
#include "tests/unit/common/conf/conf_files.h"

static void references_have_three_forms(void **state)
{
    (void)state;
    static const char *const good[] = {"env:NAME", "env:_x1", "file:/etc/x", "file:rel",
                                       "credential:snow-password"};
    static const char *const bad[] = {"",         "hunter2",        "env:",        "env:1X",
                                      "env:A B",  "file:",          "credential:", "credential:..",
                                      "ENV:NAME", "credential:a/b", "vault:x"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(secret_is_reference(good[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(secret_is_reference(bad[i]));
    }
}

static void fails_with(const char *reference, const char *words)
{
    struct secret secret = {NULL};
    struct error err = ERROR_INIT;
    assert_false(secret_resolve(reference, &secret, &err));
    assert_int_equal(err.code, ERROR_CONFIG);
    assert_non_null(strstr(err.msg, words));
    assert_null(secret.value);
}

static void env_gives_the_variable(void **state)
{
    (void)state;
    struct secret secret = {NULL};
    struct error err = ERROR_INIT;
    assert_int_equal(setenv("FOZ_TEST_SECRET", "s3cret", 1), 0);
    assert_true(secret_resolve("env:FOZ_TEST_SECRET", &secret, &err));
    assert_string_equal(secret.value, "s3cret");
    secret_release(&secret);
    assert_null(secret.value);
    assert_int_equal(setenv("FOZ_TEST_SECRET", "", 1), 0);
    fails_with("env:FOZ_TEST_SECRET", "is empty");
    assert_int_equal(unsetenv("FOZ_TEST_SECRET"), 0);
    fails_with("env:FOZ_TEST_SECRET", "is not set");
}

static void resolve_written(struct conf_files *files, const char *text, const char *expected)
{
    struct secret secret = {NULL};
    struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf reference;
    buf_init(&reference, 256);
    files->n = 0; /* one file, written again and again */
    buf_addf(&reference, "file:%s", conf_files_write(files, "secret", text));
    assert_true(secret_resolve(reference.ptr, &secret, &err));
    assert_string_equal(secret.value, expected);
    secret_release(&secret);
}

static void file_gives_its_content_less_one_newline(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    conf_files_init(&files);
    resolve_written(&files, "pass", "pass");
    resolve_written(&files, "pass\n", "pass");
    resolve_written(&files, "pass\r\n", "pass");
    resolve_written(&files, "pass\n\n", "pass\n");
    resolve_written(&files, " a b ", " a b ");
}

static void unusable_files_are_named(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(buf_release) struct buf reference;
    CLEANUP(buf_release) struct buf large;
    conf_files_init(&files);
    buf_init(&reference, 256);
    buf_init(&large, 100000);
    fails_with("file:/nonexistent/secret", "cannot read /nonexistent/secret");
    buf_addf(&reference, "file:%s", conf_files_write(&files, "empty", "\n"));
    fails_with(reference.ptr, "is empty");
    for (size_t i = 0; i <= 65536; i++) {
        buf_add_char(&large, 'x');
    }
    buf_reset(&reference);
    buf_addf(&reference, "file:%s", conf_files_write(&files, "large", large.ptr));
    fails_with(reference.ptr, "larger than 64 KiB");
}

static void credentials_come_from_the_unit_folder(void **state)
{
    (void)state;
    struct secret secret = {NULL};
    struct error err = ERROR_INIT;
    CLEANUP(conf_files_release) struct conf_files files;
    conf_files_init(&files);
    (void)conf_files_write(&files, "snow", "pw\n");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    fails_with("credential:snow", "CREDENTIALS_DIRECTORY is not set");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", files.folder, 1), 0);
    assert_true(secret_resolve("credential:snow", &secret, &err));
    assert_string_equal(secret.value, "pw");
    secret_release(&secret);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void a_literal_is_refused_and_never_repeated(void **state)
{
    (void)state;
    struct secret secret = {NULL};
    struct error err = ERROR_INIT;
    assert_false(secret_resolve("hunter2", &secret, &err));
    assert_null(strstr(err.msg, "hunter2"));
    error_clear(&err);
    assert_true(secret_resolve_text("foz", &secret, &err));
    assert_string_equal(secret.value, "foz");
    secret_release(&secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_have_three_forms),
        cmocka_unit_test(env_gives_the_variable),
        cmocka_unit_test(file_gives_its_content_less_one_newline),
        cmocka_unit_test(unusable_files_are_named),
        cmocka_unit_test(credentials_come_from_the_unit_folder),
        cmocka_unit_test(a_literal_is_refused_and_never_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
