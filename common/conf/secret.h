#pragma once

#include <stdbool.h>

#include "common/base/error.h"

/*
 * A secret is configured as a reference (env:NAME, file:PATH, credential:NAME) and resolved when it
 * is used, so that a rotated file is picked up. The value is wiped on release and has no printer.
 */

struct secret {
    char *value; /* NUL-terminated, never empty; NULL until resolved */
};

/* Is `reference` one of the three forms? For configuration checks. */
bool secret_is_reference(const char *reference);

/* env: the variable; file: the file's content less one trailing newline; credential: the same from
 * $CREDENTIALS_DIRECTORY/NAME. ERROR_CONFIG names the reference (never the value) and what is
 * missing. At most 64 KiB, no NUL. */
bool secret_resolve(const char *reference, struct secret *ret_secret, struct error *err);

/* The same for what may also stand in the file as it is (user names, client ids): anything that is
 * not a reference is the value itself. */
bool secret_resolve_text(const char *text, struct secret *ret_secret, struct error *err);
void secret_release(struct secret *secret);
