#pragma once

#include "common/conf/catalog.h"
#include "common/conf/options.h"

/*
 * One field of a catalog file or of the configuration, from YAML to struct field. What a field may
 * be beside others is for the task's builder (catalog_task.c).
 */

/* Reads "text" or {type, display, rest, ref}; `known` is the field so far, NULL for a new one.
 * false after a fault. */
bool catalog_read_field(struct option_reader *reader,
                        const struct yaml_node *node,
                        const char *where,
                        const struct field *known,
                        struct field *ret_field);

/* The type as one writes it: "identity" for a person, else PostgreSQL's name. */
const char *catalog_field_type(const struct field *field);

bool catalog_same_type(const struct field *a, const struct field *b);
