/* saslauthd's client: is this the password? Over its unix socket, without waiting for anybody. */
#pragma once

#include "base/span.h"
#include "ipc/messages.h"
#include "net/loop.h"

struct error;
struct saslauthd;
struct saslauthd_question;

/* Who is asked about; plain data. What saslauthd is to be given in its own field for the realm may
 * be "". */
struct saslauthd_login {
    const char *user, *service, *realm;
    struct span password;
};

/* Called by the loop; `why` says why it is AUTH_UNAVAILABLE. The question is over and freed. */
typedef void saslauthd_fn(void *owner, enum auth_outcome outcome, const char *why);

/* For the socket of that path, which is kept. NULL without memory. */
struct saslauthd *saslauthd_create(struct loop *loop, const char *path);

/* Forgets all questions. */
void saslauthd_destroy(struct saslauthd **s);

/* Asks, or has it wait for its turn; within 20 seconds it is answered AUTH_GOOD, AUTH_WRONG, or
 * AUTH_UNAVAILABLE. NULL when something is too long for saslauthd, or without memory. */
struct saslauthd_question *saslauthd_ask(struct saslauthd *s, const struct saslauthd_login *login,
                                         saslauthd_fn *fn, void *owner);

/* Forgets it; no answer comes any more. */
void saslauthd_cancel(struct saslauthd_question **q);

/* Can the socket of that path be reached? Returns 0, or -1 and why. */
int saslauthd_try(const char *path, struct error *why);
