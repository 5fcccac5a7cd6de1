#include "worker/run/hub.h"

#include <string.h>

#include "common/base/alloc.h"

void hub_init(struct hub *hub, const struct config *config, struct stop *stop)
{
    hub->config = config;
    hub->sources = xcalloc(config->n_sources + 1, sizeof(struct http_source *));
    hub->errors = xcalloc(config->n_sources + 1, sizeof(*hub->errors));
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct source_config *source = &config->sources[i];
        int64_t in_flight =
            source->parallel < config->worker.parallel ? source->parallel : config->worker.parallel;
        hub->sources[i] = http_source_new(source, in_flight, stop, &hub->errors[i]);
    }
}

static struct http_source *source_named(const struct hub *hub, const char *name)
{
    for (size_t i = 0; i < hub->config->n_sources; i++) {
        if (strcmp(hub->config->sources[i].name, name) == 0) {
            return hub->sources[i];
        }
    }
    return NULL;
}

void hub_continue(struct hub *hub, const struct hub *before)
{
    for (size_t i = 0; i < hub->config->n_sources; i++) {
        struct http_source *source = source_named(before, hub->config->sources[i].name);
        if (hub->sources[i] != NULL && source != NULL) {
            http_source_continue(hub->sources[i], source);
        }
    }
}

void hub_release(struct hub *hub)
{
    for (size_t i = 0; i < hub->config->n_sources; i++) {
        http_source_free(hub->sources[i]);
    }
    xfree(hub->sources);
    xfree(hub->errors);
}
