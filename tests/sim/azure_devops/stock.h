#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/azure_devops/world.h"

/* The built-in content of a simulated organisation: what Microsoft ships (system processes) and a
 * company made up, with the oddities that real ones have. */

void azure_stock_processes(struct azure_world *world, bool recorded);
void azure_stock_accounts(struct azure_world *world, int64_t base_s);
void azure_stock_people(struct azure_world *world, int64_t base_s);
void azure_stock_projects(struct azure_world *world, int64_t base_s);
/* "aad." and the GUID in base64 */
void azure_stock_descriptor(const char *prefix, const char *guid, char out[96]);
