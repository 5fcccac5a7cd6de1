#include "api/http/loopback.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool is_loopback_ipv4(struct str host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (host.len >= sizeof(text)) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(host));
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool host_is_loopback(struct str host)
{
    if (host.len > 0 && host.ptr[0] == '[') {
        host.ptr++;
        host.len--;
        struct str address = str_cut(&host, ']');
        bool is_whole = host.ptr != NULL && (host.len == 0 || host.ptr[0] == ':');
        return is_whole && str_equal_c(address, "::1");
    }
    if (str_equal_c(host, "::1")) {
        return true;
    }
    struct str name = str_cut(&host, ':');
    struct str tail = STR_LITERAL(".localhost");
    bool is_below = name.len > tail.len &&
                    str_equal_nocase((struct str){name.ptr + name.len - tail.len, tail.len}, tail);
    return is_below || str_equal_nocase(name, STR_LITERAL("localhost")) || is_loopback_ipv4(name);
}
