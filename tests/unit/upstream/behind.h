/* The servers behind as a test plays them, line by line, and what the room needs to reach them.
 *
 * A suite calls behind_use(tests); a test calls behind_begin with the settings of its upstream. */
#pragma once

#include "upstream/servers.h"

#include "config/folder.h"
#include "net/certificates.h"
#include "net/peer.h"
#include "net/turns.h"
#include "telemetry/logged.h"
#include "telemetry/mapping.h"

#define EHLO "EHLO mail.example.com\r\n"

enum { BEHIND_SERVERS = 3, BEHIND_PEERS = 24 };

static struct {
    struct upstream_context context;
    struct tls_contexts *tls;
    struct accounts *accounts;
    SSL_CTX *server_tls;
    struct event_log log;
    int log_ends[2];
    int listening[BEHIND_SERVERS];
    struct sockaddr_in at[BEHIND_SERVERS];
    struct counter_table *table;
    struct peer peers[BEHIND_PEERS];
    size_t peer_count;
    struct logged logged;
} behind;

static inline void behind_make_files(void)
{
    const struct certificate wish = {.names = "DNS:mail.example.com", .days = 90};
    char certificate[600];
    folder_make();
    (void)snprintf(certificate, sizeof certificate, "%s", folder_path("c.pem")); /* fits */
    certificate_make(&wish, certificate, folder_path("c.key"));
}

/* An upstream "smtp" of `count` servers s0, s1, ... with these settings, and another one, "other",
 * of the first of them. */
static inline void behind_configure(size_t count, const char *settings)
{
    char text[4096];
    int used =
        snprintf(text, sizeof text,
                 HOSTNAME "tls = { default = { certificate = [\"%s/c.pem\"] key = "
                          "[\"%s/c.key\"] } }\n"
                          "listeners = { r = { bind = [\"127.0.0.1:2525\"] role = \"refuse\" } }\n"
                          "upstreams = { smtp = { %s servers = {",
                 folder, folder, settings); /* fits, as all that follows */
    for (size_t i = 0; i < count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used,
                         " s%zu = { address = \"127.0.0.1:%d\" }", i, ntohs(behind.at[i].sin_port));
    (void)snprintf(text + used, sizeof text - (size_t)used,
                   " } } other = { servers = { s = { address = \"127.0.0.1:%d\" } } } }\n",
                   ntohs(behind.at[0].sin_port));
    (void)config_of(text);
    count_is(0, 0);
}

static inline void behind_claim(struct labels *labels)
{
    int fresh;
    for (size_t i = 0; i < config->upstream_count; i++)
        for (size_t n = 0; n < config->upstreams[i].server_count; n++)
            ck_assert_int_ge(
                label_claim(labels, LABEL_SERVER, config->upstreams[i].servers[n].name, 1, &fresh),
                0);
}

static inline void behind_begin(size_t count, const char *settings)
{
    turns_begin();
    for (size_t i = 0; i < BEHIND_SERVERS; i++)
        behind.listening[i] = peer_listen(&behind.at[i], 0);
    behind_configure(count, settings);
    behind.tls = tls_prepare(config, findings);
    ck_assert_ptr_nonnull(behind.tls);
    behind.accounts = accounts_prepare(config, findings);
    ck_assert_ptr_nonnull(behind.accounts);
    behind.server_tls = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(behind.server_tls, folder_path("c.pem")),
                     1);
    ck_assert_int_eq(
        SSL_CTX_use_PrivateKey_file(behind.server_tls, folder_path("c.key"), SSL_FILETYPE_PEM), 1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, behind.log_ends), 0);
    behind.log.lines = log_create(behind.log_ends[0], LOG_LEVEL_DEBUG);
    behind.log.process = "";
    struct labels *labels = mapping_make(labels_size());
    behind_claim(labels);
    behind.table = mapping_make(counter_table_size());
    behind.context = (struct upstream_context){.loop = turns.loop,
                                               .config = config,
                                               .tls = behind.tls,
                                               .health = mapping_make(health_size()),
                                               .labels = labels,
                                               .accounts = behind.accounts,
                                               .process = 1,
                                               .generation = 1,
                                               .bell = -1,
                                               .log = &behind.log,
                                               .counters = counters_create(behind.table)};
    ck_assert_ptr_nonnull(behind.context.counters);
}

/* What a process of the same gateway starts with, in a child of the test: nothing of its parent but
 * the bell and the log. */
