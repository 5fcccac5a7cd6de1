#pragma once

#include "tests/sim/simulated.h"

/*
 * A simulated Azure DevOps organisation under /azure: work item tracking, processes and projects;
 * the graph, entitlement and profile services under /azure/_graph, /azure/_entitlements and
 * /azure/_profile; and everything that goes wrong, over generated or recorded work items.
 */

#define AZURE_DEVOPS_LOG "volvo_bpic13/bpic13_events.csv.gz" /* below --data */

bool azure_devops_open(struct simulated *ret_system,
                       const struct simulated_options *options,
                       struct sim_clock *clock,
                       struct faults *faults,
                       struct error *err);
