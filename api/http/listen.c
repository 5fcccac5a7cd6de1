#include "api/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/str.h"

#define BACKLOG 1024

/* "host:port" or "[host]:port" into its parts; an empty host means every address. */
static bool split_address(const char *address, char host[64], char port[8])
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || strlen(colon + 1) == 0 || strlen(colon + 1) > 5) {
        return false;
    }
    int64_t number = 0;
    if (!str_to_int64(str_from(colon + 1), 0, 65535, &number)) {
        return false;
    }
    const char *start = address;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && start[0] == '[' && start[len - 1] == ']') {
        start++;
        len -= 2;
    } else if (memchr(start, ':', len) != NULL) {
        return false;
    }
    if (len >= 64) {
        return false;
    }
    memcpy(host, start, len);
    host[len] = '\0';
    (void)snprintf(port, 8, "%d", (int)number);
    return true;
}

static int open_one(const struct addrinfo *info, int *ret_errno)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *ret_errno = errno;
        return -1;
    }
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        *ret_errno = errno;
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void explain(const char *address, int number, struct error *err)
{
    char text[128];
    const char *words = strerror_r(number, text, sizeof(text));
    const char *cure = "check the address";
    if (number == EADDRINUSE) {
        cure = "another program listens there; stop it or choose another port (0 = any free one)";
    } else if (number == EACCES) {
        cure = "ports below 1024 need CAP_NET_BIND_SERVICE";
    } else if (number == EADDRNOTAVAIL) {
        cure = "this machine has no such address";
    }
    error_set(err, ERROR_CONFIG, "cannot listen on %s: %s: %s", address, words, cure);
}

int listen_open(const char *address, struct error *err)
{
    char host[64];
    char port[8];
    if (!split_address(address, host, port)) {
        error_set(err, ERROR_CONFIG,
                  "\"%s\" is not an address to listen on: write 127.0.0.1:8080 or [::1]:8080",
                  address);
        return -1;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int failure = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &list);
    if (failure != 0) {
        error_set(err, ERROR_CONFIG, "cannot listen on %s: %s: check the host name", address,
                  gai_strerror(failure));
        return -1;
    }
    int fd = -1;
    int number = 0;
    for (const struct addrinfo *info = list; info != NULL && fd < 0; info = info->ai_next) {
        fd = open_one(info, &number);
    }
    freeaddrinfo(list);
    if (fd < 0) {
        explain(address, number, err);
    }
    return fd;
}

void listen_peer_text(const struct sockaddr *address, char *out, size_t size)
{
    const void *bytes = NULL;
    if (address != NULL && address->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (address != NULL && address->sa_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    }
    if (bytes == NULL || inet_ntop(address->sa_family, bytes, out, (socklen_t)size) == NULL) {
        (void)snprintf(out, size, "unknown");
    }
}

void listen_describe(int fd, char out[LISTEN_ADDRESS_MAX])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "";
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        address.ss_family = AF_INET; /* shown as 0.0.0.0:0 */
    }
    listen_peer_text((const struct sockaddr *)&address, host, sizeof(host));
    if (address.ss_family == AF_INET6) {
        (void)snprintf(out, LISTEN_ADDRESS_MAX, "[%s]:%u", host,
                       (unsigned)ntohs(((struct sockaddr_in6 *)&address)->sin6_port));
    } else {
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): getsockname filled it in */
        unsigned port = ntohs(((struct sockaddr_in *)&address)->sin_port);
        (void)snprintf(out, LISTEN_ADDRESS_MAX, "%s:%u", host, port);
    }
}

bool listen_is_loopback(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return false;
    }
    if (address.ss_family == AF_INET) {
        return ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24 == 127;
    }
    return address.ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&address)->sin6_addr);
}
