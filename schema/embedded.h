#pragma once

#include <stddef.h>

/*
 * Files of this folder that are compiled into the programs, so that an installed binary needs
 * nothing beside it. Each table is sorted by file name. Made by schema/embed.
 */

struct embedded {
    const char *name; /* "0001_ops.sql" */
    size_t len;
    const char *text; /* NUL-terminated */
};

extern const struct embedded embedded_migrations[];
extern const size_t embedded_migrations_count;
extern const struct embedded embedded_catalog[];
extern const size_t embedded_catalog_count;
extern const struct embedded embedded_queries[];
extern const size_t embedded_queries_count;
extern const struct embedded embedded_projections[];
extern const size_t embedded_projections_count;
