#pragma once

#include "worker/sources/servicenow/page.h"
#include "worker/sources/servicenow/walk.h"

/*
 * What a walk knows between two pages: servicenow_walk.c decides from it what to ask next and what
 * an answer proves, servicenow_request.c puts the question and holds every row against it. Nobody
 * else includes this.
 */

#define NO_COUNT INT64_C(-1)

struct key_range {
    char from[SERVICENOW_KEY_MAX + 1]; /* "" = open */
    char to[SERVICENOW_KEY_MAX + 1];
    bool is_behind; /* `from` itself does not belong to it */
    unsigned depth; /* how often it was split */
};

/* The part of a CHANGES walk that the next request reads. */
enum changes_part { CHANGES_BEHIND, CHANGES_DRAIN };

struct walk {
    const struct source_config *source;
    const struct task_def *task;
    const struct partition *partition;
    struct servicenow_reader *reader;
    struct buf url;
    struct buf terms;
    struct buf query;
    struct str filter;
    char *check_field; /* dotted field of the filter's equality, asked for to check rows; or NULL */
    struct str check_value;
    enum column_type check_type;

    struct key_range *ranges; /* a stack of what is left; the top one is being read */
    size_t n_ranges;
    char last_key[SERVICENOW_KEY_MAX + 1]; /* "" = nothing read in this range yet */

    enum changes_part part;
    bool has_last_time;
    int64_t last_us;
    int64_t until_us;   /* end of the window being read; before partition->to_us while stepping */
    size_t given_done;  /* GIVEN: keys asked for so far */
    size_t given_chunk; /* GIVEN: keys of the request under way */

    int64_t page_size;
    int64_t page_size_max;
    int64_t page_size_bad; /* the smallest that the platform could not cope with; 0 = none */
    int good_pages;
    int shrinks;       /* halvings since the last good page */
    int doubts;        /* answers in a row whose count contradicts their rows */
    int64_t remaining; /* of the range behind the last counted page; NO_COUNT = unknown */
    bool count_next;   /* the next request must bring a count */
    bool seen_empty;   /* an empty page with a count above it has been asked for twice */
    int looks;         /* how often an end was doubted since the last good page */
    bool finished;
    int64_t records;
    int64_t hidden;
    int64_t tail_hidden;      /* hidden rows of the last page; those at its end are counted again */
    bool has_doubtful_hidden; /* CHANGES: the same, not in `hidden` yet, until it is known ... */
    int64_t doubtful_hidden;  /* ... how many of them lie behind the page's last row */
    int64_t doubtful_rest; /* what the page counted behind its rows, less what is counted since */
    bool has_drain_count;
    int64_t promised;    /* CHANGES: at least so many lie behind the second being drained */
    bool drain_counted;  /* the rest of that second is no longer in `promised` */
    bool drain_is_empty; /* it showed no row */
    bool drain_repeated;
};

/* One request's reading. */
struct page_context {
    struct walk *walk;
    struct row_batch *batch;
    int64_t records;
    int64_t unknown; /* of them: nobody can tell whether they satisfy the filter */
    char key[SERVICENOW_KEY_MAX + 1];
    int64_t time_us;
    bool has_time;
    int64_t count;
    int troubles; /* answers to this request that were broken, or 500, or 504 */
};

/* Is the walk in the order of time? */
static inline bool servicenow_walk_is_by_time(const struct walk *walk)
{
    return walk->partition->kind == WALK_CHANGES;
}

/* Sends the next request and decodes its answer into `batch`; smaller and smaller while the
 * platform cannot cope. Fills *page. May block. */
bool servicenow_request_page(struct walk *walk,
                             struct http_client *http,
                             struct row_batch *batch,
                             bool with_count,
                             struct page_context *page,
                             struct error *err);
