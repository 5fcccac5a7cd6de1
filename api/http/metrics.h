#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

/*
 * What the service counts of itself, and the text format of Prometheus. Counting is lock-free and
 * may happen on any thread; the set of series is fixed by the route table, so that no client can
 * make it grow.
 */

struct http_metrics;

/* `names`: label values, one a route ("/v1/executions/{id}"); one more is added for requests
 * without a route. They must outlive the metrics. */
struct http_metrics *http_metrics_new(const char *const *names, size_t n_names);
void http_metrics_free(struct http_metrics *metrics); /* accepts NULL */

/* route = n_names for a request without one. */
void http_metrics_count(
    struct http_metrics *metrics, size_t route, int status, int64_t duration_us, size_t bytes);

void http_metrics_write(const struct http_metrics *metrics, struct buf *out);

/* CPU, memory, descriptors, threads and start time of this process, from /proc/self. */
void process_metrics_write(struct buf *out);

/* "# HELP" and "# TYPE" of one metric. type: counter, gauge, histogram. */
void metrics_head(struct buf *out, const char *name, const char *type, const char *help);

/* A label value, escaped, without quotes. */
void metrics_label(struct buf *out, struct str value);
