#pragma once

#include <stddef.h>

#include "api/http/router.h"

/* Every path of the service: the one table behind routing, access and the OpenAPI document. */
extern const struct route public_routes[];
extern const size_t public_routes_count;

/* The admin listener's. */
extern const struct route admin_routes[];
extern const size_t admin_routes_count;
