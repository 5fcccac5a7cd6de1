#pragma once

struct call;

/* GET /v1/system/health: may what is shown be relied on, and if not, why.
 * GET /v1/system/usage: what was asked of this process. */
void system_health_answer(struct call *call);
void system_usage_answer(struct call *call);
