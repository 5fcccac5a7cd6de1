#pragma once

#include "worker/sources/connector.h"

/* GLPI 9.5 to 11 by its REST API apirest.php; docs/GLPI.md tells what it relies on and why. */
extern const struct connector glpi_connector;
