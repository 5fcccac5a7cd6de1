#include "common/conf/config_tables.h"

#include "common/conf/config_check.h"
#include "common/conf/names.h"

#define MS  INT64_C(1000)
#define SEC (1000 * MS)
#define MIN (60 * SEC)
#define HR  (60 * MIN)
#define DAY (24 * HR)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define TABLE(list) .options = (list), .n_options = ARRAY_SIZE(list)

static const struct option_choice source_types[] = {
    {"servicenow", 0}, {"glpi", 0}, {"azure_devops", 0}};

static const struct option_choice methods[] = {
    {"basic", AUTH_BASIC},
    {"oauth_password", AUTH_OAUTH_PASSWORD},
    {"oauth_client_credentials", AUTH_OAUTH_CLIENT_CREDENTIALS},
    {"api_key", AUTH_API_KEY},
    {"user_token", AUTH_USER_TOKEN},
    {"pat", AUTH_PAT},
    {"bearer", AUTH_BEARER},
};

static const struct option_choice scopes[] = {
    {"dash.read", 0}, {"dash.admin", 0}, {"dash.observability", 0}};

static const struct option_choice log_levels[] = {
    {"debug", LOG_LEVEL_DEBUG},
    {"info", LOG_LEVEL_INFO},
    {"warn", LOG_LEVEL_WARN},
    {"error", LOG_LEVEL_ERROR},
};

static const struct option_choice log_formats[] = {{"text", LOG_FORMAT_TEXT},
                                                   {"json", LOG_FORMAT_JSON}};

static const struct option database_options[] = {
    {.name = "url",
     .type = OPTION_STRING,
     .offset = offsetof(struct config, database_url),
     .fallback = "postgresql:///foz",
     .form = "libpq URI or conninfo",
     .help = "the database both programs share; overridden by `FOZ_DATABASE_URL`"},
    {.name = "read_url",
     .type = OPTION_STRING,
     .offset = offsetof(struct config, read_url),
     .fallback_help = "`database.url`",
     .form = "libpq URI or conninfo",
     .help = "where foz-api reads; a standby may serve"},
};

static const struct option_table database_table = {TABLE(database_options),
                                                   .check = check_database};

static const struct option auth_options[] = {
    {.name = "method",
     .type = OPTION_ENUM,
     .required = true,
     .offset = offsetof(struct auth_config, method),
     .choices = methods,
     .n_choices = ARRAY_SIZE(methods),
     .help = "how foz proves who it is; the table of methods below says what each needs"},
    {.name = "username",
     .type = OPTION_STRING,
     .offset = offsetof(struct auth_config, username),
     .form = "text or secret reference",
     .help = "login name"},
    {.name = "password",
     .type = OPTION_SECRET,
     .offset = offsetof(struct auth_config, password),
     .help = "its password"},
    {.name = "client_id",
     .type = OPTION_STRING,
     .offset = offsetof(struct auth_config, client_id),
     .form = "text or secret reference",
     .help = "OAuth client"},
    {.name = "client_secret",
     .type = OPTION_SECRET,
     .offset = offsetof(struct auth_config, client_secret),
     .help = "its secret"},
    {.name = "key",
     .type = OPTION_SECRET,
     .offset = offsetof(struct auth_config, key),
     .help = "API key of ServiceNow"},
    {.name = "token",
     .type = OPTION_SECRET,
     .offset = offsetof(struct auth_config, token),
     .help = "personal access token or bearer token of Azure DevOps"},
    {.name = "user_token",
     .type = OPTION_SECRET,
     .offset = offsetof(struct auth_config, user_token),
     .help = "API token of the GLPI user"},
    {.name = "app_token",
     .type = OPTION_SECRET,
     .offset = offsetof(struct auth_config, app_token),
     .help = "token of the GLPI API client"},
};

static const struct option_table auth_table = {TABLE(auth_options)};

static const struct option retry_options[] = {
    {.name = "attempts",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct retry_config, attempts),
     .fallback = "6",
     .min = 1,
     .max = 100,
     .help = "tries of one request, the first included"},
    {.name = "base_delay",
     .type = OPTION_DURATION,
     .offset = offsetof(struct retry_config, base_delay_us),
     .fallback = "500ms",
     .min = MS,
     .max = HR,
     .help = "upper bound of the first random pause; doubles with each try"},
    {.name = "max_delay",
     .type = OPTION_DURATION,
     .offset = offsetof(struct retry_config, max_delay_us),
     .fallback = "60s",
     .min = MS,
     .max = DAY,
     .help = "upper bound of any pause of our own choice"},
    {.name = "max_wait",
     .type = OPTION_DURATION,
     .offset = offsetof(struct retry_config, max_wait_us),
     .fallback = "10m",
     .min = 0,
     .max = DAY,
     .help = "longest `Retry-After` that is obeyed; beyond it the task fails"},
};

