#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/str.h"

/*
 * The catalog: what is copied from where into which table, declared in YAML (the shipped
 * schema/catalog/ *.yaml embedded at build time, then the operator's files in order, which may add
 * tasks, fields and loads, or change single properties of shipped ones). It drives requests, DDL,
 * decoding, encoding and merging; code knows no table by name.
 *
 * Const after catalog_load; shared by all threads.
 */

enum column_type {
    COLUMN_TEXT,
    COLUMN_INTEGER,
    COLUMN_BIGINT,
    COLUMN_NUMERIC,
    COLUMN_BOOLEAN,
    COLUMN_TIMESTAMPTZ,
    COLUMN_DATE,
    COLUMN_INTERVAL,
    COLUMN_JSONB,
};

const char *column_type_name(enum column_type type); /* PostgreSQL's name */

/* A field of the source. */
struct field {
    const char *name; /* the source's own name: requests and answers use it */
    enum column_type type;
    bool display;    /* a second column dv_<name> holds the display value */
    bool identity;   /* a person: type is TEXT, and two further columns hold id and display name */
    bool rest;       /* jsonb: whatever the record holds that no other field names */
    const char *ref; /* table this field refers to, NULL if none; documentation and joins */
};

/* Parts of an identity field: name, name_id, name_display. */
enum { PART_VALUE = 0, PART_DISPLAY = 1, PART_ID = 1, PART_DISPLAY_NAME = 2 };

/* A column of the landed table that a record fills; etl_ columns and `source` are not listed. */
struct column {
    const char *name;
    enum column_type type;
    size_t field; /* index in task_def.fields */
    uint8_t part; /* 0 = the value, 1 = display value, further ones are the connector's */
};

/* When the records that belong to a parent record are read again. */
enum parent_refresh {
    REFRESH_CHANGED, /* whenever the parent has changed: they carry no stamp of their own */
    REFRESH_LATE,    /* when a parent arrives that is older than the task's watermark */
};

struct task_def {
    const char *name;        /* incident: also the landed table's name */
    const char *source_type; /* servicenow: also the landed schema's name */
    const char *load;        /* incidents */
    const char *table;       /* of the source: "sys_user_group" */
    const char *filter;      /* the source's query language, NULL if none */
    int64_t page_size;       /* records per request; 0 = the connector's default */
    const struct field *fields;
    size_t n_fields;
    const struct column *columns;
    size_t n_columns;
    const size_t *key_columns; /* indexes in columns, in key order; `source` precedes them */
    size_t n_key_columns;
    int version_column;  /* index in columns, -1 if none: the change timestamp */
    int revision_column; /* index in columns, -1 if none: a counter that breaks ties of version */
    int window_column;   /* index in columns, -1 if the task has no window field */
    int created_column;  /* index in columns, -1 if none: when the record came to be */
    /* A task whose records belong to another task's runs after that one. NULL: it stands alone. */
    const char *parent;
    int parent_column; /* index in columns: holds the parent's key; -1 without a parent */
    enum parent_refresh parent_refresh;
    /* A derived task: its rows are made from another task's landed rows, the greatest last key
     * column of each key (latest_of; it is the parent too), or are completed by the people whom the
     * identity fields of another task name (people_of). NULL if not. */
    const char *latest_of;
    const char *people_of;
    bool is_history; /* no mode ever deletes from it */
    /* Columns that the engine keeps, not the source; NULL if the task has none. */
    const char *gone_column;       /* rows that are gone stay, stamped here */
    const char *first_seen_column; /* when a row came */
    const char *last_seen_column;  /* when a publish last saw it; moves no etl_updated_at */
    const char *ticket_column;     /* names the ticket that a row is about; NULL if none */
    const char *const *indexes;    /* each "col" or "col, col": secondary indexes after `source` */
    size_t n_indexes;
    const char *defined_at; /* "servicenow.yaml:12" */
};

/* What a record is typed into; a landed table has no more columns of fields. */
enum { TASK_MAX_COLUMNS = 512 };

static inline bool task_is_key_column(const struct task_def *task, size_t column)
{
    for (size_t i = 0; i < task->n_key_columns; i++) {
        if (task->key_columns[i] == column) {
            return true;
        }
    }
    return false;
}

/* Do the records of `task` belong to those of `parent`? */
static inline bool task_is_child_of(const struct task_def *task, const struct task_def *parent)
{
    return task->parent != NULL && strcmp(task->parent, parent->name) == 0 &&
           strcmp(task->source_type, parent->source_type) == 0;
}

struct load_def {
    const char *name;
    const char *source_type;
    int64_t parallel;              /* lanes at most; 0 = the worker's */
    const struct task_def **tasks; /* in catalog order */
    size_t n_tasks;
};

/* What a value of the source is in the common model. */
struct mapping_def {
    const char *source_type;
    const char *kind; /* "status" or "priority" */
    const char *raw;
    const char *mapped;
};

struct catalog {
    struct arena arena;
    const struct task_def **tasks;
    size_t n_tasks;
    const struct load_def **loads;
    size_t n_loads;
    const struct mapping_def *mappings; /* each (source_type, kind, raw) once */
    size_t n_mappings;
};

/* Reads the shipped catalogs, then every *.yaml of `paths` (files, or directories in name order).
 * On failure `err` lists all faults, one "file:line: what" joined by "; ", cut to fit; with
 * `faults` not NULL every fault is also appended there, one a line. Caller releases. */
bool catalog_load(struct catalog *catalog,
                  const char *const *paths,
                  size_t n_paths,
                  struct buf *faults,
                  struct error *err);
void catalog_release(struct catalog *catalog);

const struct task_def *
catalog_task(const struct catalog *catalog, const char *source_type, const char *name);
const struct load_def *catalog_find_load(const struct catalog *catalog, const char *name);
