#pragma once

#include "worker/sources/connector.h"

/* ServiceNow by its Table API v2; docs/SERVICENOW.md tells what it relies on and why. */
extern const struct connector servicenow_connector;