static const struct option_table retry_table = {TABLE(retry_options), .check = check_retry};

static const struct option breaker_options[] = {
    {.name = "failures",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct breaker_config, failures),
     .fallback = "8",
     .min = 1,
     .max = 1000,
     .help = "failed requests in a row that stop all requests to the source"},
    {.name = "open_for",
     .type = OPTION_DURATION,
     .offset = offsetof(struct breaker_config, open_for_us),
     .fallback = "60s",
     .min = MS,
     .max = DAY,
     .help = "silence before one request may try again"},
};

static const struct option_table breaker_table = {TABLE(breaker_options)};

static const struct option task_options[] = {
    {.name = "enabled",
     .type = OPTION_BOOLEAN,
     .offset = offsetof(struct task_config, enabled),
     .fallback = "true",
     .help = "whether this source copies the task, and with it those that depend on it"},
    {.name = "fields",
     .type = OPTION_CUSTOM,
     .read = read_task_fields,
     .form = "list, or mapping NAME: TYPE",
     .fallback_help = "all of the catalog",
     .help = "a list: only these (what key, version, revision, window, created and parent name "
             "always stays); a mapping: these in addition, for this source only"},
    {.name = "filter",
     .type = OPTION_STRING,
     .offset = offsetof(struct task_config, filter),
     .fallback_help = "the catalog's",
     .help = "replaces the catalog's filter; the source's query language"},
    {.name = "page_size",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct task_config, page_size),
     .fallback_help = "the source's",
     .min = 1,
     .max = 10000,
     .unit = "records",
     .help = "records a request"},
    {.name = "allow_hidden",
     .type = OPTION_BOOLEAN,
     .offset = offsetof(struct task_config, allow_hidden),
     .fallback = "false",
     .help = "rows the source counts but does not show no longer make the task partial"},
};

static const struct option_table task_table = {
    TABLE(task_options), .struct_size = sizeof(struct task_config),
    .name_offset = offsetof(struct task_config, name),
    .line_offset = offsetof(struct task_config, line), .key_word = "TASK"};

