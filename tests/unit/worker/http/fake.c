#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

/* 2026-07-14T00:30:28Z */
#define WALL_US      (INT64_C(1783989028) * US_PER_S)
#define REAL_WAIT_US (20 * US_PER_MS)

static int64_t monotonic_us(void *arg)
{
    return fake_clock_now_us(arg);
}

static int64_t wall_us(void *arg)
{
    return ((struct fake_clock *)arg)->wall_us;
}

/* A wait with an end is over at once; one without waits for another thread. */
static void wait(void *arg, struct condition *condition, struct mutex *mutex, int64_t deadline_us)
{
    struct fake_clock *fake = arg;

    if (deadline_us == WAIT_FOREVER_US) {
        atomic_fetch_add(&fake->n_idle, 1);
        (void)condition_wait_until(condition, mutex, clock_monotonic_us() + REAL_WAIT_US);
        return;
    }
    MUTEX_GUARD(&fake->lock);
    if (fake->now_us < deadline_us) {
        fake->now_us = deadline_us;
    }
}

void fake_clock_init(struct fake_clock *fake)
{
    *fake = (struct fake_clock){.now_us = US_PER_S, .wall_us = WALL_US};
    mutex_init(&fake->lock);
    fake->clock = (struct wait_clock){monotonic_us, wall_us, wait, fake};
}

void fake_clock_release(struct fake_clock *fake)
{
    mutex_release(&fake->lock);
}

void fake_clock_advance(struct fake_clock *fake, int64_t by_us)
{
    MUTEX_GUARD(&fake->lock);
    fake->now_us += by_us;
}

int64_t fake_clock_now_us(struct fake_clock *fake)
{
    MUTEX_GUARD(&fake->lock);
    return fake->now_us;
}

static void copy(char *out, size_t size, struct str text)
{
    (void)snprintf(out, size, "%.*s", STR_ARG(text));
}

static size_t record(struct fake_wire *wire, const struct transport_request *request)
{
    MUTEX_GUARD(&wire->lock);
    size_t index = wire->n_requests++;

    if (index >= FAKE_REQUESTS_MAX) {
        return index;
    }
    copy(wire->requests[index].method, sizeof(wire->requests[index].method),
         str_from(request->method));
    copy(wire->requests[index].url, sizeof(wire->requests[index].url), str_from(request->url));
    copy(wire->requests[index].body, sizeof(wire->requests[index].body), request->body);
    wire->requests[index].sent_us = fake_clock_now_us(wire->clock);
    wire->requests[index].timeout_us = request->timeout_us;
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        if (strcmp(header->name, "Authorization") == 0 ||
            strcmp(header->name, "x-sn-apikey") == 0) {
            copy(wire->requests[index].credential, sizeof(wire->requests[index].credential),
                 str_from(header->value));
        }
        if (strcmp(header->name, "Content-Type") == 0) {
            copy(wire->requests[index].content_type, sizeof(wire->requests[index].content_type),
                 str_from(header->value));
        }
    }
    return index;
}

static enum transport_result perform(void *self,
                                     const struct transport_request *request,
                                     struct transport_answer *answer,
                                     struct error *err)
{
    struct fake_wire *wire = self;
    size_t index = record(wire, request);
    size_t last = wire->n_answers - 1;
    const struct fake_answer *scripted = &wire->answers[index < last ? index : last];
    struct str lines = str_from(scripted->headers);

    if (wire->before != NULL) {
        wire->before(wire->before_arg, index);
    }
    fake_clock_advance(wire->clock, scripted->takes_us);
    headers_reset(&answer->headers);
    buf_reset(&answer->body);
    answer->status = scripted->status;
    answer->was_sent = scripted->result != TRANSPORT_UNREACHABLE;
    answer->wire_bytes = scripted->body == NULL ? 0 : (int64_t)strlen(scripted->body);
    if (scripted->result != TRANSPORT_ANSWERED) {
        error_set(err, scripted->code, "scripted failure");
        return scripted->result;
    }
    while (lines.len > 0) {
        (void)!headers_add_line(&answer->headers, str_cut(&lines, '\n'));
    }
    buf_add_str(&answer->body, str_from(scripted->body));
    return TRANSPORT_ANSWERED;
}

static void forget_cookies(void *self)
{
    struct fake_wire *wire = self;

    MUTEX_GUARD(&wire->lock);
    wire->n_forgotten++;
}

static void close_nothing(void *self)
{
    (void)self;
}

static struct http_transport open_wire(void *arg, const struct transport_options *options)
{
    (void)options;
    return (struct http_transport){perform, forget_cookies, close_nothing, arg};
}

void fake_wire_init(struct fake_wire *wire,
                    struct fake_clock *clock,
                    const struct fake_answer *answers,
                    size_t n_answers)
{
    *wire = (struct fake_wire){.clock = clock, .answers = answers, .n_answers = n_answers};
    mutex_init(&wire->lock);
}

void fake_wire_release(struct fake_wire *wire)
{
    mutex_release(&wire->lock);
}

struct http_seams fake_seams(struct fake_clock *clock, struct fake_wire *wire)
{
    return (struct http_seams){&clock->clock, open_wire, wire};
}

struct source_config fake_config(void)
{
    (void)setenv("FOZ_TEST_SECRET", "s3cret", 1);
    return (struct source_config){
        .name = "snow",
        .type = "servicenow",
        .url = "https://acme.example",
        .auth = {.method = AUTH_API_KEY, .key = "env:FOZ_TEST_SECRET"},
        .parallel = 4,
        .timeout_us = 60 * US_PER_S,
        .connect_timeout_us = 10 * US_PER_S,
        .retry = {.attempts = 6,
                  .base_delay_us = 500 * US_PER_MS,
                  .max_delay_us = 60 * US_PER_S,
                  .max_wait_us = 600 * US_PER_S},
        .breaker = {.failures = 8, .open_for_us = 60 * US_PER_S},
    };
}
