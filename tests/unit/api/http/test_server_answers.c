#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/http/server.h"
#include "common/base/clock.h"

/* Everybody is told the same; "/a" and "/b" say which header is the answer's own. */
static enum exchange_state handle(void *context, struct exchange *exchange)
{
    (void)context;
    struct response *response = &exchange->response;
    bool is_a = str_equal_c(exchange->request.path, "/a");
    response->origin = (struct response_origin){.id = 7};
    response->content_type = "text/plain";
    buf_add_c(&response->body, "the same");
    response_header_text(response, &exchange->request, "X-Shared", STR_LITERAL("s"), false);
    response_header_text(response, &exchange->request, is_a ? "X-Own-A" : "X-Own-B",
                         is_a ? STR_LITERAL("secret of a") : STR_LITERAL("secret of b"), true);
    return EXCHANGE_ANSWERED;
}

static int dial(const struct server *server)
{
    const char *colon = strrchr(server_address(server), ':');
    assert_non_null(colon);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&address, sizeof(address)), 0);
    return fd;
}

static void ask(int fd, const char *path, char *out, size_t size)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    assert_int_equal(send(fd, text, (size_t)len, 0), len);
    size_t got = 0;
    out[0] = '\0';
    while (strstr(out, "\r\n\r\nthe same") == NULL) {
        ssize_t step = recv(fd, out + got, size - 1 - got, 0);
        assert_true(step > 0);
        got += (size_t)step;
        out[got] = '\0';
    }
}

static void answers_give_no_header_of_one_request_to_the_next(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct server_settings settings = {.listen = "127.0.0.1:0",
                                       .threads = 1, /* so that all share its answers */
                                       .connection_limit = 8,
                                       .connection_limit_per_address = 8,
                                       .body_limit_bytes = 1024,
                                       .request_limit_us = US_PER_S * 10,
                                       .answer_limit_us = US_PER_S * 10,
                                       .handle = handle};
    struct server *server = server_start(&settings, &err);
    assert_non_null(server);
    int fd = dial(server);
    char text[4096];
    for (int round = 0; round < 3; round++) {
        ask(fd, "/a", text, sizeof(text));
        assert_non_null(strstr(text, "X-Own-A: secret of a\r\n"));
        assert_null(strstr(text, "X-Own-B"));
        ask(fd, "/b", text, sizeof(text));
        assert_non_null(strstr(text, "X-Own-B: secret of b\r\n"));
        assert_non_null(strstr(text, "X-Shared: s\r\n"));
        assert_null(strstr(text, "X-Own-A"));
    }
    (void)close(fd);
    server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_give_no_header_of_one_request_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
