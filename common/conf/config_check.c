#include "common/conf/config_check.h"

#include <string.h>

#include "common/base/str.h"
#include "common/conf/option_value.h"

/* Which fields a method needs, and which it may have, at which type of source. */
struct auth_rule {
    const char *source_type;
    const char *method;
    const char *needs[5]; /* NULL-terminated */
    const char *may[2];
};

static const struct auth_rule auth_rules[] = {
    {"servicenow", "basic", {"username", "password"}, {NULL}},
    {"servicenow",
     "oauth_password",
     {"client_id", "client_secret", "username", "password"},
     {NULL}},
    {"servicenow", "oauth_client_credentials", {"client_id", "client_secret"}, {NULL}},
    {"servicenow", "api_key", {"key"}, {NULL}},
    {"glpi", "user_token", {"user_token"}, {"app_token"}},
    {"glpi", "basic", {"username", "password"}, {"app_token"}},
    {"azure_devops", "pat", {"token"}, {NULL}},
    {"azure_devops", "bearer", {"token"}, {NULL}},
};

/* Options that only one type of source has. */
static const struct {
    const char *name;
    const char *source_type;
} exclusive_options[] = {
    {"time_zone", "glpi"},
    {"graph_url", "azure_devops"},
    {"entitlements_url", "azure_devops"},
    {"profile_url", "azure_devops"},
};

static bool is_among(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n && words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static const struct auth_rule *find_rule(const char *source_type, const char *method)
{
    for (size_t i = 0; i < ARRAY_SIZE(auth_rules); i++) {
        if (strcmp(auth_rules[i].source_type, source_type) == 0 &&
            strcmp(auth_rules[i].method, method) == 0) {
            return &auth_rules[i];
        }
    }
    return NULL;
}

static bool is_known_method(const char *method)
{
    for (size_t i = 0; i < ARRAY_SIZE(auth_rules); i++) {
        if (strcmp(auth_rules[i].method, method) == 0) {
            return true;
        }
    }
    return false;
}

static void fault_method(struct option_reader *reader,
                         int line,
                         const char *where,
                         const char *method,
                         const char *source_type)
{
    CLEANUP(buf_release) struct buf fitting;
    buf_init(&fitting, 512);
    for (size_t i = 0; i < ARRAY_SIZE(auth_rules); i++) {
        if (strcmp(auth_rules[i].source_type, source_type) == 0) {
            buf_addf(&fitting, "%s%s", fitting.len > 0 ? ", " : "", auth_rules[i].method);
        }
    }
    options_fault(reader, line,
                  "%s.auth.method is \"%s\", which %s does not have; write one of: %s", where,
                  method, source_type, fitting.ptr);
}

static void check_auth(struct option_reader *reader,
                       const struct yaml_node *auth,
                       const char *where,
                       const char *source_type)
{
    const struct yaml_node *method = yaml_find(auth, "method");
    if (method == NULL || method->kind != YAML_KIND_SCALAR || !is_known_method(method->scalar)) {
        return; /* said already */
    }
    const struct auth_rule *rule = find_rule(source_type, method->scalar);
    if (rule == NULL) {
        fault_method(reader, method->line, where, method->scalar, source_type);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rule->needs) && rule->needs[i] != NULL; i++) {
        if (yaml_find(auth, rule->needs[i]) == NULL) {
            options_fault(reader, auth->line, "%s.auth lacks \"%s\", which method %s needs", where,
                          rule->needs[i], rule->method);
        }
    }
    static const char *const all[] = {"username", "password", "client_id",  "client_secret",
                                      "key",      "token",    "user_token", "app_token"};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        const struct yaml_node *given = yaml_find(auth, all[i]);
        bool fits = is_among(all[i], rule->needs, ARRAY_SIZE(rule->needs)) ||
                    is_among(all[i], rule->may, ARRAY_SIZE(rule->may));
        if (given != NULL && !fits) {
            options_fault(reader, given->line,
                          "%s.auth.%s is not used by method %s of %s; remove it", where, all[i],
                          rule->method, source_type);
        }
    }
}

static bool is_time_zone(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= 64 && name[0] != '/' && strstr(name, "..") == NULL &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/:") ==
               len;
}

void check_source(struct option_reader *reader,
                  const struct yaml_node *node,
                  const char *where,
                  void *object)
{
    const struct source_config *source = object;
    if (source->type != NULL && yaml_find(node, "auth") != NULL) {
        check_auth(reader, yaml_find(node, "auth"), where, source->type);
    }
    for (size_t i = 0; source->type != NULL && i < ARRAY_SIZE(exclusive_options); i++) {
        const struct yaml_node *given = yaml_find(node, exclusive_options[i].name);
        if (given != NULL && strcmp(source->type, exclusive_options[i].source_type) != 0) {
            options_fault(reader, given->line, "%s.%s exists for %s only; remove it", where,
                          exclusive_options[i].name, exclusive_options[i].source_type);
        }
    }
    if (source->time_zone != NULL && !is_time_zone(source->time_zone)) {
        options_fault(reader, yaml_find(node, "time_zone")->line,
                      "%s.time_zone is \"%s\"; write a name such as America/Sao_Paulo", where,
                      options_shown(reader, source->time_zone));
    }
}

