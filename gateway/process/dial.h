/* The master connects to unix sockets for workers and control, who see no path. */
#pragma once

#include "process/children.h"

/* Sends who asks a connection to the path that it wants, or word that there is none. Never waits: a
 * unix socket connects at once, or not. */
void dial_for(struct post *asker, const struct message_dial *which);

/* A non-blocking connection to the unix socket that redis.address names; -1: there is none, or it
 * can't be had. */
int dial_redis_socket(const struct redis_config *redis, size_t index);
