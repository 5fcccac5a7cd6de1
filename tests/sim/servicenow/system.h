#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/thread.h"
#include "tests/sim/fault.h"
#include "tests/sim/server.h"
#include "tests/sim/servicenow/query.h"
#include "tests/sim/servicenow/world.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/store.h"

/*
 * One simulated instance and one call to it: what its parts share. The outside is servicenow.h.
 */

struct replay;
struct oauth;
struct sessions;
struct pending;

struct servicenow {
    struct store store;
    struct world world;
    struct sim_clock *clock; /* not owned */
    struct faults *faults;   /* not owned */
    struct oauth *oauth;
    struct sessions *sessions;
    struct replay *replay;   /* NULL without recorded data */
    struct pending *pending; /* guarded by store.lock: changes that are not visible yet */
    struct mutex lock;
    char last_query[64][512]; /* guarded by lock: per table, for repeat_page */
    uint64_t n_transactions;  /* guarded by lock */
    char origin[96];          /* guarded by store.lock */
};

struct call {
    struct servicenow *sn;
    const struct request *request;
    struct reply *reply;
    struct drawn drawn;
    const char *route; /* "table", "stats", "oauth" */
    struct str table_name;
    struct str record_id; /* "": the list */
    struct table *table;
    int version; /* 0: latest */
    int64_t now_s;
    uint64_t transaction;
    int64_t sem_wait_ms, session_wait_ms;
};

/* respond.c */
void respond_headers(struct call *call);
void respond_json(struct call *call, int status); /* reply->body is the document */
void respond_error(struct call *call, int status, const char *message, const char *detail);
void respond_html(struct call *call, int status, const char *title);
/* Answers in place of the instance where a drawn fault says so. */
bool respond_fault(struct call *call);
/* Bends a finished answer: encoding, truncation, dripping. */
void respond_finish(struct call *call);
void respond_rules(const struct call *call, struct query_rules *ret_rules);

/* oauth.c */
struct oauth *oauth_new(uint64_t seed);
void oauth_free(struct oauth *oauth);
void oauth_answer(struct call *call);
bool oauth_authorise(struct call *call); /* false: answered with 401 */
void oauth_expire(struct oauth *oauth);

/* session.c */
struct sessions *sessions_new(void);
void sessions_free(struct sessions *sessions);
/* Waits for the session's turn and a semaphore; false: answered (202 or 429). */
bool session_enter(struct call *call);
void session_leave(struct call *call);

/* table_api.c, stats_api.c */
void table_answer(struct call *call);
void stats_answer(struct call *call);

/* truth.c: GET /_control/rows */
void servicenow_truth(struct servicenow *sn, const struct request *request, struct reply *reply);
