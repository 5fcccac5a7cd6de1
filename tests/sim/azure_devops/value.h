#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "tests/sim/azure_devops/items.h"

/* Fields of a revision: what they hold, and how that looks as JSON. */

struct azure_field_info {
    const char *reference, *name, *type;
    bool is_long, is_identity;
};

extern const struct azure_field_info azure_fields[AZURE_N_FIELDS];

/* By reference name or display name, ignoring case; -1: there is no such field. */
int azure_find_field(struct str name);

enum azure_kind {
    AZURE_KIND_NONE, /* the field is empty: no key */
    AZURE_KIND_INTEGER,
    AZURE_KIND_DOUBLE,
    AZURE_KIND_BOOL,
    AZURE_KIND_TEXT,
    AZURE_KIND_TIME,
    AZURE_KIND_PERSON,
    AZURE_KIND_JSON, /* given by hand */
};

struct azure_value {
    enum azure_kind kind;
    int64_t integer; /* also bool, time (us), person */
    double real;
    struct str text; /* also JSON; static, kept, or in the scratch */
};

enum azure_identity_form { AZURE_IDENTITY_TEXT, AZURE_IDENTITY_REF, AZURE_IDENTITY_OLD };

/* `scratch` may be used for the text; it must be empty and outlive the value. */
struct azure_value azure_get_value(const struct azure_items *items,
                                   const struct azure_revision *r,
                                   int field,
                                   struct buf *scratch);

struct azure_style {
    enum azure_identity_form identities;
    bool tag_refs;
    int date_digits; /* of a fraction; 0: as many as needed */
};

void azure_write_value(const struct azure_items *items,
                       const struct azure_value *value,
                       const struct azure_style *style,
                       struct buf *out);
/* "2014-03-18T17:16:56.25Z" without quotes */
void azure_write_time(int64_t us, int digits, struct buf *out);
