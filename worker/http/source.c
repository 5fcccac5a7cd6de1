#include "common/base/alloc.h"
#include "worker/http/internal.h"
#include "worker/http/transport_curl.h"

/* User names and client ids may stand in the file as they are or be references like secrets. */
static bool resolve_name(const char **name, struct secret *owner, struct error *err)
{
    if (*name == NULL) {
        return true;
    }
    if (!secret_resolve_text(*name, owner, err)) {
        return false;
    }
    *name = owner->value;
    return true;
}

static bool source_init(struct http_source *source, int64_t max_in_flight, struct error *err)
{
    const struct source_config *config = source->config;

    if (!url_parse(str_from(config->url), &source->url, err)) {
        return error_wrap(err, "sources.%s.url", config->name);
    }
    source->auth = config->auth;
    if (!resolve_name(&source->auth.username, &source->username, err) ||
        !resolve_name(&source->auth.client_id, &source->client_id, err) ||
        !credential_init(&source->credential, &source->auth, source->url.host, source->seams.clock,
                         source->stop, err)) {
        return error_wrap(err, "sources.%s", config->name);
    }
    limiter_init(&source->limiter, config, max_in_flight, source->stop, source->seams.clock);
    return true;
}

struct http_source *http_source_new_with(const struct source_config *config,
                                         int64_t max_in_flight,
                                         struct stop *stop,
                                         const struct http_seams *seams,
                                         struct error *err)
{
    struct http_source *source = XNEW(struct http_source);

    source->config = config;
    source->stop = stop;
    source->seams = *seams;
    if (!source_init(source, max_in_flight, err)) {
        secret_release(&source->username);
        secret_release(&source->client_id);
        xfree(source);
        return NULL;
    }
    return source;
}

struct http_source *http_source_new(const struct source_config *config,
                                    int64_t max_in_flight,
                                    struct stop *stop,
                                    struct error *err)
{
    const struct http_seams seams = {
        .clock = &wait_clock_system,
        .transport_open = transport_curl_open,
    };

    return http_source_new_with(config, max_in_flight, stop, &seams, err);
}

void http_source_free(struct http_source *source)
{
    if (source == NULL) {
        return;
    }
    limiter_release(&source->limiter);
    credential_release(&source->credential);
    secret_release(&source->username);
    secret_release(&source->client_id);
    xfree(source);
}

bool http_source_trusts(const struct http_source *source, const struct url *url)
{
    const struct source_config *config = source->config;
    const char *const others[] = {config->graph_url, config->entitlements_url, config->profile_url};

    if (url_is_same_origin(url, &source->url) || url_is_subdomain(url, &source->url)) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct url other = {0};
        struct error ignored = ERROR_INIT; /* an unusable URL is trusted with nothing */

        if (others[i] != NULL && url_parse(str_from(others[i]), &other, &ignored) &&
            url_is_same_origin(url, &other)) {
            return true;
        }
    }
    return false;
}
