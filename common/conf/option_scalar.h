#pragma once

#include "common/base/buf.h"
#include "common/conf/options.h"

/*
 * Single values of an option table: from the text of a node into a struct's member. Lists, maps
 * and structs are options.c's.
 */

/* Reads a scalar node into the member of `object`; a fault leaves the member as it is. */
void option_read_scalar(struct option_reader *reader,
                        const struct option *option,
                        const struct yaml_node *node,
                        const char *where,
                        void *object);

/* What to write for a value of this type: "a whole number", ...; "text" for all that is text. */
const char *option_form(enum option_type type);

/* "1 to 64", "1s to 1h". */
void option_format_range(const struct option *option, struct buf *out);
