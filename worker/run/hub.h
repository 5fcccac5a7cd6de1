#pragma once

#include "common/base/stop.h"
#include "common/conf/config.h"
#include "worker/http/client.h"

/*
 * The sources of a process: one http_source each, shared by every execution, so that two loads of
 * one source keep to one budget, one Retry-After and one credential. Thread-safe.
 */

struct hub {
    const struct config *config;
    struct http_source **sources; /* by index in config->sources; NULL where it could not be made */
    struct error *errors;         /* why not */
};

/* Never fails as a whole: a source whose secret is missing is an error of its own tasks. */
void hub_init(struct hub *hub, const struct config *config, struct stop *stop);

/* Before anybody uses `hub`, while `before` is in use: the sources that both have keep to one
 * budget and one credential (http_source_continue). */
void hub_continue(struct hub *hub, const struct hub *before);

void hub_release(struct hub *hub);
