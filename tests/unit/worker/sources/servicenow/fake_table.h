#pragma once

#include "tests/unit/worker/http/fake.h"

/*
 * A small Table API in memory behind the wire of the HTTP client: one table, encoded queries of
 * plain comparisons, limits before access rules, counts that do not know access rules; and the ways
 * in which the real one misleads.
 */

#define FAKE_KEY_MAX 160

struct fake_row {
    char key[FAKE_KEY_MAX];
    int64_t updated_s; /* since 1970 */
    int64_t opened_s;
    const char *class;
    bool hidden;    /* by an access rule */
    bool is_orphan; /* shows nothing of its parent */
    bool deleted;   /* not there any more */
};

enum fake_counts { COUNTS_HONEST, COUNTS_ABSENT, COUNTS_ZERO, COUNTS_OF_VISIBLE };

/* Ways to fail that do not say that the request was too much. */
enum fake_failure { FAILS_500, FAILS_504, FAILS_BROKEN, FAILS_CUT };

struct fake_table {
    struct fake_row *rows;
    size_t n_rows;
    size_t capacity;
    bool ignores_case;       /* collation */
    enum fake_counts counts; /* of every answer */
    const char *drops;       /* terms that begin with this are ignored without a word */
    const char *drops_too;
    const char *denies; /* a query that uses this field is refused (403) */
    const char *denies_too;
    const char *hides_field; /* is missing from every record */
    bool ignores_order;
    bool repeats_page;     /* answers everything with its first page */
    int64_t cancels_above; /* limits above this run out of time: status 500; 0 = none */
    bool cancels_as_200;   /* the same with half a result and an error */
    int64_t fails_above;   /* limits above this fail as `fails_as` says; 0 = none */
    enum fake_failure fails_as;
    int64_t refuses_behind; /* URLs longer than this are refused (414); 0 = none */
    int status;             /* 0, or every answer's */
    int64_t now_s;          /* of the Date header; 0 = none */
    const char *wrong_key;  /* sent in place of the first record's key */
    void (*before)(struct fake_table *table, size_t index); /* before the index-th answer */
    size_t n_requests;
    int64_t n_rows_sent;
    int64_t limit_max; /* the largest asked for */
    int64_t url_max;
    char *last_query; /* decoded; NULL before the first request */
    char *first_page; /* with repeats_page */
    int64_t slips;    /* answers that will show no row whatever there is */
};

void fake_table_init(struct fake_table *table);
void fake_table_release(struct fake_table *table);
struct fake_row *
fake_table_add(struct fake_table *table, const char *key, int64_t updated_s, int64_t opened_s);

/* n rows with keys spread over the hexadecimal space in order; updated one a second from `from_s`.
 */
void fake_table_fill(struct fake_table *table, size_t n, int64_t from_s);
struct fake_row *fake_table_find(struct fake_table *table, const char *key);

struct http_seams fake_table_seams(struct fake_clock *clock, struct fake_table *table);
