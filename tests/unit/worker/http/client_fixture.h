#pragma once

#include <string.h>

#include "cmocka_all.h"
#include "fake.h"

/* One client on a fake clock and a scripted wire. */

struct fixture {
    struct fake_clock clock;
    struct fake_wire wire;
    struct stop *stop;
    struct source_config config;
    struct http_source *source;
    struct http_client *client;
    struct http_response response;
    struct error err;
};

static inline void set_up_with(struct fixture *f,
                               struct source_config config,
                               const struct fake_answer *answers,
                               size_t n)
{
    *f = (struct fixture){.config = config};
    fake_clock_init(&f->clock);
    fake_wire_init(&f->wire, &f->clock, answers, n);
    f->stop = stop_new(NULL);
    const struct http_seams seams = fake_seams(&f->clock, &f->wire);

    f->source = http_source_new_with(&f->config, 4, f->stop, &seams, &f->err);
    assert_non_null(f->source);
    f->client = http_client_new(f->source, NULL, 1 << 20);
}

#define SET_UP(f, ...)                                                                             \
    static const struct fake_answer answers_[] = {__VA_ARGS__};                                    \
    set_up_with((f), fake_config(), answers_, ARRAY_SIZE(answers_))

static inline void tear_down(struct fixture *f)
{
    http_client_free(f->client);
    http_source_free(f->source);
    stop_free(f->stop);
    fake_wire_release(&f->wire);
    fake_clock_release(&f->clock);
}

static inline bool send_request(struct fixture *f, struct http_request request)
{
    error_clear(&f->err);
    return http_send(f->client, &request, &f->response, &f->err);
}

static inline bool get(struct fixture *f)
{
    return send_request(f,
                        (struct http_request){.method = "GET", .url = STR_LITERAL("/api/x?q=1")});
}

static inline void assert_says(const struct fixture *f, const char *words)
{
    if (strstr(f->err.msg, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->err.msg, words);
    }
}
