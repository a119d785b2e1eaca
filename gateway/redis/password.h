/* What Redis is told by AUTH: read by the master, and kept by workers alone. */
#pragma once

#include "base/buffer.h"
#include "config/config.h"

enum { REDIS_PASSWORD_MAX = 1024 };

/* Reads the configuration's password file, with a NUL behind it, into `out`, which is empty and
 * stays so where there is none. What is wrong or odd is added to `errors`. */
void redis_password_prepare(const struct config *config, struct buffer *out, struct errors *errors);