static const struct option source_options[] = {
    {.name = "type",
     .type = OPTION_WORD,
     .required = true,
     .offset = offsetof(struct source_config, type),
     .choices = source_types,
     .n_choices = ARRAY_SIZE(source_types),
     .help = "what kind of system it is"},
    {.name = "url",
     .type = OPTION_URL,
     .required = true,
     .offset = offsetof(struct source_config, url),
     .help = "where it answers: the instance, GLPI's apirest.php, the organisation"},
    {.name = "graph_url",
     .type = OPTION_URL,
     .offset = offsetof(struct source_config, graph_url),
     .fallback_help = "derived for dev.azure.com",
     .help = "Graph API of Azure DevOps"},
    {.name = "entitlements_url",
     .type = OPTION_URL,
     .offset = offsetof(struct source_config, entitlements_url),
     .fallback_help = "derived for dev.azure.com",
     .help = "user entitlements API of Azure DevOps"},
    {.name = "profile_url",
     .type = OPTION_URL,
     .offset = offsetof(struct source_config, profile_url),
     .fallback_help = "derived for dev.azure.com",
     .help = "profile API of Azure DevOps"},
    {.name = "time_zone",
     .type = OPTION_STRING,
     .offset = offsetof(struct source_config, time_zone),
     .fallback_help = "learnt from the server",
     .form = "time zone, such as America/Sao_Paulo",
     .help = "of the GLPI user foz logs in as"},
    {.name = "auth",
     .type = OPTION_STRUCT,
     .required = true,
     .offset = offsetof(struct source_config, auth),
     .table = &auth_table,
     .help = "credentials"},
    {.name = "page_size",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct source_config, page_size),
     .fallback_help = "the catalog's",
     .min = 1,
     .max = 10000,
     .unit = "records",
     .help = "records a request"},
    {.name = "parallel",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct source_config, parallel),
     .fallback = "4",
     .min = 1,
     .max = 64,
     .help = "requests in flight at most"},
    {.name = "timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct source_config, timeout_us),
     .fallback = "60s",
     .min = 10 * MS,
     .max = HR,
     .help = "longest a request may take, answer included"},
    {.name = "connect_timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct source_config, connect_timeout_us),
     .fallback = "10s",
     .min = 10 * MS,
     .max = 10 * MIN,
     .help = "longest a connection may take to open"},
    {.name = "overlap",
     .type = OPTION_DURATION,
     .offset = offsetof(struct source_config, overlap_us),
     .fallback = "10m",
     .min = 0,
     .max = 30 * DAY,
     .help = "how far an increment reaches back behind the watermark"},
    {.name = "visibility_lag",
     .type = OPTION_DURATION,
     .offset = offsetof(struct source_config, visibility_lag_us),
     .fallback = "5s",
     .min = 0,
     .max = HR,
     .help = "how long a change may stay invisible after its timestamp"},
    {.name = "ca_file",
     .type = OPTION_PATH,
     .offset = offsetof(struct source_config, ca_file),
     .fallback_help = "the system's",
     .help = "certificates (PEM) that the source's TLS certificate is checked against"},
    {.name = "retry",
     .type = OPTION_STRUCT,
     .offset = offsetof(struct source_config, retry),
     .table = &retry_table,
     .help = "how failed requests are repeated"},
    {.name = "breaker",
     .type = OPTION_STRUCT,
     .offset = offsetof(struct source_config, breaker),
     .table = &breaker_table,
     .help = "when a failing source is left alone"},
    {.name = "rate_limit",
     .type = OPTION_FLOAT,
     .offset = offsetof(struct source_config, rate_limit),
     .fallback_help = "no limit",
     .float_min = 0.01,
     .float_max = 10000,
     .unit = "requests per second",
     .help = "requests a second at most"},
    {.name = "tasks",
     .type = OPTION_MAP,
     .offset = offsetof(struct source_config, tasks),
     .count_offset = offsetof(struct source_config, n_tasks),
     .table = &task_table,
     .help = "adjustments of single tasks, by name"},
};

static const struct option_table source_table = {
    TABLE(source_options),
    .struct_size = sizeof(struct source_config),
    .name_offset = offsetof(struct source_config, name),
    .line_offset = offsetof(struct source_config, line),
    .key_word = "SOURCE",
    .name_is_valid = name_is_source,
    .name_rule = NAME_SOURCE_RULE,
    .check = check_source};

static const struct option load_options[] = {
    {.name = "parallel",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct load_config, parallel),
     .fallback_help = "the catalog's, else `worker.parallel`",
     .min = 1,
     .max = 64,
     .unit = "lanes",
     .help = "tasks of this load that run at once, at most"},
};

static const struct option_table load_table = {
    TABLE(load_options), .struct_size = sizeof(struct load_config),
    .name_offset = offsetof(struct load_config, name),
    .line_offset = offsetof(struct load_config, line), .key_word = "LOAD"};

static const struct option worker_options[] = {
    {.name = "parallel",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct worker_config, parallel),
     .fallback = "4",
     .min = 1,
     .max = 64,
     .unit = "lanes",
     .help = "threads of one load"},
    {.name = "max_loads",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct worker_config, max_loads),
     .fallback = "2",
     .min = 1,
     .max = 16,
     .help = "loads at once in `foz-worker run`"},
    {.name = "max_delete_fraction",
     .type = OPTION_FLOAT,
     .offset = offsetof(struct worker_config, max_delete_fraction),
     .fallback = "0.3",
     .float_min = 0,
     .float_max = 1,
     .help = "the fuse: a larger share of deleted rows is held (from 50 rows on, and always when "
             "everything would go)"},
    {.name = "page_memory",
     .type = OPTION_SIZE,
     .offset = offsetof(struct worker_config, page_memory_bytes),
     .fallback = "64MiB",
     .min = MIB,
     .max = GIB,
     .help = "memory cap of a lane"},
};

static const struct option_table worker_table = {TABLE(worker_options)};

