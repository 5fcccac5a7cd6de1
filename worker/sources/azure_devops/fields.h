#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "worker/http/client.h"

/*
 * Which fields of work items are asked for: the catalog's, System.IsDeleted, and every other one of
 * the organisation that is not long text, so that unmapped ones land in `fields`. A field the
 * service refuses by name is dropped and the work goes on. Owned by one walk.
 */

struct ado_field {
    const char *name;
    int mapped; /* index in task->fields, -1 = goes into the rest */
    bool asked; /* false: unknown to the organisation, or refused */
};

struct ado_fields {
    struct arena arena;
    const struct task_def *task;
    struct ado_field *items; /* the catalog's first, in its order */
    size_t n;
    size_t capacity;
    int n_refused;
    bool has_dictionary; /* wit/fields could be read */
};

/* The catalog's alone, all asked for. */
void ado_fields_init(struct ado_fields *fields, const struct task_def *task);
void ado_fields_release(struct ado_fields *fields);

/* Reads the organisation's dictionary: catalog fields it does not know are not asked for, others
 * are added. An account that may not read it keeps the catalog's. */
bool ado_fields_load(struct ado_fields *fields, struct http_client *http, struct error *err);

/* ["System.Id", ...] */
void ado_fields_write(const struct ado_fields *fields, struct buf *out);

/* After a 400: stops asking for the field that the message names (after some of those, for all
 * unmapped ones). False if it names none that is asked for. */
bool ado_fields_refuse(struct ado_fields *fields, const char *message);

/* Identifies what a feed's rows depend on: the catalog's fields, the flags, where they come from.
 * Never the organisation's dictionary: a custom field more is no reason to read everything again.
 */
void ado_fields_profile(const struct task_def *task, const char *url, struct buf *out);
