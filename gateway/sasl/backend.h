/* Is the password backend away? One answer for all auth processes, so that the log says it once: it
 * lies in the shared mapping. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct backend;

size_t backend_size(void);

/* Somebody has seen that it is away, or that it is there. Returns whether that is news. */
bool backend_set_away(struct backend *b, bool is_away);
