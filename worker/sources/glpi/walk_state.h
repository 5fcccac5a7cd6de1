#pragma once

#include "worker/sources/glpi/filter.h"
#include "worker/sources/glpi/list.h"
#include "worker/sources/glpi/page.h"
#include "worker/sources/glpi/send.h"
#include "worker/sources/glpi/walk.h"

/*
 * What a walk knows between two requests: glpi_walk.c decides what to read next, glpi_request.c
 * asks for it and holds every row against it. Nobody else includes this.
 */

/* The parts of a CHANGES walk, in order. */
enum glpi_part { GLPI_PART_LIVE, GLPI_PART_TRASH, GLPI_PART_NAMED, GLPI_PART_NONE };

/* A row and where it stood. */
struct glpi_spot {
    int64_t id;
    int64_t first;
};

struct walk {
    struct glpi_session *session;
    const struct source_config *source;
    const struct task_def *task;
    const struct partition *partition;
    struct glpi_reader *reader;
    struct glpi_filter filter;
    struct error filter_error; /* set if the filter is wrong */
    struct buf url;
    int trash_column;
    int parent_column; /* held against `parent`, -1 = none */
    struct str parent; /* OWED: key of the parent whose list is read */

    struct glpi_list lists[2]; /* the list being read, and on top of it one second of it */
    size_t n_lists;
    enum glpi_part part;
    size_t next_key;  /* GIVEN, OWED, named: the next to ask for */
    int64_t n_named;  /* CHANGES: keys asked for */
    uint8_t *seen;    /* CHANGES: per key, whether the lists showed it */
    int64_t floor_id; /* FEED */
    bool started;     /* the first list was begun */

    int64_t page_size;
    int64_t page_size_max;
    struct glpi_spot *page_rows; /* of the page being read: page_size_max of them */
    struct glpi_spot *last_rows; /* of the last one kept */
    int64_t n_page_rows;
    int64_t n_last_rows;
    int good_pages;
    int shrinks; /* halvings since the last good page */
    bool finished;
    bool is_uncounted; /* a list's total did not agree with its rows */
    int64_t records;
    int64_t hidden;
    int64_t n_changed; /* CHANGES: rows of the live list behind `from_us`, for the cross-check */
};

/* The batch as it was before a request. */
struct glpi_mark {
    size_t rows_bytes;
    size_t rejects_bytes;
    int64_t n_rows;
    int64_t n_rejects;
    int64_t n_nul_removed;
};

struct glpi_mark glpi_mark_set(const struct row_batch *batch);
void glpi_mark_restore(struct row_batch *batch, const struct glpi_mark *mark);

/* The page was kept: the next one is held against its rows. */
void glpi_remember_page(struct walk *walk);

/* One page of the list on top, into `batch`; smaller and smaller while the server cannot cope.
 * *ret_missing: the parent is gone or out of sight. May block. */
bool glpi_request_page(struct walk *walk,
                       struct http_client *http,
                       struct row_batch *batch,
                       struct glpi_list_page *ret_page,
                       enum glpi_answer *ret_answer,
                       struct error *err);

/* One item by its id. */
bool glpi_request_item(struct walk *walk,
                       struct http_client *http,
                       struct row_batch *batch,
                       struct str key,
                       enum glpi_answer *ret_answer,
                       struct error *err);

/* WINDOW: where the list falls below `top_us`, by halving; its place goes into list->offset. */
bool glpi_request_start(struct walk *walk,
                        struct http_client *http,
                        struct glpi_list *list,
                        int64_t top_us,
                        struct error *err);
