/* Postfix' policy delegation, the server's side (SMTPD_POLICY_README): a request is lines of
 * "name=value", each ended by LF, and an empty one; an answer is one such line and an empty one.
 * Pure. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

enum { DELEGATION_ASKED_MAX = 16 * 1024 }; /* octets of a request */

/* What is asked; attributes that aren't there are empty, others aren't looked at. */
struct delegation_asked {
    struct span request, state, instance, queue;
    struct span sender, recipient, recipient_count, size;
    struct span client_address, client_port, login;
};

/* Takes a request off the front of `in`. Returns 1: it is whole, and `out` points into what was
 * taken; 0: more is needed, and what is left in `in` must be there again; -1: this is none, or too
 * long: close, without an answer. */
int delegation_asked_take(struct span *in, struct delegation_asked *out, struct error *why);

/* Appends the answer "action=ACTION". Control characters in it become '?'. Returns 0, or -1 when
 * `out` is full. */
int delegation_action_append(const char *action, struct buffer *out);