static const struct option jwt_options[] = {
    {.name = "issuer",
     .type = OPTION_STRING,
     .required = true,
     .offset = offsetof(struct jwt_config, issuer),
     .help = "the `iss` a token must carry"},
    {.name = "audience",
     .type = OPTION_STRING,
     .required = true,
     .offset = offsetof(struct jwt_config, audience),
     .help = "the `aud` a token must carry"},
    {.name = "jwks_file",
     .type = OPTION_PATH,
     .offset = offsetof(struct jwt_config, jwks_file),
     .help = "public keys for RS256 and ES256"},
    {.name = "jwks_url",
     .type = OPTION_URL,
     .offset = offsetof(struct jwt_config, jwks_url),
     .help = "the same, fetched; https, but for this machine"},
    {.name = "jwks_ca_file",
     .type = OPTION_PATH,
     .offset = offsetof(struct jwt_config, jwks_ca_file),
     .fallback_help = "the system's",
     .help = "authorities (PEM) that `jwks_url` is trusted by"},
    {.name = "jwks_refresh",
     .type = OPTION_DURATION,
     .offset = offsetof(struct jwt_config, jwks_refresh_us),
     .fallback = "10m",
     .min = SEC,
     .max = DAY,
     .help = "how often keys and secret are read again"},
    {.name = "jwks_cooldown",
     .type = OPTION_DURATION,
     .offset = offsetof(struct jwt_config, jwks_cooldown_us),
     .fallback = "10s",
     .min = SEC,
     .max = HR,
     .help =
         "how long to wait, after keys were read or could not be, before a token with an unknown "
         "key has them read again"},
    {.name = "hs256_secret",
     .type = OPTION_SECRET,
     .offset = offsetof(struct jwt_config, hs256_secret),
     .help = "shared secret for HS256"},
};

static const struct option_table jwt_table = {TABLE(jwt_options), .check = check_jwt};

static const struct option azure_options[] = {
    {.name = "source",
     .type = OPTION_STRING,
     .required = true,
     .offset = offsetof(struct api_azure_config, source),
     .help = "the azure_devops source whose organisation vouches for a caller"},
    {.name = "scopes",
     .type = OPTION_LIST,
     .item = OPTION_WORD,
     .offset = offsetof(struct api_azure_config, scopes),
     .count_offset = offsetof(struct api_azure_config, n_scopes),
     .fallback = "dash.read",
     .choices = scopes,
     .n_choices = ARRAY_SIZE(scopes),
     .help = "what such a caller may do"},
    {.name = "cache",
     .type = OPTION_DURATION,
     .offset = offsetof(struct api_azure_config, cache_us),
     .fallback = "5m",
     .min = 0,
     .max = DAY,
     .help = "how long a checked credential is trusted"},
};

static const struct option_table azure_table = {TABLE(azure_options)};

static const struct option api_auth_options[] = {
    {.name = "enabled",
     .type = OPTION_BOOLEAN,
     .offset = offsetof(struct api_config, auth_enabled),
     .fallback = "true",
     .help = "`false` only with a loopback listen address"},
    {.name = "jwt",
     .type = OPTION_STRUCT,
     .offset = offsetof(struct api_config, jwt),
     .present_offset = offsetof(struct api_config, has_jwt),
     .table = &jwt_table,
     .help = "accept signed tokens"},
    {.name = "azure_devops",
     .type = OPTION_STRUCT,
     .offset = offsetof(struct api_config, azure_devops),
     .present_offset = offsetof(struct api_config, has_azure_devops),
     .table = &azure_table,
     .help = "accept a caller's Azure DevOps credentials"},
};

static const struct option_table api_auth_table = {TABLE(api_auth_options)};

static const struct option rate_options[] = {
    {.name = "per_minute",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct api_config, rate_per_minute),
     .fallback = "100",
     .min = 1,
     .max = 1000000,
     .help = "requests a minute and principal"},
    {.name = "burst",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct api_config, rate_burst),
     .fallback = "20",
     .min = 1,
     .max = 100000,
     .help = "requests at once"},
};

static const struct option_table rate_table = {TABLE(rate_options)};

static const struct option cors_options[] = {
    {.name = "origins",
     .type = OPTION_LIST,
     .item = OPTION_STRING,
     .offset = offsetof(struct api_config, cors_origins),
     .count_offset = offsetof(struct api_config, n_cors_origins),
     .form = "list of origins",
     .help = "pages that may call the API from a browser, such as https://dash.acme.com"},
};

static const struct option_table cors_table = {TABLE(cors_options), .check = check_cors};

