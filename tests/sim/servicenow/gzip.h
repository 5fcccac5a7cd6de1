#pragma once

#include <stdint.h>

#include "common/base/buf.h"

/* Content-Encoding, and the one place that touches zlib for output. */

void gzip_replace(struct buf *body);
/* A small gzip stream that unpacks to `megabytes` of blanks after `{"result":[`. */
void gzip_bomb(struct buf *body, int64_t megabytes);
