#pragma once

#include <stddef.h>

#include "common/conf/options.h"

/*
 * The operator's catalog files, as the `catalog` option lists them.
 */

#define CATALOG_MAX_FILES 64

struct catalog_files {
    const char *paths[CATALOG_MAX_FILES];
    size_t n;
};

/* Adds the file, or the *.yaml of the folder in name order. Notes what cannot be read at `line`, 0
 * = in no file. */
void catalog_files_add(struct option_reader *reader,
                       struct catalog_files *files,
                       const char *path,
                       int line);
