#include "common/conf/config_check.h"
#include "common/conf/config_tables.h"
#include "common/conf/config_units.h"

static const struct option_choice scopes[] = {
    {"dash.read", 0}, {"dash.admin", 0}, {"dash.observability", 0}};

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

const struct option config_api_options[] = {
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
     .fallback = "4MiB",
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

const struct option_table config_api_table = {TABLE(config_api_options)};
