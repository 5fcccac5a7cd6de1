#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf/config.h"
#include "tests/unit/common/conf/conf_files.h"

/* Every fault once: what is written, and what is said of it. "%" lines are put under a source that
 * is otherwise right. */
struct fault_case {
    const char *yaml;
    const char *fault;
};

#define SNOW "sources:\n  snow:\n    type: servicenow\n    url: https://x\n"
#define AUTH "    auth: {method: basic, username: u, password: env:P}\n"
#define GOOD SNOW AUTH
#define DESK                                                                                       \
    "sources:\n  d:\n    type: glpi\n    url: https://x\n"                                         \
    "    auth: {method: user_token, user_token: env:T}\n"
#define AZURE                                                                                      \
    "sources:\n  a:\n    type: azure_devops\n    url: https://x\n"                                 \
    "    auth: {method: pat, token: env:T}\n"

static const struct fault_case cases[] = {
    /* structure */
    {"databse: {}\n", ":1: unknown key \"databse\" in the file; did you mean \"database\"?"},
    {"zzzzzz: {}\n", ":1: unknown key \"zzzzzz\" in the file; valid keys: database, sources, "},
    {"log: {level: info}\nlog: {level: warn}\n",
     ":2: duplicate key \"log\" in the file, first given on line 1; keep one"},
    {"worker: [1]\n", ":1: worker must be a mapping"},
    {"worker: 3\n", ":1: worker must be a mapping"},
    {"- a\n", ":1: the file must be a mapping"},
    {"worker: {parallel: [1]}\n", ":1: worker.parallel must be a single value, not a list"},
    {"worker: {parallel: {a: 1}}\n", ":1: worker.parallel must be a single value, not a mapping"},
    {"worker:\n  parallel:\n", ":2: worker.parallel has no value; write one or remove the key"},
    {"worker: {parallel: null}\n", ":1: worker.parallel has no value"},
    {"worker: {parallel: \"4\"}\n",
     ":1: worker.parallel is quoted text; write a whole number without quotes"},
    {"worker: {parallel: 4\n", "not valid YAML"},
    /* values */
    {"worker: {parallel: many}\n", ":1: worker.parallel is \"many\"; write a whole number"},
    {"worker: {parallel: 0}\n", ":1: worker.parallel is \"0\"; write a value from 1 to 64"},
    {"worker: {parallel: 65}\n", "write a value from 1 to 64"},
    {"worker: {max_delete_fraction: lots}\n", "write a number such as 0.3"},
    {"worker: {max_delete_fraction: 1.5}\n", "write a value from 0 to 1"},
    {"worker: {page_memory: 64MB}\n", "write a size such as 64KiB, 16MiB or plain bytes"},
    {"worker: {page_memory: 64}\n", "write a value from 1MiB to 1GiB"},
    {"api: {auth: {enabled: yes}}\n", ":1: api.auth.enabled is \"yes\"; write true or false"},
    {"log: {level: inf}\n",
     "log.level is \"inf\"; did you mean \"info\"? Write one of: debug, info"},
    {"log: {format: xml}\n", "log.format is \"xml\"; write one of: text, json"},
    {"catalog: /etc/x.yaml\n", ":1: catalog must be a list; write [first, second]"},
    {"database: {url: localhost}\n", ":1: database.url is no database address"},
    {"database: {read_url: localhost}\n", ":1: database.read_url is no database address"},
    {"database: {url: 'postgresql://foz:a/b@db/foz'}\n", ":1: database.url has no valid port"},
    {"database: {url: 'host=x hunter2'}\n", ":1: database.url is no database address"},
    {"database: {url: 'postgresql://me:hunter2@[::1/foz'}\n",
     ":1: database.url is no database address"},
    {"database: {url: 'host=db connect_timeout=soon'}\n",
     ":1: database.url has a connect_timeout that is not whole seconds"},
    /* sources */
    {"sources:\n  Snow: {}\n", ":2: sources.Snow: a name here must be a lower-case letter"},
    {"sources: {s: {url: https://x, auth: {method: pat}}}\n", "sources.s lacks the key \"type\""},
    {"sources: {s: {type: glpi, auth: {}}}\n", "sources.s lacks the key \"url\""},
    {"sources: {s: {type: glpi, url: https://x}}\n", "sources.s lacks the key \"auth\""},
    {"sources: {s: {type: servicenw}}\n", "did you mean \"servicenow\"?"},
    {"sources: {s: {url: ftp://x}}\n", "sources.s.url must begin with https:// or http://"},
    {GOOD "    timeout: 10\n", ":6: sources.snow.timeout is \"10\"; write a duration such as"},
    {GOOD "    timeout: 2h\n", ":6: sources.snow.timeout is \"2h\"; write a value from 10ms to 1h"},
    {GOOD "    rate_limit: 0\n", "sources.snow.rate_limit is \"0\"; write a value from 0.01"},
    {GOOD "    time_zone: UTC\n", ":6: sources.snow.time_zone exists for glpi only; remove it"},
    {GOOD "    graph_url: https://g\n", "sources.snow.graph_url exists for azure_devops only"},
    {GOOD "    profile_url: https://g\n",
     ":6: sources.snow.profile_url exists for azure_devops only"},
    {GOOD "    entitlements_url: https://g\n",
     ":6: sources.snow.entitlements_url exists for azure_devops only"},
    {DESK "    graph_url: https://g\n", ":6: sources.d.graph_url exists for azure_devops only"},
    {DESK "    profile_url: https://g\n", ":6: sources.d.profile_url exists for azure_devops only"},
    {DESK "    entitlements_url: https://g\n",
     ":6: sources.d.entitlements_url exists for azure_devops only"},
    {AZURE "    time_zone: UTC\n", ":6: sources.a.time_zone exists for glpi only; remove it"},
    {AZURE "    graph_url: vssps\n", ":6: sources.a.graph_url must begin with https://"},
    {GOOD "    retry: {base_delay: 2m, max_delay: 1m}\n",
     ":6: sources.snow.retry.base_delay is longer than max_delay"},
    {"sources: {d: {type: glpi, url: https://x, time_zone: \"a b\", auth: {}}}\n",
     "sources.d.time_zone is \"a b\"; write a name such as America/Sao_Paulo"},
    /* credentials */
    {SNOW "    auth: {method: basic, username: u, pasword: env:P}\n",
     ":5: unknown key \"pasword\" in sources.snow.auth; did you mean \"password\"?"},
    {SNOW "    auth: {method: basic, username: u, password: hunter2}\n",
     ":5: sources.snow.auth.password must be a reference, not the secret itself; write env:NAME"},
    {SNOW "    auth: {username: u}\n", ":5: sources.snow.auth lacks the key \"method\""},
    {SNOW "    auth: {method: basci}\n",
     "sources.snow.auth.method is \"basci\"; did you mean \"basic\"?"},
    {SNOW "    auth: {method: pat, token: env:T}\n",
     ":5: sources.snow.auth.method is \"pat\", which servicenow does not have; write one of: "
     "basic, "},
    {SNOW
     "    auth: {method: oauth_password, username: u, password: env:P, client_secret: env:S}\n",
     ":5: sources.snow.auth lacks \"client_id\", which method oauth_password needs"},
    {SNOW "    auth: {method: api_key, key: env:K, token: env:T}\n",
     ":5: sources.snow.auth.token is not used by method api_key of servicenow; remove it"},
    {"sources: {d: {type: glpi, url: https://x, auth: {method: pat, token: env:T}}}\n",
     "sources.d.auth.method is \"pat\", which glpi does not have; write one of: user_token, basic"},
    {"sources: {d: {type: glpi, url: https://x, auth: {method: user_token, app_token: env:T}}}\n",
     "sources.d.auth lacks \"user_token\", which method user_token needs"},
    {"sources: {a: {type: azure_devops, url: https://x, auth: {method: basic}}}\n",
     "sources.a.auth.method is \"basic\", which azure_devops does not have; write one of: pat, "
     "bearer"},
    {"sources: {a: {type: azure_devops, url: https://x, auth: {method: bearer, app_token: "
     "env:T}}}\n",
     "sources.a.auth.app_token is not used by method bearer of azure_devops; remove it"},
    /* tasks and loads */
    {GOOD "    tasks: {incidnt: {}}\n",
     ":6: sources.snow.tasks.incidnt: the catalog has no such task of servicenow; did you mean "
     "\"incident\"?"},
    {GOOD "    tasks: {incident: {fields: [numbr]}}\n",
     "sources.snow.tasks.incident.fields names \"numbr\", which the catalog does not have; did you "
     "mean \"number\"?"},
    {GOOD "    tasks: {incident: {fields: number}}\n",
     "must be a list of field names or a mapping"},
    {GOOD "    tasks: {incident: {fields: {u_x: txt}}}\n", "did you mean \"text\"?"},
    {GOOD "    tasks: {incident: {fields: {state: text}}}\n",
     "sources.snow.tasks.incident.fields.state is text here and integer elsewhere"},
    {GOOD "    tasks: {incident: {fields: {\"a b\": text}}}\n", "a field name must be"},
    {GOOD "    tasks: {incident: {fields: {Number: text}}}\n",
     "field Number would land as number, which is another field's column already"},
    {"loads: {incidnts: {}}\n",
     ":1: loads.incidnts: the catalog has no such load; did you mean \"incidents\"?"},
    {"catalog:\n  - /nonexistent\n",
     "foz.yaml:2: catalog: cannot read /nonexistent: No such file or directory"},
    /* api */
    {"api: {listen: 8080}\n",
     "api.listen is \"8080\": it needs a port from 0 to 65535; write HOST:PORT"},
    {"api: {listen: \"\"}\n", ":1: api.listen has no value"},
    {"api:\n  listen: 0.0.0.0:80\n  auth: {enabled: false}\n",
     ":3: api.auth.enabled is false, but api.listen is 0.0.0.0:80; listen on 127.0.0.1"},
    {"api:\n  listen: 127.0.0.1:8081\n", ":2: api.admin_listen is the same address as api.listen"},
    {"api:\n  listen: 127.0.0.1:80\n  admin_listen: 127.0.0.1:80\n",
     ":3: api.admin_listen is the same address as api.listen; choose another port"},
    {"api: {auth: {jwt: {audience: foz, hs256_secret: env:X}}}\n", "lacks the key \"issuer\""},
    {"api: {auth: {jwt: {issuer: i, audience: foz}}}\n",
     "api.auth.jwt has no key to check tokens with; add jwks_file, jwks_url or hs256_secret"},
    {"api: {auth: {jwt: {issuer: i, audience: a, jwks_file: /f, jwks_url: 'https://u'}}}\n",
     "api.auth.jwt has both jwks_file and jwks_url; remove one of them"},
    {"api: {auth: {azure_devops: {source: snow}}}\n",
     "api.auth.azure_devops.source names \"snow\", which is no azure_devops source"},
    {"api: {auth: {azure_devops: {source: a, scopes: [dash.rea]}}}\n",
     "did you mean \"dash.read\"?"},
    {"api: {cors: {origins: [https://x/path]}}\n", "api.cors.origins holds \"https://x/path\""},
    {"api: {cors: {origins: [\"*\"]}}\n", "api.cors.origins holds \"*\""},
};

