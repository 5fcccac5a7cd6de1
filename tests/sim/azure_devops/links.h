#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

/*
 * Changes of links between work items, in the order in which they happened: the first n_base are
 * computed (16 to 16 items), later ones held. A link may be removed and made again.
 */

struct azure_link {
    const char *rel; /* "System.LinkTypes.Hierarchy": static */
    int64_t source, target;
    int64_t changed_us;
    bool active;
};

struct azure_items;

struct azure_links {
    const struct azure_items *items;
    int64_t n_base;
    struct azure_link *extra;
    int64_t n_extra, capacity;
};

enum { AZURE_LINK_TOKEN_BASE = 6281000 };

void azure_links_init(struct azure_links *links, const struct azure_items *items);
void azure_links_reset(struct azure_links *links);
int64_t azure_links_count(const struct azure_links *links);
/* Change n from 0. */
void azure_link_at(const struct azure_links *links, int64_t n, struct azure_link *ret);
void azure_link_append(struct azure_links *links, const struct azure_link *link);
/* The links' last state, those of computed changes that were changed again left out: calls `each`
 * for every (rel, source, target) once. */
void azure_links_each(const struct azure_links *links,
                      void (*each)(void *context, const struct azure_link *link),
                      void *context);
/* Whether a held change is about the same link. */
bool azure_link_is_held(const struct azure_links *links, const struct azure_link *link);
/* "Hierarchy", "System.LinkTypes.Related", ...; NULL: unknown. */
const char *azure_link_type(struct str name);
