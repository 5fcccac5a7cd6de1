#pragma once

#include "worker/http/transport.h"

/* The transport of production: libcurl, one easy handle, HTTP/1.1 keep-alive. */

/* `options` is copied, what it points to must outlive the transport. `arg` is unused: the signature
 * is that of http_seams. */
struct http_transport transport_curl_open(void *arg, const struct transport_options *options);

/* "gzip" where the wire is the limit; "identity" on loopback, where unpacking would be. */
const char *transport_curl_accept_encoding(struct str host);