static inline void behind_begin_in_child(size_t process)
{
    for (int fd = STDERR_FILENO + 1; fd < 1000; fd++)
        if (fd != behind.context.bell && fd != behind.log_ends[0])
            (void)close(fd); /* the parent has it still */
    turns_begin();
    behind.context.loop = turns.loop;
    behind.context.process = process;
}

static inline void behind_end(void)
{
    for (size_t i = 0; i < behind.peer_count; i++)
        peer_close(&behind.peers[i]);
    turns_for(2); /* what says QUIT sees the end */
    for (size_t i = 0; i < BEHIND_SERVERS; i++)
        if (behind.listening[i] >= 0)
            ck_assert_int_eq(close(behind.listening[i]), 0);
    turns_end();
    tls_contexts_destroy(&behind.tls);
    accounts_destroy(&behind.accounts);
    SSL_CTX_free(behind.server_tls);
    log_destroy(&behind.log.lines);
    counters_destroy(&behind.context.counters);
    (void)close(behind.log_ends[0]); /* what was told was told */
    (void)close(behind.log_ends[1]);
}

static inline void behind_use(TCase *tests)
{
    tcase_add_unchecked_fixture(tests, behind_make_files, folder_remove);
    tcase_add_checked_fixture(tests, findings_begin, findings_end);
}

static inline struct upstream_config *upstream(void)
{
    return &config->upstreams[0];
}

/* How many connections are counted to a server. */
static inline uint32_t connections(size_t server)
{
    return health_connections(behind.context.health, label_slot(behind.context.labels, LABEL_SERVER,
                                                                upstream()->servers[server].name));
}

static inline enum server_state state_of(size_t server)
{
    return health_state(behind.context.health, label_slot(behind.context.labels, LABEL_SERVER,
                                                          upstream()->servers[server].name));
}

/* ---- the servers' side ---- */

/* Has somebody connected, who is not yet accepted? Then he is the next peer. */
static inline bool somebody_comes(size_t server)
{
    int fd = accept4(behind.listening[server], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return false;
    ck_assert_uint_lt(behind.peer_count, BEHIND_PEERS);
    peer_init(&behind.peers[behind.peer_count++], fd);
    return true;
}

static inline struct peer *next_client(size_t server)
{
    UNTIL(somebody_comes(server));
    return &behind.peers[behind.peer_count - 1];
}

static inline void nobody_comes(size_t server)
{
    turns_for(5);
    ck_assert(!somebody_comes(server));
}

/* The peer has sent this, and maybe more. */
static inline void hears(struct peer *p, const char *text)
{
    size_t size = strlen(text);
    UNTIL(peer_read(p) >= size || peer_has_ended(p));
    ck_assert_msg(p->size >= size && memcmp(p->in, text, size) == 0, "\"%s\" instead of \"%.*s\"",
                  text, (int)p->size, p->in);
    p->size -= size;
    memmove(p->in, p->in + size, p->size);
}

static inline void hears_nothing(struct peer *p)
{
    turns_for(5);
    ck_assert_msg(peer_read(p) == 0 && !p->has_ended, "\"%.*s\"", (int)p->size, p->in);
}

/* The connection is closed, with nothing said before. */
static inline void sees_the_end(struct peer *p)
{
    UNTIL(peer_has_ended(p));
    ck_assert_msg(p->size == 0, "\"%.*s\"", (int)p->size, p->in);
}

/* It has taken a lot, from this byte again and again. */
static inline void takes(struct peer *p, size_t size)
{
    while (size > 0) {
        UNTIL(peer_read(p) > 0);
        size_t taken = p->size < size ? p->size : size;
        p->size -= taken;
        memmove(p->in, p->in + taken, p->size);
        size -= taken;
    }
}

/* Greets the next client, and offers `extensions`: "250 PIPELINING\r\n". */
static inline struct peer *greets(size_t server, const char *extensions)
{
    struct peer *p = next_client(server);
    peer_say(p, "220 behind ESMTP\r\n");
    hears(p, EHLO);
    peer_say(p, extensions[0] == '\0' ? "250 behind\r\n" : "250-behind\r\n");
    peer_say(p, extensions);
    return p;
}

/* How many lines so far have this in them. */
static inline unsigned lines_with(const char *part)
{
    return logged_with(&behind.logged, behind.log.lines, behind.log_ends[1], part);
}
