#pragma once

#include <pthread.h>

#include "common/base/thread.h"
#include "common/io/json.h"
#include "tests/sim/fault.h"
#include "tests/sim/glpi/items.h"
#include "tests/sim/glpi/look.h"
#include "tests/sim/server.h"
#include "tests/sim/sim_clock.h"

/* One simulated GLPI and one call to it: what its parts share. The outside is glpi.h. */

enum { N_ACCOUNTS = 2, ENTITIES_MAX = 4096, TOKEN_CHARS = 26 };

/* Whom a login makes. What it may see can change while it is logged in. */
struct account {
    const char *login, *password, *user_token;
    int64_t entity; /* where its rights begin */
    bool recursive;
    bool limited; /* joins for rights count rows twice; no approvals */
};

struct session {
    char token[TOKEN_CHARS + 1];
    int account;
    bool whole; /* all that the account may see */
    int64_t entity;
    bool recursive;
};

struct glpi_sessions;
struct glpi_replay;

struct glpi {
    pthread_rwlock_t lock;
    struct items items;
    struct account accounts[N_ACCOUNTS]; /* guarded by lock */
    struct sim_clock *clock;             /* not owned */
    struct faults *faults;               /* not owned */
    struct glpi_sessions *sessions;
    struct glpi_replay *replay; /* NULL without recorded data */
    struct mutex small;
    char last_page[N_ITEMTYPES][32]; /* guarded by small: for repeat_page */
    char origin[96];                 /* guarded by small: "http://127.0.0.1:45123/glpi" */
};

struct call {
    struct glpi *glpi;
    const struct request *request;
    struct reply *reply;
    struct drawn drawn;
    const char *route;   /* "session", "list", "item", "search", "other" */
    struct str itemtype; /* as asked for */
    struct str rest;     /* of the path, behind it */
    struct session session;
    struct account account;
    struct look look;
    int64_t now_s;
    uint64_t visible[ENTITIES_MAX / 64];
    bool sees_all;
    char zone_name[FAULT_TEXT_MAX];
    char origin[96];
};

/* respond.c */
void respond_glpi_json(struct call *call, int status); /* reply->body is the document */
void respond_glpi_error(struct call *call, int status, const char *code, const char *message);
/* The same with a pointer to the documentation, as most 400 have. */
void respond_glpi_refusal(struct call *call, const char *code, const char *message);
/* Answers in place of the server where a drawn fault says so. */
bool respond_glpi_fault(struct call *call);
/* Bends a finished answer. */
void respond_glpi_finish(struct call *call);
bool glpi_mode(struct glpi *glpi, enum fault_kind kind, struct fault *ret_fault); /* or NULL */
void glpi_read_look(struct glpi *glpi, struct look *look);

/* session.c */
struct glpi_sessions *glpi_sessions_new(uint64_t seed);
void glpi_sessions_free(struct glpi_sessions *sessions);
void glpi_sessions_clear(struct glpi_sessions *sessions);
int glpi_sessions_open(struct glpi_sessions *sessions);
void glpi_sessions_write(struct glpi_sessions *sessions, struct buf *out); /* JSON members */
/* Session calls; false: not one of them. */
bool glpi_session_answer(struct call *call);
/* Finds the session of the call and what it sees; answers 400 or 401 itself. */
bool glpi_session_enter(struct call *call);
bool glpi_app_token_fits(struct call *call);
void glpi_session_store(struct call *call, const struct session *wanted);

/* session_about.c; shared lock held */
bool glpi_session_about(struct call *call, struct str name, struct buf *out); /* false: not one */
void glpi_session_write(struct call *call, struct buf *out);
void glpi_session_change_entities(struct call *call);

/* rights.c; shared lock held */
void glpi_rights_read(struct call *call);
bool glpi_rights_allow(struct call *call, struct item *item);  /* of a table with entities */
bool glpi_rights_limit(struct call *call, enum itemtype type); /* some rows may be hidden */
bool glpi_rights_may_list(struct call *call, enum itemtype type);

/* list.c, item.c, search.c; shared lock held */
void glpi_list_answer(struct call *call, struct item_table *table, struct item *parent);
void glpi_item_answer(struct call *call, struct item_table *table, struct str id);
void glpi_search_answer(struct call *call);
void glpi_search_options_answer(struct call *call);

/* rows.c */
struct row_options {
    bool links, expand, only_id;
};

/* item_cell() as the simulated version has it: from 11 on a ticket can wait for approval. */
struct cell
glpi_cell(const struct look *look, struct item *item, int column, char scratch[CELL_TEXT_MAX]);
void glpi_write_row(struct call *call,
                    struct item *item,
                    const struct row_options *options,
                    struct buf *out);
/* "Souza Ana", "Root entity > Matriz": what a key stands for, decoded; false: nothing. */
bool glpi_name_of(struct glpi *glpi, const char *itemtype, int64_t id, struct buf *out);
bool glpi_flag(const struct request *request, const char *name, bool fallback);

/* mutate.c, truth.c */
bool glpi_mutate(struct glpi *glpi,
                 const char *verb,
                 const struct json *what,
                 struct buf *out,
                 struct error *err);
extern const char *const glpi_verbs[];
void glpi_truth(struct glpi *glpi, const struct request *request, struct reply *reply);
/* Applies what the recorded log says up to the clock. */
void glpi_catch_up(struct glpi *glpi);
