#pragma once

#include "tests/sim/simulated.h"

/*
 * A simulated GLPI 10 (or 11) under /glpi: the legacy REST API at /glpi/apirest.php with sessions,
 * lists, single items and search, and everything that goes wrong, over generated or recorded rows.
 */

/* Below the data folder. */
#define GLPI_LOG "helpdesk_italian/finale.csv.gz"

simulated_open glpi_open;
