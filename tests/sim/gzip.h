#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* Content-Encoding, recorded logs, and the one place that touches zlib. */

void gzip_replace(struct buf *body);
/* A small gzip stream that unpacks to `megabytes` of blanks after `{"result":[`. */
void gzip_bomb(struct buf *body, int64_t megabytes);

/* The whole unpacked content of a .gz file, appended to `out`. */
bool gzip_read_file(const char *path, struct buf *out, struct error *err);
