#pragma once

#include "common/io/zone.h"
#include "tests/unit/worker/http/fake.h"

/*
 * A small GLPI in memory behind the wire of the HTTP client: sessions, one itemtype with a trash,
 * its children, the log, single items and counts; and the ways in which the real one misleads.
 */

struct fake_item {
    int64_t id;
    int64_t changed_s; /* date_mod, since 1970 in UTC; 0 = null */
    int64_t opened_s;  /* date */
    int64_t parent;    /* of a child or a log entry */
    const char *itemtype;
    bool is_trash;
    bool is_gone;   /* purged */
    bool is_hidden; /* by rights: 403 on its own, absent from lists */
};

struct fake_list {
    struct fake_item *items;
    size_t n;
    size_t capacity;
};

struct fake_glpi {
    struct fake_list tickets;
    struct fake_list children; /* Ticket_User, ITILFollowup: whatever else is asked for */
    struct fake_list log;
    /* the session */
    const char *version;   /* "10.0.19" */
    const char *zone_name; /* glpi_tz; NULL = absent */
    const char *zone_real; /* what times are shown in; "UTC" */
    const char *entities;  /* "0,1,2" */
    int64_t now_s;         /* of Date and glpi_currenttime; no Date where `no_date` */
    bool no_date;
    bool refuses_entities; /* changeActiveEntities answers false */
    bool refuses_login;
    bool needs_app_token;
    bool no_right_to_log;
    size_t expire_at[4]; /* sessions end before these requests (index + 1); 0 = none */
    /* faults */
    int64_t empty_above;    /* answers of more rows than this come empty; 0 = none */
    int empty_status;       /* with which status: 206, 500, ... */
    const char *empty_body; /* and, though called empty, with this body; NULL = none */
    bool is_cut_above;      /* instead the transfer breaks off */
    bool is_cut;            /* this one did */
    int64_t nothing_from; /* lists of more than one row are [] from this list request on; 0 = no */
    int64_t total_extra;  /* added to every total */
    bool no_content_range;
    const char *ignores; /* a parameter that is ignored: "sort", "is_deleted", "range", ... */
    size_t html_at;      /* this request (index + 1) gets a maintenance page; 0 = none */
    bool html_always;
    size_t cut_at;      /* this request (index + 1) gets half a body */
    size_t short_at;    /* this request lacks a row that its header counts */
    bool has_nul;       /* names end with \u0000 */
    bool shuffles_ties; /* rows of one second come in another order each time */
    int status;         /* 0, or every list's */
    void (*before)(struct fake_glpi *glpi, size_t index); /* before the index-th answer */
    void *before_arg;
    /* what was seen */
    struct zone *zone;
    size_t n_requests;
    size_t n_logins;
    size_t n_kills;
    int64_t n_lists;
    char token[32];
    bool token_is_good;
    bool has_credential_leak; /* a request with a session carried the credential too */
    char last_url[512];
    char last_search[1024];
};

void fake_glpi_init(struct fake_glpi *glpi);
void fake_glpi_release(struct fake_glpi *glpi);
struct fake_item *fake_list_add(struct fake_list *list, int64_t id, int64_t changed_s);
struct fake_item *fake_list_find(struct fake_list *list, int64_t id);

struct http_seams fake_glpi_seams(struct fake_clock *clock, struct fake_glpi *glpi);

/* user_token from env:FOZ_TEST_SECRET and an app_token (set here). */
struct source_config fake_glpi_config(void);
