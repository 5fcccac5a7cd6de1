#include "worker/sources/servicenow/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "worker/sources/servicenow/page.h"
#include "worker/sources/servicenow/probe.h"
#include "worker/sources/servicenow/query.h"
#include "worker/sources/servicenow/walk_state.h"

#define PAGE_SIZE_DEFAULT        1000
#define PAGE_SIZE_KEYS           10000
#define GOOD_PAGES_BEFORE_GROWTH 8
#define COUNT_TRIES_MAX          4
#define SPLIT_DEPTH_MAX          40
#define RANGES_MAX               ((size_t)16 * SPLIT_DEPTH_MAX)

/* TEXT for a field the task does not land. */
static enum column_type type_of(const struct task_def *task, struct str field)
{
    for (size_t i = 0; i < task->n_fields; i++) {
        if (str_equal_c(field, task->fields[i].name)) {
            return task->fields[i].type;
        }
    }
    return COLUMN_TEXT;
}

struct walk *servicenow_walk_open(void *session,
                                  const struct source_config *source,
                                  const struct task_def *task,
                                  const struct partition *partition)
{
    (void)session;
    struct walk *walk = XNEW(struct walk);
    walk->source = source;
    walk->task = task;
    walk->partition = partition;
    walk->filter = str_from(task->filter);
    struct str field;
    if (servicenow_filter_equality(walk->filter, &field, &walk->check_value)) {
        walk->check_field = xstrndup(field.ptr, field.len);
        walk->check_type = type_of(task, field);
    }
    walk->reader = servicenow_reader_new(task, walk->check_field);
    buf_init(&walk->url, (size_t)4 * SERVICENOW_URL_MAX_BYTES);
    buf_init(&walk->terms, SERVICENOW_URL_MAX_BYTES);
    buf_init(&walk->query, (size_t)2 * SERVICENOW_URL_MAX_BYTES);
    int64_t configured = task->page_size > 0 ? task->page_size : PAGE_SIZE_DEFAULT;
    walk->page_size_max = partition->kind == WALK_KEYS ? PAGE_SIZE_KEYS : configured;
    walk->page_size = walk->page_size_max;
    walk->remaining = NO_COUNT;
    walk->count_next = true;
    walk->part = CHANGES_BEHIND;
    walk->until_us = partition->to_us;
    walk->ranges = xcalloc(RANGES_MAX, sizeof(*walk->ranges));
    walk->n_ranges = 1;
    (void)snprintf(walk->ranges[0].from, sizeof(walk->ranges[0].from), "%s",
                   partition->from_key != NULL ? partition->from_key : "");
    (void)snprintf(walk->ranges[0].to, sizeof(walk->ranges[0].to), "%s",
                   partition->to_key != NULL ? partition->to_key : "");
    return walk;
}

void servicenow_walk_close(struct walk *walk)
{
    if (walk != NULL) {
        servicenow_reader_free(walk->reader);
        buf_release(&walk->url);
        buf_release(&walk->terms);
        buf_release(&walk->query);
        xfree(walk->check_field);
        xfree(walk->ranges);
        xfree(walk);
    }
}

void servicenow_walk_proof(const struct walk *walk, struct walk_proof *ret_proof)
{
    *ret_proof =
        (struct walk_proof){.records = walk->records, .hidden = walk->hidden, .has_expected = true};
}

static void note_good_page(struct walk *walk)
{
    walk->shrinks = 0;
    walk->seen_empty = false;
    walk->looks = 0;
    if (walk->page_size < walk->page_size_max && ++walk->good_pages >= GOOD_PAGES_BEFORE_GROWTH) {
        int64_t grown = walk->page_size + walk->page_size / 2 + 1;
        walk->page_size = grown < walk->page_size_max ? grown : walk->page_size_max;
        walk->page_size_bad = 0;
        walk->good_pages = 0;
    }
}

static void start_range(struct walk *walk)
{
    walk->last_key[0] = '\0';
    walk->remaining = NO_COUNT;
    walk->count_next = true;
    walk->seen_empty = false;
    walk->looks = 0;
    walk->tail_hidden = 0;
}

