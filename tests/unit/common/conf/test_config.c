#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/conf/config.h"
#include "tests/unit/common/conf/conf_files.h"

#define SEC INT64_C(1000000)

static void load_text(struct config *config, struct conf_files *files, const char *yaml)
{
    CLEANUP(buf_release) struct buf faults;
    struct error err = ERROR_INIT;
    buf_init(&faults, 100000);
    conf_files_init(files);
    if (!config_load(config, conf_files_write(files, "foz.yaml", yaml), &faults, &err)) {
        fail_msg("%s", faults.ptr);
    }
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files, "");
    assert_string_equal(config.database_url, "postgresql:///foz");
    assert_string_equal(config.read_url, "postgresql:///foz");
    assert_int_equal(config.n_sources, 0);
    assert_int_equal(config.worker.parallel, 4);
    assert_int_equal(config.worker.max_loads, 2);
    assert_true(config.worker.max_delete_fraction > 0.299 &&
                config.worker.max_delete_fraction < 0.301);
    assert_int_equal(config.worker.page_memory_bytes, 64 << 20);
    assert_string_equal(config.api.listen, "127.0.0.1:8080");
    assert_string_equal(config.api.admin_listen, "127.0.0.1:8081");
    assert_true(config.api.auth_enabled);
    assert_false(config.api.has_jwt);
    assert_int_equal(config.api.rate_per_minute, 100);
    assert_int_equal(config.api.rate_burst, 20);
    assert_int_equal(config.log_level, LOG_LEVEL_INFO);
}

static void a_source_has_the_documented_defaults(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files,
              "sources: {desk: {type: glpi, url: 'https://g/apirest.php/', retry: {attempts: 2},"
              " auth: {method: user_token, user_token: env:T}}}");
    const struct source_config *source = config_source(&config, "desk");
    assert_non_null(source);
    assert_null(config_source(&config, "other"));
    assert_string_equal(source->url, "https://g/apirest.php");
    assert_int_equal(source->parallel, 4);
    assert_int_equal(source->page_size, 0);
    assert_int_equal(source->timeout_us, 60 * SEC);
    assert_int_equal(source->connect_timeout_us, 10 * SEC);
    assert_int_equal(source->overlap_us, 600 * SEC);
    assert_int_equal(source->visibility_lag_us, 5 * SEC);
    assert_int_equal(source->retry.attempts, 2);
    assert_int_equal(source->retry.base_delay_us, SEC / 2);
    assert_int_equal(source->retry.max_delay_us, 60 * SEC);
    assert_int_equal(source->retry.max_wait_us, 600 * SEC);
    assert_int_equal(source->breaker.failures, 8);
    assert_int_equal(source->breaker.open_for_us, 60 * SEC);
    assert_true(source->rate_limit < 0.001);
    assert_int_equal(source->auth.method, AUTH_USER_TOKEN);
}

static void a_default_gives_way_to_the_delay_that_is_written(void **state)
{
    (void)state;

    static const struct {
        const char *retry;
        int64_t base_us;
        int64_t max_us;
    } cases[] = {
        {"max_delay: 100ms", SEC / 10, SEC / 10},
        {"base_delay: 2m", 120 * SEC, 120 * SEC},
        {"max_delay: 5s", SEC / 2, 5 * SEC},
        {"base_delay: 5s", 5 * SEC, 60 * SEC},
        {"base_delay: 2m, max_delay: 3m", 120 * SEC, 180 * SEC},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(conf_files_release) struct conf_files files;
        CLEANUP(config_release) struct config config;
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "sources: {desk: {type: glpi, url: 'https://g', retry: {%s},"
                       " auth: {method: user_token, user_token: env:T}}}",
                       cases[i].retry);
        load_text(&config, &files, text);
        assert_int_equal(config.sources[0].retry.base_delay_us, cases[i].base_us);
        assert_int_equal(config.sources[0].retry.max_delay_us, cases[i].max_us);
    }
}

