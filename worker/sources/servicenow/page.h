#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "worker/transform/cell.h"
#include "worker/transform/row.h"

/*
 * One answer of the Table API, from bytes to typed rows. It counts as data only if the document is
 * complete and strict JSON, holds `result` as an array of objects and no `error`: ServiceNow
 * answers 200 with half a result and an error behind it when a transaction is cancelled midway. No
 * I/O.
 */

/* Reads records of one task; built once per walk. Owned by one thread. */
struct servicenow_reader;

/* extra_field (may be NULL) is read beside the task's fields into cells[task->n_columns]. */
struct servicenow_reader *servicenow_reader_new(const struct task_def *task,
                                                const char *extra_field);
void servicenow_reader_free(struct servicenow_reader *reader); /* accepts NULL */

/* Looks at a record before it is typed: order, predicate. cells has n_columns + 1 entries. */
typedef bool (*servicenow_row_check)(void *arg, const struct cell *cells, struct error *err);

/* From within such a check: the record counts as read but is not added to the batch. */
void servicenow_reader_skip(struct servicenow_reader *reader);

enum servicenow_page {
    SERVICENOW_PAGE_GOOD,
    SERVICENOW_PAGE_BROKEN,    /* not a whole answer: ask again */
    SERVICENOW_PAGE_CANCELLED, /* the platform ran out of time: ask for less */
    SERVICENOW_PAGE_WRONG,     /* whole, but not what was asked for, or too large */
};

/* Decodes `body` in place into `batch` (not reset here). For all but GOOD err is set and what was
 * added to the batch must be discarded. *ret_records counts the elements of `result`. */
enum servicenow_page servicenow_page_read(struct servicenow_reader *reader,
                                          struct buf *body,
                                          servicenow_row_check check,
                                          void *check_arg,
                                          struct row_batch *batch,
                                          int64_t *ret_records,
                                          struct error *err);

/* The member names of the first record of an answer, in order, each passed to on_name. */
enum servicenow_page servicenow_page_names(struct buf *body,
                                           void (*on_name)(void *arg, struct str name),
                                           void *arg,
                                           int64_t *ret_records,
                                           struct error *err);

/* "message: detail" of an error envelope, or the start of whatever it is; for messages. */
void servicenow_error_text(struct str body, struct buf *out);
bool servicenow_is_cancelled(struct str body);