/* The range read so far is complete; on to the next. */
static void finish_range(struct walk *walk)
{
    walk->n_ranges--;
    start_range(walk);
    walk->finished = walk->n_ranges == 0;
}

static int64_t clamp(int64_t value, int64_t max)
{
    return value < 0 ? 0 : value < max ? value : max;
}

/* How many of the `count` rows behind the last key the last page has counted as hidden: those at
 * its end, behind its last visible row. */
static int64_t counted_again(const struct walk *walk, int64_t count)
{
    return walk->tail_hidden > 0 ? clamp(count - walk->remaining, walk->tail_hidden) : 0;
}

/* Everything in a whole page is hidden and more follows: no key to go on from. Cuts the range at
 * the next hexadecimal digit into 16 that are read one by one. */
static bool split_range(struct walk *walk, int64_t count, struct error *err)
{
    static const char DIGITS[] = "0123456789abcdef";
    struct key_range range = walk->ranges[walk->n_ranges - 1];
    const char *low = walk->last_key[0] != '\0' ? walk->last_key : range.from;
    size_t common = 0;
    while (low[common] != '\0' && range.to[common] == low[common]) {
        common++;
    }
    size_t depth = range.depth > common ? range.depth : common;
    if (depth >= SPLIT_DEPTH_MAX || walk->n_ranges + 16 > RANGES_MAX) {
        return error_set(err, ERROR_DENIED,
                         "table %s: more than %" PRId64 " records in a row are hidden from the "
                         "account and cannot be stepped over; give it read access",
                         walk->task->table, walk->page_size);
    }
    walk->n_ranges--;
    char low_copy[SERVICENOW_KEY_MAX + 1];
    (void)snprintf(low_copy, sizeof(low_copy), "%s", low);
    char prefix[SPLIT_DEPTH_MAX + 1];
    (void)snprintf(prefix, sizeof(prefix), "%.*s", (int)depth, low);
    for (size_t i = strlen(prefix); i < depth; i++) {
        prefix[i] = '0';
        prefix[i + 1] = '\0';
    }
    char upper[SERVICENOW_KEY_MAX + 1];
    memcpy(upper, range.to, sizeof(upper));
    /* Highest first: the stack hands out the lowest. */
    for (int digit = 15; digit >= 0; digit--) {
        char bound[SPLIT_DEPTH_MAX + 2];
        (void)snprintf(bound, sizeof(bound), "%s%c", prefix, DIGITS[digit]);
        bool below = strcmp(bound, low) <= 0 || digit == 0;
        if (!below && upper[0] != '\0' && strcmp(bound, upper) >= 0) {
            continue;
        }
        struct key_range *piece = &walk->ranges[walk->n_ranges++];
        piece->depth = (unsigned)depth + 1;
        memcpy(piece->to, upper, sizeof(piece->to));
        memcpy(piece->from, below ? low_copy : bound, below ? sizeof(low_copy) : sizeof(bound));
        piece->is_behind = below && (walk->last_key[0] != '\0' || range.is_behind);
        if (below) {
            break;
        }
        memcpy(upper, piece->from, sizeof(upper));
    }
    walk->hidden -= counted_again(walk, count); /* the pieces count them once more */
    start_range(walk);
    return true;
}

/* A longer look over hidden records, which cost the source little. */
static bool widen_page(struct walk *walk)
{
    int64_t wider = walk->page_size * 4;
    wider = wider < PAGE_SIZE_KEYS ? wider : PAGE_SIZE_KEYS;
    if (wider <= walk->page_size || (walk->page_size_bad > 0 && wider >= walk->page_size_bad)) {
        return false;
    }
    walk->page_size = wider;
    walk->count_next = true;
    return true;
}

/* An empty page may have been a slip: once more before it is believed. */
static bool is_first_empty(struct walk *walk)
{
    bool is_first = !walk->seen_empty;
    walk->seen_empty = true;
    walk->count_next = true;
    return is_first;
}

