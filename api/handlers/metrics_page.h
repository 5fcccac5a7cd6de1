#pragma once

struct call;

/* Admin: GET /metrics. HTTP and process metrics always; run metrics from the log while the database
 * answers, with foz_database_up saying which. */
void metrics_answer(struct call *call);
