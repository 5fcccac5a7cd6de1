#include "worker/sources/glpi/text.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/instant.h"

#define VERSION_ENCODED_BEFORE 10
#define VERSION_PLAIN          11

enum glpi_encoding glpi_encoding_of(int version_major)
{
    return version_major >= VERSION_PLAIN           ? GLPI_PLAIN
           : version_major < VERSION_ENCODED_BEFORE ? GLPI_ENCODED
                                                    : GLPI_ENCODED_TREES;
}

static const struct {
    struct str name;
    char byte;
} ENTITIES[] = {
    {{"&#60;", 5}, '<'}, {{"&#62;", 5}, '>'}, {{"&#38;", 5}, '&'},
    {{"&lt;", 4}, '<'},  {{"&gt;", 4}, '>'},  {{"&amp;", 5}, '&'},
};

/* The length of the entity at the front, 0 if there is none. */
static size_t entity_at(struct str text, char *ret_byte)
{
    for (size_t i = 0; i < ARRAY_SIZE(ENTITIES); i++) {
        if (str_starts_with(text, ENTITIES[i].name)) {
            *ret_byte = ENTITIES[i].byte;
            return ENTITIES[i].name.len;
        }
    }
    return 0;
}

/* The bytes belong to the page, which is writable. */
static char *writable(const char *bytes)
{
    union {
        const char *in;
        char *out;
    } same = {.in = bytes};

    return same.out;
}

struct str glpi_decode(struct str text)
{
    const char *first = text.len > 0 ? memchr(text.ptr, '&', text.len) : NULL;
    if (first == NULL) {
        return text;
    }
    char *out = writable(first);
    const char *in = first;
    const char *end = text.ptr + text.len;
    while (in < end) {
        char byte = *in;
        size_t len = byte == '&' ? entity_at((struct str){in, (size_t)(end - in)}, &byte) : 0;
        *out++ = byte;
        in += len > 0 ? len : 1;
    }
    return (struct str){text.ptr, (size_t)(out - text.ptr)};
}

bool glpi_is_encoded(enum glpi_encoding encoding, struct str field, struct str text)
{
    switch (encoding) {
    case GLPI_PLAIN:
        return false;
    case GLPI_ENCODED:
        return true;
    case GLPI_ENCODED_TREES:
        /* A name without a separator was decoded by the server like any other text. */
        return str_equal_c(field, "completename") && memmem(text.ptr, text.len, " > ", 3) != NULL;
    }
    return false;
}

enum glpi_time
glpi_read_time(const struct zone *zone, struct str text, struct glpi_moment *ret_moment)
{
    int64_t local_us = 0;
    if (text.len == 0 || str_starts_with(text, STR_LITERAL("0000-00-00"))) {
        return GLPI_TIME_NONE;
    }
    if (!instant_parse_plain(text, &local_us)) {
        return GLPI_TIME_BAD;
    }
    zone_instants(zone, local_us, &ret_moment->first_us, &ret_moment->last_us);
    return GLPI_TIME_GOOD;
}

void glpi_write_time(int64_t us, char *text)
{
    char plain[INSTANT_TEXT_MAX];
    memcpy(text, instant_format_plain(us, plain), GLPI_TIME_LEN);
}
