#pragma once

#include "tests/unit/worker/http/fake.h"

/*
 * A small Azure DevOps organisation in memory behind the wire of the HTTP client: the feeds, the
 * query, batches, recycle bins, and lists by script; and the ways in which the real one misleads.
 */

struct fake_revision {
    int id;
    int rev;
    bool is_deleted;
};

enum fake_token {
    TOKEN_IN_MEMBER,
    TOKEN_IN_LINK,
    TOKEN_IN_BOTH,
    TOKEN_IN_FOREIGN_LINK,
    TOKEN_NOWHERE,
};

/* An answer to every request whose method and URL (from the path on) begin with `begins`. */
struct fake_reply {
    const char *begins;
    int status; /* 0 = 200 */
    const char *headers;
    const char *body;
};

struct fake_item {
    int id;
    bool is_binned; /* in the recycle bin */
    bool is_hidden; /* destroyed, or not for this account */
};

struct fake_azure {
    struct fake_revision *revisions; /* in the order of the feed */
    size_t n_revisions;
    struct fake_item items[64];
    size_t n_items;
    const struct fake_reply *replies; /* before everything else */
    size_t n_replies;
    bool has_no_type; /* scripted answers bring their own Content-Type */
    /* of the feed */
    size_t page_size;
    enum fake_token token;
    size_t empty_pages; /* before each page with rows */
    bool never_last;
    bool is_stuck;     /* gives the token it was asked with */
    size_t circle;     /* tokens go round after so many pages; 0 = they do not */
    bool repeats_rows; /* each page begins with the last row of the one before */
    bool lacks_last;   /* no isLastBatch */
    const char *refuses_field;
    bool refuses_tokens;
    int refusal_status;  /* of a token; 0 = 400 */
    const char *refusal; /* its words; NULL = such that name the token */
    size_t link_bytes;   /* that a link has beside its token */
    size_t cut_at;       /* bytes of the first answer of the feed; 0 = whole */
    /* of the query */
    int64_t top_max; /* larger ones run out of time; 0 = any */
    bool bin_is_too_full;
    bool nulls;          /* a batch gives null for what it leaves out */
    bool bin_is_shallow; /* no `resource` */
    int64_t now_s;
    void (*before)(struct fake_azure *azure, size_t index);
    size_t n_requests;
    char **asked;         /* "METHOD path?query body" */
    bool lacked_suppress; /* a request without X-TFS-FedAuthRedirect */
};

void fake_azure_init(struct fake_azure *azure);
void fake_azure_release(struct fake_azure *azure);
void fake_azure_add(struct fake_azure *azure, int id, int rev);
struct http_seams fake_azure_seams(struct fake_clock *clock, struct fake_azure *azure);

/* How many requests began so. */
size_t fake_azure_count(const struct fake_azure *azure, const char *begins);
