#pragma once

#include "common/base/buf.h"
#include "common/base/error.h"
#include "worker/http/client.h"

/*
 * What an answer of Azure DevOps means. Only a status 200 with JSON is data; sign-in pages come as
 * 203, 302 and 200, throttling as 429, 403 and with a 200, and one 503 is for ever. No I/O.
 */

/* Longest silence after a refusal that names none; retry.max_delay cuts it. */
#define ADO_COOL_DOWN_MS INT64_C(360000)

/* Status 200 and a body that begins like a JSON document. Strips nothing. */
bool ado_is_data(const struct http_response *response);

/* For every answer that ado_is_data denies: the verdict, and err in words of Azure DevOps.
 * ERROR_LIMIT says that less must be asked for (VS402337), with HTTP_RETRY that less would help
 * (VS402335). */
enum http_verdict ado_judge_failure(struct http_response *response, struct error *err);

/* The document in `body` without the byte order mark some answers begin with. */
struct str ado_without_bom(struct str body);

/* The message of an error answer in any of its shapes, or of its X-TFS-ServiceError header
 * (percent-encoded there); appends nothing for a page of HTML. */
void ado_error_text(struct str body, struct str service_error, struct buf *out);
