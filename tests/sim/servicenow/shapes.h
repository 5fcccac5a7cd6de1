#pragma once

#include "tests/sim/store.h"

/*
 * The columns of the simulated ServiceNow tables and the choice labels: what exists, not what is
 * in it. A field has the same number in every table that has it.
 */

enum field {

#define FIELD(name) FIELD_##name,
#include "tests/sim/servicenow/fields.def"
#undef FIELD
    N_FIELDS
};

struct shape {
    const char *name;
    const struct column *columns;
    int n_columns;
    const char *display; /* column whose value stands for the record, or NULL */
    bool empty_for_user;
    bool forbidden_for_user;
    bool audited;
};

extern const struct shape shapes[];
extern const int n_shapes;
