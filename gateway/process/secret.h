/* The secret that all gateways of a site have in common: what they must agree on without asking
 * one another is made from it. The master alone holds it. */
#pragma once

#include "config/config.h"

enum { SECRET_MIN = 32, SECRET_MAX = 4096 };

struct secret {
    unsigned char bytes[SECRET_MAX];
    size_t size;
    bool is_new; /* made just now, and not yet written */
};

/* Reads the file that the configuration names, or the one in state_dir; where there is none yet, it
 * is made up. What is wrong or odd is added to `errors`. */
void secret_prepare(const struct config *c, struct secret *out, struct errors *errors);

/* Writes one that is new into state_dir, for this user alone. Returns 0, or -1 and why. */
int secret_keep(struct secret *s, const struct config *c, struct error *why);

struct span secret_bytes(const struct secret *s);

/* Overwrites it. */
void secret_forget(struct secret *s);
