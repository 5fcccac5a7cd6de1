#pragma once

#include "tests/sim/glpi/refs.h"
#include "tests/sim/glpi/system.h"

/* What the parts of /search/Ticket share: search.c reads and pages, search_cells.c looks at rows.
 */

enum { NODES_MAX = 128, SHOWN_MAX = 160, SORTS_MAX = 4, VALUES_MAX = 32 };

struct search_option {
    int64_t id;
    const char *section; /* the key of a heading, or NULL */
    const char *label, *table, *field, *datatype;
    bool nosearch, nodisplay;
    const char *types;
    const char *uid;
};

extern const struct search_option search_options[];
extern const size_t n_search_options;

const struct search_option *search_option(int64_t id); /* or NULL */

/* One criterion, or a group of them. */
struct criterion {
    char path[96]; /* "[0][criteria][1]" */
    int parent;    /* or -1 */
    bool group;
    bool negated, alternative; /* AND NOT, OR NOT; OR */
    const struct search_option *option;
    struct str type, value;
    bool has_field, has_type, has_value;
};

struct search {
    struct call *call;
    struct criterion nodes[NODES_MAX];
    int n_nodes;
    int64_t shown[SHOWN_MAX];
    int n_shown;
    int64_t sorts[SORTS_MAX];
    bool descending[SORTS_MAX];
    int n_sorts, n_orders;
    int64_t start, end;
    bool has_range;
    int mask;
};

/* The ticket's column an option shows, or -1. */
int search_column(const struct search_option *option);
bool search_matches(const struct search *search, const struct criterion *node, struct item *ticket);
/* The cell as JSON. */
void search_write(struct call *call,
                  const struct search_option *option,
                  struct item *ticket,
                  struct buf *out);
