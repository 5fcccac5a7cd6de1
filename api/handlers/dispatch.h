#pragma once

#include "api/handlers/call.h"

/*
 * From a request to an answer: route, credentials, scope, allowance, parameters, handler, and the
 * headers every answer has. Steps that need the database run on a pool thread; the order is the
 * same either way.
 */

/* What server_settings wants; context is the struct service. */
enum exchange_state dispatch_handle(void *context, struct exchange *exchange);
void dispatch_answered(void *context, const struct exchange *exchange);
void dispatch_resumed(struct exchange *exchange);
void dispatch_finished(struct exchange *exchange);
