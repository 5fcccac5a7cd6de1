#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/io/json.h"

/* Recorded answers that lie outside of the project: below $FOZ_TEST_DATA, else in the folder
 * `shared` beside the checkout. */

static inline bool test_data_read(const char *name, struct buf *out)
{
    char path[1024];
    const char *folder = getenv("FOZ_TEST_DATA");
    int beside = (int)(strrchr(SOURCE_FOLDER, '/') - SOURCE_FOLDER);
    if (folder != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    } else {
        (void)snprintf(path, sizeof(path), "%.*s/shared/%s", beside, SOURCE_FOLDER, name);
    }
    buf_init(out, (size_t)8 << 20);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    char chunk[4096];
    size_t n = 0;
    while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buf_add(out, chunk, n);
    }
    (void)fclose(file);
    return out->len > 0 && !out->overflow;
}

/* The body of a recorded answer. */
static inline bool test_data_body(const char *name, struct buf *out)
{
    struct buf text CLEANUP(buf_release);
    struct error err = ERROR_INIT;
    buf_init(out, (size_t)8 << 20);
    if (!test_data_read(name, &text)) {
        return false;
    }
    struct json *root = json_parse(buf_str(&text), &err);
    const struct json *body = json_find(json_find(root, "response"), "body");
    if (body != NULL) {
        json_write(body, out);
    }
    json_free(root);
    return out->len > 0;
}
