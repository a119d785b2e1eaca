/* The load generator of tests/bench/run: many TLS clients in one loop, cheap enough that what they
 * speak to is the bottleneck. Each reply is checked; the first wrong one ends the run.
 *
 * A client connects, shakes hands, follows its script (talk.h), says its end of TLS, waits for the
 * server's, and begins again, until enough operations are done. */
#include "base/clock.h"
#include "talk.h"
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    EVENTS_A_TURN = 64,
    SCRATCH_SIZE = 128 * 1024,
    OPENING_MAX = 32, /* clients that log in at once, before they are held */
    SILENCE_MS = 30000,
};

struct options {
    struct script_options script;
    unsigned port, clients;
    uint64_t operations; /* 0: no bound */
    double seconds;      /* likewise; new sessions begin until then */
    bool is_resuming;
    bool is_tls_1_2;
};

enum phase { RESTING, CONNECTING, HANDSHAKING, TALKING, HELD, CLOSING };

struct client {
    struct load *load;
    enum phase phase;
    int fd;
    bool is_writing; /* waits to write, too */
    SSL *ssl;
    SSL_SESSION *session; /* to be resumed */
    struct talk talk;
    struct span out; /* not yet taken */
    int64_t operation_ns;
    char login[LOGIN_LINES][LOGIN_LINE_MAX];
};

struct load {
    struct options options;
    struct script script;
    SSL_CTX *ctx;
    int epoll;
    struct sockaddr_in to;
    struct client *clients;
    unsigned busy, held;
    int64_t started_ns, ended_ns;
    uint64_t begun, operations, sessions, resumed, bytes;
    uint32_t *latencies_us; /* of each operation */
    size_t latencies_room;
    char scratch[SCRATCH_SIZE];
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-loadgen: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void fail_errno(const char *what)
{
    fail(what, strerror(errno));
}

static void fail_tls(const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    fail(what, reason != NULL ? reason : errno != 0 ? strerror(errno) : "closed by the server");
}

static void *allocate(void *old, size_t count, size_t size)
{
    void *memory = reallocarray(old, count, size);
    if (memory == NULL)
        fail("memory", "none left");
    return memory;
}

/* ---- one session ---- */

static void want(struct client *c, bool is_writing, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (is_writing ? EPOLLOUT : 0u), .data.ptr = c};
    c->is_writing = is_writing;
    if (epoll_ctl(c->load->epoll, operation, c->fd, &event) < 0)
        fail_errno("epoll_ctl");
}

/* Enough is done, or begun: nobody connects any more. */
static bool is_enough(const struct load *l)
{
    const struct options *o = &l->options;
    if (o->script.is_login_alone)
        return l->begun == o->clients;
    return (o->operations > 0 && l->begun >= o->operations) ||
           (o->seconds > 0 &&
            (double)(clock_monotonic_ns() - l->started_ns) >= o->seconds * (double)CLOCK_SECOND);
}

static void begin(struct client *c)
{
    struct load *l = c->load;
    const int on = 1;
    if (is_enough(l))
        return;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail_errno("socket");
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        fail_errno("TCP_NODELAY");
    c->operation_ns = clock_monotonic_ns();
    if (connect(c->fd, (const struct sockaddr *)&l->to, sizeof l->to) < 0 && errno != EINPROGRESS)
        fail_errno("connect");
    c->phase = CONNECTING;
    c->talk = (struct talk){.script = &l->script};
    l->begun += l->options.script.messages;
    l->busy++;
    want(c, true, EPOLL_CTL_ADD);
}

static void end(struct client *c)
{
    struct load *l = c->load;
    (void)close(c->fd); /* both have said their end */
    SSL_free(c->ssl);
    c->ssl = NULL;
    c->phase = RESTING;
    l->sessions++;
    l->busy--;
    begin(c);
}

static void record(struct load *l, struct client *c)
{
    if (l->operations == l->latencies_room) {
        l->latencies_room = l->latencies_room * 2 + 1024;
        l->latencies_us = allocate(l->latencies_us, l->latencies_room, sizeof *l->latencies_us);
    }
    l->ended_ns = clock_monotonic_ns();
    l->latencies_us[l->operations++] = (uint32_t)((l->ended_ns - c->operation_ns) / 1000);
    l->bytes += l->options.script.is_greeting_alone ? 0 : l->options.script.size;
    c->operation_ns = l->ended_ns;
}

