#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "common/io/json_pull.h"
#include "worker/sources/azure_devops/fields.h"
#include "worker/transform/cell.h"

/*
 * One record of a page, from tokens to cells: a work item, one of its revisions, or a link. Azure
 * DevOps leaves empty fields out, so a field that was asked for and is missing is NULL; ABSENT is
 * one that could not be asked for. No I/O.
 */

#define ADO_ID_MAX INT64_C(2147483647)

/* Reads records of one task; built once per walk. Owned by one thread. */
struct ado_reader;

/* Records are {id, rev, fields: {...}} with these fields; fields == NULL: the task's fields are the
 * record's own members. `task` and `fields` must outlive it and stay as they are. */
struct ado_reader *ado_reader_new(const struct task_def *task, const struct ado_fields *fields);
void ado_reader_free(struct ado_reader *reader); /* accepts NULL */

/* A record that has been read. Views live until the next one. */
struct ado_record {
    const struct cell *cells; /* task->n_columns */
    int64_t id;               /* of a work item, else 0 */
    int64_t rev;
};

/* Behind JSON_OBJECT_BEGIN of a record. */
bool ado_reader_read(struct ado_reader *reader,
                     struct json_pull *pull,
                     struct ado_record *ret_record,
                     struct error *err);
