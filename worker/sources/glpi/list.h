#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "worker/sources/glpi/text.h"

/*
 * Reading one list of GLPI by offset while it moves. Offsets shift: whatever leaves the list in
 * front of the place that is being read pulls unread rows behind it, and they would be lost. So
 * each request begins a few rows before the end of the last, and its first row must lie at or
 * before the last one read; if it does not, the next request begins further back, until it does.
 * Then everything behind the last row is on the page or behind it. Rows that come again are
 * recognised by their place in the order.
 *
 * Pure: decides what to ask next and what an answer proves; glpi_walk.c asks.
 */

enum glpi_order {
    GLPI_BY_ID,        /* ascending; unique */
    GLPI_BY_ID_DESC,   /* unique */
    GLPI_BY_TIME_DESC, /* of a column; many rows may share a second, in no order among them */
};

/* Where a row stands: an id, or a moment, which in the hour that comes twice is not exact. */
struct glpi_place {
    int64_t first;
    int64_t last;
};

#define GLPI_PLACE_NEVER INT64_MIN /* of a row without a time: such rows come last */

struct glpi_list {
    /* what is asked for */
    char path[160]; /* "/Ticket", "/Ticket/24/Ticket_User" */
    enum glpi_order order;
    int column;                     /* of the order: index in the task's columns */
    char second[GLPI_TIME_LEN + 1]; /* only rows whose column reads so; "" = all */
    int second_column;              /* that column */
    bool is_trash;                  /* is_deleted=true */
    bool may_miss;                  /* the path names a parent, which may be gone or out of sight */
    int64_t floor_us;               /* BY_TIME_DESC: rows before it need not be read */
    /* state */
    int64_t offset; /* behind the last row read */
    int64_t back;   /* how many rows before it the next request begins */
    bool has_last;
    struct glpi_place last;
    char last_text[GLPI_TIME_LEN + 1]; /* BY_TIME_DESC: as received */
    bool is_drained;                   /* every row that stands at `last` has been read */
    int64_t ties;                      /* rows at the end of the last page that stand at `last` */
    int64_t n_rows;                    /* different rows seen; exact only for unique orders */
    int64_t short_rows;                /* of a page with fewer rows than it said, -1 = none */
    int doubts;                        /* short pages in a row that do not agree with the total */
    int shortfalls;                    /* answers in a row with fewer rows than they say */
    int stalls;                        /* full pages in a row without anything new */
    bool is_overcounted; /* a page fell short twice: the total counts what is not there */
    int64_t n_behind;    /* rows that came after that */
    bool was_empty;
    bool has_shrunk; /* the last answer said that the list ends before what was asked for */
    int vanishings;  /* answers without any row though the list has shown some */
    bool is_finished;
    bool is_counted; /* the list's own total says that this is all */
};

void glpi_list_init(struct glpi_list *list, enum glpi_order order, int column);

/* One answer while it is read. */
struct glpi_list_page {
    int64_t start; /* asked for */
    int64_t size;
    bool has_range; /* Content-Range was there: */
    int64_t range_start;
    int64_t range_end;
    int64_t total;
    bool is_past_end;
    int64_t n; /* rows */
    int64_t n_fresh;
    bool is_gap;   /* does not reach the last row read: nothing of it counts */
    bool is_below; /* went past the floor */
    struct glpi_place tail;
    int64_t ties; /* rows at its end that stand at `tail` */
    char tail_text[GLPI_TIME_LEN + 1];
};

/* What to ask for: start and size are set. page_size is at least 2. */
void glpi_list_ask(const struct glpi_list *list,
                   int64_t page_size,
                   struct glpi_list_page *ret_page);

enum glpi_seen { GLPI_SEEN_WRONG = -1, GLPI_SEEN_OLD, GLPI_SEEN_FRESH, GLPI_SEEN_BELOW };

/* The next row of the page; `is_known` if it stood at this place on the last page that was kept,
 * which decides in the hour that comes twice. WRONG: the order was not kept. */
enum glpi_seen glpi_list_look(const struct glpi_list *list,
                              struct glpi_list_page *page,
                              struct glpi_place place,
                              bool is_known,
                              struct str text);

enum glpi_settled {
    GLPI_SETTLED_WRONG = -1, /* err says why */
    GLPI_SETTLED_KEEP,       /* the rows count */
    GLPI_SETTLED_AGAIN,      /* they do not: ask again */
    GLPI_SETTLED_DRAIN,      /* they count; next the rows at `last` have to be read on their own */
};

/* A whole page has been read. */
enum glpi_settled
glpi_list_settle(struct glpi_list *list, const struct glpi_list_page *page, struct error *err);

/* All rows at `last` have been read on their own; there are n of them. */
void glpi_list_drained(struct glpi_list *list, int64_t n);
