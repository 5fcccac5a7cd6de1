#include "worker/http/client.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/random.h"
#include "worker/http/sending.h"

#define URL_LIMIT_BYTES    ((size_t)64 * 1024)
#define HEADER_VALUE_BYTES ((size_t)64 * 1024)

struct http_client *
http_client_new(struct http_source *source, struct stop *stop, size_t max_response_bytes)
{
    struct http_client *client = XNEW(struct http_client);
    const struct transport_options options = {
        .connect_timeout_us = source->config->connect_timeout_us,
        .ca_file = source->config->ca_file,
        .source = source->config->name,
        .stop = stop != NULL ? stop : source->stop,
    };

    client->source = source;
    client->stop = stop;
    client->transport = source->seams.transport_open(source->seams.transport_arg, &options);
    headers_init(&client->answer.headers);
    buf_init(&client->answer.body, max_response_bytes);
    buf_init(&client->last_url, URL_LIMIT_BYTES);
    random_bytes(&client->random_state, sizeof(client->random_state));
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    client->transport.close(client->transport.self);
    headers_release(&client->answer.headers);
    buf_release(&client->answer.body);
    buf_release(&client->last_url);
    xfree(client);
}

struct http_source *http_client_source(const struct http_client *client)
{
    return client->source;
}

void http_client_counters(const struct http_client *client, struct http_counters *ret_counters)
{
    *ret_counters = client->counters;
}

const struct http_subject *http_client_subject(const struct http_client *client)
{
    return client->subject;
}

struct str http_response_header(const struct http_response *response, const char *name)
{
    return headers_find(&response->client->answer.headers, name);
}

static void sending_release(struct sending *sending)
{
    if (sending->credential.len > 0) {
        explicit_bzero(sending->credential.ptr, sending->credential.len);
    }
    buf_release(&sending->credential);
    buf_release(&sending->url);
}

/* The whole URL, and whether it may see the credential. */
static bool resolve_url(struct sending *sending, struct error *err)
{
    const struct http_source *source = sending->client->source;
    struct str url = sending->request->url;

    if (url.len > 0 && url.ptr[0] == '/') {
        buf_add_c(&sending->url, source->config->url);
    }
    buf_add_str(&sending->url, url);
    if (sending->url.overflow) {
        return error_set(err, ERROR_LIMIT, "the URL to be requested passes %zu bytes",
                         URL_LIMIT_BYTES);
    }
    if (!url_parse(buf_str(&sending->url), &sending->subject.url, err)) {
        return error_wrap(err, "a request of source %s", source->config->name);
    }
    sending->has_credential = !sending->request->no_credential &&
                              credential_header_name(&source->login->credential) != NULL;
    if (sending->has_credential && !http_source_trusts(source, &sending->subject.url)) {
        return error_set(err, ERROR_CONFIG,
                         "%s %.*s: the credential of source %s is not sent to %.*s, which is not "
                         "under the source's url; configure that URL if it belongs to the source",
                         sending->subject.method, STR_ARG(sending->subject.url.path),
                         source->config->name, STR_ARG(sending->subject.url.host));
    }
    return true;
}

static bool sending_init(struct sending *sending,
                         struct http_client *client,
                         const struct http_request *request,
                         struct error *err)
{
    *sending = (struct sending){
        .client = client,
        .request = request,
        .subject = {.method = request->method},
        .not_before_us = INT64_MIN,
    };
    buf_init(&sending->url, URL_LIMIT_BYTES);
    buf_init(&sending->credential, HEADER_VALUE_BYTES);
    return resolve_url(sending, err);
}

/* http_judge_status may be called on a response after http_send: its subject must outlive it. */
static void keep_subject(struct sending *sending)
{
    struct http_client *client = sending->client;
    struct buf url = client->last_url;

    client->last_url = sending->url;
    sending->url = url;
    client->last_subject = sending->subject;
    client->subject = &client->last_subject;
}

bool http_send(struct http_client *client,
               const struct http_request *request,
               struct http_response *ret_response,
               struct error *err)
{
    struct sending sending CLEANUP(sending_release) = {0};
    enum sending_step step = SENDING_AGAIN;

    if (!sending_init(&sending, client, request, err)) {
        return false;
    }
    while (step == SENDING_AGAIN) {
        struct error fault = ERROR_INIT;

        step = sending_try(&sending, ret_response, &fault);
        if (step == SENDING_FAILED) {
            *err = fault;
        }
    }
    keep_subject(&sending);
    return step == SENDING_DONE;
}
