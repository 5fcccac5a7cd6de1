#pragma once

#include "worker/sources/connector.h"

/* `foz-worker check` of an Azure DevOps source: who the token is, the organisation, the clock, each
 * task's lists and fields, and what has to be done without. See connector.h for the contract. */
void azure_devops_check(const struct source_config *source,
                        struct http_client *http,
                        const struct task_def *const *tasks,
                        size_t n_tasks,
                        finding_sink sink,
                        void *arg);