static void each_type_of_source_has_its_options_and_methods(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files,
              "sources:\n"
              "  d: {type: glpi, url: 'https://g/apirest.php', time_zone: America/Sao_Paulo,\n"
              "      auth: {method: user_token, user_token: env:U, app_token: env:A}}\n"
              "  e: {type: glpi, url: 'https://g/apirest.php',\n"
              "      auth: {method: basic, username: u, password: env:P, app_token: env:A}}\n"
              "  a: {type: azure_devops, url: 'https://tfs/c', graph_url: 'https://tfs/g/',\n"
              "      entitlements_url: 'https://tfs/e', profile_url: 'https://tfs/p',\n"
              "      auth: {method: pat, token: env:T}}\n"
              "  b: {type: azure_devops, url: 'https://dev.azure.com/b',\n"
              "      auth: {method: bearer, token: env:T}}\n");
    const struct source_config *d = config_source(&config, "d");
    const struct source_config *a = config_source(&config, "a");
    assert_string_equal(d->time_zone, "America/Sao_Paulo");
    assert_string_equal(d->auth.user_token, "env:U");
    assert_string_equal(d->auth.app_token, "env:A");
    assert_int_equal(config_source(&config, "e")->auth.method, AUTH_BASIC);
    assert_null(config_source(&config, "e")->time_zone);
    assert_string_equal(a->graph_url, "https://tfs/g");
    assert_string_equal(a->entitlements_url, "https://tfs/e");
    assert_string_equal(a->profile_url, "https://tfs/p");
    assert_int_equal(a->auth.method, AUTH_PAT);
    assert_int_equal(config_source(&config, "b")->auth.method, AUTH_BEARER);
    assert_null(config_source(&config, "b")->graph_url);
}

static void json_is_a_good_configuration(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(
        &config, &files,
        "{\"sources\": {\"snow\": {\"type\": \"servicenow\", \"url\": \"http://127.0.0.1:9/s\","
        " \"auth\": {\"method\": \"basic\", \"username\": \"u\", \"password\": \"env:P\"},"
        " \"timeout\": \"5s\", \"rate_limit\": 2.5, \"page_size\": 100}},"
        " \"worker\": {\"page_memory\": \"16MiB\"}}");
    assert_int_equal(config.sources[0].timeout_us, 5 * SEC);
    assert_int_equal(config.sources[0].page_size, 100);
    assert_int_equal(config.worker.page_memory_bytes, 16 << 20);
}

static void relative_paths_start_at_the_files_folder(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files,
              "sources: {s: {type: servicenow, url: https://x, ca_file: ca.pem,"
              " auth: {method: api_key, key: 'file:secret/key'}}}");
    CLEANUP(xfreep) char *ca_file = xasprintf("%s/ca.pem", files.folder);
    CLEANUP(xfreep) char *key = xasprintf("file:%s/secret/key", files.folder);
    assert_string_equal(config.sources[0].ca_file, ca_file);
    assert_string_equal(config.sources[0].auth.key, key);
}

static void the_environment_overrides_the_file(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    assert_int_equal(setenv("FOZ_DATABASE_URL", "host=other dbname=foz", 1), 0);
    assert_int_equal(setenv("FOZ_API_LISTEN", "[::1]:0", 1), 0);
    assert_int_equal(setenv("FOZ_LOG_LEVEL", "debug", 1), 0);
    assert_int_equal(setenv("FOZ_LOG_FORMAT", "json", 1), 0);
    load_text(&config, &files,
              "database: {url: postgresql:///a, read_url: postgresql:///a}\nlog: {level: warn}\n");
    assert_int_equal(unsetenv("FOZ_DATABASE_URL"), 0);
    assert_int_equal(unsetenv("FOZ_API_LISTEN"), 0);
    assert_int_equal(unsetenv("FOZ_LOG_LEVEL"), 0);
    assert_int_equal(unsetenv("FOZ_LOG_FORMAT"), 0);
    assert_string_equal(config.database_url, "host=other dbname=foz");
    assert_string_equal(config.read_url, "host=other dbname=foz");
    assert_string_equal(config.api.listen, "[::1]:0");
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config.log_format, LOG_FORMAT_JSON);
}

