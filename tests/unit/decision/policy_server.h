/* A policy server of a test, and a worker's ways to it. */
#pragma once

#include "decision/delegate.h"

#include "base/log.h"
#include "net/peer.h"
#include "telemetry/logged.h"
#include "telemetry/mapping.h"

static struct {
    struct delegates *delegates;
    struct config config;
    struct policy_server servers[2]; /* one that listens, and one at a path */
    struct counter_table *counted;
    struct counters *counters;
    struct log *lines;
    struct event_log log;
    struct logged logged;
    int log_fd;
    struct dialler *dialler;
    struct channel *master;
    int listening;
    struct peer *peers; /* the server's ends of connections */
    unsigned peer_count;
} there;

static inline void policy_server_listen(void)
{
    struct sockaddr_in at;
    there.listening = peer_listen(&at, 0);
    there.servers[0].at.to.v4 = at;
    there.servers[0].at.to.size = sizeof at;
}

static inline void policy_server_begin(void)
{
    int ends[2];
    turns_begin();
    memset(&there, 0, sizeof there);
    there.peers = calloc(16, sizeof *there.peers);
    policy_server_listen();
    there.servers[0].text = "inet:test";
    there.servers[1].text = "unix:/test";
    there.servers[1].at.path = "/test";
    there.config.policy_servers = there.servers;
    there.config.policy_server_count = 2;
    there.counted = mapping_make(counter_table_size());
    there.counters = counters_create(there.counted);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    there.lines = log_create(ends[0], LOG_LEVEL_DEBUG);
    there.log_fd = ends[1];
    there.log = (struct event_log){.lines = there.lines, .process = "test"};
    there.dialler = dialler_create(&there.master);
    const struct delegates_options options = {.loop = turns.loop,
                                              .config = &there.config,
                                              .dialler = there.dialler,
                                              .log = &there.log,
                                              .counters = there.counters};
    there.delegates = delegates_create(&options);
    ck_assert(there.peers != NULL && there.delegates != NULL && there.lines != NULL &&
              there.dialler != NULL);
}

/* When nothing is asked any more. */
static inline void policy_server_end(void)
{
    delegates_destroy(&there.delegates);
    dialler_destroy(&there.dialler);
    log_destroy(&there.lines);
    counters_destroy(&there.counters);
    for (unsigned i = 0; i < there.peer_count; i++)
        peer_close(&there.peers[i]);
    free(there.peers);
    ck_assert_int_eq(close(there.listening), 0);
    turns_end();
}

static inline bool has_come(void)
{
    int fd = accept4(there.listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        peer_init(&there.peers[there.peer_count++], fd);
    return fd >= 0;
}

/* The next connection that is made. */
static inline struct peer *accept_one(void)
{
    UNTIL(has_come());
    return &there.peers[there.peer_count - 1];
}

/* The number of the question, "question=N", that is asked there; it is forgotten. */
static inline size_t question(struct peer *p)
{
    int n = -1;
    UNTIL(peer_read(p) > 0 && memmem(p->in, p->size, "\n\n", 2) != NULL);
    p->in[p->size] = '\0';
    ck_assert_int_eq(sscanf(p->in, "question=%d\n\n", &n), 1);
    p->size = 0;
    return (size_t)n;
}
