#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/io/json_pull.h"

/*
 * The page decoder against cJSON on the same page in the same run: 10,000 incidents of 40 fields,
 * about 15 MB. The rounds of the decoders are interleaved, so that a noisy neighbour slows all of
 * them; the median counts, in CPU time, which other programs disturb least. Prints one JSON line
 * per decoder and page, MB = 10^6 bytes.
 *
 *   json_bench [rounds]
 */

enum { N_INCIDENTS = 10000, ROUNDS_DEFAULT = 9, ROUNDS_MAX = 99 };

static const char *const reference_fields[] = {
    "sys_id",     "assigned_to",      "assignment_group", "caller_id", "opened_by",
    "closed_by",  "resolved_by",      "company",          "location",  "cmdb_ci",
    "problem_id", "business_service", "parent_incident",  "rfc",       "caused_by",
    "sys_domain", "service_offering", "contract",
};
static const char *const number_fields[] = {
    "state",
    "priority",
    "impact",
    "urgency",
    "severity",
    "escalation",
    "reassignment_count",
    "reopen_count",
    "sys_mod_count",
    "notify",
    "child_incidents",
    "business_duration",
    "calendar_duration",
};
static const char *const date_fields[] = {
    "opened_at", "resolved_at", "closed_at", "sys_created_on", "sys_updated_on",
};

/* What one page's long texts are made of. */
static const char *const ascii_words[] = {"printer", "VPN",    "does not", "respond", "again.\n",
                                          "since",   "monday", "folder",   "user's",  "laptop"};
static const char *const italian_words[] = {"è",      "più",     "perché", "l'utente", "città",
                                            "accede", "qualità", "non",    "stampa",   "già"};

static void add_field(struct buf *page, const char *name, const char *value)
{
    buf_add_json_string(page, str_from(name));
    buf_add_char(page, ':');
    buf_add_json_string(page, str_from(value));
    buf_add_char(page, ',');
}

static void add_text(
    struct buf *page, const char *name, const char *const words[10], size_t n_words, uint64_t *seed)
{
    struct buf text CLEANUP(buf_release);
    buf_init(&text, 4096);
    for (size_t i = 0; i < n_words; i++) {
        buf_addf(&text, "%s ", words[random_below(seed, 10)]);
    }
    add_field(page, name, text.ptr);
}

