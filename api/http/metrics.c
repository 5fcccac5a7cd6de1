#include "api/http/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"

static const int statuses[] = {200, 202, 204, 304, 400, 401, 403, 404, 405, 406,
                               409, 413, 415, 422, 429, 431, 500, 503, 505, 0};

#define N_STATUSES ARRAY_SIZE(statuses)

static const int64_t bounds_us[] = {1000,   2500,   5000,   10000,   25000,   50000,
                                    100000, 250000, 500000, 1000000, 2500000, 10000000};

#define N_BOUNDS ARRAY_SIZE(bounds_us)

struct route_counters {
    _Atomic uint64_t by_status[N_STATUSES];
    _Atomic uint64_t in_bucket[N_BOUNDS + 1]; /* not cumulative */
    _Atomic uint64_t duration_sum_us;
    _Atomic uint64_t bytes;
};

struct http_metrics {
    const char *const *names;
    size_t n_names;
    struct route_counters *routes; /* n_names + 1 */
};

struct http_metrics *http_metrics_new(const char *const *names, size_t n_names)
{
    struct http_metrics *metrics = XNEW(struct http_metrics);
    metrics->names = names;
    metrics->n_names = n_names;
    metrics->routes = xcalloc(n_names + 1, sizeof(*metrics->routes));
    return metrics;
}

void http_metrics_free(struct http_metrics *metrics)
{
    if (metrics != NULL) {
        xfree(metrics->routes);
        xfree(metrics);
    }
}

static void add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void http_metrics_count(
    struct http_metrics *metrics, size_t route, int status, int64_t duration_us, size_t bytes)
{
    struct route_counters *counters = &metrics->routes[route];
    size_t s = 0;
    while (s + 1 < N_STATUSES && statuses[s] != status) {
        s++;
    }
    size_t b = 0;
    while (b < N_BOUNDS && duration_us > bounds_us[b]) {
        b++;
    }
    add(&counters->by_status[s], 1);
    add(&counters->in_bucket[b], 1);
    add(&counters->duration_sum_us, (uint64_t)duration_us);
    add(&counters->bytes, bytes);
}

void metrics_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_label(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\\' || c == '"') {
            buf_add_char(out, '\\');
            buf_add_char(out, c);
        } else if (c == '\n') {
            buf_add_c(out, "\\n");
        } else {
            buf_add_char(out, c);
        }
    }
}

static const char *route_name(const struct http_metrics *metrics, size_t route)
{
    return route < metrics->n_names ? metrics->names[route] : "none";
}

static void write_statuses(const struct http_metrics *metrics, struct buf *out)
{
    metrics_head(out, "foz_http_requests_total", "counter", "Requests answered.");
    for (size_t r = 0; r <= metrics->n_names; r++) {
        for (size_t s = 0; s < N_STATUSES; s++) {
            uint64_t count = get(&metrics->routes[r].by_status[s]);
            if (count == 0) {
                continue;
            }
            buf_addf(out, "foz_http_requests_total{route=\"%s\",status=\"%d\"} %llu\n",
                     route_name(metrics, r), statuses[s], (unsigned long long)count);
        }
    }
}

static void write_histogram(const struct http_metrics *metrics, size_t route, struct buf *out)
{
    const struct route_counters *counters = &metrics->routes[route];
    const char *name = route_name(metrics, route);
    uint64_t total = 0;
    for (size_t b = 0; b < N_BOUNDS; b++) {
        total += get(&counters->in_bucket[b]);
        buf_addf(out, "foz_http_request_duration_seconds_bucket{route=\"%s\",le=\"%g\"} %llu\n",
                 name, (double)bounds_us[b] / 1e6, (unsigned long long)total);
    }
    total += get(&counters->in_bucket[N_BOUNDS]);
    buf_addf(out, "foz_http_request_duration_seconds_bucket{route=\"%s\",le=\"+Inf\"} %llu\n", name,
             (unsigned long long)total);
    buf_addf(out, "foz_http_request_duration_seconds_sum{route=\"%s\"} %.6f\n", name,
             (double)get(&counters->duration_sum_us) / 1e6);
    buf_addf(out, "foz_http_request_duration_seconds_count{route=\"%s\"} %llu\n", name,
             (unsigned long long)total);
}

