/* One SASL exchange by libsasl2, against a password store of its own or up to the question whether
 * the backend knows the password. A process that calls these does nothing
 * else: the library keeps global state, and its look-ups wait for the store. */
#pragma once

#include "auth/aliases.h"
#include "config/config.h"
#include "ipc/messages.h"

struct sasl_exchange;

/* Loads the library and the plugins that the configuration needs, no others. `secret`: see
 * sasl/secrets.h. Returns 0, or -1 and why. */
int sasl_start(const struct config *config, const unsigned char *secret, struct error *why);
void sasl_stop(void);

/* Has names looked up there first, as long as the library runs. Not owned. */
void sasl_use_aliases(const struct sealed *aliases);

/* A fresh exchange for every attempt, whatever became of the last. What `start` names and isn't
 * there fails at the first step. NULL without memory. */
struct sasl_exchange *sasl_exchange_create(const struct message_auth_start *start);
void sasl_exchange_destroy(struct sasl_exchange **e);

/* SASL_STEP_ASK: as good as SASL_STEP_DONE, if the backend knows the password. */
enum sasl_step { SASL_STEP_CHALLENGE, SASL_STEP_DONE, SASL_STEP_ASK };

/* Takes the client's next response, NULL when it sent none with its AUTH. `*out` is the challenge,
 * after AUTH_GOOD the canonical account, after AUTH_UNAVAILABLE why; it is valid until the next
 * call. */
enum sasl_step sasl_exchange_step(struct sasl_exchange *e, const struct span *response,
                                  enum auth_outcome *outcome, struct span *out);

/* After SASL_STEP_ASK, as long as the exchange lives: who it is when the backend says yes, and what
 * that is to be asked for. */
const char *sasl_exchange_account(const struct sasl_exchange *e);
const char *sasl_exchange_login(const struct sasl_exchange *e);
struct span sasl_exchange_password(const struct sasl_exchange *e);
