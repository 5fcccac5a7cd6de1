#include "api/handlers/queries.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "schema/embedded.h"

const char *query_text(const char *name)
{
    const char *text = NULL;
    for (size_t i = 0; i < embedded_queries_count && text == NULL; i++) {
        if (strcmp(embedded_queries[i].name, name) == 0) {
            text = embedded_queries[i].text;
        }
    }
    assert(text != NULL);
    return text;
}
