#pragma once

#include <stddef.h>

/*
 * Files for the tests of configuration and catalog: a folder of its own under the temporary
 * directory for each test.
 */

struct conf_files {
    char folder[64];
    char path[128]; /* of the file written last */
    size_t n;
    char names[8][32];
};

void conf_files_init(struct conf_files *files);
void conf_files_release(struct conf_files *files); /* removes everything */

/* Writes FOLDER/name and returns its path, valid until the next call. */
const char *conf_files_write(struct conf_files *files, const char *name, const char *text);
