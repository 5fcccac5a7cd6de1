#pragma once

#include <stdbool.h>

/*
 * What sources, loads, tasks and fields may be called: they become values, URLs, tables and parts
 * of requests, so each has one narrow rule.
 */

#define NAME_SOURCE_RULE                                                                           \
    "a lower-case letter, then up to 30 lower-case letters, digits or underscores"
#define NAME_TASK_RULE                                                                             \
    "a lower-case letter, then up to 47 lower-case letters, digits or underscores"
#define NAME_LOAD_RULE                                                                             \
    "a lower-case letter, then up to 47 lower-case letters, digits, underscores or hyphens"
#define NAME_FIELD_RULE "1 to 255 letters, digits, underscores, hyphens or dots"

bool name_is_source(const char *name);
bool name_is_task(const char *name);
bool name_is_load(const char *name);
bool name_is_field(const char *name);
