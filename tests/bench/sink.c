/* The server behind, for tests/bench/run: SMTP that takes every message and counts it, POP3 with
 * one fixed mailbox, in one loop. It answers as Postfix and Dovecot do, and as cheaply as it can.
 *
 * Prints "smtp=PORT pop3=PORT" when it is ready, and what it has counted at each SIGUSR1. */
#include "base/base64.h"
#include "base/span.h"
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    EVENTS_A_TURN = 64,
    SCRATCH_SIZE = 256 * 1024,
    KEPT_MAX = 4096, /* of what a client has sent, until it is whole */
    SAID_MAX = 4096, /* replies that go in one write */
    REPLY_MAX = 512, /* of one */
};

static const char end_of_text[] = "\r\n.\r\n";
static const char greeting[] = "220 sink.example ESMTP Postfix\r\n";

enum phase { COMMANDS, TEXT_BEGINS, TEXT, AUTH_RESPONSE, ENDED };

struct peer {
    struct sink *sink;
    int fd;
    bool is_smtp;
    enum phase phase;
    bool has_mail, has_rcpt, is_told;
    bool is_blocked;  /* waits to write, and reads nothing */
    struct span more; /* goes behind `said`: a message of the mailbox, or a list */
    size_t said_size;
    size_t kept_size;
    char said[SAID_MAX];
    char kept[KEPT_MAX];
};

struct door {
    int fd;
    bool is_smtp;
};

struct sink {
    int epoll, signals;
    struct door smtp, pop3;
    bool has_pipelining, has_xclient;
    unsigned mailbox;
    size_t size;                  /* of each message there */
    struct span retr, list, uidl; /* whole replies */
    uint64_t sessions, messages, bytes, retrieved;
    char scratch[KEPT_MAX + SCRATCH_SIZE];
};

