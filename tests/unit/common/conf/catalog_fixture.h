#pragma once

#include <string.h>

#include "common/conf/catalog.h"
#include "tests/unit/common/conf/conf_files.h"

/* The shipped catalog with a file more: what it makes of it, or what it says when it refuses it.
 * cmocka.h comes before. */

static inline void load_with(struct catalog *catalog, struct conf_files *files, const char *yaml)
{
    struct error err = ERROR_INIT;
    conf_files_init(files);
    const char *const paths[] = {conf_files_write(files, "more.yaml", yaml)};
    if (!catalog_load(catalog, paths, 1, NULL, &err)) {
        fail_msg("%s", err.msg);
    }
}

struct catalog_fault {
    const char *yaml;
    const char *fault;
};

/* Each is refused, and the fault names its file and line. */
static inline void assert_faults_are_named(const struct catalog_fault *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CLEANUP(conf_files_release) struct conf_files files;
        CLEANUP(buf_release) struct buf faults;
        struct catalog catalog;
        struct error err = ERROR_INIT;
        conf_files_init(&files);
        buf_init(&faults, 100000);
        const char *const paths[] = {conf_files_write(&files, "more.yaml", cases[i].yaml)};
        if (catalog_load(&catalog, paths, 1, &faults, &err)) {
            fail_msg("accepted: %s", cases[i].yaml);
        }
        assert_int_equal(err.code, ERROR_CONFIG);
        if (strstr(faults.ptr, cases[i].fault) == NULL ||
            strstr(faults.ptr, "more.yaml:") == NULL) {
            fail_msg("of %s said: %s", cases[i].yaml, faults.ptr);
        }
    }
}