/* A configuration that is refused, and what was said of it. */
struct refusal {
    struct conf_files files;
    struct buf faults;
    struct error err;
};

static void refusal_init(struct refusal *refusal, const char *yaml)
{
    struct config config = {.path = NULL};
    error_clear(&refusal->err);
    conf_files_init(&refusal->files);
    buf_init(&refusal->faults, 100000);
    const char *path = conf_files_write(&refusal->files, "foz.yaml", yaml);
    if (config_load(&config, path, &refusal->faults, &refusal->err)) {
        fail_msg("accepted: %s", yaml);
    }
    assert_null(config.path); /* untouched */
}

static void refusal_release(struct refusal *refusal)
{
    buf_release(&refusal->faults);
    conf_files_release(&refusal->files);
}

static void every_fault_names_its_line_and_the_cure(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(refusal_release) struct refusal refusal;
        refusal_init(&refusal, cases[i].yaml);
        assert_int_equal(refusal.err.code, ERROR_CONFIG);
        assert_null(strstr(refusal.faults.ptr, "hunter2"));
        if (strstr(refusal.faults.ptr, cases[i].fault) == NULL &&
            strstr(refusal.err.msg, cases[i].fault) == NULL) {
            fail_msg("of %s said: %s%s", cases[i].yaml, refusal.faults.ptr, refusal.err.msg);
        }
    }
}

