/* The control process: the log, porteiroctl's socket, the probes: what is done once for the whole
 * gateway. */
#pragma once

#include "auth/cache.h"
#include "control/limiting.h"
#include "ipc/channel.h"
#include "upstream/servers.h"

struct control_service;

struct control_service_options {
    struct upstream_context upstream; /* for the probes; with the loop, log and counters of all */
    const struct board *board;
    const struct grants *grants;
    struct auth_cache auth_cache;
    const struct banning *banning;
    const struct limit_setting *limit_setting;
    const struct suspending *suspending;
    struct limiting_options limits;
    struct witness_memory *witness;
    const struct sealed *contacts; /* NULL: there are none */
    int socket;                    /* listening */
    struct channel *master;        /* for RELOAD, SET_DRAIN, LOG_LOST and END_SESSIONS */
};

/* NULL without memory. */
struct control_service *control_service_create(const struct control_service_options *options);

/* Writes what has come of the log. */
void control_service_destroy(struct control_service **service);

/* A message of the master: LOG_SOURCE, LOG_TARGET, PEER, WATCHED, ANSWER. */
void control_service_message(struct control_service *s, const struct message *m);

/* Another process takes over: no new clients, no probes; `fn` when the last client is gone. */
void control_service_retire(struct control_service *s, loop_fn *fn, void *owner);
