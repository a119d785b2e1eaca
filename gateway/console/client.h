/* porteiroctl's end of the control socket: a request, and lines of JSON in answer. */
#pragma once

#include "base/error.h"

#include <jansson.h>

/* Asks, and gives every line but the last to `take`. Returns 0 when the last says that it went
 * well; else -1 and why. `*text` is what the gateway says of it, whole, the caller's, or NULL. */
int console_ask(const char *socket, json_t *request, void (*take)(void *owner, json_t *line),
                void *owner, char **text, struct error *why);
