#include "common/conf/names.h"

#include <string.h>

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool is_name(const char *name, const char *allowed, size_t max)
{
    size_t len = strlen(name);
    return len >= 1 && len <= max && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, allowed) == len;
}

bool name_is_source(const char *name)
{
    return is_name(name, LOWER DIGITS "_", 31);
}

bool name_is_task(const char *name)
{
    return is_name(name, LOWER DIGITS "_", 48);
}

bool name_is_load(const char *name)
{
    return is_name(name, LOWER DIGITS "_-", 48);
}

bool name_is_field(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= 255 && strspn(name, LOWER UPPER DIGITS "_-.") == len;
}
