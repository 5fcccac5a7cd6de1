#include "cmocka_all.h"
#include "worker/http/url.h"

static void url_takes_scheme_host_port_and_path_apart(void **state)
{
    static const struct {
        const char *text, *scheme, *host, *path;
        int port;
    } cases[] = {
        {"https://acme.service-now.com", "https", "acme.service-now.com", "/", 443},
        {"http://127.0.0.1:8080/a/b?c=d#e", "http", "127.0.0.1", "/a/b", 8080},
        {"HTTPS://Acme/x", "HTTPS", "Acme", "/x", 443},
        {"http://[::1]:99?q", "http", "::1", "/", 99},
        {"http://[fe80::2]/y", "http", "fe80::2", "/y", 80},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = ERROR_INIT;
        struct url url = {0};

        assert_true(url_parse(str_from(cases[i].text), &url, &err));
        assert_true(str_equal_c(url.scheme, cases[i].scheme));
        assert_true(str_equal_c(url.host, cases[i].host));
        assert_true(str_equal_c(url.path, cases[i].path));
        assert_int_equal(url.port, cases[i].port);
    }
}

static void url_refuses_what_it_must_not_send_and_does_not_repeat_it(void **state)
{
    static const char *const cases[] = {
        "",           "ftp://h/",      "https://",        "https://user:hunter2@h/",
        "http://h:0", "http://h:x/",   "http://h:65536",  "http://[::1/hunter2",
        "http://h/ ", "http://h/\r\n", "file:///hunter2", "http://:80/",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = ERROR_INIT;
        struct url url = {0};

        assert_false(url_parse(str_from(cases[i]), &url, &err));
        assert_int_equal(err.code, ERROR_CONFIG);
        assert_false(str_contains_nocase(str_from(err.msg), STR_LITERAL("hunter2")));
    }
}

static void url_knows_loopback_hosts(void **state)
{
    static const struct {
        const char *host;
        bool is_loopback;
    } cases[] = {
        {"localhost", true},        {"LocalHost", true},          {"a.localhost", true},
        {"127.0.0.1", true},        {"127.255.0.9", true},        {"::1", true},
        {"127.example.org", false}, {"localhost.example", false}, {"10.0.0.1", false},
        {".localhost", false},      {"notlocalhost", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(url_host_is_loopback(str_from(cases[i].host)), cases[i].is_loopback);
    }
}

static void url_compares_origins_and_subdomains(void **state)
{
    static const struct {
        const char *url, *parent;
        bool same, sub;
    } cases[] = {
        {"https://a.com/x", "https://A.com:443", true, false},
        {"https://a.com", "http://a.com", false, false},
        {"https://a.com:8443", "https://a.com", false, false},
        {"https://vssps.dev.azure.com/acme", "https://dev.azure.com/acme", false, true},
        {"http://vssps.dev.azure.com", "https://dev.azure.com", false, false},
        {"https://evildev.azure.com", "https://dev.azure.com", false, false},
        {"https://azure.com", "https://dev.azure.com", false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = ERROR_INIT;
        struct url url = {0};
        struct url parent = {0};

        assert_true(url_parse(str_from(cases[i].url), &url, &err));
        assert_true(url_parse(str_from(cases[i].parent), &parent, &err));
        assert_int_equal(url_is_same_origin(&url, &parent), cases[i].same);
        assert_int_equal(url_is_subdomain(&url, &parent), cases[i].sub);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_takes_scheme_host_port_and_path_apart),
        cmocka_unit_test(url_refuses_what_it_must_not_send_and_does_not_repeat_it),
        cmocka_unit_test(url_knows_loopback_hosts),
        cmocka_unit_test(url_compares_origins_and_subdomains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