static void fail(const char *what)
{
    fprintf(stderr, "bench-sink: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

/* ---- writing ---- */

static void say(struct peer *p, const char *reply)
{
    size_t size = strlen(reply);
    memcpy(p->said + p->said_size, reply, size); /* the caller has left REPLY_MAX */
    p->said_size += size;
}

static void want(struct peer *p, bool is_writing, int operation)
{
    struct epoll_event event = {.events = is_writing ? EPOLLOUT : EPOLLIN, .data.ptr = p};
    p->is_blocked = is_writing;
    if (epoll_ctl(p->sink->epoll, operation, p->fd, &event) < 0)
        fail("epoll_ctl");
}

static void end(struct peer *p)
{
    (void)close(p->fd); /* what had to arrive has been written */
    free(p);
}

/* Returns -1 when the connection is gone. */
static int flush(struct peer *p)
{
    struct iovec parts[] = {{p->said, p->said_size},
                            {(void *)(uintptr_t)p->more.data, p->more.size}};
    if (p->said_size + p->more.size == 0)
        return 0;
    ssize_t taken = writev(p->fd, parts, p->more.size > 0 ? 2 : 1);
    if (taken < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    size_t count = taken < 0 ? 0 : (size_t)taken;
    size_t of_said = count < p->said_size ? count : p->said_size;
    memmove(p->said, p->said + of_said, p->said_size - of_said);
    p->said_size -= of_said;
    span_skip(&p->more, count - of_said);
    bool is_left = p->said_size + p->more.size > 0;
    if (is_left != p->is_blocked)
        want(p, is_left, EPOLL_CTL_MOD);
    return 0;
}

/* ---- commands ---- */

/* Everybody has the password "secret". */
static bool is_good_plain(struct span response)
{
    char bytes[512];
    ssize_t size = base64_decode(response, bytes, sizeof bytes);
    struct span rest = span_make(bytes, size < 0 ? 0 : (size_t)size);
    (void)span_split(&rest, '\0');
    struct span user = span_split(&rest, '\0');
    return user.size > 0 && span_equals(rest, "secret");
}

static void answer_plain(struct peer *p, struct span response)
{
    bool is_good = is_good_plain(response);
    p->phase = COMMANDS;
    if (p->is_smtp)
        say(p, is_good ? "235 2.7.0 Authentication successful\r\n"
                       : "535 5.7.8 Error: authentication failed\r\n");
    else
        say(p, is_good ? "+OK Logged in.\r\n" : "-ERR [AUTH] Authentication failed.\r\n");
}

static void on_auth(struct peer *p, struct span argument)
{
    struct span mechanism = span_split(&argument, ' ');
    if (!span_equals_nocase(mechanism, "PLAIN")) {
        say(p, p->is_smtp ? "504 5.5.4 Unrecognized mechanism\r\n" : "-ERR Unknown mechanism\r\n");
    } else if (argument.size > 0) {
        answer_plain(p, argument);
    } else {
        p->phase = AUTH_RESPONSE;
        say(p, p->is_smtp ? "334 \r\n" : "+ \r\n");
    }
}

static void on_ehlo(struct peer *p, struct span argument)
{
    (void)argument;
    say(p, "250-sink.example\r\n");
    if (p->sink->has_pipelining)
        say(p, "250-PIPELINING\r\n");
    if (p->sink->has_xclient && !p->is_told)
        say(p, "250-XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT\r\n");
    say(p, "250-SIZE 104857600\r\n250-AUTH PLAIN\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
           "250-DSN\r\n250 SMTPUTF8\r\n");
}

static void on_helo(struct peer *p, struct span argument)
{
    (void)argument;
    say(p, "250 sink.example\r\n");
}

static void on_xclient(struct peer *p, struct span argument)
{
    (void)argument;
    if (!p->sink->has_xclient || p->is_told) {
        say(p, "550 5.7.0 Error: insufficient authorization\r\n");
        return;
    }
    p->is_told = true;
    say(p, greeting);
}

static void on_mail(struct peer *p, struct span argument)
{
    bool is_good = !p->has_mail && span_starts_nocase(argument, "FROM:");
    p->has_mail = p->has_mail || is_good;
    say(p, is_good ? "250 2.1.0 Ok\r\n" : "503 5.5.1 Error: nested MAIL command\r\n");
}

static void on_rcpt(struct peer *p, struct span argument)
{
    bool is_good = p->has_mail && span_starts_nocase(argument, "TO:");
    p->has_rcpt = p->has_rcpt || is_good;
    say(p, is_good ? "250 2.1.5 Ok\r\n" : "503 5.5.1 Error: need MAIL command\r\n");
}

static void on_data(struct peer *p, struct span argument)
{
    (void)argument;
    if (!p->has_rcpt) {
        say(p, "503 5.5.1 Error: need RCPT command\r\n");
        return;
    }
    p->phase = TEXT_BEGINS;
    say(p, "354 End data with <CR><LF>.<CR><LF>\r\n");
}

static void text_ended(struct peer *p)
{
    p->phase = COMMANDS;
    p->has_mail = p->has_rcpt = false;
    p->sink->messages++;
    say(p, "250 2.0.0 Ok: queued as 4bENCHsINK\r\n");
}

static void on_rset(struct peer *p, struct span argument)
{
    (void)argument;
    p->has_mail = p->has_rcpt = false;
    say(p, p->is_smtp ? "250 2.0.0 Ok\r\n" : "+OK\r\n");
}

static void on_noop(struct peer *p, struct span argument)
{
    (void)argument;
    say(p, p->is_smtp ? "250 2.0.0 Ok\r\n" : "+OK\r\n");
}

static void on_quit(struct peer *p, struct span argument)
{
    (void)argument;
    p->phase = ENDED;
    say(p, p->is_smtp ? "221 2.0.0 Bye\r\n" : "+OK Logging out.\r\n");
}

static void on_capa(struct peer *p, struct span argument)
{
    (void)argument;
    say(p, "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\nUSER\r\n"
           "SASL PLAIN\r\n.\r\n");
}

static void on_user(struct peer *p, struct span argument)
{
    say(p, argument.size > 0 ? "+OK\r\n" : "-ERR No user\r\n");
}

static void on_pass(struct peer *p, struct span argument)
{
    say(p, span_equals(argument, "secret") ? "+OK Logged in.\r\n"
                                           : "-ERR [AUTH] Authentication failed.\r\n");
}

static void on_stat(struct peer *p, struct span argument)
{
    char text[64];
    (void)argument;
    (void)snprintf(text, sizeof text, "+OK %u %zu\r\n", p->sink->mailbox,
                   p->sink->mailbox * p->sink->size); /* fits */
    say(p, text);
}

static void on_list(struct peer *p, struct span argument)
{
    (void)argument;
    p->more = p->sink->list;
}

static void on_uidl(struct peer *p, struct span argument)
{
    (void)argument;
    p->more = p->sink->uidl;
}

static void on_retr(struct peer *p, struct span argument)
{
    uint64_t which;
    if (span_number(argument, p->sink->mailbox, &which) < 0 || which == 0) {
        say(p, "-ERR There's no message of that number.\r\n");
        return;
    }
    p->more = p->sink->retr;
    p->sink->retrieved++;
}

typedef void command_fn(struct peer *p, struct span argument);

struct verb {
    const char *name;
    command_fn *fn;
};

static const struct verb smtp_verbs[] = {
    {"MAIL", on_mail}, {"RCPT", on_rcpt},       {"DATA", on_data}, {"RSET", on_rset},
    {"NOOP", on_noop}, {"QUIT", on_quit},       {"EHLO", on_ehlo}, {"HELO", on_helo},
    {"AUTH", on_auth}, {"XCLIENT", on_xclient}, {NULL, NULL}};
static const struct verb pop3_verbs[] = {
    {"RETR", on_retr}, {"CAPA", on_capa}, {"USER", on_user}, {"PASS", on_pass}, {"AUTH", on_auth},
    {"STAT", on_stat}, {"LIST", on_list}, {"UIDL", on_uidl}, {"DELE", on_noop}, {"NOOP", on_noop},
    {"RSET", on_rset}, {"QUIT", on_quit}, {NULL, NULL}};

static void take_command(struct peer *p, struct span line)
{
    if (p->phase == AUTH_RESPONSE) {
        answer_plain(p, line);
        return;
    }
    struct span verb = span_split(&line, ' ');
    for (const struct verb *v = p->is_smtp ? smtp_verbs : pop3_verbs; v->name != NULL; v++)
        if (span_equals_nocase(verb, v->name)) {
            v->fn(p, line);
            return;
        }
    say(p,
        p->is_smtp ? "502 5.5.2 Error: command not recognized\r\n" : "-ERR Unknown command.\r\n");
}

/* ---- reading ---- */

/* Takes text up to its final dot, or all but the octets among which one may begin. Returns whether
 * there is more to look at. */
static bool take_text(struct peer *p, struct span *in)
{
    const size_t size = sizeof end_of_text - 1;
    if (p->phase == TEXT_BEGINS && in->size >= TEXT_DOT_SIZE) {
        p->phase = TEXT;
        if (memcmp(in->data, end_of_text + 2, TEXT_DOT_SIZE) == 0) { /* no text at all */
            span_skip(in, TEXT_DOT_SIZE);
            text_ended(p);
            return true;
        }
    }
    const char *end = memmem(in->data, in->size, end_of_text, size);
    size_t taken = end != NULL        ? (size_t)(end - in->data) + size
                   : in->size >= size ? in->size - (size - 1)
                                      : 0;
    p->sink->bytes += end != NULL ? taken - TEXT_DOT_SIZE : taken;
    span_skip(in, taken);
    if (end != NULL)
        text_ended(p);
    return end != NULL;
}

static bool take_line(struct peer *p, struct span *in)
{
    const char *end = memchr(in->data, '\n', in->size);
    if (end == NULL)
        return false;
    struct span line = span_take(in, (size_t)(end - in->data) + 1);
    line.size -= line.size > 1 && line.data[line.size - 2] == '\r' ? 2 : 1;
    take_command(p, line);
    return true;
}

/* Answers what is whole, and keeps the rest. Returns -1: the connection is to be ended. */
static int take(struct peer *p, struct span in)
{
    bool is_more = true;
    while (is_more && in.size > 0 && p->phase != ENDED) {
        bool is_text = p->phase == TEXT || p->phase == TEXT_BEGINS;
        is_more = is_text ? take_text(p, &in) : take_line(p, &in);
        bool is_full = p->more.size > 0 || SAID_MAX - p->said_size < REPLY_MAX;
        if (is_full && flush(p) < 0)
            return -1;
        if (p->is_blocked)
            break;
    }
    if (!p->is_blocked && flush(p) < 0)
        return -1;
    if (in.size > sizeof p->kept)
        return -1;
    memcpy(p->kept, in.data, in.size);
    p->kept_size = in.size;
    return p->phase == ENDED && !p->is_blocked ? -1 : 0;
}

/* Reads behind what was kept. */
static void on_readable(struct peer *p)
{
    struct sink *s = p->sink;
    memcpy(s->scratch, p->kept, p->kept_size);
    ssize_t got = read(p->fd, s->scratch + p->kept_size, SCRATCH_SIZE);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || take(p, span_make(s->scratch, p->kept_size + (size_t)got)) < 0)
        end(p);
}

static void on_writable(struct peer *p)
{
    struct sink *s = p->sink;
    if (flush(p) < 0) {
        end(p);
        return;
    }
    if (p->is_blocked)
        return;
    memcpy(s->scratch, p->kept, p->kept_size);
    if (take(p, span_make(s->scratch, p->kept_size)) < 0)
        end(p);
}

/* ---- doors ---- */

static unsigned open_door(struct door *d, bool is_smtp)
{
    const int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    d->is_smtp = is_smtp;
    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0 || setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        bind(d->fd, (const struct sockaddr *)&at, sizeof at) < 0 || listen(d->fd, 4096) < 0 ||
        getsockname(d->fd, (struct sockaddr *)&at, &size) < 0)
        fail("socket");
    return ntohs(at.sin_port);
}

static void accept_all(struct sink *s, const struct door *d)
{
    int fd;
    while ((fd = accept4(d->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *p = malloc(sizeof *p);
        if (p == NULL)
            fail("memory");
        p->sink = s;
        p->fd = fd;
        p->is_smtp = d->is_smtp;
        p->phase = COMMANDS;
        p->has_mail = p->has_rcpt = p->is_told = p->is_blocked = false;
        p->more = span_make("", 0);
        p->said_size = p->kept_size = 0;
        s->sessions++;
        want(p, false, EPOLL_CTL_ADD);
        say(p, d->is_smtp ? greeting : "+OK Dovecot ready.\r\n");
        if (flush(p) < 0)
            end(p);
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        fail("accept");
}

/* SIGUSR1: what was counted; any other ends us. */
static void on_signal(const struct sink *s)
{
    struct signalfd_siginfo signal;
    if (read(s->signals, &signal, sizeof signal) != sizeof signal)
        fail("signals");
    if (signal.ssi_signo != SIGUSR1)
        exit(EXIT_SUCCESS);
    printf("sessions=%" PRIu64 " messages=%" PRIu64 " bytes=%" PRIu64 " retrieved=%" PRIu64 "\n",
           s->sessions, s->messages, s->bytes, s->retrieved);
    (void)fflush(stdout); /* whoever asked would see that nothing comes */
}

static void watch(const struct sink *s, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

static void watch_signals(struct sink *s)
{
    sigset_t signals;
    (void)sigemptyset(&signals); /* these do not fail */
    (void)sigaddset(&signals, SIGUSR1);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ||
        (s->signals = signalfd(-1, &signals, SFD_CLOEXEC)) < 0)
        fail("signals");
    (void)signal(SIGPIPE, SIG_IGN); /* likewise */
    watch(s, s->signals, &s->signals);
}

/* ---- the mailbox ---- */

static struct span create_retr(size_t size)
{
    char head[64];
    struct span text = text_with_dot(size);
    int head_size = snprintf(head, sizeof head, "+OK %zu octets\r\n", size);
    char *retr = malloc((size_t)head_size + text.size);
    if (retr == NULL)
        fail("memory");
    memcpy(retr, head, (size_t)head_size);
    memcpy(retr + head_size, text.data, text.size);
    return span_make(retr, (size_t)head_size + text.size);
}

static struct span create_list(const struct sink *s, bool is_uidl)
{
    enum { LINE_SIZE = 40 };
    char *list = malloc((s->mailbox + 2) * LINE_SIZE);
    if (list == NULL)
        fail("memory");
    int used = snprintf(list, LINE_SIZE, "+OK\r\n");
    for (unsigned i = 1; i <= s->mailbox; i++)
        used += is_uidl ? snprintf(list + used, LINE_SIZE, "%u uid%u\r\n", i, i)
                        : snprintf(list + used, LINE_SIZE, "%u %zu\r\n", i, s->size); /* fits */
    used += snprintf(list + used, LINE_SIZE, ".\r\n");
    return span_make(list, (size_t)used);
}

static struct sink *create(int argc, char **argv)
{
    enum { MAILBOX = 'A', SIZE, NO_PIPELINING, XCLIENT };
    static const struct option known[] = {{"mailbox", required_argument, NULL, MAILBOX},
                                          {"size", required_argument, NULL, SIZE},
                                          {"no-pipelining", no_argument, NULL, NO_PIPELINING},
                                          {"xclient", no_argument, NULL, XCLIENT},
                                          {NULL, 0, NULL, 0}};
    static struct sink s = {.has_pipelining = true, .mailbox = 10, .size = 1000000};
    uint64_t value = 0;
    int option, failed = 0;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == MAILBOX || option == SIZE)
            failed |= span_number(span_of(optarg), 1 << 30, &value);
        switch (option) {
        case MAILBOX: s.mailbox = (unsigned)value; break;
        case SIZE: s.size = value; break;
        case NO_PIPELINING: s.has_pipelining = false; break;
        case XCLIENT: s.has_xclient = true; break;
        default: failed = -1;
        }
    }
    if (failed || s.mailbox == 0 || s.mailbox > 10000 || s.size < TEXT_SIZE_MIN) {
        (void)fputs("usage: bench-sink [--mailbox N] [--size N] [--no-pipelining] [--xclient]\n",
                    stderr); /* nobody to tell */
        exit(2);
    }
    s.retr = create_retr(s.size);
    s.list = create_list(&s, false);
    s.uidl = create_list(&s, true);
    return &s;
}

int main(int argc, char **argv)
{
    struct sink *s = create(argc, argv);
    struct epoll_event events[EVENTS_A_TURN];
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0)
        fail("epoll");
    watch_signals(s);
    unsigned smtp = open_door(&s->smtp, true), pop3 = open_door(&s->pop3, false);
    watch(s, s->smtp.fd, &s->smtp);
    watch(s, s->pop3.fd, &s->pop3);
    printf("smtp=%u pop3=%u\n", smtp, pop3);
    (void)fflush(stdout); /* whoever reads would see that nothing comes */
    for (;;) {
        int count = epoll_wait(s->epoll, events, EVENTS_A_TURN, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;
            struct peer *p = what;
            if (what == &s->signals)
                on_signal(s);
            else if (what == &s->smtp || what == &s->pop3)
                accept_all(s, what);
            else if (p->is_blocked)
                on_writable(p);
            else
                on_readable(p);
        }
    }
}
