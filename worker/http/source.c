#include <assert.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/http/internal.h"
#include "worker/http/transport_curl.h"

static struct gate *gate_new(const struct http_source *source, int64_t max_in_flight)
{
    struct gate *gate = XNEW(struct gate);

    atomic_init(&gate->users, 1);
    limiter_init(&gate->limiter, source->config, max_in_flight, source->stop, source->seams.clock);
    return gate;
}

static struct gate *gate_share(struct gate *gate)
{
    (void)atomic_fetch_add(&gate->users, 1);
    return gate;
}

static void gate_leave(struct gate *gate)
{
    if (atomic_fetch_sub(&gate->users, 1) == 1) {
        limiter_release(&gate->limiter);
        xfree(gate);
    }
}

static bool source_init(struct http_source *source, int64_t max_in_flight, struct error *err)
{
    const struct source_config *config = source->config;

    if (!url_parse(str_from(config->url), &source->url, err)) {
        return error_wrap(err, "sources.%s.url", config->name);
    }
    source->login =
        login_new(&config->auth, source->url.host, source->seams.clock, source->stop, err);
    if (source->login == NULL) {
        return error_wrap(err, "sources.%s", config->name);
    }
    source->gate = gate_new(source, max_in_flight);
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
    gate_leave(source->gate);
    login_leave(source->login);
    xfree(source);
}

void http_source_continue(struct http_source *source, struct http_source *before)
{
    assert(source->stop == before->stop);
    if (strcmp(source->config->url, before->config->url) != 0) {
        return;
    }
    limiter_take_limits(&before->gate->limiter, &source->gate->limiter);
    gate_leave(source->gate);
    source->gate = gate_share(before->gate);
    if (login_has_token_for(before->login, source->login)) {
        login_leave(source->login);
        source->login = login_share(before->login);
    }
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
