#include "api/serve.h"

#include <assert.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "api/handlers/call.h"
#include "api/handlers/dispatch.h"
#include "api/handlers/routes.h"
#include "api/handlers/watch.h"
#include "api/http/openapi.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "schema/embedded.h"

#define EXIT_CONFIG  78
#define EXIT_STOPPED 143

#define POLLING_THREADS_DEFAULT 2
#define DATABASE_THREADS        5 /* one of them for urgent requests */
#define DATABASE_PLACES_MIN     2
#define QUEUE_LIMIT             256
#define QUEUE_WAIT_LIMIT_US     (10 * US_PER_S)
#define ADMIN_QUEUE_LIMIT       16
#define BODY_LIMIT_DEFAULT      (64UL * 1024)
#define CONNECTIONS_MAX         2048
#define CONNECTIONS_MIN         16
#define DESCRIPTORS_RESERVED    64
#define REQUEST_LIMIT_US        (15 * US_PER_S)
#define ANSWER_LIMIT_US         (60 * US_PER_S)
#define STATEMENT_TIMEOUT_MS    10000
#define DRAIN_US                (10 * US_PER_S)
#define FLUSH_US                (2 * US_PER_S)
#define ARENAS_MAX              2
#define LARGE_BLOCK_BYTES       (128 * 1024)

/* The newest migration this program was built with. */
static int64_t schema_version(void)
{
    int64_t version = 0;
    for (size_t i = 0; i < embedded_migrations_count; i++) {
        struct str name = str_from(embedded_migrations[i].name);
        int64_t number = 0;
        if (str_to_int64(str_cut(&name, '_'), 0, 9999, &number) && number > version) {
            version = number;
        }
    }
    return version;
}

/* As many connections as there are descriptors for. */
static size_t connection_limit(void)
{
    struct rlimit files = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return CONNECTIONS_MAX / 4;
    }
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    rlim_t wanted = CONNECTIONS_MAX + DESCRIPTORS_RESERVED;
    if (files.rlim_cur >= wanted) {
        return CONNECTIONS_MAX;
    }
    return files.rlim_cur > DESCRIPTORS_RESERVED + CONNECTIONS_MIN
               ? (size_t)files.rlim_cur - DESCRIPTORS_RESERVED
               : CONNECTIONS_MIN;
}

struct services {
    struct guard guard;
    struct watch *watch;
    struct service public;
    struct service admin;
    const char *route_names[64];
};

/* As many short statements at once as there are processors; the database may have others. */
static size_t database_places(void)
{
    cpu_set_t set;
    size_t count = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 0;
    return count > DATABASE_PLACES_MIN ? count : DATABASE_PLACES_MIN;
}

static struct pool *
start_pool(const struct config *config, const char *name, size_t threads, size_t queue_limit)
{
    struct pool_settings settings = {
        .name = name,
        .write_url = config->database_url,
        .read_url = config->read_url != NULL ? config->read_url : config->database_url,
        .threads = threads,
        .places = database_places(),
        .queue_limit = queue_limit,
        .wait_limit_us = QUEUE_WAIT_LIMIT_US,
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
        .schema_version = schema_version(),
    };
    return pool_start(&settings);
}

static bool
start_server(struct service *service, const char *address, size_t threads, struct error *err)
{
    const struct api_config *api = &service->config->api;
    size_t limit = connection_limit();
    struct server_settings settings = {
        .listen = address,
        .threads = threads,
        .connection_limit = limit,
        /* Half: one address alone cannot lock all others out, yet a proxy has room. */
        .connection_limit_per_address = limit / 2,
        .body_limit_bytes =
            api->body_limit_bytes > 0 ? (size_t)api->body_limit_bytes : BODY_LIMIT_DEFAULT,
        .request_limit_us = REQUEST_LIMIT_US,
        .answer_limit_us = ANSWER_LIMIT_US,
        .handle = dispatch_handle,
        .answered = dispatch_answered,
        .resumed = dispatch_resumed,
        .finished = dispatch_finished,
        .context = service,
    };
    service->server = server_start(&settings, err);
    return service->server != NULL;
}

static void init_public(struct services *services, const struct config *config)
{
    assert(public_routes_count <= ARRAY_SIZE(services->route_names));
    for (size_t i = 0; i < public_routes_count; i++) {
        services->route_names[i] = public_routes[i].pattern;
    }
    struct buf openapi CLEANUP(buf_release) = {0};
    buf_init(&openapi, 1024UL * 1024);
    openapi_write(public_routes, public_routes_count, &openapi);
    services->public = (struct service){
        .config = config,
        .routes = public_routes,
        .n_routes = public_routes_count,
        .guard = &services->guard,
        .metrics = http_metrics_new(services->route_names, public_routes_count),
        .usage = usage_new(),
        .cache = cache_new((size_t)config->api.cache_limit_bytes),
        .started_us = clock_wall_us(),
        .openapi = buf_take(&openapi),
        .schema_version = schema_version(),
    };
}

