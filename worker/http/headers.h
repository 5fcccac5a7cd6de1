#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/str.h"

/*
 * The header fields of one response, bounded: what a server sends here it could send without end.
 * Views live until the next reset.
 */

#define HEADERS_LIMIT_BYTES ((size_t)64 * 1024)

struct headers {
    struct buf text; /* name NUL value NUL, in order of arrival */
};

void headers_init(struct headers *headers);
void headers_release(struct headers *headers);
void headers_reset(struct headers *headers);

/* Takes one raw line, with or without its line end. A line without a colon or with a NUL is no
 * field and is skipped. False when HEADERS_LIMIT_BYTES would be passed. */
NODISCARD bool headers_add_line(struct headers *headers, struct str line);

/* The last value of that name (case-insensitive), STR_NONE if none; NUL-terminated. */
struct str headers_find(const struct headers *headers, const char *name);
