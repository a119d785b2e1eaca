/* A password that a server behind checks (auth.backend = upstream), instead of an auth process. */
#pragma once

#include "auth/client.h"

struct asked;
struct session;

struct asked_answer {
    enum auth_outcome outcome;
    const char *text; /* the account after AUTH_GOOD, else why, for the log */
};

/* Called by the loop, once; it may end the question. */
typedef void asked_fn(void *owner, const struct asked_answer *answer);

/* Begins to ask about the response of PLAIN, which stays valid until the answer. Where the session
 * logs in at that server anyway, with this password, nobody is asked yet: the answer is AUTH_GOOD,
 * and asked_is_unproven. NULL without memory. */
struct asked *asked_begin(const struct session *s, struct span response, asked_fn *fn, void *owner);

/* Is what the server says of the session's own login the real answer? */
bool asked_is_unproven(const struct asked *a);

/* Gives it up; takes NULL too. */
void asked_end(struct asked **asked);