static void flush(struct client *c)
{
    while (c->out.size > 0) {
        size_t taken = 0;
        errno = 0;
        int done = SSL_write_ex(c->ssl, c->out.data, c->out.size, &taken);
        int error = done == 1 ? 0 : SSL_get_error(c->ssl, done);
        if (done != 1 && error != SSL_ERROR_WANT_WRITE)
            fail_tls("write");
        if (done != 1)
            break;
        span_skip(&c->out, taken);
    }
    if (c->is_writing != (c->out.size > 0))
        want(c, c->out.size > 0, EPOLL_CTL_MOD);
}

/* Says what the present step says; behind the last the session ends, or is held. */
static void perform(struct client *c)
{
    const struct step *step = talk_step(&c->talk);
    if (step != NULL) {
        c->out = step->login == LOGIN_NONE ? step->say : span_of(c->login[step->login]);
        flush(c);
    } else if (c->load->options.script.is_login_alone) {
        c->phase = HELD;
        c->load->held++;
        c->load->busy--;
    } else {
        (void)SSL_shutdown(c->ssl); /* ours; the server's is awaited */
        c->phase = CLOSING;
    }
}

static void hear(struct client *c, struct span in)
{
    struct error why;
    const struct step *step = talk_step(&c->talk);
    if (c->phase == CLOSING || c->phase == HELD)
        fail("end of the session", "the server goes on");
    int got = talk_hear(&c->talk, &in, &why);
    if (got < 0)
        fail("wrong answer", why.text);
    if (got == 0)
        return;
    if (step->is_operation)
        record(c->load, c);
    perform(c);
}

static void on_readable(struct client *c)
{
    struct load *l = c->load;
    for (;;) {
        size_t got = 0;
        errno = 0;
        ERR_clear_error();
        int done = SSL_read_ex(c->ssl, l->scratch, sizeof l->scratch, &got);
        if (done == 1) {
            hear(c, span_make(l->scratch, got));
            if (!SSL_has_pending(c->ssl))
                return;
            continue;
        }
        int error = SSL_get_error(c->ssl, done);
        if (error == SSL_ERROR_WANT_READ)
            return;
        if (c->phase != CLOSING)
            fail_tls("read");
        end(c);
        return;
    }
}

static void shake_hands(struct client *c)
{
    struct load *l = c->load;
    errno = 0;
    ERR_clear_error();
    int done = SSL_do_handshake(c->ssl);
    int error = done == 1 ? 0 : SSL_get_error(c->ssl, done);
    if (done != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        fail_tls("handshake");
    if (c->is_writing != (error == SSL_ERROR_WANT_WRITE))
        want(c, error == SSL_ERROR_WANT_WRITE, EPOLL_CTL_MOD);
    if (done != 1)
        return;
    l->resumed += SSL_session_reused(c->ssl) == 1;
    c->phase = TALKING;
    if (SSL_has_pending(c->ssl))
        on_readable(c); /* the greeting came with the end of the handshake */
}

static void connected(struct client *c)
{
    struct load *l = c->load;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0)
        fail("connect", strerror(error != 0 ? error : errno));
    c->ssl = SSL_new(l->ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_set_app_data(c->ssl, c) != 1)
        fail("memory", "none left");
    SSL_set_connect_state(c->ssl);
    if (c->session != NULL && SSL_set_session(c->ssl, c->session) != 1)
        fail_tls("resumption");
    c->phase = HANDSHAKING;
    shake_hands(c);
}

static void on_event(struct client *c, uint32_t events)
{
    switch (c->phase) {
    case CONNECTING: connected(c); return;
    case HANDSHAKING: shake_hands(c); return;
    case TALKING:
        if ((events & EPOLLOUT) != 0)
            flush(c);
        if ((events & ~(uint32_t)EPOLLOUT) != 0)
            on_readable(c);
        return;
    case HELD:
    case CLOSING: on_readable(c); return;
    case RESTING: return;
    }
}

/* ---- all of them ---- */

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct client *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1; /* it is ours now */
}

