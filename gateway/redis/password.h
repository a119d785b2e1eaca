/* What Redis and its Sentinels are told by AUTH: read by the master, and kept by workers and
 * control alone. */
#pragma once

#include "base/buffer.h"
#include "config/config.h"

enum { REDIS_PASSWORD_MAX = 1024 };

struct redis_passwords {
    struct buffer server, sentinel; /* with a NUL; empty: none */
};

/* Reads the files that the configuration names. What is wrong or odd is added to `errors`. */
void redis_passwords_prepare(const struct config *config, struct redis_passwords *out,
                             struct errors *errors);

/* Overwrites them. */
void redis_passwords_forget(struct redis_passwords *p);

/* One of them; "": there is none. */
const char *redis_password(const struct buffer *b);
