#pragma once

#include "common/base/thread.h"
#include "worker/run/board.h"

/*
 * A lane: one thread with its own database connection, its own HTTP client per source and its own
 * page memory. It takes steps from the board until nothing is left: plan a task, walk a partition
 * (fetch page, type it, COPY it to staging, again), settle a task (confirm keys, publish). Nothing
 * is handed from lane to lane but the step itself.
 */

struct lane {
    struct board *board;
    struct http_source *const *http_sources; /* per source index of the configuration */
    size_t n_sources;
    unsigned number;
    struct thread thread;
};

void lane_start(struct lane *lane);
void lane_join(struct lane *lane);
