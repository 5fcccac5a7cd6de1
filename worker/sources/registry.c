#include <string.h>

#include "worker/sources/azure_devops/connector.h"
#include "worker/sources/connector.h"
#include "worker/sources/glpi/connector.h"
#include "worker/sources/servicenow/connector.h"

static const struct connector *const CONNECTORS[] = {
    &azure_devops_connector,
    &glpi_connector,
    &servicenow_connector,
};

const struct connector *connector_find(const char *source_type)
{
    for (size_t i = 0; i < ARRAY_SIZE(CONNECTORS); i++) {
        if (strcmp(CONNECTORS[i]->source_type, source_type) == 0) {
            return CONNECTORS[i];
        }
    }
    return NULL;
}
