#pragma once

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/str.h"
#include "common/io/json.h"
#include "worker/http/client.h"
#include "worker/sources/glpi/session.h"

/*
 * One call of GLPI's API, judged: a status alone says little there. Maintenance, a pending update
 * and a lost database answer 200 with HTML; a PHP process that ran out of memory answers 206 with
 * the right headers and no body. Error bodies are ["CODE", "message"], and only the code counts.
 */

enum glpi_answer {
    GLPI_ANSWERED,
    GLPI_PAST_END,  /* the range begins behind the list's end */
    GLPI_NOT_FOUND, /* with may_miss */
    GLPI_FORBIDDEN, /* with may_miss */
};

struct glpi_call {
    const char *method; /* "GET" */
    struct str url;
    struct str body;   /* JSON, with POST */
    const char *about; /* itemtype or endpoint, for messages */
    bool is_login;     /* carries the credential instead of a session */
    bool may_miss;     /* 404 and 403 are answers */
    bool can_shrink;   /* too much at once is ERROR_LIMIT at once: the caller will ask for less */
    bool timeout_is_limit;      /* the same for a timeout */
    int64_t tries_before_limit; /* the same for a 5xx or a cut answer, at this try; 0 = never */
    int64_t timeout_us;         /* 0 = the source's */
    /* Reads an answer of status 200 or 206 that is JSON and not empty; as http_judge. */
    http_judge read;
    void *arg;
    void (*restart)(void *arg); /* forgets what an earlier attempt has read; may be NULL */

    enum glpi_answer answer; /* out */
    bool session_lost;       /* private */
};

/* Sends; logs in again where the session was lost. May block. */
bool glpi_send(struct glpi_session *session,
               struct http_client *http,
               struct glpi_call *call,
               struct http_response *ret_response,
               struct error *err);

/* Without a session's token, or with the given one and no second login. */
bool glpi_send_with(const struct glpi_session *session,
                    struct http_client *http,
                    struct glpi_call *call,
                    const char *token,
                    struct http_response *ret_response,
                    struct error *err);

/* A whole answer; \u0000 in its texts, which nothing here looks at, is left out. */
struct json *glpi_parse_json(struct str text, struct error *err);

/* A judge's helper: an answer that parses badly. */
enum http_verdict glpi_judge_broken(const struct glpi_call *call, struct error *err);

/* GET of a small document, an empty list behind the end of one; `about` as in the call. Caller
 * frees. */
struct json *glpi_get_json(struct glpi_session *session,
                           struct http_client *http,
                           struct str url,
                           const char *about,
                           struct http_response *ret_response,
                           struct error *err);
