#include "worker/sources/glpi/search.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/base/log.h"
#include "worker/sources/glpi/send.h"

#define URL_MAX_BYTES 4096

enum { OPTION_DATE_MOD = 19 };

bool glpi_search_count(struct glpi_session *session,
                       struct http_client *http,
                       const struct glpi_criterion *criteria,
                       size_t n,
                       int64_t *ret_count,
                       struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, URL_MAX_BYTES);
    buf_add_c(&url, "/search/Ticket?");
    if (!glpi_criteria_add(criteria, n, &url, err)) {
        return false;
    }
    buf_add_c(&url, "&forcedisplay%5B0%5D=2&range=0-0");
    struct http_response response;
    struct json *root =
        glpi_get_json(session, http, buf_str(&url), "search/Ticket", &response, err);
    if (root == NULL) {
        return false;
    }
    int64_t total = 0;
    int64_t count = 0;
    const struct json *data = json_find(root, "data");
    bool good = json_int64(json_find(root, "totalcount"), &total) && total >= 0 &&
                json_int64(json_find(root, "count"), &count) &&
                (json_size(data) > 0) == (total > 0);
    json_free(root);
    if (!good) {
        return error_set(err, ERROR_DATA, "search/Ticket: the answer holds no count");
    }
    *ret_count = total;
    return true;
}

/* Criteria are read in the zone in which times are shown. */
static const char *
local_text(const struct glpi_session *session, int64_t us, char out[INSTANT_TEXT_MAX])
{
    return instant_format_plain(us + zone_offset_us(session->zone, us), out);
}

void glpi_search_cross_check(struct glpi_session *session,
                             struct http_client *http,
                             const struct task_def *task,
                             int64_t from_us,
                             int64_t to_us,
                             int64_t n_read)
{
    if (strcmp(task->table, "Ticket") != 0 || task->filter != NULL || n_read == 0) {
        return;
    }
    char from[INSTANT_TEXT_MAX];
    char to[INSTANT_TEXT_MAX];
    const struct glpi_criterion criteria[] = {
        {.field = OPTION_DATE_MOD,
         .type = GLPI_MORETHAN,
         .value = local_text(session, from_us, from)},
        /* What changed since lies behind this and does not disturb. */
        {.field = OPTION_DATE_MOD,
         .type = GLPI_LESSTHAN,
         .value = local_text(session, to_us + US_PER_S, to)},
    };
    struct error err = ERROR_INIT;
    int64_t count = 0;
    bool good = glpi_search_count(session, http, criteria, ARRAY_SIZE(criteria), &count, &err);
    glpi_session_count_search(session, !good || count > n_read);
    if (!good) {
        log_info("the cross-check of changes failed", LOG_TEXT("error", err.msg));
    } else if (count > n_read) {
        log_warn("the search counts more changed tickets than the list showed; a full load repairs "
                 "what may be missing",
                 LOG_INT("counted", count), LOG_INT("read", n_read));
    }
}
