#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/thread.h"
#include "common/conf/config.h"
#include "common/io/zone.h"
#include "worker/http/client.h"

/*
 * One session at a GLPI server, shared by the lanes of a run: its token, what the account sees, the
 * zone its times are in. The server may drop a session at any time; the first lane that learns of
 * it logs in again while the others wait, once in a run. Active entities and profile are state of
 * the token, so nothing changes them once the lanes read.
 */

#define GLPI_TOKEN_MAX 128

struct glpi_session {
    /* constant once opened */
    const struct source_config *source;
    char *app_token; /* NULL if none is configured */
    struct zone *zone;
    char zone_name[80]; /* how the zone came to be known, for people */
    char version[40];   /* "10.0.19" */
    int version_major;
    char user[80];     /* login of the account */
    int64_t *entities; /* that the account sees, ascending */
    size_t n_entities;
    int64_t clock_us;     /* the server's clock ... */
    int64_t monotonic_us; /* ... at this instant of ours */
    int64_t skew_us;      /* the server's clock less ours; 0 if it sends no Date */
    bool has_date;

    struct mutex lock;
    struct condition changed;
    char token[GLPI_TOKEN_MAX]; /* guarded by lock; "" = none */
    uint64_t generation;        /* guarded by lock: of `token` */
    bool is_renewing;           /* guarded by lock */
    bool was_renewed;           /* guarded by lock */
    struct error renewal;       /* guarded by lock: how the new login failed, clear if it did not */
    int64_t n_searches;         /* guarded by lock: cross-checks asked for ... */
    int64_t n_searches_failed;  /* guarded by lock: ... and not answered or not agreeing */
};

/* Logs in, opens all entities, learns version, zone and clock. What was opened is closed again on
 * failure. ERROR_DENIED: login or App-Token; ERROR_CONFIG: the zone, or what the account may see.
 */
struct glpi_session *
glpi_session_open(const struct source_config *source, struct http_client *http, struct error *err);

/* Ends the session at the server too; a failure of that is only logged. Accepts NULL. */
void glpi_session_close(struct glpi_session *session, struct http_client *http);

/* Copies the token of the moment, waiting for a new login that is under way; the return value names
 * it. "" if that failed: glpi_session_renew tells how. */
uint64_t glpi_session_token(struct glpi_session *session, char out[GLPI_TOKEN_MAX]);

/* The server does not know the token of `generation` any more. Returns with a newer one, from this
 * lane or from another, or with the error that ends the run. */
bool glpi_session_renew(struct glpi_session *session,
                        struct http_client *http,
                        uint64_t generation,
                        struct error *err);

/* The server's clock now. */
int64_t glpi_session_now_us(const struct glpi_session *session);

/* Notes what became of a cross-check. */
void glpi_session_count_search(struct glpi_session *session, bool has_failed);
