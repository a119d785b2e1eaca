/* Asks every server behind in turn whether it is there, once for the whole gateway, as a session
 * would: connect, TLS, EHLO or CAPA, QUIT. What it finds goes into the shared mapping. */
#pragma once

#include "upstream/servers.h"

struct probes;

/* Begins at once. NULL without memory. */
struct probes *probes_create(const struct upstream_context *context);
void probes_destroy(struct probes **probes);
