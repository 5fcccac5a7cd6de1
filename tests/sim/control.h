#pragma once

#include "tests/sim/fault.h"
#include "tests/sim/journal.h"
#include "tests/sim/server.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/simulated.h"

/*
 * /_control: how a test steers the simulators while they are being read, and how it learns what
 * was asked of them and what the truth is. docs/SIMULATOR.md is its reference.
 */

struct control;

struct control_parts {
    struct sim_clock *clock;
    struct faults *faults;
    struct journal *journal;
    const struct simulated *systems; /* the first is meant where none is named */
    int n_systems;
    int64_t start_us; /* what the clock returns to on reset */
    bool runs;        /* and whether it runs */
};

struct control *control_new(const struct control_parts *parts);
void control_free(struct control *control);

/* True if the request was one of /_control's. */
bool control_answer(struct control *control, const struct request *request, struct reply *reply);

/* Before each request to a simulated source: carries out what was planned for it. */
void control_before_request(struct control *control, const struct request *request);
