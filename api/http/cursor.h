#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/str.h"

/*
 * Where the next page of a list begins, as text the client cannot and need not understand. It is
 * bound to the list and its filters by a checksum: a cursor that was cut, altered or carried over
 * to another question is refused instead of giving a page of something else. It holds no secret, so
 * any server process understands the cursors of any other.
 */

#define CURSOR_POSITION_MAX 200

/* `question`: path and filters, the same bytes for the same question. */
void cursor_write(struct str question, struct str position, struct buf *out);

/* Appends the position; false if `text` is not a cursor of this question. */
bool cursor_read(struct str question, struct str text, struct buf *out);
