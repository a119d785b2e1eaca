/* The worker's side of the helper: it takes access tokens for the gateway's accounts, and says when
 * one was refused. */
#pragma once

#include "upstream/servers.h"

struct tokens;

/* Puts them into the accounts of the servers' context. NULL without memory. */
struct tokens *tokens_create(struct servers *servers);
void tokens_destroy(struct tokens **tokens);

/* A channel to a helper, taken over; the one before it is gone. */
void tokens_add(struct tokens *t, int fd);

/* The upstream has refused the account's token of now. */
void tokens_refused(struct tokens *t, const struct upstream_config *u);