static bool start(struct services *services, const struct config *config, struct error *err)
{
    init_public(services, config);
    if (!guard_start(&services->guard, config, err)) {
        return false;
    }
    services->admin = (struct service){
        .config = config,
        .routes = admin_routes,
        .n_routes = admin_routes_count,
        .observed = &services->public,
        .schema_version = schema_version(),
    };
    size_t threads =
        config->api.threads > 0 ? (size_t)config->api.threads : POLLING_THREADS_DEFAULT;
    services->public.pool = start_pool(config, "foz-api", DATABASE_THREADS, QUEUE_LIMIT);
    struct watch_settings watch = {
        .write_url = config->database_url,
        .read_url = config->read_url != NULL ? config->read_url : config->database_url,
        .cache = services->public.cache,
    };
    services->watch = watch_start(&watch);
    if (!start_server(&services->public, config->api.listen, threads, err)) {
        return false;
    }
    if (!config->api.auth_enabled && !server_is_loopback(services->public.server)) {
        return error_set(err, ERROR_CONFIG,
                         "api.auth.enabled: false is only possible with a loopback api.listen, not "
                         "%s: listen on 127.0.0.1 or enable authentication",
                         server_address(services->public.server));
    }
    if (config->api.admin_listen == NULL || config->api.admin_listen[0] == '\0') {
        return true;
    }
    services->admin.pool = start_pool(config, "foz-admin", 1, ADMIN_QUEUE_LIMIT);
    return start_server(&services->admin, config->api.admin_listen, 1, err);
}

/* In the reverse order of start: first nobody may come, then those inside leave, then the lights.
 */
static void stop(struct services *services)
{
    struct service *all[] = {&services->admin, &services->public};
    int64_t deadline_us = clock_monotonic_us() + DRAIN_US;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i]->server != NULL && !server_drain(all[i]->server, deadline_us)) {
            log_warn("requests were still in flight: they are answered 503 now");
        }
        if (all[i]->guard != NULL) {
            guard_stop(all[i]->guard);
        }
        pool_stop(all[i]->pool);
        if (all[i]->server != NULL) {
            (void)server_drain(all[i]->server, clock_monotonic_us() + FLUSH_US);
        }
        server_stop(all[i]->server);
    }
    watch_stop(services->watch);
    cache_free(services->public.cache);
    usage_free(services->public.usage);
    http_metrics_free(services->public.metrics);
    xfree(services->public.openapi);
    guard_release(&services->guard);
}

/* Scripts read standard output, people the log. */
static void announce(const struct services *services)
{
    const char *address = server_address(services->public.server);
    const char *admin =
        services->admin.server != NULL ? server_address(services->admin.server) : NULL;
    (void)printf("foz-api listening on http://%s%s%s\n", address,
                 admin != NULL ? ", admin http://" : "", admin != NULL ? admin : "");
    (void)fflush(stdout);
    log_info("foz-api listening", LOG_TEXT("address", address),
             LOG_TEXT("admin", admin != NULL ? admin : ""), LOG_TEXT("version", FOZ_VERSION));
    if (!services->public.config->api.auth_enabled) {
        log_warn("authentication is off: every local process may trigger loads");
    }
}

/* glibc gives each thread an arena of its own and, once it has freed a large block, keeps the next
 * ones of that size: after hundreds of connections and thousands of pages a seventh of what the
 * process holds is nobody's. */
static void keep_memory_small(void)
{
    (void)mallopt(M_ARENA_MAX, ARENAS_MAX);
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, LARGE_BLOCK_BYTES);
}

int serve(const struct config *config)
{
    keep_memory_small();
    /* Blocked here and therefore in every thread: only the sigwait below sees them. */
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    struct services services = {0};
    struct error err = ERROR_INIT;
    if (!start(&services, config, &err)) {
        stop(&services);
        log_fail("foz-api cannot start", LOG_TEXT("error", err.msg));
        return EXIT_CONFIG;
    }
    announce(&services);
    int number = SIGHUP;
    while (number == SIGHUP) {
        (void)sigwait(&signals, &number);
        if (number == SIGHUP) {
            log_warn("foz-api reads its configuration once: restart it for a new one");
        }
    }
    log_info("foz-api stops", LOG_TEXT("signal", number == SIGTERM ? "TERM" : "INT"));
    stop(&services);
    return number == SIGTERM ? EXIT_STOPPED : 128 + SIGINT;
}
