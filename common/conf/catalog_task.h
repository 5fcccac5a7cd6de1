#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/conf/catalog.h"
#include "common/conf/options.h"

/*
 * From names to a task_def: a draft collects what the catalog files say of a task; building it
 * derives columns and indexes and checks everything against everything. Also the two derivations
 * the configuration needs: more fields for a table, fewer fields for a source.
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
    PROPERTY_INDEXES,
    N_TASK_PROPERTIES,
};

extern const char *const task_property_names[N_TASK_PROPERTIES];

struct place {
    const char *file;
    int line;
};

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

/* One more field of the configuration, and where it stands. */
struct extra_field {
    struct field field;
    int line;
};

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

/* `base` with the extra fields' columns behind its own, whose positions stay. A field that exists
 * must have the same type; `display` may be added. NULL after a fault, which begins with `where`.
 */
const struct task_def *catalog_extend_task(struct option_reader *reader,
                                           const struct task_def *base,
                                           const struct extra_field *extras,
                                           size_t n_extras,
                                           const char *where);

/* `base` with only the fields marked in `keep` (key, version, revision and window fields stay in
 * any case), their display columns where marked in `display`, and the indexes that remain whole. */
const struct task_def *catalog_select_task(struct option_reader *reader,
                                           const struct task_def *base,
                                           const bool *keep,
                                           const bool *display);

/* The index of a field, or -1. */
int catalog_find_field(const struct task_def *task, const char *name);

/* Reads "text" or {type, display, ref}; `known` is the field so far, NULL for a new one. false
 * after a fault. */
bool catalog_read_field(struct option_reader *reader,
                        const struct yaml_node *node,
                        const char *where,
                        const struct field *known,
                        struct field *ret_field);
