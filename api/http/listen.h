#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

/* Listening sockets: from the text of the configuration to a descriptor, and back to text. */

#define LISTEN_ADDRESS_MAX 80
#define PEER_TEXT_MAX      48

/* Binds and listens, close-on-exec. -1 and ERROR_CONFIG naming the address and the cure. */
int listen_open(const char *address, struct error *err);

/* "127.0.0.1:34567" or "[::1]:8080" of a bound socket. */
void listen_describe(int fd, char out[LISTEN_ADDRESS_MAX]);
bool listen_is_loopback(int fd);

/* The peer's address without its port, numeric; "unknown" for other families. */
struct sockaddr;
void listen_peer_text(const struct sockaddr *address, char *out, size_t size);
