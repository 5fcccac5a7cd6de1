/*
 * One source, driven from the command line, for tests/e2e/test_http_client.py: sends requests one
 * after the other through one client on the real wire and prints a line of JSON for each.
 *
 *     http_probe key=value... PATH...
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/thread.h"
#include "worker/http/client.h"

struct probe {
    struct source_config config;
    int64_t max_bytes;
    int64_t stop_after_ms;
    bool timeout_is_limit;
    struct stop *stop;
};

struct number_option {
    const char *name;
    int64_t *target;
    int64_t unit;
};

struct text_option {
    const char *name;
    const char **target;
};

static bool set_text(struct probe *probe, struct str name, const char *value)
{
    const struct text_option options[] = {
        {"url", &probe->config.url},
        {"ca_file", &probe->config.ca_file},
        {"key", &probe->config.auth.key},
        {"username", &probe->config.auth.username},
        {"password", &probe->config.auth.password},
        {"client_id", &probe->config.auth.client_id},
        {"client_secret", &probe->config.auth.client_secret},
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (str_equal_c(name, options[i].name)) {
            *options[i].target = value;
            return true;
        }
    }
    return false;
}

static bool set_number(struct probe *probe, struct str name, const char *value)
{
    const struct number_option options[] = {
        {"timeout_ms", &probe->config.timeout_us, US_PER_MS},
        {"connect_timeout_ms", &probe->config.connect_timeout_us, US_PER_MS},
        {"attempts", &probe->config.retry.attempts, 1},
        {"base_delay_ms", &probe->config.retry.base_delay_us, US_PER_MS},
        {"failures", &probe->config.breaker.failures, 1},
        {"open_for_ms", &probe->config.breaker.open_for_us, US_PER_MS},
        {"max_bytes", &probe->max_bytes, 1},
        {"stop_after_ms", &probe->stop_after_ms, 1},
    };
    int64_t number = 0;

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (str_equal_c(name, options[i].name) &&
            str_to_int64(str_from(value), 0, INT32_MAX, &number)) {
            *options[i].target = number * options[i].unit;
            return true;
        }
    }
    return false;
}

static bool set_auth(struct probe *probe, const char *value)
{
    static const struct {
        const char *name;
        enum auth_method method;
    } methods[] = {
        {"basic", AUTH_BASIC}, {"oauth_password", AUTH_OAUTH_PASSWORD}, {"api_key", AUTH_API_KEY}};

    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (strcmp(methods[i].name, value) == 0) {
            probe->config.auth.method = methods[i].method;
            return true;
        }
    }
    return false;
}

static bool set_option(struct probe *probe, const char *argument)
{
    struct str rest = str_from(argument);
    struct str name = str_cut(&rest, '=');
    const char *value = rest.ptr;

    if (value == NULL) {
        return false;
    }
    if (str_equal_c(name, "auth")) {
        return set_auth(probe, value);
    }
    if (str_equal_c(name, "timeout_is_limit")) {
        probe->timeout_is_limit = true;
        return true;
    }
    return set_text(probe, name, value) || set_number(probe, name, value);
}

static void print_answer(const struct http_response *response)
{
    struct buf line;

    buf_init(&line, (size_t)16 * 1024 * 1024);
    buf_addf(&line,
             "{\"ok\": true, \"status\": %d, \"date_us\": %lld, \"type\": ", response->status,
             (long long)response->date_us);
    buf_add_json_string(&line, response->content_type);
    buf_add_c(&line, ", \"body\": ");
    buf_add_json_string(&line, buf_str(response->body));
    buf_add_c(&line, "}");
    (void)puts(line.ptr);
    buf_release(&line);
}

static void print_error(const struct error *err)
{
    struct buf line;

    buf_init(&line, (size_t)64 * 1024);
    buf_addf(&line, "{\"ok\": false, \"code\": \"%s\", \"status\": %d, \"msg\": ",
             error_code_name(err->code), err->http_status);
    buf_add_json_string(&line, str_from(err->msg));
    buf_add_c(&line, "}");
    (void)puts(line.ptr);
    buf_release(&line);
}

static void send_one(const struct probe *probe, struct http_client *client, const char *path)
{
    const struct http_request request = {
        .method = "GET", .url = str_from(path), .timeout_is_limit = probe->timeout_is_limit};
    struct http_response response = {0};
    struct error err = ERROR_INIT;

    if (http_send(client, &request, &response, &err)) {
        print_answer(&response);
    } else {
        print_error(&err);
    }
}

static void print_counters(const struct http_client *client)
{
    struct http_counters counters = {0};

    http_client_counters(client, &counters);
    (void)printf("{\"requests\": %lld, \"retries\": %lld, \"throttled_us\": %lld, "
                 "\"bytes_received\": %lld, \"fetch_us\": %lld}\n",
                 (long long)counters.requests, (long long)counters.retries,
                 (long long)counters.throttled_us, (long long)counters.bytes_received,
                 (long long)counters.fetch_us);
}

static void *stop_later(void *arg)
{
    struct probe *probe = arg;
    struct stop *never = stop_new(NULL);

    (void)stop_sleep_until(never, clock_monotonic_us() + probe->stop_after_ms * US_PER_MS);
    stop_request(probe->stop, STOP_CANCELLED);
    stop_free(never);
    return NULL;
}

static bool run(struct probe *probe, char **paths, int n_paths)
{
    struct error err = ERROR_INIT;
    struct thread stopper = {0};
    struct http_source *source = http_source_new(&probe->config, 4, probe->stop, &err);

    if (source == NULL) {
        print_error(&err);
        return false;
    }
    struct http_client *client = http_client_new(source, NULL, (size_t)probe->max_bytes);

    if (probe->stop_after_ms > 0) {
        thread_start(&stopper, "stopper", stop_later, probe);
    }
    for (int i = 0; i < n_paths; i++) {
        send_one(probe, client, paths[i]);
    }
    thread_join(&stopper);
    print_counters(client);
    http_client_free(client);
    http_source_free(source);
    return true;
}

int main(int argc, char **argv)
{
    struct probe probe = {
        .config = {.name = "probe",
                   .type = "servicenow",
                   .auth = {.method = AUTH_USER_TOKEN},
                   .timeout_us = 5 * US_PER_S,
                   .connect_timeout_us = 2 * US_PER_S,
                   .retry = {.attempts = 1,
                             .base_delay_us = US_PER_MS,
                             .max_delay_us = 10 * US_PER_MS,
                             .max_wait_us = 10 * US_PER_S},
                   .breaker = {.failures = 100, .open_for_us = 100 * US_PER_MS}},
        .max_bytes = INT64_C(1024) * 1024,
    };
    int i = 1;

    for (; i < argc && argv[i][0] != '/'; i++) {
        if (!set_option(&probe, argv[i])) {
            (void)fprintf(stderr, "http_probe: unknown argument %s\n", argv[i]);
            return EXIT_FAILURE;
        }
    }
    probe.stop = stop_new(NULL);
    bool ran = run(&probe, argv + i, argc - i);

    stop_free(probe.stop);
    return ran ? EXIT_SUCCESS : EXIT_FAILURE;
}
