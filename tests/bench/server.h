/* A redis-server of its own on a unix socket, and a worker's way to it. What fails ends the
 * program. */
#pragma once

#include "decision/redis_store.h"

#include <sys/types.h>

struct server {
    pid_t pid;
    char folder[64]; /* with the socket in it; removed at the end */
    struct redis_server at;
    struct redis_config config;
    struct event_log log;
    struct counter_table *table;
    struct counters *counters;
    struct loop *loop;
    struct redis *redis;
    struct redis_store *store;
};

/* Starts it. The struct stays where it is. */
void server_start(struct server *s);

/* A loop, which runs once, and `store` over it. */
void server_connect(struct server *s);
void server_disconnect(struct server *s);

/* What it has run so far. */
int64_t server_cpu_ns(const struct server *s);

/* When nobody is connected any more. */
void server_stop(struct server *s);

/* Ends the program, unless it is so. */
void must(bool is_good, const char *what);
