#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/load/staging.h"

/*
 * Rows that need not be sent. Who reads a table again finds most of it unchanged: before a page is
 * staged, the landed table is asked for the hashes of the rows from the page's first key on, and of
 * rows that are landed as they are only key, version and hash are staged, those of several pages at
 * once. That is a promise made outside of any lock; the merge holds every such row against the
 * landed one once more.
 */

/* Of one walk; owned by its lane. */
struct known {
    const struct staging *staging;
    struct spans spans; /* of pages that are landed as they are; empty without staging->spans */
    struct buf rows;    /* COPY data of rows that are not staged yet */
    int64_t n_rows;
    bool is_worth; /* the last page held so many known rows that asking for the next may pay */
};

void known_init(struct known *known, const struct staging *staging);
void known_release(struct known *known); /* what is not staged is forgotten */

/* Takes the known rows out of the batch, before staging_add; outside of any transaction. *ret_rows
 * counts them. Where pages do not come in the order of the key nothing is found, and nothing lost
 * but the question. */
bool known_take(struct db *db,
                struct known *known,
                struct row_batch *batch,
                int64_t *ret_rows,
                struct error *err);

/* Stages what is left: at the end of the walk. */
bool known_flush(struct db *db, struct known *known, struct error *err);