static void a_standby_keeps_its_own_address(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    assert_int_equal(setenv("FOZ_DATABASE_URL", "postgresql:///b", 1), 0);
    load_text(&config, &files, "database: {url: postgresql:///a, read_url: postgresql:///r}\n");
    assert_int_equal(unsetenv("FOZ_DATABASE_URL"), 0);
    assert_string_equal(config.database_url, "postgresql:///b");
    assert_string_equal(config.read_url, "postgresql:///r");
}

#define TWO_SOURCES                                                                                \
    "sources:\n"                                                                                   \
    "  a:\n"                                                                                       \
    "    type: servicenow\n"                                                                       \
    "    url: https://a\n"                                                                         \
    "    auth: {method: api_key, key: env:K}\n"                                                    \
    "    page_size: 500\n"                                                                         \
    "    tasks:\n"                                                                                 \
    "      incident: {fields: {u_site: text, state: {display: true}}, page_size: 50}\n"            \
    "      groups: {enabled: false, filter: active=true}\n"                                        \
    "  b:\n"                                                                                       \
    "    type: servicenow\n"                                                                       \
    "    url: https://b\n"                                                                         \
    "    auth: {method: api_key, key: env:K}\n"                                                    \
    "    tasks: {incident: {fields: [number, assigned_to]}}\n"

static bool has_column(const struct task_def *task, const char *name)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        if (strcmp(task->columns[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void a_mapping_of_fields_adds_for_its_source_only(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files, TWO_SOURCES);
    const struct task_def *base = catalog_task(&config.catalog, "servicenow", "incident");
    const struct task_def *landed = config_landed_task(&config, base);
    const struct task_def *a = config_task(&config, config_source(&config, "a"), "incident");
    const struct task_def *b = config_task(&config, config_source(&config, "b"), "incident");
    assert_int_equal(landed->n_columns, base->n_columns + 2);
    assert_true(has_column(landed, "u_site") && has_column(landed, "dv_state"));
    assert_true(has_column(a, "u_site") && has_column(a, "dv_state"));
    assert_false(has_column(b, "u_site") || has_column(b, "dv_state"));
    assert_false(has_column(base, "u_site"));
}

static void a_list_of_fields_keeps_what_loading_needs(void **state)
{
    (void)state;
    static const char *const expected[] = {"sys_id",    "number",         "assigned_to",
                                           "opened_at", "sys_updated_on", "sys_mod_count"};
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files, TWO_SOURCES);
    const struct task_def *task = config_task(&config, config_source(&config, "b"), "incident");
    assert_int_equal(task->n_columns, ARRAY_SIZE(expected));
    assert_int_equal(task->n_fields, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_string_equal(task->columns[i].name, expected[i]);
        assert_string_equal(task->fields[task->columns[i].field].name, expected[i]);
    }
    assert_string_equal(task->columns[task->key_columns[0]].name, "sys_id");
    assert_string_equal(task->columns[task->version_column].name, "sys_updated_on");
    assert_string_equal(task->columns[task->revision_column].name, "sys_mod_count");
    assert_string_equal(task->columns[task->window_column].name, "opened_at");
}

static void task_settings_win_over_source_settings(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files, TWO_SOURCES);
    const struct source_config *a = config_source(&config, "a");
    assert_int_equal(config_task(&config, a, "incident")->page_size, 50);
    assert_int_equal(config_task(&config, a, "sys_user")->page_size, 500);
    assert_string_equal(config_task(&config, a, "groups")->filter, "active=true");
    assert_string_equal(config_task(&config, a, "incident_sla")->filter,
                        "task.sys_class_name=incident");
    assert_false(config_task_is_enabled(&config, a, "groups"));
    assert_true(config_task_is_enabled(&config, a, "incident"));
    assert_false(config_task_is_enabled(&config, a, "nothing"));
    assert_null(config_task(&config, a, "nothing"));
}

