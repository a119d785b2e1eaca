/* The sockets that the master holds: those that clients come to, and porteiroctl's. */
#pragma once

#include "config/config.h"

struct sockets;

struct sockets *sockets_create(void);
void sockets_destroy(struct sockets **s);

/* Binds what the configuration lists and isn't bound yet. Returns the descriptors, one for each
 * address in the order of the configuration, to be freed; or NULL: what can't be bound is added to
 * `errors`, and what was bound for this is closed again. */
int *sockets_bind(struct sockets *s, const struct config *config, struct errors *errors);

/* Closes those that the configuration doesn't list. */
void sockets_keep(struct sockets *s, const struct config *config);

/* Binds porteiroctl's socket; a dead one in its place is removed. Returns the descriptor, or -1 and
 * why: another gateway runs, the folder can't be made. */
int control_bind(const char *path, struct error *why);
