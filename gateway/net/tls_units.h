/* Which files are read, and taken, together: a unit is a tls block's certificates and keys, or a
 * listener's client_ca and client_crl. The blocks come first, in the order of the configuration. */
#pragma once

#include "config/config.h"
#include "net/tls_texts.h"

size_t tls_unit_count(const struct config *c);

/* Its files, in the order of their texts; how many, which is 0 for a listener that asks nobody. */
size_t tls_unit_files(const struct config *c, size_t unit, const char *files[TLS_TEXTS_MAX]);

/* The block that a unit is, or NULL; the listener, or NULL. */
const struct tls_config *tls_unit_block(const struct config *c, size_t unit);
const struct listener_config *tls_unit_listener(const struct config *c, size_t unit);

/* Reads them. What can't be read is added to `errors`. */
void tls_unit_read(const struct config *c, size_t unit, struct tls_texts *out,
                   struct errors *errors);
