#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/thread.h"
#include "tests/sim/azure_devops/items.h"
#include "tests/sim/azure_devops/links.h"
#include "tests/sim/azure_devops/world.h"
#include "tests/sim/fault.h"
#include "tests/sim/server.h"
#include "tests/sim/sim_clock.h"

/*
 * One simulated organisation and one call to it: what its parts share. The outside is
 * azure_devops.h.
 */

#define AZURE_WORK "/_apis/work" /* the area of processes and iterations */

struct azure_replay;
struct azure_seen;

enum { AZURE_SEGMENTS_MAX = 12 };

struct azure {
    pthread_rwlock_t lock; /* of world, items and links */
    struct azure_world world;
    struct azure_items items;
    struct azure_links links;
    struct azure_replay *replay; /* NULL without recorded data */
    struct azure_seen *seen;
    struct sim_clock *clock; /* not owned */
    struct faults *faults;   /* not owned */
    int64_t n_tickets, base_s;
    struct mutex calls_lock;
    uint64_t n_calls; /* guarded by calls_lock */
};

/* Which of the services is asked. */
enum azure_service { AZURE_MAIN, AZURE_GRAPH, AZURE_ENTITLEMENTS, AZURE_PROFILE };

struct azure_account {
    const char *pat, *bearer; /* one of the two */
    int person;
    bool expired;
    bool narrow;    /* only work items and projects */
    bool anonymous; /* of an organisation with public projects */
};

struct azure_call {
    struct azure *azure;
    const struct request *request;
    struct reply *reply;
    struct drawn drawn;
    const struct azure_account *account;
    enum azure_service service;
    const char *route;                       /* for faults: "revisions", "wiql", ... */
    struct str project_name, team_name;      /* of the path, "" when absent */
    struct str segments[AZURE_SEGMENTS_MAX]; /* behind _apis, decoded */
    int n_segments;
    int project; /* index; -1: none in the path */
    int64_t now_us;
    uint64_t number;
    char version[32];  /* as asked: "7.1" */
    char *path_text;   /* the decoded path */
    char *target_text; /* what faults match: URI and body */
    bool post;
};

/* respond.c */
void azure_headers(struct azure_call *call);
void azure_json(struct azure_call *call, int status); /* reply->body is the document */
/* The envelope of errors; type_key "X": the exception's name. */
void azure_error(struct azure_call *call, int status, const char *type_key, const char *format, ...)
    PRINTF_FORMAT(4, 5);
/* {"count":1,"value":{"Message":...}}: malformed input and wrong methods */
void azure_bad_input(struct azure_call *call, int status, const char *format, ...)
    PRINTF_FORMAT(3, 4);
void azure_html(struct azure_call *call, int status, const char *title);
void azure_not_found(struct azure_call *call); /* the text/plain one: no such route */
void azure_finish(struct azure_call *call);    /* bends a finished answer */
const struct fault *azure_struck(const struct azure_call *call, enum fault_kind kind); /* or NULL */

/* outage.c: answers in place of the service where a drawn fault says so. */
bool azure_outage(struct azure_call *call);
void azure_sign_in(struct azure_call *call, const char *mode, bool expired);

/* auth.c */
bool azure_authenticate(struct azure_call *call); /* false: answered */
/* Checks api-version; `preview`: the resource exists only as a preview. False: answered. */
bool azure_check_version(struct azure_call *call, bool preview);

/* azure_devops.c */
bool azure_segment_is(const struct azure_call *call,
                      int index,
                      const char *text); /* ignores case */
bool azure_param(const struct azure_call *call,
                 const char *name,
                 struct str *ret); /* ignores case */
bool azure_param_true(const struct azure_call *call, const char *name);
/* False: answered with 400. Absent leaves *ret alone. */
bool azure_param_int(
    struct azure_call *call, const char *name, int64_t min, int64_t max, int64_t *ret);

void azure_rebuild(struct azure *azure); /* all as at the start; exclusive lock held */

/* The parts: each answers when the path is its own, else returns false. */
bool azure_answer_feed(struct azure_call *call);        /* feed.c */
bool azure_answer_items(struct azure_call *call);       /* workitems.c */
bool azure_answer_history(struct azure_call *call);     /* history.c */
bool azure_answer_recycle_bin(struct azure_call *call); /* recycle_bin.c */
bool azure_answer_wiql(struct azure_call *call);        /* wiql.c */
bool azure_answer_projects(struct azure_call *call);    /* projects.c */
bool azure_answer_processes(struct azure_call *call);   /* processes.c */
bool azure_answer_nodes(struct azure_call *call);       /* nodes.c */
bool azure_answer_people(struct azure_call *call);      /* people.c */

/* seen.c: the requests in full, for tests that hold them against the specifications. */
struct azure_seen *azure_seen_new(void);
void azure_seen_free(struct azure_seen *seen);
void azure_seen_add(struct azure_seen *seen, const struct azure_call *call);
void azure_seen_clear(struct azure_seen *seen);
void azure_seen_write(struct azure_seen *seen, struct buf *out); /* NDJSON */

/* replay.c */
struct azure_replay *azure_replay_open(const char *data_dir, struct error *err);
void azure_replay_close(struct azure_replay *replay);
int64_t azure_replay_end_s(const struct azure_replay *replay);
void azure_replay_rewind(struct azure_replay *replay,
                         struct azure *azure);                /* exclusive lock held */
void azure_replay_apply(struct azure *azure, int64_t now_us); /* takes the lock */

/* mutate.c, truth.c */
extern const char *const azure_verbs[];
bool azure_mutate(
    void *self, const char *verb, const struct json *what, struct buf *out, struct error *err);
void azure_truth(void *self, const struct request *request, struct reply *reply);
