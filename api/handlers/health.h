#pragma once

struct call;

/* GET /, /health, /healthz: is the service able to work, for load balancers and people. */
void health_answer(struct call *call);

/* Admin: the process runs; the database is there with a schema of ours. */
void livez_answer(struct call *call);
void readyz_answer(struct call *call);