/* The certificate is the bench's own: looking at it would cost the client more than its key. */
static int take_certificate(X509_STORE_CTX *chain, void *owner)
{
    (void)chain, (void)owner;
    return 1;
}

/* One suite and one group, so that every server does the same work for it. */
static SSL_CTX *create_ctx(const struct options *o)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int version = o->is_tls_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
    char groups[] = "X25519:P-256"; /* the second for the certificate, with TLS 1.2 */
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256") != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1)
        fail_tls("TLS");
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_cert_verify_callback(ctx, take_certificate, NULL);
    SSL_CTX_set_read_ahead(ctx, 1);
    if (o->is_resuming) {
        (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
                                                      SSL_SESS_CACHE_NO_INTERNAL_STORE);
        SSL_CTX_sess_set_new_cb(ctx, on_ticket);
    }
    return ctx;
}

static struct load *create(const struct options *o)
{
    struct load *l = allocate(NULL, 1, sizeof *l);
    *l = (struct load){.options = *o,
                       .script = script_create(&o->script),
                       .ctx = create_ctx(o),
                       .epoll = epoll_create1(EPOLL_CLOEXEC),
                       .to = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)o->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    if (l->epoll < 0)
        fail_errno("epoll");
    l->clients = allocate(NULL, o->clients, sizeof *l->clients);
    for (unsigned i = 0; i < o->clients; i++) {
        l->clients[i] = (struct client){.load = l, .fd = -1};
        login_lines(i % 16, l->clients[i].login);
    }
    return l;
}

/* Waits for one turn's events and handles them. */
static void turn(struct load *l)
{
    struct epoll_event events[EVENTS_A_TURN];
    int count = epoll_wait(l->epoll, events, EVENTS_A_TURN, SILENCE_MS);
    if (count < 0 && errno != EINTR)
        fail_errno("epoll_wait");
    if (count == 0)
        fail("waiting", "nothing has moved for 30 s");
    for (int i = 0; i < count; i++)
        on_event(events[i].data.ptr, events[i].events);
}

static void run(struct load *l)
{
    l->started_ns = l->ended_ns = clock_monotonic_ns();
    for (unsigned i = 0; i < l->options.clients; i++) {
        begin(&l->clients[i]);
        while (l->options.script.is_login_alone && l->busy >= OPENING_MAX)
            turn(l);
    }
    while (l->busy > 0)
        turn(l);
}

/* All are logged in and say nothing, until somebody closes our standard input. */
static void hold(struct load *l)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    printf("held=%u\n", l->held);
    (void)fflush(stdout); /* whoever measures would wait in vain, and kills us */
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        fail_errno("standard input");
    for (;;) {
        struct epoll_event got;
        int count = epoll_wait(l->epoll, &got, 1, -1);
        if (count < 0 && errno != EINTR)
            fail_errno("epoll_wait");
        if (count > 0 && got.data.ptr == NULL)
            return;
        if (count > 0)
            on_event(got.data.ptr, got.events);
    }
}

/* ---- the report ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct load *l, double part)
{
    if (l->operations == 0)
        return 0;
    size_t i = (size_t)(part * (double)(l->operations - 1) + 0.5);
    return l->latencies_us[i] / 1000.0;
}

static void report(const struct load *l)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage); /* does not fail for oneself */
    double cpu_ms = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    if (l->operations > 0)
        qsort(l->latencies_us, l->operations, sizeof *l->latencies_us, compare);
    printf("clients=%u sessions=%" PRIu64 " resumed=%" PRIu64 " operations=%" PRIu64
           " bytes=%" PRIu64 " seconds=%.3f median_ms=%.3f p95_ms=%.3f p99_ms=%.3f cpu_ms=%.1f\n",
           l->options.clients, l->sessions, l->resumed, l->operations, l->bytes,
           (double)(l->ended_ns - l->started_ns) / (double)CLOCK_SECOND, percentile_ms(l, 0.5),
           percentile_ms(l, 0.95), percentile_ms(l, 0.99), cpu_ms);
}

/* ---- options ---- */

