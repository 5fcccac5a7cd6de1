#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/http/loopback.h"

static void loopback_is_what_only_ever_means_this_machine(void **state)
{
    (void)state;
    static const char *const own[] = {
        "localhost",    "LOCALHOST:80",    "a.localhost", "127.0.0.1", "127.0.0.1:8080",
        "127.1.2.3:80", "127.255.255.255", "::1",         "[::1]",     "[::1]:8080",
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (!host_is_loopback(str_from(own[i]))) {
            fail_msg("strange: %s", own[i]);
        }
    }
}

static void loopback_is_nothing_that_merely_looks_like_it(void **state)
{
    (void)state;
    static const char *const strange[] = {
        "",
        "127.example.com",
        "127.0.0.1.example.com",
        "127.0.0.1.5",
        "127.1",
        "127.0.0.",
        "127.0.0.256",
        "127..0.1",
        "0177.0.0.1",
        "128.0.0.1",
        "0.0.0.0",
        "localhost.evil",
        "evillocalhost",
        ".localhost",
        "[::2]",
        "[::1].evil",
        "[::1",
        "[::1]x:80",
        "::2",
        "[127.0.0.1]",
        "1270.0.0.1",
        "127.0.0.1 ",
        "127.0.0.1/8",
    };
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        if (host_is_loopback(str_from(strange[i]))) {
            fail_msg("taken for this machine: %s", strange[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_what_only_ever_means_this_machine),
        cmocka_unit_test(loopback_is_nothing_that_merely_looks_like_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
