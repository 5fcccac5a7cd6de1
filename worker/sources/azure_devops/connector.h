#pragma once

#include "worker/sources/connector.h"

/* Azure DevOps Services and Server by REST API 7.1; docs/AZURE_DEVOPS.md tells what it relies on
 * and why. */
extern const struct connector azure_devops_connector;