static void add_incident(struct buf *page, const char *const words[10], uint64_t *seed)
{
    char value[64];
    buf_add_char(page, '{');
    for (size_t i = 0; i < ARRAY_SIZE(reference_fields); i++) {
        bool is_empty = i > 0 && random_below(seed, 3) == 0;
        (void)snprintf(value, sizeof(value), "%016llx%016llx",
                       (unsigned long long)random_next(seed),
                       (unsigned long long)random_next(seed));
        add_field(page, reference_fields[i], is_empty ? "" : value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(number_fields); i++) {
        (void)snprintf(value, sizeof(value), "%u", (unsigned)random_below(seed, 100));
        add_field(page, number_fields[i], value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(date_fields); i++) {
        (void)snprintf(value, sizeof(value), "2024-%02u-%02u %02u:%02u:%02u",
                       1 + (unsigned)random_below(seed, 12), 1 + (unsigned)random_below(seed, 28),
                       (unsigned)random_below(seed, 24), (unsigned)random_below(seed, 60),
                       (unsigned)random_below(seed, 60));
        add_field(page, date_fields[i], value);
    }
    (void)snprintf(value, sizeof(value), "INC%07u", (unsigned)random_below(seed, 10000000));
    add_field(page, "number", value);
    add_field(page, "active", random_below(seed, 2) == 0 ? "true" : "false");
    add_text(page, "short_description", words, 10, seed);
    add_text(page, "close_notes", words, random_below(seed, 65), seed);
    page->ptr[page->len - 1] = '}'; /* instead of the last comma */
}

static void make_page(struct buf *page, const char *const words[10])
{
    uint64_t seed = 42;
    buf_init(page, (size_t)64 << 20);
    buf_add_c(page, "{\"result\":[");
    for (int i = 0; i < N_INCIDENTS; i++) {
        if (i > 0) {
            buf_add_char(page, ',');
        }
        add_incident(page, words, &seed);
    }
    buf_add_c(page, "]}");
}

_Noreturn static void fail(const char *decoder, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", decoder, why);
    abort();
}

/* What a decoder must at least do: look at every token and at the length of every text. */
static void decode_with_next(char *page, size_t len)
{
    struct error err = ERROR_INIT;
    struct json_pull pull;
    size_t n_strings = 0;
    size_t n_bytes = 0;
    json_pull_init(&pull, page, len);
    enum json_token token = json_pull_next(&pull, &err);
    while (token != JSON_END && token != JSON_ERROR) {
        if (token == JSON_STRING) {
            n_strings++;
            n_bytes += pull.text.len;
        }
        token = json_pull_next(&pull, &err);
    }
    if (token == JSON_ERROR || n_strings != (size_t)N_INCIDENTS * 40 || n_bytes == 0) {
        fail("json_pull", token == JSON_ERROR ? err.msg : "not 10,000 incidents of 40 fields");
    }
}

static void decode_with_skip(char *page, size_t len)
{
    struct error err = ERROR_INIT;
    struct json_pull pull;
    struct str raw;
    json_pull_init(&pull, page, len);
    if (!json_pull_skip(&pull, &raw, &err) || raw.len != len) {
        fail("json_pull_skip", err.msg);
    }
}

static void decode_with_cjson(char *page, size_t len)
{
    cJSON *root = cJSON_ParseWithLength(page, len);
    const cJSON *records = cJSON_GetObjectItemCaseSensitive(root, "result");
    if (cJSON_GetArraySize(records) != N_INCIDENTS) {
        fail("cjson", "not 10,000 incidents");
    }
    cJSON_Delete(root);
}

struct decoder {
    const char *name;
    void (*decode)(char *page, size_t len);
    int64_t cpu_us[ROUNDS_MAX];
};

static int compare_int64(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static double median_mb_per_s(struct decoder *decoder, size_t n_rounds, size_t page_bytes)
{
    qsort(decoder->cpu_us, n_rounds, sizeof(decoder->cpu_us[0]), compare_int64);
    return (double)page_bytes / (double)decoder->cpu_us[n_rounds / 2];
}

/* The last decoder is what the others are compared with. */
static void measure(const char *page_name, const struct buf *page, size_t n_rounds)
{
    static struct decoder decoders[] = {
        {.name = "json_pull_next", .decode = decode_with_next},
        {.name = "json_pull_skip", .decode = decode_with_skip},
        {.name = "cjson", .decode = decode_with_cjson},
    };

    enum { N_DECODERS = ARRAY_SIZE(decoders) };

    char *work CLEANUP(xfreep) = xmalloc(page->len + 1);
    for (size_t round = 0; round < n_rounds; round++) {
        for (size_t i = 0; i < N_DECODERS; i++) {
            memcpy(work, page->ptr, page->len + 1); /* a decoder may unescape in place */
            int64_t start_cpu_us = clock_thread_cpu_us();
            decoders[i].decode(work, page->len);
            decoders[i].cpu_us[round] = clock_thread_cpu_us() - start_cpu_us;
        }
    }
    double cjson_mb_per_s = median_mb_per_s(&decoders[N_DECODERS - 1], n_rounds, page->len);
    for (size_t i = 0; i < N_DECODERS; i++) {
        double mb_per_s = median_mb_per_s(&decoders[i], n_rounds, page->len);
        printf("{\"bench\":\"json\",\"page\":\"%s\",\"page_bytes\":%zu,\"decoder\":\"%s\","
               "\"rounds\":%zu,\"mb_per_s\":%.0f,\"ratio_to_cjson\":%.2f}\n",
               page_name, page->len, decoders[i].name, n_rounds, mb_per_s,
               mb_per_s / cjson_mb_per_s);
    }
}

int main(int argc, char **argv)
{
    int64_t n_rounds = ROUNDS_DEFAULT;
    if (argc > 1 && !str_to_int64(str_from(argv[1]), 1, ROUNDS_MAX, &n_rounds)) {
        (void)fprintf(stderr, "usage: %s [rounds, 1 to %d]\n", argv[0], ROUNDS_MAX);
        return 2;
    }
    struct buf page CLEANUP(buf_release) = {0};
    make_page(&page, ascii_words);
    measure("ascii", &page, (size_t)n_rounds);
    buf_release(&page);
    make_page(&page, italian_words);
    measure("italian", &page, (size_t)n_rounds);
    return 0;
}