static bool settle_empty_page(struct walk *walk, int64_t count, struct error *err)
{
    int64_t again = counted_again(walk, count);
    /* Behind a last key an empty page agrees with the page before it; at the start of a range it
     * stands alone and could be the answer to another question. */
    bool is_alone = walk->last_key[0] == '\0';
    if ((count > again || is_alone) && is_first_empty(walk)) {
        return true;
    }
    if (count > walk->page_size) {
        return widen_page(walk) || split_range(walk, count, err);
    }
    walk->hidden += count - again;
    finish_range(walk);
    return true;
}

/* Rows in key order. Returns false with err, or sets *ret_keep: the batch's rows count. */
static bool settle_key_page(struct walk *walk,
                            const struct page_context *page,
                            bool with_count,
                            bool *ret_keep,
                            struct error *err)
{
    int64_t rows = page->records;
    bool is_short = rows < walk->page_size;
    *ret_keep = rows > 0;
    if (is_short && !with_count) {
        walk->count_next = true; /* the same page again, counted */
        *ret_keep = false;
        return true;
    }
    if (rows == 0) {
        return settle_empty_page(walk, page->count, err);
    }
    memcpy(walk->last_key, page->key, sizeof(walk->last_key));
    if (page->count == NO_COUNT) { /* a full page, so nothing of it is hidden */
        walk->remaining = walk->remaining == NO_COUNT ? NO_COUNT : walk->remaining - rows;
        walk->tail_hidden = 0;
        walk->count_next = false;
    } else {
        int64_t covered = page->count < walk->page_size ? page->count : walk->page_size;
        int64_t hidden_here = clamp(covered - rows - counted_again(walk, page->count), covered);
        walk->hidden += hidden_here;
        walk->tail_hidden = hidden_here;
        walk->remaining = page->count - covered;
        walk->count_next = hidden_here > 0;
    }
    if (walk->remaining != NO_COUNT && walk->remaining <= walk->page_size) {
        walk->count_next = true;
    }
    if (walk->page_size > walk->page_size_max) {
        walk->page_size = walk->page_size_max; /* behind the hidden block */
    }
    note_good_page(walk);
    return true;
}

/* A page of changes without a row although more than a page of them is counted: steps over the
 * hidden ones by reading a shorter window first. */
static bool step_over_hidden_changes(struct walk *walk, struct error *err)
{
    if (widen_page(walk)) {
        return true;
    }
    int64_t low = walk->has_last_time ? walk->last_us : walk->partition->from_us;
    int64_t half_s = (walk->until_us - low) / US_PER_S / 2;
    if (walk->part == CHANGES_DRAIN || half_s == 0) {
        return error_set(err, ERROR_DENIED,
                         "table %s: more than %" PRId64
                         " changes of one second are hidden from the "
                         "account and cannot be stepped over; give it read access",
                         walk->task->table, walk->page_size);
    }
    walk->until_us = low + half_s * US_PER_S;
    walk->promised = 0;
    walk->count_next = true;
    return true;
}

/* Nothing is left of the part of the window that was being read. */
static void finish_change_part(struct walk *walk)
{
    walk->count_next = true;
    walk->seen_empty = false;
    walk->looks = 0;
    walk->tail_hidden = 0;
    if (walk->part == CHANGES_DRAIN) {
        walk->part = CHANGES_BEHIND;
    } else if (walk->until_us < walk->partition->to_us) {
        walk->last_us = walk->until_us;
        walk->has_last_time = true;
        walk->promised = 0;
        walk->until_us = walk->partition->to_us;
    } else {
        walk->finished = true;
    }
}

/* A page that is not the last has hidden rows: those behind its last row are counted again, first
 * as the rest of that second, then as what lies behind it. What is left lies between its rows. */
static void settle_doubtful(struct walk *walk, int64_t count)
{
    if (!walk->has_doubtful_hidden) {
        return;
    }
    if (walk->part == CHANGES_BEHIND) {
        walk->hidden += clamp(walk->doubtful_rest - count, walk->doubtful_hidden);
        walk->has_doubtful_hidden = false;
    } else if (!walk->has_drain_count) {
        walk->doubtful_rest -= count;
        walk->has_drain_count = true;
    }
}

