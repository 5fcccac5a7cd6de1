#pragma once

#include <stdatomic.h>

#include "common/base/stop.h"
#include "common/base/thread.h"
#include "worker/http/internal.h"

/*
 * A clock that moves only when somebody waits, and a wire that answers from a script: what the
 * tests of the HTTP side run on instead of time and network.
 */

struct fake_clock {
    struct mutex lock;
    int64_t now_us;  /* guarded by lock */
    int64_t wall_us; /* constant */
    struct wait_clock clock;
    atomic_int n_idle; /* waits without an end that have begun */
};

void fake_clock_init(struct fake_clock *fake);
void fake_clock_release(struct fake_clock *fake);
void fake_clock_advance(struct fake_clock *fake, int64_t by_us);
int64_t fake_clock_now_us(struct fake_clock *fake);

/* One answer of the script. */
struct fake_answer {
    enum transport_result result;
    enum error_code code; /* with every result but ANSWERED */
    int status;
    const char *headers; /* "Name: value" lines, separated by a line feed; NULL = none */
    const char *body;
    int64_t takes_us;
};

#define FAKE_REQUESTS_MAX 8

struct fake_wire {
    struct fake_clock *clock;
    struct mutex lock;
    const struct fake_answer *answers; /* the last one repeats */
    size_t n_answers;
    void (*before)(void *arg, size_t index); /* NULL, or called before the index-th answer */
    void *before_arg;
    /* guarded by lock: what was asked */
    size_t n_requests;

    struct {
        char method[16];
        char url[96];
        char credential[64]; /* Authorization or x-sn-apikey */
        char body[192];
        char content_type[48];
        int64_t sent_us;
        int64_t timeout_us;
    } requests[FAKE_REQUESTS_MAX];

    size_t n_forgotten; /* cookie jars */
};

void fake_wire_init(struct fake_wire *wire,
                    struct fake_clock *clock,
                    const struct fake_answer *answers,
                    size_t n_answers);
void fake_wire_release(struct fake_wire *wire);

/* Clock and wire as the source wants them. */
struct http_seams fake_seams(struct fake_clock *clock, struct fake_wire *wire);

/* A ServiceNow source without credential trouble: api_key from env:FOZ_TEST_SECRET (set here). */
struct source_config fake_config(void);
