/* The master connects to unix sockets for workers, who see no path. */
#pragma once

#include "process/children.h"

/* Sends the worker a connection to the server of Redis that it asks for, or word that there is
 * none. Never waits: a unix socket connects at once, or not. */
void dial_redis(struct post *worker, const struct message_dial *which);
