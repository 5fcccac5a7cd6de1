#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/conf/catalog.h"
#include "worker/sources/glpi/session.h"

/*
 * What a plan has to know before the first page: how new the newest record is, how far the log has
 * come, and which records it names.
 */

struct glpi_newest {
    bool has_row;
    int64_t time_us; /* of the version column; INT64_MIN if it is empty or was not asked for */
    int64_t id;      /* of the row */
    int64_t total;   /* of the list, -1 if it does not say */
};

/* Which list, and its first row by what: by version, newest first, or by id, highest first. */
enum glpi_front { GLPI_FRONT_BY_VERSION, GLPI_FRONT_BY_ID, GLPI_FRONT_OF_TRASH };

bool glpi_probe_newest(struct glpi_session *session,
                       struct http_client *http,
                       const struct task_def *task,
                       enum glpi_front front,
                       struct glpi_newest *ret_newest,
                       struct error *err);

/* The itemtype whose changes the log tells of beside its own stamp. */
#define GLPI_LOGGED_ITEMTYPE "Ticket"

struct glpi_named {
    int64_t log_id;   /* the highest of the itemtype; -1: there is no right to read the log */
    struct str *keys; /* ascending ids of the records named */
    size_t n_keys;
    bool is_cut; /* the log holds more news than were read */
};

/* Entries behind this id, and those not older than this instant, are news. */
struct glpi_log_floor {
    int64_t id; /* -1: only how far the log has come is asked for */
    int64_t us;
};

/* Which records does the log's news name? */
bool glpi_probe_log(struct glpi_session *session,
                    struct http_client *http,
                    struct glpi_log_floor floor,
                    struct arena *arena,
                    struct glpi_named *ret_named,
                    struct error *err);
