#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "worker/sources/azure_devops/record.h"

/*
 * Answers that hold work item revisions, work items, links or ids, from bytes to records; strict
 * and in place. No I/O.
 */

#define ADO_TOKEN_BYTES_MAX 1024

/* Takes one record; false ends the page with err as it stands. */
typedef bool (*ado_on_record)(void *arg, const struct ado_record *record, struct error *err);

struct ado_page {
    int64_t records;                 /* elements that are no null */
    char token[ADO_TOKEN_BYTES_MAX]; /* continuationToken, "" if none */
    struct str next_link;            /* a view into the document, of any length; empty if none */
    bool has_last;                   /* isLastBatch is there */
    bool is_last;
};

/* An answer with `values` or `value`. What is no whole answer fails with ERROR_TRANSIENT, what
 * on_record refused with its own error. null elements are skipped: work items that were left out.
 */
bool ado_page_read(struct ado_reader *reader,
                   char *document,
                   size_t len,
                   ado_on_record on_record,
                   void *arg,
                   struct ado_page *ret_page,
                   struct error *err);

/* An answer that is one record, or has it in its member `resource` (what the recycle bin gives);
 * *ret_found tells whether there was one. */
bool ado_page_read_one(struct ado_reader *reader,
                       char *document,
                       size_t len,
                       ado_on_record on_record,
                       void *arg,
                       bool *ret_found,
                       struct error *err);

/* Calls on_id for the `id` of each element of a list: the array itself, or its member `value` or
 * `workItems`. Numbers and strings that hold one. */
bool ado_page_read_ids(char *document,
                       size_t len,
                       bool (*on_id)(void *arg, int64_t id, struct error *err),
                       void *arg,
                       struct error *err);

/* The same of an answer about ids that were asked for by name: null elements and those with a
 * `code` other than 200 are ids that were not found, and are skipped. */
bool ado_page_read_found(char *document,
                         size_t len,
                         bool (*on_id)(void *arg, int64_t id, struct error *err),
                         void *arg,
                         struct error *err);