static void lanes_come_from_load_catalog_or_worker(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files, "worker: {parallel: 7}\nloads: {incidents: {parallel: 2}}\n");
    const struct load_def *incidents = catalog_find_load(&config.catalog, "incidents");
    const struct load_def *configurations = catalog_find_load(&config.catalog, "configurations");
    assert_int_equal(config_load_parallel(&config, incidents), 2);
    assert_int_equal(config_load_parallel(&config, configurations), 3);
    const struct load_def other = {.name = "other"};
    assert_int_equal(config_load_parallel(&config, &other), 7);
}

static void the_api_section_lands_in_its_struct(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config;
    load_text(&config, &files,
              "sources: {devops: {type: azure_devops, url: https://dev.azure.com/acme,"
              " auth: {method: pat, token: env:T}}}\n"
              "api:\n"
              "  admin_listen: \"\"\n"
              "  auth:\n"
              "    enabled: false\n"
              "    jwt: {issuer: https://id, audience: foz, hs256_secret: env:S}\n"
              "    azure_devops: {source: devops, scopes: [dash.read, dash.admin], cache: 1m}\n"
              "  cors: {origins: [https://dash.acme.com]}\n"
              "  body_limit: 64KiB\n");
    assert_string_equal(config.api.admin_listen, "");
    assert_false(config.api.auth_enabled);
    assert_true(config.api.has_jwt && config.api.has_azure_devops);
    assert_string_equal(config.api.jwt.hs256_secret, "env:S");
    assert_int_equal(config.api.azure_devops.n_scopes, 2);
    assert_string_equal(config.api.azure_devops.scopes[1], "dash.admin");
    assert_int_equal(config.api.azure_devops.cache_us, 60 * SEC);
    assert_int_equal(config.api.n_cors_origins, 1);
    assert_int_equal(config.api.body_limit_bytes, 65536);
}

static char *read_source_file(const char *name)
{
    CLEANUP(xfreep) char *path = xasprintf("%s/%s", SOURCE_FOLDER, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *text = xcalloc(1, 200000);
    size_t len = fread(text, 1, 199999, file);
    assert_int_equal(fclose(file), 0);
    assert_true(len > 0 && len < 199999);
    return text;
}

static void the_documentation_holds_every_option(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf described;
    CLEANUP(xfreep) char *document = read_source_file("docs/CONFIGURATION.md");
    const char *begin = strstr(document, "<!-- options:begin -->\n\n");
    char *end = strstr(document, "\n<!-- options:end -->");
    assert_true(begin != NULL && end != NULL);
    *end = '\0';
    buf_init(&described, 100000);
    config_describe(&described);
    while (described.len > 1 && described.ptr[described.len - 2] == '\n') {
        buf_truncate(&described, described.len - 1);
    }
    assert_string_equal(begin + strlen("<!-- options:begin -->\n\n"), described.ptr);
}

static void the_shipped_example_is_right(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf faults;
    CLEANUP(config_release) struct config config = {.path = NULL};
    struct error err = ERROR_INIT;
    buf_init(&faults, 100000);
    if (!config_load(&config, SOURCE_FOLDER "/deploy/foz.example.yaml", &faults, &err)) {
        fail_msg("%s", faults.ptr);
    }
    assert_int_equal(config.n_sources, 3);
}

/* The text of the agreed interface; NULL where it is not at hand. */
static char *read_agreement(void)
{
    const char *data = getenv("FOZ_TEST_DATA");
    int beside = (int)(strrchr(SOURCE_FOLDER, '/') - SOURCE_FOLDER);
    CLEANUP(xfreep)
    char *path = data != NULL ? xasprintf("%s/contract.md", data)
                              : xasprintf("%.*s/shared/contract.md", beside, SOURCE_FOLDER);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        print_message("%s is absent: FOZ_TEST_DATA names its folder\n", path);
        return NULL;
    }
    char *text = xcalloc(1, 200000);
    size_t len = fread(text, 1, 199999, file);
    assert_int_equal(fclose(file), 0);
    assert_true(len > 0 && len < 199999);
    return text;
}