static void all_faults_are_found_in_one_pass(void **state)
{
    (void)state;
    CLEANUP(refusal_release) struct refusal refusal;
    refusal_init(&refusal, GOOD "    tasks: {incidnt: {}}\n"
                                "worker: {parallel: 0, parallell: 1}\n"
                                "loads: {x: {}}\n");
    assert_non_null(strstr(refusal.err.msg, "has 4 faults"));
    assert_non_null(strstr(refusal.faults.ptr, "foz.yaml:7: worker.parallel is"));
    assert_non_null(strstr(refusal.faults.ptr, "foz.yaml:7: unknown key \"parallell\""));
    assert_non_null(strstr(refusal.faults.ptr, "foz.yaml:8: loads.x"));
    assert_non_null(strstr(refusal.faults.ptr, "foz.yaml:6: sources.snow.tasks.incidnt"));
}

/* What a catalog that cannot be read might have declared is not missed. */
static void a_missing_catalog_is_one_fault(void **state)
{
    (void)state;
    CLEANUP(refusal_release) struct refusal refusal;
    refusal_init(&refusal, GOOD "    tasks: {changes: {}}\n"
                                "loads: {changes: {}}\n"
                                "catalog: [/nonexistent]\n");
    assert_non_null(strstr(refusal.err.msg, "has 1 fault"));
    assert_non_null(strstr(refusal.faults.ptr, "foz.yaml:8: catalog: cannot read /nonexistent"));
}

