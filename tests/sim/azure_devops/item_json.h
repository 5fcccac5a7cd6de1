#pragma once

#include "common/io/json.h"
#include "tests/sim/azure_devops/system.h"
#include "tests/sim/azure_devops/value.h"

/* Revisions as JSON, with the faults that bend single values. */

struct azure_selection {
    bool chosen[AZURE_N_FIELDS];
    bool all; /* none were named */
};

/* Which fields a request names: "a,b" or a JSON array. False: answered with 400. */
bool azure_select_text(struct azure_call *call, struct str list, struct azure_selection *ret);
bool azure_select_json(struct azure_call *call,
                       const struct json *array,
                       struct azure_selection *ret);
void azure_select_all(struct azure_selection *ret, bool long_texts);

/* `"fields":{...}`; with `with_deleted` System.IsDeleted too. */
void azure_write_fields(struct azure_call *call,
                        const struct azure_revision *r,
                        const struct azure_selection *selection,
                        const struct azure_style *style,
                        struct buf *out);

enum azure_expand {
    AZURE_EXPAND_NONE,
    AZURE_EXPAND_RELATIONS,
    AZURE_EXPAND_FIELDS,
    AZURE_EXPAND_LINKS,
    AZURE_EXPAND_ALL
};

/* False: answered with 400: no such value. */
bool azure_read_expand(struct azure_call *call, struct str text, enum azure_expand *ret);
/* A work item of the work item APIs. */
void azure_write_item(struct azure_call *call,
                      const struct azure_revision *r,
                      const struct azure_selection *selection,
                      enum azure_expand expand,
                      bool as_revision);

/* The body as JSON; NULL: answered with 400. Free with json_free. */
struct json *azure_body(struct azure_call *call);