/* The first YAML block, whose catalog folder is replaced by `folder`. */
static char *take_example(char *text, const char *folder)
{
    static const char catalog[] = "/etc/foz/catalog.d";
    char *begin = strstr(text, "```yaml\n");
    char *end = begin == NULL ? NULL : strstr(begin, "\n```\n");
    char *named = begin == NULL ? NULL : strstr(begin, catalog);
    if (end == NULL || named == NULL || named > end) {
        fail_msg("the example has no YAML block that names %s", catalog);
        return NULL;
    }
    *end = *named = '\0';
    return xasprintf("%s%s%s\n", begin + strlen("```yaml\n"), folder, named + strlen(catalog));
}

static void the_agreed_example_is_right(void **state)
{
    (void)state;
    CLEANUP(xfreep) char *agreement = read_agreement();
    if (agreement == NULL) {
        skip();
    }
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config = {.path = NULL};
    CLEANUP(buf_release) struct buf faults;
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    buf_init(&faults, 100000);
    CLEANUP(xfreep) char *yaml = take_example(agreement, files.folder);
    if (!config_load(&config, conf_files_write(&files, "foz.conf", yaml), &faults, &err)) {
        fail_msg("%s", faults.ptr);
    }
    assert_int_equal(config.n_sources, 3);
    assert_string_equal(config_source(&config, "desk")->time_zone, "America/Sao_Paulo");
    assert_int_equal(config_source(&config, "devops")->auth.method, AUTH_PAT);
    assert_string_equal(config.api.azure_devops.source, "devops");
}

static void the_file_is_found_by_the_environment(void **state)
{
    (void)state;
    CLEANUP(conf_files_release) struct conf_files files;
    CLEANUP(config_release) struct config config = {.path = NULL};
    struct error err = ERROR_INIT;
    conf_files_init(&files);
    const char *path = conf_files_write(&files, "mine.yaml", "worker: {max_loads: 9}\n");
    assert_int_equal(setenv("FOZ_CONFIG", path, 1), 0);
    bool loaded = config_load(&config, NULL, NULL, &err);
    assert_int_equal(unsetenv("FOZ_CONFIG"), 0);
    assert_true(loaded);
    assert_string_equal(config.path, path);
    assert_int_equal(config.worker.max_loads, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(a_source_has_the_documented_defaults),
        cmocka_unit_test(a_default_gives_way_to_the_delay_that_is_written),
        cmocka_unit_test(each_type_of_source_has_its_options_and_methods),
        cmocka_unit_test(json_is_a_good_configuration),
        cmocka_unit_test(relative_paths_start_at_the_files_folder),
        cmocka_unit_test(the_environment_overrides_the_file),
        cmocka_unit_test(a_standby_keeps_its_own_address),
        cmocka_unit_test(a_mapping_of_fields_adds_for_its_source_only),
        cmocka_unit_test(a_list_of_fields_keeps_what_loading_needs),
        cmocka_unit_test(task_settings_win_over_source_settings),
        cmocka_unit_test(lanes_come_from_load_catalog_or_worker),
        cmocka_unit_test(the_api_section_lands_in_its_struct),
        cmocka_unit_test(the_documentation_holds_every_option),
        cmocka_unit_test(the_shipped_example_is_right),
        cmocka_unit_test(the_agreed_example_is_right),
        cmocka_unit_test(the_file_is_found_by_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
