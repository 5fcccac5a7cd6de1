#include "worker/sources/glpi/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Rows that each request reads again. */
#define OVERLAP_ROWS INT64_C(10)

#define DOUBTS_MAX     2
#define REFUSALS_MAX   4
#define SHORTFALLS_MAX 4
#define STALLS_MAX     20
#define GROWTH_MAX     10
#define VANISHINGS_MAX 3

void glpi_list_init(struct glpi_list *list, enum glpi_order order, int column)
{
    *list = (struct glpi_list){.order = order,
                               .column = column,
                               .second_column = -1,
                               .floor_us = GLPI_PLACE_NEVER,
                               .back = OVERLAP_ROWS,
                               .short_rows = -1};
}

void glpi_list_ask(const struct glpi_list *list, int64_t page_size, struct glpi_list_page *ret_page)
{
    int64_t back = list->back;
    /* A page must bring something new, unless it is already a step back. */
    if (back <= OVERLAP_ROWS && back > page_size / 2) {
        back = page_size / 2;
    }
    *ret_page = (struct glpi_list_page){.start = list->offset > back ? list->offset - back : 0,
                                        .size = page_size};
    /* Who fails over a page may still answer for a row. And who has no rows left refuses the second
     * one: behind the end of a list the server says so. */
    if (list->was_empty) {
        ret_page->start = list->n_rows > 0 && !list->has_shrunk ? 1 : 0;
        ret_page->size = 1;
    }
}

/* Does `a` stand in front of `b` for certain, in the list's order? */
static bool is_before(const struct glpi_list *list, struct glpi_place a, struct glpi_place b)
{
    return list->order == GLPI_BY_ID ? a.last < b.first : a.first > b.last;
}

static bool is_same_place(struct glpi_place a, struct glpi_place b)
{
    return a.first == b.first && a.last == b.last;
}

static bool is_unique(const struct glpi_list *list)
{
    return list->order != GLPI_BY_TIME_DESC;
}

/* Has this row been read? Rows in front of the last one were, or came there since and belong to the
 * next run; rows beside it were if it is alone there, or drained. */
static bool is_old(const struct glpi_list *list, struct glpi_place place, bool is_known)
{
    if (!list->has_last) {
        return false;
    }
    bool is_same = is_same_place(place, list->last);
    return is_before(list, place, list->last) || (is_known && !is_same) ||
           ((list->is_drained || is_unique(list)) && is_same);
}

static void copy_text(char out[GLPI_TIME_LEN + 1], struct str text)
{
    (void)snprintf(out, GLPI_TIME_LEN + 1, "%.*s", STR_ARG(str_shorten(text, GLPI_TIME_LEN)));
}

enum glpi_seen glpi_list_look(const struct glpi_list *list,
                              struct glpi_list_page *page,
                              struct glpi_place place,
                              bool is_known,
                              struct str text)
{
    bool is_first = page->n == 0;
    if (!is_first && is_before(list, place, page->tail)) {
        return GLPI_SEEN_WRONG;
    }
    bool old = is_old(list, place, is_known);
    if (is_first && page->start > 0 && list->has_last && !old) {
        page->is_gap = true;
    }
    bool is_tie = !is_first && is_same_place(place, page->tail);
    page->ties = is_tie ? page->ties + 1 : 1;
    page->tail = place;
    page->n++;
    if (!is_tie) {
        copy_text(page->tail_text, text);
    }
    bool is_never = list->order == GLPI_BY_TIME_DESC && place.last == GLPI_PLACE_NEVER;
    if (is_never || (list->order == GLPI_BY_TIME_DESC && place.last < list->floor_us)) {
        page->is_below = true;
        return GLPI_SEEN_BELOW;
    }
    if (old || page->is_gap) {
        return GLPI_SEEN_OLD;
    }
    page->n_fresh++;
    return GLPI_SEEN_FRESH;
}

static enum glpi_settled wrong(struct error *err, const char *words)
{
    (void)error_set(err, ERROR_DATA, "%s", words);
    return GLPI_SETTLED_WRONG;
}

/* Where a list that has shrunk ends, the server says so: by an error, or by the total beside no
 * rows. An empty answer without a word proves nothing. */
static bool says_end(const struct glpi_list_page *page)
{
    return page->is_past_end || (page->n == 0 && page->has_range && page->total <= page->start);
}

static enum glpi_settled step_back(struct glpi_list *list, const struct glpi_list_page *page)
{
    list->has_shrunk = says_end(page);
    list->was_empty = list->was_empty && page->n == 0;
    list->back = list->back < 2 * OVERLAP_ROWS ? 2 * OVERLAP_ROWS : 2 * list->back;
    return GLPI_SETTLED_AGAIN;
}

static void finish(struct glpi_list *list, bool is_counted)
{
    list->is_finished = true;
    list->is_counted = is_counted;
}

/* A list without any row is believed when it says so twice. One that has shown rows contradicts
 * itself, unless it says that it ends there. */
static enum glpi_settled
settle_empty(struct glpi_list *list, const struct glpi_list_page *page, struct error *err)
{
    bool is_vanished = list->n_rows > 0 && !list->has_shrunk;
    if (is_vanished && ++list->vanishings >= VANISHINGS_MAX) {
        return wrong(err, "the list showed rows and now comes without any, again and again; "
                          "nothing proves that they are gone");
    }
    if (!is_vanished && (list->was_empty || list->may_miss)) {
        finish(list, !page->has_range || page->total == 0);
    }
    list->was_empty = true;
    return GLPI_SETTLED_AGAIN;
}

