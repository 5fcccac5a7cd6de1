#pragma once

#include <string.h>

#include "api/http/request.h"

/* A request without a network: "GET", "/path?query", then "Name: value" lines ending with NULL. */

struct request_fixture {
    struct arena arena;
    struct request request;
    struct header headers[REQUEST_HEADERS_MAX];
};

static inline void request_fixture_init(struct request_fixture *fixture,
                                        const char *method,
                                        const char *target,
                                        const char *const *lines)
{
    memset(fixture, 0, sizeof(*fixture));
    arena_init(&fixture->arena, 1024 * 1024);
    fixture->request.arena = &fixture->arena;
    fixture->request.headers = fixture->headers;
    fixture->request.method = str_from(method);
    fixture->request.version = STR_LITERAL("HTTP/1.1");
    request_set_target(&fixture->request, str_from(target));
    trace_start(&fixture->request.trace, STR_NONE);
    for (; lines != NULL && *lines != NULL; lines++) {
        struct str value = str_from(*lines);
        struct str name = str_cut(&value, ':');
        fixture->request.headers[fixture->request.n_headers++] =
            (struct header){name, str_trim(value)};
    }
}

static inline void request_fixture_release(struct request_fixture *fixture)
{
    arena_release(&fixture->arena);
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})