static const struct option api_options[] = {
    {.name = "listen",
     .type = OPTION_LISTEN,
     .offset = offsetof(struct api_config, listen),
     .fallback = "127.0.0.1:8080",
     .help = "where foz-api serves; port 0 takes a free one; overridden by `FOZ_API_LISTEN`"},
    {.name = "admin_listen",
     .type = OPTION_LISTEN,
     .may_be_empty = true,
     .offset = offsetof(struct api_config, admin_listen),
     .fallback = "127.0.0.1:8081",
     .help = "`/livez` `/readyz` `/metrics` without authentication; keep it private; \"\" = none"},
    {.name = "auth",
     .type = OPTION_STRUCT,
     .table = &api_auth_table,
     .help = "who may call; API keys always work"},
    {.name = "rate_limit",
     .type = OPTION_STRUCT,
     .table = &rate_table,
     .help = "token bucket of each principal"},
    {.name = "cors", .type = OPTION_STRUCT, .table = &cors_table, .help = "cross-origin requests"},
    {.name = "body_limit",
     .type = OPTION_SIZE,
     .offset = offsetof(struct api_config, body_limit_bytes),
     .fallback = "1MiB",
     .min = KIB,
     .max = 64 * MIB,
     .help = "largest request body"},
    {.name = "cache_limit",
     .type = OPTION_SIZE,
     .offset = offsetof(struct api_config, cache_limit_bytes),
     .fallback = "8MiB",
     .min = 0,
     .max = 1024 * MIB,
     .help = "memory for answers that are kept until something is published; 0 keeps none"},
    {.name = "threads",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct api_config, threads),
     .fallback = "2",
     .min = 1,
     .max = 64,
     .help = "threads that answer requests"},
};

static const struct option_table api_table = {TABLE(api_options)};

static const struct option log_options[] = {
    {.name = "level",
     .type = OPTION_ENUM,
     .offset = offsetof(struct config, log_level),
     .fallback = "info",
     .choices = log_levels,
     .n_choices = ARRAY_SIZE(log_levels),
     .help = "least severity that is written; overridden by `FOZ_LOG_LEVEL`"},
    {.name = "format",
     .type = OPTION_ENUM,
     .offset = offsetof(struct config, log_format),
     .fallback = "text",
     .choices = log_formats,
     .n_choices = ARRAY_SIZE(log_formats),
     .help = "for people or one JSON object a line; overridden by `FOZ_LOG_FORMAT`"},
};

static const struct option_table log_table = {TABLE(log_options)};

static const struct option config_options[] = {
    {.name = "database", .type = OPTION_STRUCT, .table = &database_table, .help = "PostgreSQL"},
    {.name = "sources",
     .type = OPTION_MAP,
     .offset = offsetof(struct config, sources),
     .count_offset = offsetof(struct config, n_sources),
     .table = &source_table,
     .help = "the systems to copy, by name; the name becomes the column `source`"},
    {.name = "loads",
     .type = OPTION_MAP,
     .offset = offsetof(struct config, loads),
     .count_offset = offsetof(struct config, n_loads),
     .table = &load_table,
     .help = "adjustments of shipped loads, by name"},
    {.name = "catalog",
     .type = OPTION_LIST,
     .item = OPTION_PATH,
     .offset = offsetof(struct config, catalog_paths),
     .count_offset = offsetof(struct config, n_catalog_paths),
     .help = "files, or folders of *.yaml, with more tables and fields (CATALOG.md)"},
    {.name = "worker",
     .type = OPTION_STRUCT,
     .offset = offsetof(struct config, worker),
     .table = &worker_table,
     .help = "foz-worker"},
    {.name = "api",
     .type = OPTION_STRUCT,
     .offset = offsetof(struct config, api),
     .table = &api_table,
     .help = "foz-api"},
    {.name = "log", .type = OPTION_STRUCT, .table = &log_table, .help = "the log on stderr"},
};

const struct option_table config_table = {TABLE(config_options)};

const struct config_override config_overrides[] = {
    {"FOZ_DATABASE_URL", &database_options[0], 0},
    {"FOZ_API_LISTEN", &api_options[0], offsetof(struct config, api)},
    {"FOZ_LOG_LEVEL", &log_options[0], 0},
    {"FOZ_LOG_FORMAT", &log_options[1], 0},
};

const size_t config_overrides_count = ARRAY_SIZE(config_overrides);
