/* A secret that stands in a file, so that it stands in no configuration: a password. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

/* Appends what is in the file, without the line end behind it, to `out`, whose limit is the
 * secret's. Returns 0, or -1 and why: it can't be read, holds nothing, more than fits, or a control
 * character. */
int password_read(const char *file, struct buffer *out, struct error *why);

/* Can everybody read the file? */
bool password_is_public(const char *file);
