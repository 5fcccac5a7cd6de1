#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/config.h"
#include "worker/http/client.h"
#include "worker/transform/row.h"

/*
 * What a source must be able to do. A connector knows its API's paging, predicates, traps and
 * proofs; it knows nothing of databases, lanes or executions. It never sleeps and never retries:
 * the HTTP client does. A new source is one struct connector and one line in registry.c.
 *
 * The engine calls, per execution: open once per source; per task: plan once, then for each
 * partition walk_open, fetch until the end, walk_close, partitions in parallel; close at the end,
 * also after failures and on the way out of a signal.
 */

enum walk_kind {
    WALK_ALL,     /* every record */
    WALK_WINDOW,  /* records whose window field lies in [from_us, to_us) */
    WALK_CHANGES, /* records changed since the cursor */
    WALK_KEYS,    /* keys and versions of every record */
    WALK_GIVEN,   /* the records with the given keys, as far as they exist */
    WALK_OWED,    /* the records that belong to the given parents; others of theirs are gone */
};

/* A piece of a walk. The pieces of one plan are disjoint and together complete. */
struct partition {
    enum walk_kind kind;
    int64_t from_us; /* WINDOW, CHANGES */
    int64_t to_us;
    const char *from_key; /* ALL, WINDOW, KEYS: [from_key, to_key), NULL = open */
    const char *to_key;
    const struct str *keys; /* GIVEN; OWED: the parents' */
    size_t n_keys;
    int list; /* the connector's own: which of several lists of the source */
};

struct walk_request {
    const struct task_def *task;
    enum walk_kind kind; /* any but GIVEN and OWED */
    int64_t from_us;     /* WINDOW; INT64_MIN = open */
    int64_t to_us;       /* WINDOW; INT64_MAX = open */
    const char *cursor;  /* the watermark's JSON, NULL if there is none */
    const char *profile; /* what plan.profile was when the cursor was written, NULL if nothing */
    int64_t max_partitions;
    /* Keys of parents whose records have to be read again (CHANGES). The plan covers them by OWED
     * partitions, or becomes ALL; it must become ALL if they were too many to list. */
    const struct str *owed;
    size_t n_owed;
    bool owed_is_cut;
};

struct plan {
    struct arena arena; /* owns everything below */
    /* CHANGES and KEYS may have become ALL: no cursor, or one that no longer fits. CHANGES may have
     * become KEYS where that reads everything too. */
    enum walk_kind kind;
    const char *why_all; /* then: the reason, for the log */
    const struct partition *partitions;
    size_t n_partitions;
    int64_t high_us;    /* the watermark after success; INT64_MIN = leave it */
    const char *cursor; /* its JSON */

    /* All optional. */
    const char *profile; /* kept beside the cursor: what the records read since depend on */
    const char *cursor_after_deletions; /* instead of cursor, where deletions were carried out */
    const char *hold;      /* why deletions wait for --allow-mass-delete, for the operator */
    bool confirm_missing;  /* ALL: what the walk did not show is read by key before it goes */
    bool keeps_missing;    /* ALL: what the walk did not show may be there; nothing goes */
    bool empty_may_delete; /* --allow-mass-delete lets an answer without any record delete */
    /* Records stamped from here on may have changed since they were last read without moving their
     * stamp: what depends on them is read again although they look unchanged. The engine presets
     * INT64_MAX: there are none. */
    int64_t unsettled_us;
};

/* What a finished walk has proven. */
struct walk_proof {
    int64_t records;   /* handed out: rows and rejects */
    int64_t hidden;    /* counted by the source but not shown */
    bool has_expected; /* the source can count: expected = records + hidden */
    /* A feed knows only at its end where the next run begins: replaces the plan's cursor, and its
     * high_us unless INT64_MIN. Owned by the walk. NULL: the plan's hold. */
    const char *cursor;
    int64_t high_us;
};

enum page_result { PAGE_ERROR = -1, PAGE_END, PAGE_READY };

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

/* One line of `foz-worker check`. */
struct finding {
    enum finding_level level;
    enum error_code code; /* ERROR: decides the exit code */
    int http_status;
    const char *subject; /* "snow", "snow.incident" */
    const char *text;    /* what is so, and the cure */
};

typedef void (*finding_sink)(void *arg, const struct finding *finding);

struct walk;

struct connector {
    const char *source_type;

    /* Credentials and session. Called by one thread; may block. *ret_session may stay NULL if the
     * source needs none. After a failure close is not called: what was opened is closed here. Both
     * are NULL where every request carries its credential: then the session is NULL. */
    bool (*open)(const struct source_config *source,
                 struct http_client *http,
                 void **ret_session,
                 struct error *err);

    /* Probes the task and cuts it into partitions. Called by one thread per task; may block. The
     * caller has initialised plan->arena and releases it. */
    bool (*plan)(void *session,
                 const struct source_config *source,
                 struct http_client *http,
                 const struct walk_request *request,
                 struct plan *plan,
                 struct error *err);

    /* Starts a walk; no I/O. `partition` and `task` outlive it. */
    struct walk *(*walk_open)(void *session,
                              const struct source_config *source,
                              const struct task_def *task,
                              const struct partition *partition);

    /* Fetches one page into `batch` (reset by the walk, finished on PAGE_READY; it may hold no
     * row). PAGE_END comes without rows and only when the walk is proven complete. One thread at a
     * time. */
    enum page_result (*fetch)(struct walk *walk,
                              struct http_client *http,
                              struct row_batch *batch,
                              struct error *err);

    void (*proof)(const struct walk *walk, struct walk_proof *ret_proof);
    void (*walk_close)(struct walk *walk); /* accepts NULL */

    /* Says everything an operator should know about the source and the given tasks. Changes
     * nothing. May block. */
    void (*check)(const struct source_config *source,
                  struct http_client *http,
                  const struct task_def *const *tasks,
                  size_t n_tasks,
                  finding_sink sink,
                  void *arg);

    /* May block for seconds; `http` listens to no stop, so that a session ends at the source even
     * when the process is asked to. */
    void (*close)(void *session, struct http_client *http);
};

/* NULL if no connector has this type. */
const struct connector *connector_find(const char *source_type);