static void count_hidden_changes(struct walk *walk, int64_t count, int64_t rows, bool is_rest)
{
    int64_t covered = count < walk->page_size ? count : walk->page_size;
    int64_t again = walk->part == CHANGES_DRAIN ? counted_again(walk, count) : 0;
    int64_t hidden_here = clamp(covered - rows - again, covered);
    if (walk->part == CHANGES_DRAIN || is_rest) {
        walk->hidden += hidden_here;
        walk->tail_hidden = hidden_here;
        walk->remaining = count - covered;
    } else if (hidden_here > 0) {
        walk->has_doubtful_hidden = true;
        walk->has_drain_count = false;
        walk->doubtful_hidden = hidden_here;
        walk->doubtful_rest = count - rows;
    }
}

/* What the next pages have to show, or the source takes back what it has counted. */
static void note_promised(struct walk *walk, const struct page_context *page)
{
    if (walk->part == CHANGES_BEHIND) {
        int64_t covered = page->count < walk->page_size ? page->count : walk->page_size;
        walk->promised = page->count - covered;
        walk->drain_counted = false;
        walk->drain_is_empty = false;
        walk->drain_repeated = false;
    } else if (!walk->drain_counted) {
        walk->promised -= page->count < walk->promised ? page->count : walk->promised;
        walk->drain_counted = true;
        walk->drain_is_empty = page->count == 0;
    }
}

/* An empty rest of a second, and then fewer rows behind it than were counted: some of them may have
 * belonged to that second. Asks for it once more. */
static bool drain_again(struct walk *walk, int64_t count)
{
    if (walk->part == CHANGES_DRAIN || !walk->drain_is_empty || walk->drain_repeated ||
        count >= walk->promised) {
        return false;
    }
    walk->part = CHANGES_DRAIN;
    walk->drain_counted = false;
    walk->drain_repeated = true;
    walk->has_drain_count = false;
    return true;
}

/* Rows in the order of time and key; results as for settle_key_page. Every page is counted. */
static bool settle_change_page(struct walk *walk,
                               const struct page_context *page,
                               bool *ret_keep,
                               struct error *err)
{
    int64_t rows = page->records;
    *ret_keep = rows > 0;
    if (rows == 0 && page->count > 0 && is_first_empty(walk)) {
        return true;
    }
    if (drain_again(walk, page->count)) {
        *ret_keep = false;
        return true;
    }
    settle_doubtful(walk, page->count);
    if (rows == 0 && page->count > walk->page_size) {
        return step_over_hidden_changes(walk, err);
    }
    bool is_rest = page->count <= walk->page_size;
    count_hidden_changes(walk, page->count, rows, is_rest);
    note_promised(walk, page);
    if (rows > 0) {
        memcpy(walk->last_key, page->key, sizeof(walk->last_key));
        walk->last_us = page->time_us;
        walk->has_last_time = true;
        note_good_page(walk);
    }
    if (is_rest) {
        finish_change_part(walk);
    } else if (walk->part == CHANGES_BEHIND) {
        walk->part = CHANGES_DRAIN; /* first the rest of the second this page ended in */
        walk->tail_hidden = 0;
    }
    walk->count_next = true;
    if (walk->page_size > walk->page_size_max) {
        walk->page_size = walk->page_size_max; /* behind the hidden block */
    }
    return true;
}

static bool settle_given_page(struct walk *walk, const struct page_context *page, bool *ret_keep)
{
    *ret_keep = page->records > 0;
    walk->given_done += walk->given_chunk;
    walk->looks = 0;
    walk->hidden += page->count - page->records;
    walk->finished = walk->given_done >= walk->partition->n_keys;
    return true;
}

/* Without an honest count nothing proves that rows are not hidden: no end, no deletions. A count
 * below the rows may come from a row that was inserted meanwhile: a few more tries. */
static bool
check_count(struct walk *walk, const struct page_context *page, bool *ret_again, struct error *err)
{
    *ret_again = page->count < page->records && ++walk->doubts < COUNT_TRIES_MAX;
    if (page->count >= page->records) {
        walk->doubts = 0;
        return true;
    }
    return *ret_again ||
           error_set(err, ERROR_DATA,
                     page->count == NO_COUNT
                         ? "table %s: the answer has no X-Total-Count, so nothing proves that it "
                           "is whole; let the proxies on the way pass that header"
                         : "table %s: X-Total-Count is lower than the number of rows beside it, so "
                           "nothing proves that the answer is whole; ask the vendor",
                     walk->task->table);
}

