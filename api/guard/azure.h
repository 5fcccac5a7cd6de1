#pragma once

#include <stdint.h>

#include "api/guard/verdicts.h"
#include "api/guard/waiter.h"
#include "common/conf/config.h"

/*
 * Judges Azure DevOps credentials of callers by asking the organisation of one configured source
 * whose they are. Few threads ask, one question a credential however many requests bring it, and
 * the answers are kept for a while under the credential's digest. When the organisation cannot be
 * asked nobody is let in on the strength of an old answer that has run out.
 *
 * The organisation is the one that the source's own credential belongs to, learnt at the first
 * question.
 */

struct azure;

/* NULL and ERROR_CONFIG when the source is unknown. `config` must outlive it. */
NODISCARD struct azure *azure_start(const struct config *config, struct error *err);

/* Ends the threads; waiters, also later ones, are told WAIT_STOPPED. Accepts NULL. */
void azure_stop(struct azure *azure);
void azure_free(struct azure *azure); /* stops it first; accepts NULL */

/* From memory; never blocks. `authorization`: the value of the header that would be sent on. */
enum verdict_result
azure_recall(struct azure *azure, struct str authorization, struct principal *ret_principal);

/* Asks, then calls waiter->done; at once, and on this thread, when too many wait already, when the
 * organisation asked for silence, or when this is stopping. */
void azure_ask(struct azure *azure, struct str authorization, struct guard_waiter *waiter);
