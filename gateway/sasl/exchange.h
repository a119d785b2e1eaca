/* One SASL exchange by libsasl2 against a password store. A process that calls these does nothing
 * else: the library keeps global state, and its look-ups wait for the store. */
#pragma once

#include "auth/account.h"
#include "config/config.h"
#include "ipc/messages.h"

struct sasl_exchange;

/* Loads the library and the plugins that the configuration needs, no others. Returns 0, or -1 and
 * why. */
int sasl_start(const struct config *config, struct error *why);
void sasl_stop(void);

/* A fresh exchange for every attempt, whatever became of the last. NULL without memory. */
struct sasl_exchange *sasl_exchange_create(enum auth_service service, const char *mechanism);
void sasl_exchange_destroy(struct sasl_exchange **e);

enum sasl_step { SASL_STEP_CHALLENGE, SASL_STEP_DONE };

/* Takes the client's next response, NULL when it sent none with its AUTH. `*out` is the challenge,
 * or after AUTH_GOOD the canonical account, and lives as long as the exchange. */
enum sasl_step sasl_exchange_step(struct sasl_exchange *e, const struct span *response,
                                  enum auth_outcome *outcome, struct span *out);
