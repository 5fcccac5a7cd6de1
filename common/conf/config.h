#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/conf/catalog.h"

struct yaml_node;

/*
 * The configuration file as typed, checked, immutable structs. Parsing is driven by the option
 * tables of config_tables.c (name, type, offset, default, min, max, unit, help); all faults are
 * found in one pass, each as "file:line: what is wrong, what to write instead".
 *
 * Const after config_load; shared by all threads. Absent strings are NULL. Durations are
 * microseconds, sizes bytes.
 */

enum auth_method {
    AUTH_BASIC,
    AUTH_OAUTH_PASSWORD,
    AUTH_OAUTH_CLIENT_CREDENTIALS,
    AUTH_API_KEY,
    AUTH_USER_TOKEN,
    AUTH_PAT,
    AUTH_BEARER,
};

struct auth_config {
    enum auth_method method;
    /* a literal or a reference: resolve with secret_resolve_text */
    const char *username;
    const char *client_id;
    /* references, see secret.h */
    const char *password;
    const char *client_secret;
    const char *key;
    const char *token;
    const char *user_token;
    const char *app_token;
};

struct retry_config {
    int64_t attempts;
    int64_t base_delay_us;
    int64_t max_delay_us;
    int64_t max_wait_us; /* longest Retry-After that is obeyed */
};

struct breaker_config {
    int64_t failures;
    int64_t open_for_us;
};

/* sources.X.tasks.NAME */
struct task_config {
    const char *name;
    bool enabled;
    const char *const *fields; /* NULL = all of the catalog; else this subset (keys always stay) */
    size_t n_fields;
    const struct yaml_node *more_fields; /* NAME: TYPE beyond the catalog's; see config_task */
    const char *filter;                  /* replaces the catalog's; NULL = the catalog's */
    int64_t page_size;                   /* 0 = inherited */
    bool allow_hidden;
    int line;
};

struct source_config {
    const char *name;             /* the `source` column */
    const char *type;             /* servicenow, glpi, azure_devops */
    const char *url;              /* no trailing slash */
    const char *graph_url;        /* azure_devops, optional */
    const char *entitlements_url; /* azure_devops, optional */
    const char *profile_url;      /* azure_devops, optional */
    const char *time_zone;        /* glpi, optional */
    struct auth_config auth;
    int64_t page_size; /* 0 = the task's */
    int64_t parallel;
    int64_t timeout_us;
    int64_t connect_timeout_us;
    int64_t overlap_us;
    int64_t visibility_lag_us;
    const char *ca_file;
    struct retry_config retry;
    struct breaker_config breaker;
    double rate_limit; /* requests per second, 0 = none */
    const struct task_config *tasks;
    size_t n_tasks;
    int line;
};

/* A catalog task as one source copies it. */
struct source_task {
    const char *source;
    const struct task_def *def;
};

struct load_config {
    const char *name;
    int64_t parallel; /* 0 = the catalog's */
    int line;
};

struct worker_config {
    int64_t parallel;
    int64_t max_loads;
    double max_delete_fraction;
    int64_t page_memory_bytes;
};

struct jwt_config {
    const char *issuer;
    const char *audience;
    const char *jwks_file;
    const char *jwks_url;
    const char *jwks_ca_file;
    int64_t jwks_refresh_us;
    int64_t jwks_cooldown_us;
    const char *hs256_secret; /* reference */
};

struct api_azure_config {
    const char *source;
    const char *const *scopes;
    size_t n_scopes;
    int64_t cache_us;
};

struct api_config {
    const char *listen;
    const char *admin_listen; /* "" = none */
    bool auth_enabled;
    bool has_jwt;
    struct jwt_config jwt;
    bool has_azure_devops;
    struct api_azure_config azure_devops;
    int64_t rate_per_minute;
    int64_t rate_burst;
    const char *const *cors_origins;
    size_t n_cors_origins;
    int64_t body_limit_bytes;
    int64_t cache_limit_bytes;
    int64_t threads;
};

struct config {
    struct arena arena;
    const char *path;
    const char *database_url;
    const char *read_url;
    const struct source_config *sources;
    size_t n_sources;
    const struct load_config *loads;
    size_t n_loads;
    const char *const *catalog_paths;
    size_t n_catalog_paths;
    struct worker_config worker;
    struct api_config api;
    enum log_level log_level;
    enum log_format log_format;
    struct catalog catalog;                 /* with the operator's files */
    const struct source_task *source_tasks; /* all tasks of all sources, disabled ones too */
    size_t n_source_tasks;
    const struct task_def **landed; /* parallel to catalog.tasks */
};

/* Reads `path` (NULL: $FOZ_CONFIG, else /etc/foz/foz.yaml), applies the environment overrides
 * FOZ_DATABASE_URL, FOZ_API_LISTEN, FOZ_LOG_LEVEL and FOZ_LOG_FORMAT, loads the catalog and checks
 * everything against everything (tasks exist, fields exist, loads exist, auth fields fit the
 * method, auth disabled only on loopback...). On failure every fault is appended to `faults`, one
 * a line, and err (ERROR_CONFIG) counts them; of a file that is missing or no YAML err tells all.
 * Secrets are checked for form, not resolved. */
bool config_load(struct config *config, const char *path, struct buf *faults, struct error *err);
void config_release(struct config *config);

const struct source_config *config_source(const struct config *config, const char *name);
const struct task_config *source_task(const struct source_config *source, const char *task);

/* The task of this source as configured: catalog with the `fields`, `filter` and `page_size` of
 * sources.X.tasks applied. Lives in config's arena; every enabled task is resolved by config_load.
 */
const struct task_def *
config_task(const struct config *config, const struct source_config *source, const char *task);

/* The landed table of a catalog task: the catalog's columns, then those that sources add. What
 * `migrate` creates; config_task's columns are always among them. */
const struct task_def *config_landed_task(const struct config *config, const struct task_def *task);

/* Neither the task nor one that it depends on is switched off. */
bool config_task_is_enabled(const struct config *config,
                            const struct source_config *source,
                            const char *task);
int64_t config_load_parallel(const struct config *config, const struct load_def *load);

/* Every option with type, default, range and help, as Markdown for docs/CONFIGURATION.md. */
void config_describe(struct buf *out);
