#pragma once

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/str.h"

/*
 * The parts of an http(s) URL that the client decides by: where it goes, and whether that place may
 * see the credential. Nothing is decoded or normalised; libcurl does the sending.
 */

struct url {
    struct str scheme; /* as written */
    struct str host;   /* without the brackets of an IPv6 literal */
    int port;          /* the scheme's default if none is written */
    struct str path;   /* up to the query, "/" if none */
};

/* Views into `text`. ERROR_CONFIG for anything but http and https, for user information (secrets
 * do not belong into URLs) and for characters no URL may hold. The message never repeats `text`. */
NODISCARD bool url_parse(struct str text, struct url *ret_url, struct error *err);

bool url_is_same_origin(const struct url *a, const struct url *b);

/* The same scheme, and `url`'s host is a true subdomain of `parent`'s (vssps.dev.azure.com). */
bool url_is_subdomain(const struct url *url, const struct url *parent);

/* localhost, *.localhost, 127.0.0.0/8 and ::1. */
bool url_host_is_loopback(struct str host);