static const char usage[] =
    "usage: bench-loadgen --port PORT [OPTION]...\n"
    "  --mode MODE     smtp, pop3: sessions; smtp-handshake, pop3-handshake: up to the greeting;\n"
    "                  smtp-idle, pop3-idle: logged in, then held until standard input ends\n"
    "  --clients N     at once (16)\n"
    "  --ops N         begin sessions until N operations are begun (0: no bound)\n"
    "  --seconds S     or until S seconds are over (0: no bound)\n"
    "  --messages N    of a session (1)\n"
    "  --size N        octets of a message (4096)\n"
    "  --mailbox N     pop3: messages of the mailbox (10)\n"
    "  --pipelined     MAIL, RCPT and DATA in one write\n"
    "  --resume        every session but a client's first is resumed\n"
    "  --tls12         TLS 1.2 instead of 1.3\n";

static uint64_t number(const char *text, uint64_t max)
{
    uint64_t value;
    if (span_number(span_of(text), max, &value) < 0)
        fail(text, "no number, or too large");
    return value;
}

static void set_mode(struct script_options *o, const char *mode)
{
    struct span rest = span_of(mode);
    struct span protocol = span_split(&rest, '-');
    if (span_equals(protocol, "smtp"))
        o->kind = TALK_SMTP;
    else if (span_equals(protocol, "pop3"))
        o->kind = TALK_POP3;
    else
        fail(mode, "unknown mode");
    o->is_greeting_alone = span_equals(rest, "handshake");
    o->is_login_alone = span_equals(rest, "idle");
    if (rest.size > 0 && !o->is_greeting_alone && !o->is_login_alone)
        fail(mode, "unknown mode");
}

static struct options parse(int argc, char **argv)
{
    enum {
        PORT = 'A',
        MODE,
        CLIENTS,
        OPS,
        SECONDS,
        MESSAGES,
        SIZE,
        MAILBOX,
        PIPELINED,
        RESUME,
        TLS12
    };
    static const struct option known[] = {{"port", required_argument, NULL, PORT},
                                          {"mode", required_argument, NULL, MODE},
                                          {"clients", required_argument, NULL, CLIENTS},
                                          {"ops", required_argument, NULL, OPS},
                                          {"seconds", required_argument, NULL, SECONDS},
                                          {"messages", required_argument, NULL, MESSAGES},
                                          {"size", required_argument, NULL, SIZE},
                                          {"mailbox", required_argument, NULL, MAILBOX},
                                          {"pipelined", no_argument, NULL, PIPELINED},
                                          {"resume", no_argument, NULL, RESUME},
                                          {"tls12", no_argument, NULL, TLS12},
                                          {NULL, 0, NULL, 0}};
    struct options o = {.clients = 16, .script = {.messages = 1, .size = 4096, .mailbox = 10}};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        switch (option) {
        case PORT: o.port = (unsigned)number(optarg, UINT16_MAX); break;
        case MODE: set_mode(&o.script, optarg); break;
        case CLIENTS: o.clients = (unsigned)number(optarg, 60000); break;
        case OPS: o.operations = number(optarg, UINT32_MAX); break;
        case SECONDS: o.seconds = strtod(optarg, NULL); break;
        case MESSAGES: o.script.messages = (unsigned)number(optarg, 1000000); break;
        case SIZE: o.script.size = number(optarg, 1 << 30); break;
        case MAILBOX: o.script.mailbox = (unsigned)number(optarg, 10000); break;
        case PIPELINED: o.script.is_pipelined = true; break;
        case RESUME: o.is_resuming = true; break;
        case TLS12: o.is_tls_1_2 = true; break;
        default: (void)fputs(usage, stderr); exit(2);
        }
    bool is_bounded = o.operations > 0 || o.seconds > 0 || o.script.is_login_alone;
    if (o.port == 0 || o.clients == 0 || o.script.messages == 0 || o.script.mailbox == 0 ||
        o.script.size < TEXT_SIZE_MIN || !is_bounded) {
        (void)fputs(usage, stderr); /* nobody to tell */
        exit(2);
    }
    if (o.script.is_greeting_alone || o.script.is_login_alone)
        o.script.messages = 1;
    return o;
}

int main(int argc, char **argv)
{
    const struct options o = parse(argc, argv);
    struct load *l = create(&o);
    run(l);
    if (o.script.is_login_alone)
        hold(l);
    else
        report(l);
    return EXIT_SUCCESS;
}
