#pragma once

#include <stddef.h>

#include "api/http/router.h"
#include "common/base/buf.h"

/* The OpenAPI 3.1 document of a route table, as compact JSON with a line feed. */
void openapi_write(const struct route *routes, size_t n_routes, struct buf *out);