/* Was at least one more row to come, by what the source has said so far? */
static bool expects_rows(const struct walk *walk)
{
    switch (walk->partition->kind) {
    case WALK_GIVEN:
        return true; /* each key was seen once, here or there */
    case WALK_CHANGES:
        return walk->part == CHANGES_DRAIN ? walk->drain_counted && walk->remaining > 0
                                           : walk->promised > 0;
    case WALK_ALL:
    case WALK_WINDOW:
    case WALK_KEYS:
    case WALK_OWED:
        break;
    }
    /* Only a table of many pages is cut into ranges. */
    bool is_cut = walk->partition->from_key != NULL || walk->partition->to_key != NULL;
    bool is_first = walk->last_key[0] == '\0' && walk->ranges[walk->n_ranges - 1].depth == 0;
    return walk->remaining > 0 || (is_first && is_cut && walk->partition->kind != WALK_WINDOW);
}

/* Behind rows that were counted the source shows none and counts none, twice. They may have been
 * deleted, or the account has lost its rights: then the table shows nothing without a condition
 * either, and what was not read may not be taken for gone. */
static bool look_at_table(struct walk *walk, struct http_client *http, struct error *err)
{
    struct servicenow_probe probe CLEANUP(servicenow_probe_release);
    servicenow_probe_init(&probe);
    if (!servicenow_probe_table(walk->task, http, &probe, err)) {
        return false;
    }
    return probe.records > 0 || probe.total > 0 ||
           error_set(err, ERROR_DENIED,
                     "table %s: the source shows no record of it any more, although it did a "
                     "moment ago; the account has lost its read access, or the table was emptied "
                     "while it was read; nothing of this run is kept",
                     walk->task->table);
}

/* Once again after the first void answer, and after the look at the table. */
static bool
doubt_end(struct walk *walk, struct http_client *http, bool *ret_again, struct error *err)
{
    if (walk->looks == 2) {
        return true;
    }
    *ret_again = true;
    walk->seen_empty = true;
    walk->count_next = true;
    return ++walk->looks == 1 || look_at_table(walk, http, err);
}

/* Is the answer to be put aside and its question asked again? */
static bool doubt_page(struct walk *walk,
                       struct http_client *http,
                       const struct page_context *page,
                       bool *ret_again,
                       struct error *err)
{
    if (!check_count(walk, page, ret_again, err)) {
        return false;
    }
    bool is_void = !*ret_again && page->records == 0 && page->count == 0;
    return !is_void || !expects_rows(walk) || doubt_end(walk, http, ret_again, err);
}

enum page_result servicenow_walk_fetch(struct walk *walk,
                                       struct http_client *http,
                                       struct row_batch *batch,
                                       struct error *err)
{
    if (walk->partition->kind == WALK_GIVEN && walk->partition->n_keys == 0) {
        walk->finished = true;
    }
    while (!walk->finished) {
        bool with_count = walk->count_next || walk->partition->kind == WALK_GIVEN ||
                          servicenow_walk_is_by_time(walk);
        struct page_context page;
        if (!servicenow_request_page(walk, http, batch, with_count, &page, err)) {
            return PAGE_ERROR;
        }
        bool keep = false;
        bool again = false;
        if (with_count && !doubt_page(walk, http, &page, &again, err)) {
            return PAGE_ERROR;
        }
        if (again) {
            continue;
        }
        bool settled = walk->partition->kind == WALK_GIVEN ? settle_given_page(walk, &page, &keep)
                       : servicenow_walk_is_by_time(walk)
                           ? settle_change_page(walk, &page, &keep, err)
                           : settle_key_page(walk, &page, with_count, &keep, err);
        if (!settled) {
            return PAGE_ERROR;
        }
        if (keep) {
            walk->records += page.records - page.unknown;
            walk->hidden += page.unknown;
            row_batch_finish(batch);
            return PAGE_READY;
        }
    }
    return PAGE_END;
}
