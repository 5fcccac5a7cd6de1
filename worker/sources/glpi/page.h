#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "worker/sources/glpi/text.h"
#include "worker/transform/cell.h"
#include "worker/transform/row.h"

/*
 * One answer of a list or of a single item, from bytes to typed rows: strict JSON whose kind is the
 * expected one, every element an object with a numeric id. Times become UTC and texts are decoded
 * in the page itself, and only in rows that are taken. No I/O.
 */

struct glpi_reader;

/* Borrows everything but the struct itself. Owned by one thread. */
struct glpi_reader *
glpi_reader_new(const struct task_def *task, const struct zone *zone, enum glpi_encoding encoding);
void glpi_reader_free(struct glpi_reader *reader); /* accepts NULL */

enum glpi_take { GLPI_ROW_WRONG = -1, GLPI_ROW_SKIP, GLPI_ROW_TAKE };

/* Looks at a record as it was received: cells in the order of the task's columns. */
typedef enum glpi_take (*glpi_look)(void *arg,
                                    int64_t id,
                                    const struct cell *cells,
                                    struct error *err);

enum glpi_page {
    GLPI_PAGE_GOOD,
    GLPI_PAGE_BROKEN, /* not a whole answer */
    GLPI_PAGE_WRONG,  /* whole, but not what was asked for */
    GLPI_PAGE_LARGE,  /* does not fit into the batch */
};

struct glpi_page_shape {
    bool is_item; /* one object instead of an array of them */
};

/* Decodes `body` in place into `batch` (not reset here). For all but GOOD err is set and what was
 * added must be discarded. */
enum glpi_page glpi_page_read(struct glpi_reader *reader,
                              struct buf *body,
                              struct glpi_page_shape shape,
                              glpi_look look,
                              void *look_arg,
                              struct row_batch *batch,
                              struct error *err);

/* "START-END/TOTAL"; false if there is none or it reads otherwise. */
bool glpi_content_range(struct str text, int64_t *ret_start, int64_t *ret_end, int64_t *ret_total);
