#include "worker/sources/glpi/connector.h"

#include "worker/sources/glpi/check.h"
#include "worker/sources/glpi/plan.h"
#include "worker/sources/glpi/session.h"
#include "worker/sources/glpi/walk.h"

static bool open_source(const struct source_config *source,
                        struct http_client *http,
                        void **ret_session,
                        struct error *err)
{
    struct glpi_session *session = glpi_session_open(source, http, err);
    if (session == NULL) {
        return false;
    }
    *ret_session = session;
    return true;
}

static void close_source(void *session, struct http_client *http)
{
    glpi_session_close(session, http);
}

const struct connector glpi_connector = {
    .source_type = "glpi",
    .open = open_source,
    .plan = glpi_plan,
    .walk_open = glpi_walk_open,
    .fetch = glpi_walk_fetch,
    .proof = glpi_walk_proof,
    .walk_close = glpi_walk_close,
    .check = glpi_check,
    .close = close_source,
};
