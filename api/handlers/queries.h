#pragma once

/* The text of schema/queries/NAME, embedded at build time; a name that is not there is a bug. */
const char *query_text(const char *name);
