#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"
#include "common/base/thread.h"

/*
 * The clock of the simulated systems: what their Date header says and what their rows are stamped
 * with. It starts anywhere, runs with real time or stands still, and tests move it. Thread-safe.
 */

struct sim_clock {
    struct mutex lock;
    int64_t shown_us; /* guarded by lock: what the clock showed at `since_us` */
    int64_t since_us; /* guarded by lock, monotonic */
    bool running;     /* guarded by lock */
};

void sim_clock_init(struct sim_clock *clock, int64_t start_us, bool running);
void sim_clock_release(struct sim_clock *clock);
int64_t sim_clock_now_us(struct sim_clock *clock); /* wall time of the simulation */
void sim_clock_set(struct sim_clock *clock, int64_t to_us);
void sim_clock_advance(struct sim_clock *clock, int64_t by_us);
/* "3s", "4m", "2h", "1d", or plain seconds; may be negative. */
bool sim_duration_parse(struct str text, int64_t *ret_us);
void sim_clock_run(struct sim_clock *clock, bool running);