void http_metrics_write(const struct http_metrics *metrics, struct buf *out)
{
    write_statuses(metrics, out);
    metrics_head(out, "foz_http_request_duration_seconds", "histogram",
                 "From the request line to the finished answer.");
    for (size_t r = 0; r <= metrics->n_names; r++) {
        write_histogram(metrics, r, out);
    }
    metrics_head(out, "foz_http_response_bytes_total", "counter", "Bytes of answer bodies.");
    for (size_t r = 0; r <= metrics->n_names; r++) {
        buf_addf(out, "foz_http_response_bytes_total{route=\"%s\"} %llu\n", route_name(metrics, r),
                 (unsigned long long)get(&metrics->routes[r].bytes));
    }
}

static size_t read_small_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        out[0] = '\0';
        return 0;
    }
    ssize_t got = read(fd, out, size - 1);
    (void)close(fd);
    size_t len = got > 0 ? (size_t)got : 0;
    out[len] = '\0';
    return len;
}

static int64_t count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return 0;
    }
    int64_t count = -3; /* ., .. and the directory itself */
    while (readdir(directory) != NULL) {
        count++;
    }
    (void)closedir(directory);
    return count;
}

/* The n-th field (from 1) of /proc/self/stat, counted behind the command's name. */
static int64_t stat_field(const char *stat, int field)
{
    const char *behind = strrchr(stat, ')');
    struct str rest = str_from(behind != NULL ? behind + 2 : "");
    int64_t value = 0;
    for (int i = 3; i <= field; i++) {
        struct str one = str_cut(&rest, ' ');
        if (i == field) {
            (void)str_to_int64(one, INT64_MIN, INT64_MAX, &value);
        }
    }
    return value;
}

static double boot_time_s(void)
{
    char text[128];
    struct str rest = {text, read_small_file("/proc/uptime", text, sizeof(text))};
    struct str whole = str_cut(&rest, '.');
    int64_t uptime_s = 0;
    (void)str_to_int64(whole, 0, INT64_MAX, &uptime_s);
    return (double)clock_wall_us() / 1e6 - (double)uptime_s;
}

void process_metrics_write(struct buf *out)
{
    char stat[1024];
    (void)read_small_file("/proc/self/stat", stat, sizeof(stat));
    double ticks_per_s = (double)sysconf(_SC_CLK_TCK);
    struct rlimit files = {0};
    (void)getrlimit(RLIMIT_NOFILE, &files);

    const struct {
        const char *name;
        const char *type;
        const char *help;
        double value;
    } rows[] = {
        {"process_cpu_seconds_total", "counter", "User and system CPU time.",
         (double)(stat_field(stat, 14) + stat_field(stat, 15)) / ticks_per_s},
        {"process_resident_memory_bytes", "gauge", "Resident memory.",
         (double)stat_field(stat, 24) * (double)sysconf(_SC_PAGESIZE)},
        {"process_virtual_memory_bytes", "gauge", "Virtual memory.", (double)stat_field(stat, 23)},
        {"process_threads", "gauge", "Threads.", (double)stat_field(stat, 20)},
        {"process_open_fds", "gauge", "Open file descriptors.", (double)count_descriptors()},
        {"process_max_fds", "gauge", "Most file descriptors allowed.", (double)files.rlim_cur},
        {"process_start_time_seconds", "gauge", "Start time since the epoch.",
         boot_time_s() + (double)stat_field(stat, 22) / ticks_per_s},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        metrics_head(out, rows[i].name, rows[i].type, rows[i].help);
        buf_addf(out, "%s %.15g\n", rows[i].name, rows[i].value);
    }
}