void check_retry(struct option_reader *reader,
                 const struct yaml_node *node,
                 const char *where,
                 void *object)
{
    struct retry_config *retry = object;
    if (retry->base_delay_us <= retry->max_delay_us) {
        return;
    }
    /* Who wrote one of the two did not ask for the other's default. */
    if (yaml_find(node, "base_delay") == NULL) {
        retry->base_delay_us = retry->max_delay_us;
    } else if (yaml_find(node, "max_delay") == NULL) {
        retry->max_delay_us = retry->base_delay_us;
    } else {
        options_fault(reader, node->line, "%s.base_delay is longer than max_delay; swap them",
                      where);
    }
}

void check_jwt(struct option_reader *reader,
               const struct yaml_node *node,
               const char *where,
               void *object)
{
    (void)object; /* a faulty value counts as given: it has been reported */
    if (yaml_find(node, "jwks_file") == NULL && yaml_find(node, "jwks_url") == NULL &&
        yaml_find(node, "hs256_secret") == NULL) {
        options_fault(reader, node->line,
                      "%s has no key to check tokens with; add jwks_file, jwks_url or hs256_secret",
                      where);
    }
    const struct yaml_node *url = yaml_find(node, "jwks_url");
    if (yaml_find(node, "jwks_file") != NULL && url != NULL) {
        options_fault(reader, url->line, "%s has both jwks_file and jwks_url; remove one of them",
                      where);
    }
}

void check_cors(struct option_reader *reader,
                const struct yaml_node *node,
                const char *where,
                void *object)
{
    const struct api_config *api = object;
    for (size_t i = 0; i < api->n_cors_origins; i++) {
        const char *origin = api->cors_origins[i];
        const char *host = strstr(origin, "://");
        if (option_url_fault(origin) != NULL || strchr(host + 3, '/') != NULL) {
            options_fault(reader, yaml_find(node, "origins")->line,
                          "%s.origins holds \"%s\"; write scheme and host only, such as "
                          "https://dash.acme.com",
                          where, options_shown(reader, origin));
        }
    }
}

void read_task_fields(struct option_reader *reader,
                      const struct yaml_node *node,
                      const char *where,
                      void *object)
{
    static const struct option field_names = {.type = OPTION_LIST, .item = OPTION_STRING};
    struct task_config *task = object;
    if (node->kind == YAML_KIND_MAPPING) {
        task->more_fields = node;
        return;
    }
    if (node->kind == YAML_KIND_SEQUENCE) {
        task->fields = options_read_list(reader, &field_names, node, where, &task->n_fields);
        return;
    }
    options_fault(reader, node->line,
                  "%s must be a list of field names or a mapping; write [number, state] or "
                  "{u_name: text}",
                  where);
}

static int line_of(const struct yaml_node *root, const char *section, const char *key)
{
    const struct yaml_node *node = yaml_find(yaml_find(root, section), key);
    return node != NULL ? node->line : 1;
}

static void check_listen(struct option_reader *reader,
                         const struct yaml_node *root,
                         const struct api_config *api)
{
    if (!api->auth_enabled && !option_listen_is_loopback(api->listen)) {
        options_fault(reader, line_of(root, "api", "auth"),
                      "api.auth.enabled is false, but api.listen is %s; listen on 127.0.0.1 or "
                      "[::1], or enable authentication",
                      api->listen);
    }
    bool is_any_port = str_ends_with(str_from(api->listen), STR_LITERAL(":0"));
    if (strcmp(api->listen, api->admin_listen) == 0 && !is_any_port) {
        /* No default gives way here: which port is the private one must not change unnoticed. */
        bool is_default = yaml_find(yaml_find(root, "api"), "admin_listen") == NULL;
        options_fault(reader, line_of(root, "api", is_default ? "listen" : "admin_listen"),
                      "api.admin_listen is the same address as api.listen%s; choose another port",
                      is_default ? " (by default: it is not written)" : "");
    }
}

static void check_azure_source(struct option_reader *reader,
                               const struct yaml_node *root,
                               const struct config *config)
{
    const char *name = config->api.azure_devops.source;
    const char *names[64];
    size_t n = 0;
    if (!config->api.has_azure_devops || name == NULL) {
        return;
    }
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct source_config *source = &config->sources[i];
        bool is_azure = source->type != NULL && strcmp(source->type, "azure_devops") == 0;
        if (is_azure && strcmp(source->name, name) == 0) {
            return;
        }
        if (is_azure && n < ARRAY_SIZE(names)) {
            names[n++] = source->name;
        }
    }
    const struct yaml_node *auth = yaml_find(yaml_find(root, "api"), "auth");
    const struct yaml_node *node = yaml_find(auth, "azure_devops");
    options_fault(reader, node != NULL ? node->line : 1,
                  "api.auth.azure_devops.source names \"%s\", which is no azure_devops source%s",
                  options_shown(reader, name), options_hint(reader, name, names, n));
}

static void check_loads(struct option_reader *reader, const struct config *config)
{
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; i < config->catalog.n_loads && n < ARRAY_SIZE(names); i++) {
        names[n++] = config->catalog.loads[i]->name;
    }
    for (size_t i = 0; i < config->n_loads; i++) {
        const struct load_config *load = &config->loads[i];
        if (catalog_find_load(&config->catalog, load->name) == NULL) {
            options_fault(reader, load->line, "loads.%s: the catalog has no such load%s",
                          options_shown(reader, load->name),
                          options_hint(reader, load->name, names, n));
        }
    }
}

void config_check(struct option_reader *reader,
                  const struct yaml_node *root,
                  const struct config *config)
{
    check_listen(reader, root, &config->api);
    check_azure_source(reader, root, config);
    if (config->catalog.n_loads > 0) {
        check_loads(reader, config);
    }
}
