#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/config.h"
#include "common/io/json.h"
#include "worker/http/client.h"

/*
 * One exchange with Azure DevOps: the headers every request carries, the judge, and the two ways to
 * read an answer: a decoder for pages of records, a tree for the small documents around them.
 */

#define ADO_URL_BYTES_MAX ((size_t)8000)
#define ADO_VERSION       "api-version=7.1"
#define ADO_WORK          "/_apis/work" /* the area of processes and iterations */

/* Reads a body that is JSON, in place, from inside the judge, once per attempt: what it produced
 * for an attempt it refused it must discard at the next call. A refusal with ERROR_TRANSIENT means
 * a broken answer that is asked for again; any other is final. */
typedef bool (*ado_decode)(void *arg, char *document, size_t len, struct error *err);

struct ado_request {
    const char *method; /* NULL = GET */
    struct str url;     /* "/_apis/..." below the source's url, or absolute */
    struct str body;    /* JSON, with POST */
    ado_decode decode;
    void *arg;
    bool can_shrink; /* too slow an answer is ERROR_LIMIT at once: the caller asks for less */
};

struct ado_answer {
    int64_t date_us; /* of the Date header, 0 if none */
    char next[512];  /* of x-ms-continuationtoken, "" if none */
};

/* `ret_answer` may be NULL. Errors name method and path. */
bool ado_send(struct http_client *http,
              const struct ado_request *request,
              struct ado_answer *ret_answer,
              struct error *err);

/* GET as a tree; the caller frees it. NULL with err. Never for pages of work items. */
struct json *ado_get(struct http_client *http,
                     const struct buf *url,
                     struct ado_answer *ret_answer,
                     struct error *err);

/* The list of an answer: the array itself, or its member `value`, `members` or `items`; NULL and
 * ERROR_DATA if it has none, or if `count` says another number. */
const struct json *ado_list(const struct json *root, struct error *err);

/* GET of a list: as ado_get, but an answer without a list is asked for again. The list is part of
 * the tree. */
struct json *ado_get_list(struct http_client *http,
                          const struct buf *url,
                          struct ado_answer *ret_answer,
                          const struct json **ret_list,
                          struct error *err);

/* Who the credential is: connectionData as a tree, which the caller frees. An organisation with
 * public projects answers anybody, and would show an anonymous visitor those alone, so being one
 * is ERROR_DENIED. */
struct json *
ado_get_user(struct http_client *http, struct ado_answer *ret_answer, struct error *err);

/* Appends one segment of a path, percent-encoded. */
void ado_add_segment(struct buf *url, const char *segment);

/* Appends the address of a project's recycle bin. */
void ado_add_bin(struct buf *url, const char *project_id);

/* The service that `configured` names, else the sibling of dev.azure.com, else false: an
 * on-premises server has none. */
bool ado_service_url(const struct source_config *source,
                     const char *configured,
                     const char *sibling,
                     struct buf *out);

/* The first page of the feed of revisions, as small as it goes. */
#define ADO_ONE_REVISION                                                                           \
    "/_apis/wit/reporting/workitemrevisions?includeDeleted=true&$maxPageSize=1&" ADO_VERSION       \
    "&fields=System.Id"

/* Does the feed of revisions take System.IsDeleted among the fields it is asked for? */
bool ado_feed_tells_deletions(struct http_client *http, bool *ret_tells, struct error *err);

/* Is the source's url that of an organisation? One of a project answers too, but tells of the
 * project alone: work items that moved away would lack their history. Known of Microsoft's hosts
 * only. */
bool ado_check_url(const struct source_config *source, struct error *err);

/* May the caller do without: the answer was 401, 403 or 404, not a network or a sign-in failure? */
bool ado_is_refused(const struct error *err);
