/* What goes to a plugin of libsasl2: auth.options, and the secrets in auth.options_file. */
#pragma once

#include "config/config.h"

/* Reads them, in place of what was read before. Returns 0, or -1 and why. */
int options_read(const struct config *config, struct error *why);

/* Overwrites and forgets them. */
void options_forget(void);

/* The value of one, or NULL. The file's come first. */
const char *options_find(const char *key);
