#pragma once

#include <stdbool.h>

#include "common/io/db.h"
#include "worker/run/board.h"
#include "worker/run/hub.h"

/*
 * The sessions that one execution has with its sources: opened once each before its lanes start,
 * closed when they have ended.
 */

struct sources {
    struct board *board;
    const struct hub *hub;
    struct db *owner;             /* records the end of tasks whose source cannot be opened */
    struct http_client **clients; /* per source index; NULL where nothing is to be opened */
    bool *is_open;
};

/* Fills board->sessions. A source that cannot be opened fails its own tasks. */
void sources_open(struct sources *sources,
                  struct board *board,
                  const struct hub *hub,
                  struct db *owner);
void sources_close(struct sources *sources);
