#pragma once

#include <stdbool.h>

#include "common/base/error.h"
#include "common/io/json_pull.h"
#include "worker/transform/cell.h"

/*
 * A person on the wire: an object with any of displayName, uniqueName, id; the string
 * "Name <unique>"; or an object whose uniqueName is such a string. All become three cells. Pure.
 */

struct ado_identity {
    struct cell unique_name;
    struct cell id; /* VSID */
    struct cell display_name;
};

/* Where a value is expected. null and "" give three NULLs. False for what is no identity, or no
 * JSON. Views point into the document. */
bool ado_identity_read(struct json_pull *pull,
                       struct ado_identity *ret_identity,
                       struct error *err);
