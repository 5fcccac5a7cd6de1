#pragma once

#include "worker/sources/connector.h"

/* What a run of a GLPI task reads, and the watermark it leaves; see connector.h for the contract.
 */
bool glpi_plan(void *session,
               const struct source_config *source,
               struct http_client *http,
               const struct walk_request *request,
               struct plan *plan,
               struct error *err);

/* Parents that are worth being asked for one by one; the whole list costs a request per page. */
#define GLPI_OWED_MAX 300