static void no_fault_repeats_a_secret(void **state)
{
    (void)state;
    CLEANUP(refusal_release) struct refusal refusal;
    refusal_init(&refusal, "database: {url: hunter2}\n"
                           "sources:\n"
                           "  a: {type: servicenow, url: 'https://u:hunter2@x', auth: "
                           "{method: api_key, key: hunter2}}\n"
                           "  b: {type: glpi, url: 'https://x?t=hunter2', auth: "
                           "{method: basic, password: [hunter2]}}\n"
                           "api: {auth: {jwt: {hs256_secret: hunter2}}}\n");
    assert_null(strstr(refusal.faults.ptr, "hunter2"));
    assert_null(strstr(refusal.err.msg, "hunter2"));
}

static void a_hostile_value_stays_on_its_line(void **state)
{
    (void)state;
    CLEANUP(refusal_release) struct refusal refusal;
    refusal_init(&refusal, "log: {level: \"a\\nb\\e[31m\"}\n\"k\\n\": 1\n");
    assert_non_null(strstr(refusal.faults.ptr, "log.level is \"a?b?[31m\""));
    assert_non_null(strstr(refusal.faults.ptr, "unknown key \"k?\""));
}

static void a_missing_file_tells_the_three_ways_to_name_one(void **state)
{
    (void)state;
    struct config config;
    struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf faults;
    buf_init(&faults, 1000);
    assert_false(config_load(&config, "/nonexistent/foz.yaml", &faults, &err));
    assert_int_equal(faults.len, 0); /* said once */
    assert_non_null(strstr(err.msg, "/nonexistent/foz.yaml"));
    assert_non_null(strstr(err.msg, "-c FILE"));
    assert_non_null(strstr(err.msg, "FOZ_CONFIG"));
    assert_non_null(strstr(err.msg, "/etc/foz/foz.yaml"));
}

static void faulty_environment_variables_are_named(void **state)
{
    (void)state;
    CLEANUP(refusal_release) struct refusal refusal;
    assert_int_equal(setenv("FOZ_LOG_LEVEL", "loud", 1), 0);
    assert_int_equal(setenv("FOZ_API_LISTEN", "nowhere", 1), 0);
    assert_int_equal(setenv("FOZ_DATABASE_URL", "postgresql://foz:hunter2/@db/foz", 1), 0);
    refusal_init(&refusal, "");
    assert_int_equal(unsetenv("FOZ_LOG_LEVEL"), 0);
    assert_int_equal(unsetenv("FOZ_API_LISTEN"), 0);
    assert_int_equal(unsetenv("FOZ_DATABASE_URL"), 0);
    assert_non_null(strstr(refusal.faults.ptr, "environment variable FOZ_LOG_LEVEL is \"loud\""));
    assert_non_null(
        strstr(refusal.faults.ptr, "environment variable FOZ_API_LISTEN is \"nowhere\""));
    assert_non_null(strstr(refusal.faults.ptr,
                           "environment variable FOZ_DATABASE_URL has no valid port or database"));
    assert_null(strstr(refusal.faults.ptr, "hunter2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_names_its_line_and_the_cure),
        cmocka_unit_test(all_faults_are_found_in_one_pass),
        cmocka_unit_test(a_missing_catalog_is_one_fault),
        cmocka_unit_test(no_fault_repeats_a_secret),
        cmocka_unit_test(a_hostile_value_stays_on_its_line),
        cmocka_unit_test(a_missing_file_tells_the_three_ways_to_name_one),
        cmocka_unit_test(faulty_environment_variables_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
