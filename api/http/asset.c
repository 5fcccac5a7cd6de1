#include "api/http/asset.h"

#include <assert.h>
#include <string.h>

#include "schema/embedded.h"

extern const struct embedded embedded_assets[];
extern const size_t embedded_assets_count;

struct str asset_text(const char *name)
{
    const struct embedded *found = NULL;
    for (size_t i = 0; i < embedded_assets_count && found == NULL; i++) {
        if (strcmp(embedded_assets[i].name, name) == 0) {
            found = &embedded_assets[i];
        }
    }
    assert(found != NULL);
    return (struct str){found->text, found->len};
}
