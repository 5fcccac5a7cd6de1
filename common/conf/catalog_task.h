#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/conf/catalog.h"
#include "common/conf/options.h"

/*
 * From names to a task_def: a draft collects what the catalog files say of a task; building it
 * derives columns and indexes and checks everything against everything.
 */

#define IDENTIFIER_MAX_BYTES 63 /* PostgreSQL cuts longer names silently */
#define TASK_MAX_FIELDS      1000

struct field_draft {
    struct field field;
    const char *file; /* where its type was given */
    int line;
};

/* Properties that name fields or loads, and so can turn out wrong only when all is read. */
enum task_property {
    PROPERTY_LOAD,
    PROPERTY_KEY,
    PROPERTY_VERSION,
    PROPERTY_REVISION,
    PROPERTY_WINDOW,
    PROPERTY_CREATED,
    PROPERTY_PARENT,
    PROPERTY_LATEST_OF,
    PROPERTY_PEOPLE_OF,
    PROPERTY_TICKET,
    PROPERTY_GONE,
    PROPERTY_FIRST_SEEN,
    PROPERTY_LAST_SEEN,
    PROPERTY_INDEXES,
    N_TASK_PROPERTIES,
};

extern const char *const task_property_names[N_TASK_PROPERTIES];

struct place {
    const char *file;
    int line;
};

struct parent_draft {
    const char *task;
    const char *field;
    enum parent_refresh refresh;
};

/* Columns that the engine keeps. */
enum { KEPT_GONE, KEPT_FIRST_SEEN, KEPT_LAST_SEEN, N_KEPT };

struct task_draft {
    const char *name;
    const char *source_type;
    const char *file; /* where the task was first named */
    int line;
    const char *load;
    const char *table;
    const char *filter;
    const char *const *key;
    size_t n_key;
    const char *version;
    const char *revision;
    const char *window;
    const char *created;
    struct parent_draft parent;
    const char *latest_of;
    const char *people_of;
    const char *ticket;
    bool is_history;
    const char *kept[N_KEPT];
    int64_t page_size;
    const char *const *indexes;
    size_t n_indexes;
    struct field_draft *fields; /* heap: xfree */
    size_t n_fields;
    size_t fields_capacity;
    struct place places[N_TASK_PROPERTIES]; /* where each was given last */
};

/* Points the reader's faults at a property and returns its line. */
int catalog_at_property(struct option_reader *reader,
                        const struct task_draft *draft,
                        enum task_property property);

/* The landed name of a field: snake_case, dots become "_", `source` and etl_... get the source
 * type's prefix. Azure DevOps names lose their namespace ("System.ChangedDate" gives
 * changed_date) unless `keep_namespace`. Any length. */
const char *catalog_column_name(struct option_reader *reader,
                                const char *source_type,
                                const char *field,
                                bool keep_namespace);

/* NULL after a fault. Faults name the draft's own file. */
const struct task_def *catalog_build_task(struct option_reader *reader,
                                          const struct task_draft *draft);

/* The index of a field, or -1. */
int catalog_find_field(const struct task_def *task, const char *name);
