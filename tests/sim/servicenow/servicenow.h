#pragma once

#include "tests/sim/simulated.h"

/*
 * A simulated ServiceNow instance under /servicenow: the Table and Aggregate APIs, OAuth, access
 * rules and everything that goes wrong, over generated or recorded rows. Thread-safe.
 */

/* Below the data folder. */
#define SERVICENOW_LOG "servicenow_uci498/incident_event_log.csv.gz"

simulated_open servicenow_open;