static enum glpi_settled fall_short(struct glpi_list *list, struct error *err)
{
    return ++list->shortfalls < SHORTFALLS_MAX
               ? GLPI_SETTLED_AGAIN
               : wrong(err, "answers hold fewer rows than their Content-Range says, so nothing "
                            "proves that they are whole");
}

/* The header beside the rows must be about them. Restricted accounts get totals that are too high,
 * which shows at the list's end: a page that falls short is believed when it comes the same way
 * twice and no whole page follows. */
static enum glpi_settled
check_range(struct glpi_list *list, const struct glpi_list_page *page, struct error *err)
{
    int64_t said = page->range_end - page->range_start + 1;
    if (page->range_start != page->start || page->n > said) {
        return ++list->shortfalls < SHORTFALLS_MAX
                   ? GLPI_SETTLED_AGAIN
                   : wrong(err, "the answer is about another range than the one asked for "
                                "(Content-Range); check the proxies on the way");
    }
    bool was_overcounted = list->is_overcounted;
    if (page->n < said && !page->is_gap) {
        if (list->short_rows != page->n) {
            list->short_rows = page->n;
            return fall_short(list, err);
        }
        list->is_overcounted = true;
    }
    /* Behind what was taken for the end there may be a few new rows, not pages of them. */
    if (was_overcounted && (list->n_behind += page->n_fresh) > GROWTH_MAX) {
        list->shortfalls = SHORTFALLS_MAX;
        return fall_short(list, err);
    }
    list->shortfalls = 0;
    return GLPI_SETTLED_KEEP;
}

/* A page shorter than asked for is the end if the total agrees, or if it says so twice. */
static enum glpi_settled
settle_short(struct glpi_list *list, const struct glpi_list_page *page, struct error *err)
{
    if (page->has_range && page->total == list->offset) {
        finish(list, true);
        return GLPI_SETTLED_KEEP;
    }
    list->doubts = page->n_fresh > 0 ? 1 : list->doubts + 1;
    if (page->has_range && !list->is_overcounted && page->range_end + 1 < page->total) {
        /* It says itself that this is not the end: pages may just be capped. */
        return list->doubts < REFUSALS_MAX
                   ? GLPI_SETTLED_KEEP
                   : wrong(err, "the list ends before the total that it announces");
    }
    if (list->doubts >= DOUBTS_MAX) {
        finish(list, false);
    }
    return GLPI_SETTLED_KEEP;
}

/* Where the next request begins: behind a time that others may share it has to begin before all of
 * them, because among them the order may differ from answer to answer. */
static enum glpi_settled choose_back(struct glpi_list *list, const struct glpi_list_page *page)
{
    list->back = OVERLAP_ROWS;
    if (is_unique(list) || list->is_drained || list->is_finished) {
        return GLPI_SETTLED_KEEP;
    }
    if (list->ties + 1 > page->size / 2) {
        return GLPI_SETTLED_DRAIN;
    }
    if (list->ties + 1 > list->back) {
        list->back = list->ties + 1;
    }
    return GLPI_SETTLED_KEEP;
}

enum glpi_settled
glpi_list_settle(struct glpi_list *list, const struct glpi_list_page *page, struct error *err)
{
    if (page->n > page->size) {
        return wrong(err, "more rows than asked for: the range was ignored");
    }
    if (page->is_past_end || page->n == 0) {
        bool is_word = says_end(page) || !list->was_empty;
        return page->start > 0 && is_word ? step_back(list, page) : settle_empty(list, page, err);
    }
    if (page->has_range) {
        enum glpi_settled checked = check_range(list, page, err);
        if (checked != GLPI_SETTLED_KEEP) {
            return checked;
        }
    }
    if (page->is_gap) {
        return step_back(list, page);
    }
    list->was_empty = false;
    list->has_shrunk = false;
    list->offset = page->start + page->n;
    list->n_rows += page->n_fresh;
    if (page->n_fresh > 0) {
        list->is_drained = list->is_drained && is_same_place(page->tail, list->last);
        list->has_last = true;
        list->last = page->tail;
        memcpy(list->last_text, page->tail_text, sizeof(list->last_text));
    }
    list->ties = is_same_place(page->tail, list->last) ? page->ties : 0;
    if (page->is_below) {
        finish(list, false);
        return GLPI_SETTLED_KEEP;
    }
    if (page->n < page->size) {
        if (settle_short(list, page, err) == GLPI_SETTLED_WRONG) {
            return GLPI_SETTLED_WRONG;
        }
    } else {
        list->doubts = 0;
        list->stalls = page->n_fresh > 0 ? 0 : list->stalls + 1;
        if (list->stalls > STALLS_MAX) {
            return wrong(err, "page after page brings the same rows");
        }
    }
    return choose_back(list, page);
}

void glpi_list_drained(struct glpi_list *list, int64_t n)
{
    bool is_exact = list->last.first == list->last.last;
    list->is_drained = true;
    /* In the hour that comes twice some of them stand elsewhere. */
    list->offset += is_exact && n > list->ties ? n - list->ties : 0;
    list->back = OVERLAP_ROWS;
}
