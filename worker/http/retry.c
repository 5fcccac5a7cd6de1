#include "worker/http/retry.h"

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/instant.h"

#define RETRY_AFTER_MAX_S (INT64_C(366) * 24 * 3600)

static bool is_all_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return text.len > 0;
}

int64_t retry_after_us(struct str value, int64_t date_us, int64_t wall_us)
{
    struct str text = str_trim(value);
    int64_t seconds = 0;
    int64_t until_us = 0;

    if (is_all_digits(text)) {
        /* Only a number beyond the cap fails to parse. */
        if (!str_to_int64(text, 0, RETRY_AFTER_MAX_S, &seconds)) {
            seconds = RETRY_AFTER_MAX_S;
        }
        return seconds * US_PER_S;
    }
    if (text.len == 0 || !instant_parse_http_date(text, &until_us)) {
        return RETRY_AFTER_NONE;
    }
    int64_t wait_us = until_us - (date_us != 0 ? date_us : wall_us);

    if (wait_us < 0) {
        return 0;
    }
    return wait_us < RETRY_AFTER_MAX_S * US_PER_S ? wait_us : RETRY_AFTER_MAX_S * US_PER_S;
}

static int64_t backoff_us(const struct retry_config *config, int64_t tries, uint64_t random)
{
    return backoff_full_jitter_us(config->base_delay_us, config->max_delay_us,
                                  (unsigned)(tries - 1), random);
}

struct retry_step retry_decide(const struct retry_config *config,
                               int64_t tries,
                               enum http_verdict verdict,
                               int64_t retry_after,
                               uint64_t random)
{
    bool is_final = verdict == HTTP_ACCEPT || verdict == HTTP_FAIL || verdict == HTTP_REAUTH;

    if (is_final) {
        return (struct retry_step){RETRY_GIVE_UP, 0};
    }
    if (retry_after > config->max_wait_us) {
        return (struct retry_step){RETRY_TOO_LONG, retry_after};
    }
    if (tries >= config->attempts) {
        return (struct retry_step){RETRY_GIVE_UP, retry_after > 0 ? retry_after : 0};
    }
    if (retry_after > 0) {
        return (struct retry_step){RETRY_SILENCE, retry_after};
    }
    /* "Retry-After: 0" and a date in the past say nothing useful: jitter spreads the lanes. */
    return (struct retry_step){verdict == HTTP_THROTTLE ? RETRY_SILENCE : RETRY_WAIT,
                               backoff_us(config, tries, random)};
}
