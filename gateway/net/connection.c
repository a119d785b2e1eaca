#include "net/connection.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "net/loop_libevent.h"
#include "net/tls.h"
#include "net/tls_socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    OUT_LIMIT = LOOP_SPARE_SIZE + 32 * 1024, /* the rest of one chunk of text, and replies */
    RECORD_SIZE = 16 * 1024,                 /* of TLS */
    PARTS_MAX = 8,
};
#define LINGER_NS (3 * CLOCK_SECOND)

enum phase {
    CONNECTING,
    HANDSHAKING,
    OPEN,
    FINISHING, /* the last bytes are being written */
    LINGERING, /* the stream is ended; the peer's end is awaited */
    FAILED,
    CLOSED, /* freed at the end of this turn */
};

struct connection {
    struct event event;
    struct timeout timeout;
    struct loop *loop;
    connection_fn *fn;
    void *owner;
    SSL *ssl;
    const struct tls_context *next_tls; /* to be started when `out` is empty */
    struct buffer pending;              /* read, and not taken */
    struct buffer out;                  /* written, and not gone */
    struct address peer;
    struct deferred deferred;
    struct entry look, adopted; /* see call_soon, connection_finish */
    char *error;                /* why it fails, or will when all that came before is told */
    struct tls_socket socket;
    enum phase phase;
    short watched; /* EV_READ and EV_WRITE, as far as they are waited for */
    bool is_paused;
    bool was_resumed; /* while data was being delivered: what was left is to come again at once */
    bool is_eof;
    bool has_more;            /* OpenSSL holds something that was not yet read from it */
    bool has_undelivered;     /* look at `pending` before reading more */
    bool wants_read_to_write; /* TLS must read before it can write */
    bool is_last_written;     /* what follows is the end alone */
    bool expects_more;        /* while something is written that may wait for what follows */
};

static void on_event(evutil_socket_t fd, short what, void *owner);
static void on_timeout(void *owner);
static void on_look(void *owner);
static void fail(struct connection *c, const char *error);
static void close_now(struct connection *c);

static void tell(struct connection *c, enum connection_event event, struct span *in)
{
    c->fn(c->owner, event, in);
}

/* Sets what is watched for. What the loop can't watch can't go on: told as any failure. One event
 * for both directions: whoever is idle wants one, and a second would be an eighth of what it costs.
 */
static void watch(struct connection *c, short wanted)
{
    if (wanted == c->watched)
        return;
    if (c->watched != 0)
        (void)event_del(&c->event); /* taking out does not fail */
    c->watched = wanted;
    if (wanted == 0)
        return;
    int failed = event_assign(&c->event, loop_base(c->loop), c->socket.fd,
                              (short)(wanted | EV_PERSIST), on_event, c);
    if (failed || event_add(&c->event, NULL) < 0) {
        c->watched = 0;
        fail(c, "the event loop takes no more");
    }
}

static void want_read(struct connection *c, bool is_wanted)
{
    watch(c, (short)(is_wanted ? c->watched | EV_READ : c->watched & ~EV_READ));
}

static void want_write(struct connection *c, bool is_wanted)
{
    watch(c, (short)(is_wanted ? c->watched | EV_WRITE : c->watched & ~EV_WRITE));
}

/* As if there were something to read, but after whoever runs now. */
static void call_soon(struct connection *c)
{
    loop_soon(c->loop, &c->look, on_look, c);
}

static void keep_error(struct connection *c, const char *error)
{
    if (c->error == NULL)
        c->error = strdup(error); /* without memory: see connection_error */
}

/* Keeps the reason, which the owner is told from the loop, if there is still one. */
static void fail(struct connection *c, const char *error)
{
    if (c->phase == FAILED || c->phase == CLOSED)
        return;
    if (c->phase == FINISHING || c->phase == LINGERING) {
        close_now(c);
        return;
    }
    keep_error(c, error);
    c->phase = FAILED;
    want_read(c, false);
    want_write(c, false);
    buffer_clear(&c->out);
    call_soon(c);
}

static void fail_errno(struct connection *c)
{
    fail(c, strerror(errno));
}

/* SSL_get_error wants no older error in OpenSSL's queue. Hot: to look is cheaper than to clear. */
static void forget_tls_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* What a client has sent in place of a handshake, as far as its first octets tell; or NULL. */
static const char *describe_clear(const SSL *ssl, unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL || !SSL_is_server(ssl) ||
        SSL_get_state(ssl) != TLS_ST_BEFORE)
        return NULL;
    if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST)
        return "TLS: no handshake, but HTTP in clear";
    return reason == SSL_R_WRONG_VERSION_NUMBER ? "TLS: no handshake, but something in clear"
                                                : NULL;
}

/* What OpenSSL says of its last call. */
static void keep_tls_error(struct connection *c, int ssl_error)
{
    const char *more = "";
    int flags = 0;
    unsigned long code = ERR_peek_error_data(&more, &flags);
    const char *reason = ERR_reason_error_string(code);
    const char *clear = describe_clear(c->ssl, code);
    struct error text;
    if (clear != NULL)
        (void)error_set(&text, "%s", clear);
    else if (code != 0 && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        (void)error_set(&text, "TLS: %s: %s", reason,
                        more[0] != '\0' /* see net/tls_client */
                            ? more
                            : X509_verify_cert_error_string(SSL_get_verify_result(c->ssl)));
    else if (code != 0)
        (void)error_set(&text, "TLS: %s", reason == NULL ? "protocol error" : reason);
    else if (errno == 0 || ssl_error == SSL_ERROR_ZERO_RETURN)
        (void)error_set(&text, "closed by the peer");
    else
        (void)error_set(&text, "%s", strerror(errno));
    ERR_clear_error();
    keep_error(c, text.text);
}

static void fail_tls(struct connection *c, int ssl_error)
{
    keep_tls_error(c, ssl_error);
    fail(c, "");
}

static struct connection *create(struct loop *loop, int fd, const struct address *peer,
                                 connection_fn *fn, void *owner)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->loop = loop;
    c->socket.fd = fd;
    c->peer = *peer;
    c->fn = fn;
    c->owner = owner;
    c->pending.limit = LOOP_SCRATCH_SIZE;
    c->out.limit = OUT_LIMIT;
    timeout_init(&c->timeout, loop, on_timeout, c);
    return c;
}

struct connection *connection_accept(struct loop *loop, int fd, const struct address *peer,
                                     connection_fn *fn, void *owner)
{
    struct connection *c = create(loop, fd, peer, fn, owner);
    if (c == NULL) {
        (void)close(fd); /* nothing was written */
        return NULL;
    }
    c->phase = OPEN;
    want_read(c, true);
    return c;
}

/* Does it say something of this machine rather than of the other? */
static bool is_own_failure(int error)
{
    return error == EAGAIN || error == EADDRNOTAVAIL || error == ENOBUFS || error == ENOMEM ||
           error == EACCES || error == EPERM;
}

struct connection *connection_connect(struct loop *loop, const struct address *to,
                                      connection_fn *fn, void *owner, struct error *why)
{
    const int on = 1;
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        (void)error_set(why, "socket: %s", strerror(errno));
        return NULL;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* else it is only slower */
    int outcome = connect(fd, &to->any, to->size) < 0 && errno != EINPROGRESS ? errno : 0;
    struct connection *c = is_own_failure(outcome) ? NULL : create(loop, fd, to, fn, owner);
    if (c == NULL) {
        (void)error_set(why, "connect: %s", strerror(outcome == 0 ? ENOMEM : outcome));
        (void)close(fd);
        return NULL;
    }
    c->phase = CONNECTING;
    if (outcome != 0)
        fail(c, strerror(outcome));
    else
        want_write(c, true);
    return c;
}

void connection_set_owner(struct connection *c, connection_fn *fn, void *owner)
{
    c->fn = fn;
    c->owner = owner;
    c->has_undelivered = true;
    call_soon(c); /* what the other has left */
}

static void destroy(void *owner)
{
    struct connection *c = owner;
    SSL_free(c->ssl);
    free(c->error);
    free(c);
}

static void close_now(struct connection *c)
{
    loop_disown(c->loop, &c->adopted);
    watch(c, 0);
    timeout_stop(&c->timeout);
    loop_not_soon(&c->look);
    (void)close(c->socket.fd); /* what had to arrive was awaited by connection_finish */
    buffer_clear(&c->pending);
    buffer_clear(&c->out);
    c->phase = CLOSED;
    loop_defer(c->loop, &c->deferred, destroy, c);
}

void connection_close(struct connection **c)
{
    if (*c == NULL)
        return;
    close_now(*c);
    *c = NULL;
}

/* Says that TLS ends. False: it could not be written yet. */
static bool end_tls(struct connection *c)
{
    ERR_clear_error();
    c->socket.has_more = false;
    int done = SSL_shutdown(c->ssl);
    bool must_wait = done < 0 && SSL_get_error(c->ssl, done) == SSL_ERROR_WANT_WRITE;
    ERR_clear_error(); /* the peer may be gone */
    return !must_wait;
}

/* Writes what is left and drops what comes, a few seconds at most. */
static void finish_later(struct connection *c)
{
    c->phase = FINISHING;
    timeout_set(&c->timeout, loop_now(c->loop) + LINGER_NS);
    want_write(c, true);
}

/* All is written: ends the stream, and waits for the peer to end its own. */
static void linger(struct connection *c)
{
    if (c->ssl != NULL && c->phase != FAILED && !end_tls(c)) {
        finish_later(c);
        return;
    }
    if (c->is_eof || shutdown(c->socket.fd, SHUT_WR) < 0) {
        close_now(c);
        return;
    }
    c->phase = LINGERING;
    timeout_set(&c->timeout, loop_now(c->loop) + LINGER_NS);
    want_write(c, false);
    want_read(c, true);
}

static void abandon(void *owner)
{
    close_now(owner);
}

void connection_finish(struct connection **connection)
{
    struct connection *c = *connection;
    *connection = NULL;
    if (c == NULL)
        return;
    buffer_clear(&c->pending);
    if (c->phase == CONNECTING || loop_adopt(c->loop, &c->adopted, abandon, c) < 0) {
        close_now(c);
    } else if (c->phase != OPEN || c->out.size == 0) {
        linger(c);
    } else {
        finish_later(c);
    }
}

/* What a peer still sends is read and dropped: unread, it would reset the stream and take our last
 * words with it. */
static void drop_input(struct connection *c)
{
    ssize_t got = recv(c->socket.fd, loop_scratch(c->loop), LOOP_SCRATCH_SIZE, 0);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    c->is_eof = true;
    if (c->phase == LINGERING || got < 0)
        close_now(c);
    else
        want_read(c, false); /* it may still read */
}

static void on_timeout(void *owner)
{
    struct connection *c = owner;
    if (c->phase == FINISHING || c->phase == LINGERING)
        close_now(c);
    else if (c->phase != FAILED)
        tell(c, CONNECTION_TIMEOUT, NULL);
}

/* ---- TLS handshake ---- */

static int begin_tls(struct connection *c)
{
    c->ssl = tls_new(c->next_tls, &c->socket, &c->peer);
    if (c->ssl == NULL)
        return -1;
    c->next_tls = NULL;
    c->phase = HANDSHAKING;
    c->is_paused = false;
    want_read(c, true);
    if (!SSL_is_server(c->ssl))
        call_soon(c); /* the client speaks first */
    return 0;
}

int connection_start_tls(struct connection *c, const struct tls_context *context)
{
    buffer_clear(&c->pending);
    c->next_tls = context;
    return c->out.size > 0 ? 0 : begin_tls(c); /* the reply that announces TLS goes first */
}

static void handshake(struct connection *c)
{
    errno = 0;
    forget_tls_errors();
    int done = SSL_do_handshake(c->ssl);
    if (done == 1) {
        c->phase = OPEN;
        want_write(c, false);
        c->has_more = SSL_has_pending(c->ssl) == 1;
        if (c->has_more)
            call_soon(c);
        tell(c, CONNECTION_READY, NULL);
        return;
    }
    int error = SSL_get_error(c->ssl, done);
    if (error == SSL_ERROR_WANT_READ)
        want_write(c, false);
    else if (error == SSL_ERROR_WANT_WRITE)
        want_write(c, true);
    else
        fail_tls(c, error);
}

/* ---- reading ---- */

/* Reads into `at`; returns the size, 0 at the end or when there is nothing (`is_eof` tells), or -1
 * having failed. */
static ssize_t read_plain(struct connection *c, char *at, size_t room)
{
    ssize_t got = recv(c->socket.fd, at, room, 0);
    if (got == 0)
        c->is_eof = true;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got < 0)
        fail_errno(c);
    return got;
}

/* A record gives at most 16 KiB. Full ones are followed by more; after a short one only what
 * OpenSSL already holds is looked at, which saves a read that would find nothing. What it holds may
 * be a part of a record: only trying tells. */
static ssize_t read_tls(struct connection *c, char *at, size_t room)
{
    size_t total = 0;
    bool is_dry = false;
    while (total < room) {
        size_t got = 0;
        errno = 0;
        forget_tls_errors();
        int done = SSL_read_ex(c->ssl, at + total, room - total, &got);
        if (done != 1) {
            int error = SSL_get_error(c->ssl, done);
            if (error == SSL_ERROR_ZERO_RETURN)
                c->is_eof = true;
            else if (error == SSL_ERROR_WANT_WRITE)
                want_write(c, true);
            else if (error != SSL_ERROR_WANT_READ)
                keep_tls_error(c, error);
            is_dry = true;
            break;
        }
        total += got;
        if (got < RECORD_SIZE && !SSL_has_pending(c->ssl))
            break;
    }
    c->has_more = !is_dry && SSL_has_pending(c->ssl) == 1;
    if (c->error != NULL && total == 0)
        fail(c, "");
    else if (c->error != NULL)
        call_soon(c); /* what came before the error first */
    return c->phase == FAILED ? -1 : (ssize_t)total;
}

/* Gives the owner what lies at the front of the scratch buffer and keeps what he leaves. */
static void deliver(struct connection *c, char *scratch, size_t size)
{
    struct span in = span_make(scratch, size);
    c->was_resumed = false;
    if (size > 0 && !c->is_paused)
        tell(c, CONNECTION_DATA, &in);
    if (c->phase == CLOSED || c->phase == HANDSHAKING || c->next_tls != NULL)
        return; /* what was left is of no account */
    if (c->phase != OPEN || in.size == 0)
        return;
    if (buffer_append(&c->pending, in) < 0) {
        fail(c, "out of memory");
    } else if (c->was_resumed && !c->is_paused) {
        c->has_undelivered = true;
        call_soon(c);
    }
}

static void read_some(struct connection *c)
{
    char *scratch = loop_scratch(c->loop);
    size_t have = c->pending.size;
    ssize_t got = 0;
    if (have > 0)
        memcpy(scratch, buffer_bytes(&c->pending).data, have);
    buffer_consume(&c->pending, have);
    bool is_only_kept = c->has_undelivered && have > 0;
    c->has_undelivered = false;
    if (have == LOOP_SCRATCH_SIZE && !is_only_kept) {
        fail(c, "the peer sends more than can be looked at");
        return;
    }
    if (!is_only_kept && !c->is_eof) {
        got = c->ssl != NULL ? read_tls(c, scratch + have, LOOP_SCRATCH_SIZE - have)
                             : read_plain(c, scratch + have, LOOP_SCRATCH_SIZE - have);
        if (got < 0)
            return;
    }
    if (got > 0 || is_only_kept)
        deliver(c, scratch, have + (size_t)got);
    else if (have > 0 && buffer_append(&c->pending, span_make(scratch, have)) < 0)
        fail(c, "out of memory");
}

/* Something can be read, or is to be told. */
static void on_look(void *owner)
{
    struct connection *c = owner;
    switch (c->phase) {
    case FAILED: tell(c, CONNECTION_FAILED, NULL); return;
    case FINISHING:
    case LINGERING: drop_input(c); return;
    case HANDSHAKING: handshake(c); return;
    case OPEN: break;
    case CONNECTING:
    case CLOSED: return;
    }
    if (c->wants_read_to_write) {
        c->wants_read_to_write = false;
        want_write(c, true);
    }
    if (c->is_paused || c->next_tls != NULL) {
        want_read(c, false); /* the peer sends while nobody listens: connection_resume adds it */
        return;
    }
    if (c->error != NULL)
        fail(c, "");
    else
        read_some(c);
    if (c->phase != OPEN || c->is_paused)
        return;
    if (c->is_eof && c->has_undelivered) {
        want_read(c, false); /* what was asked for again comes first */
    } else if (c->is_eof) {
        want_read(c, false);
        tell(c, CONNECTION_EOF, NULL);
    } else if (c->has_more) {
        call_soon(c);
    }
}

void connection_pause(struct connection *c)
{
    c->is_paused = true;
}

void connection_resume(struct connection *c)
{
    c->was_resumed = true;
    if (!c->is_paused || c->phase == FAILED)
        return;
    c->is_paused = false;
    if (c->phase != OPEN || c->next_tls != NULL)
        return;
    want_read(c, !c->is_eof);
    c->has_undelivered = c->pending.size > 0;
    if (c->has_undelivered || c->is_eof || c->has_more || c->error != NULL)
        call_soon(c);
}

void connection_acknowledge(struct connection *c)
{
    const int on = 1;
    (void)setsockopt(c->socket.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on); /* else it is slow */
}

/* ---- writing ---- */

/* Writes from one piece of memory, which another follows at once (`has_more`) or not. Returns what
 * was taken, or -1 having failed. Hot: a send and two copies (ours to the record, the kernel's) for
 * each 16 KiB. */
static ssize_t write_tls(struct connection *c, struct span bytes, bool has_more)
{
    size_t total = 0;
    while (total < bytes.size) {
        size_t taken = 0;
        c->socket.has_more =
            has_more || c->is_last_written || c->expects_more || bytes.size - total > RECORD_SIZE;
        errno = 0;
        forget_tls_errors();
        int done = SSL_write_ex(c->ssl, bytes.data + total, bytes.size - total, &taken);
        if (done != 1) {
            int error = SSL_get_error(c->ssl, done);
            c->wants_read_to_write = error == SSL_ERROR_WANT_READ;
            if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) {
                fail_tls(c, error);
                return -1;
            }
            break;
        }
        total += taken;
    }
    return (ssize_t)total;
}

static ssize_t write_plain(struct connection *c, const struct span *parts, size_t count)
{
    struct iovec vector[PARTS_MAX];
    for (size_t i = 0; i < count; i++)
        vector[i] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].size};
    const struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};
    ssize_t taken =
        sendmsg(c->socket.fd, &message, MSG_NOSIGNAL | (c->expects_more ? MSG_MORE : 0));
    if (taken < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (taken < 0)
        fail_errno(c);
    return taken;
}

/* Small parts become one record. */
static ssize_t write_parts_tls(struct connection *c, const struct span *parts, size_t count)
{
    char record[RECORD_SIZE];
    size_t size = 0, total = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    if (count > 1 && size <= sizeof record) {
        size_t used = 0;
        for (size_t i = 0; i < count; i++) {
            memcpy(record + used, parts[i].data, parts[i].size);
            used += parts[i].size;
        }
        return write_tls(c, span_make(record, used), false);
    }
    for (size_t i = 0; i < count; i++) {
        ssize_t taken = write_tls(c, parts[i], i + 1 < count);
        if (taken < 0)
            return -1;
        total += (size_t)taken;
        if ((size_t)taken < parts[i].size)
            break;
    }
    return (ssize_t)total;
}

/* Copies what lies behind the first `taken` bytes of the parts. */
static void keep_rest(struct connection *c, const struct span *parts, size_t count, size_t taken)
{
    for (size_t i = 0; i < count; i++) {
        struct span rest = parts[i];
        size_t skip = taken < rest.size ? taken : rest.size;
        taken -= skip;
        span_skip(&rest, skip);
        if (buffer_append(&c->out, rest) < 0) {
            fail(c, "the peer takes nothing, and no more can be kept for it");
            return;
        }
    }
    if (c->out.size > 0 && !c->wants_read_to_write)
        want_write(c, true);
}

void connection_write(struct connection *c, const struct span *parts, size_t count)
{
    ssize_t taken = 0;
    assert(count <= PARTS_MAX);
    if (c->phase != OPEN)
        return;
    if (c->out.size == 0)
        taken = c->ssl != NULL ? write_parts_tls(c, parts, count) : write_plain(c, parts, count);
    if (taken >= 0)
        keep_rest(c, parts, count, (size_t)taken);
}

void connection_write_more(struct connection *c, const struct span *parts, size_t count)
{
    c->expects_more = true;
    connection_write(c, parts, count);
    c->expects_more = false;
}

void connection_write_last(struct connection *c, struct span bytes)
{
    c->is_last_written = true;
    connection_write(c, &bytes, 1);
}

bool connection_is_blocked(const struct connection *c)
{
    return c->out.size > 0;
}

/* Writes what was kept. */
static void flush(struct connection *c)
{
    struct span bytes = buffer_bytes(&c->out);
    c->wants_read_to_write = false;
    ssize_t taken = bytes.size == 0  ? 0
                    : c->ssl != NULL ? write_tls(c, bytes, false)
                                     : write_plain(c, &bytes, 1);
    if (taken < 0)
        return;
    buffer_consume(&c->out, (size_t)taken);
    want_write(c, c->out.size > 0 && !c->wants_read_to_write);
}

static void connected(struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(c->socket.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    errno = error;
    if (error != 0) {
        fail_errno(c);
        return;
    }
    c->phase = OPEN;
    want_write(c, false);
    want_read(c, true);
    tell(c, CONNECTION_READY, NULL);
}

static void write_more(struct connection *c)
{
    if (c->phase == CONNECTING) {
        connected(c);
    } else if (c->phase == HANDSHAKING) {
        handshake(c);
    } else if (c->phase == OPEN || c->phase == FINISHING) {
        flush(c);
        if (c->out.size > 0)
            return;
        if (c->phase == FINISHING)
            linger(c);
        else if (c->phase != OPEN)
            return;
        else if (c->next_tls == NULL)
            tell(c, CONNECTION_DRAINED, NULL);
        else if (begin_tls(c) < 0)
            fail(c, "out of memory");
    }
}

static void on_event(evutil_socket_t fd, short what, void *owner)
{
    struct connection *c = owner;
    (void)fd;
    if ((what & EV_WRITE) != 0)
        write_more(c);
    if ((what & c->watched & EV_READ) != 0) /* still, after what was written */
        on_look(c);
}

/* ---- what is known of it ---- */

void connection_set_deadline(struct connection *c, int64_t at_ns)
{
    if (at_ns == 0)
        timeout_clear(&c->timeout);
    else
        timeout_set(&c->timeout, at_ns);
}

const struct address *connection_peer(const struct connection *c)
{
    return &c->peer;
}

void connection_local(const struct connection *c, struct address *out)
{
    *out = (struct address){.size = sizeof out->v6};
    if (getsockname(c->socket.fd, &out->any, &out->size) < 0)
        out->any.sa_family = AF_INET; /* 0.0.0.0:0 */
}

const char *connection_tls_version(const struct connection *c)
{
    return c->ssl == NULL ? "" : SSL_get_version(c->ssl);
}

const char *connection_tls_cipher(const struct connection *c)
{
    return c->ssl == NULL ? "" : SSL_get_cipher_name(c->ssl);
}

unsigned connection_tls_key_bits(const struct connection *c)
{
    const SSL_CIPHER *cipher = c->ssl == NULL ? NULL : SSL_get_current_cipher(c->ssl);
    return cipher == NULL ? 0 : (unsigned)SSL_CIPHER_get_bits(cipher, NULL);
}

const char *connection_tls_server_name(const struct connection *c)
{
    const char *name =
        c->ssl == NULL ? NULL : SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
    return name == NULL ? "" : name;
}

/* That was verified; NULL: none. */
static const X509 *client_certificate(const struct connection *c)
{
    const X509 *certificate = c->ssl == NULL ? NULL : SSL_get0_peer_certificate(c->ssl);
    bool is_verified = certificate != NULL && SSL_is_server(c->ssl) &&
                       (SSL_get_verify_mode(c->ssl) & SSL_VERIFY_PEER) != 0 &&
                       SSL_get_verify_result(c->ssl) == X509_V_OK;
    return is_verified ? certificate : NULL;
}

bool connection_has_certificate(const struct connection *c)
{
    return client_certificate(c) != NULL;
}

const char *connection_certificate_name(const struct connection *c, char *out)
{
    const X509 *certificate = client_certificate(c);
    out[0] = '\0';
    return certificate == NULL ? out : client_certificate_name(certificate, out);
}

void connection_certificate(const struct connection *c, struct client_certificate_texts *out)
{
    const X509 *certificate = client_certificate(c);
    *out = (struct client_certificate_texts){.subject = ""};
    if (certificate != NULL)
        client_certificate_describe(certificate, out);
}

void connection_tls_fingerprint(const struct connection *c, char out[TLS_FINGERPRINT_SIZE])
{
    out[0] = '\0';
    if (c->ssl != NULL)
        tls_peer_fingerprint(c->ssl, out);
}

int connection_channel_binding(const struct connection *c, struct channel_binding *out)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    *out = (struct channel_binding){.name = "tls-exporter", .size = 32};
    if (c->ssl == NULL || !SSL_is_init_finished(c->ssl))
        return -1;
    if (SSL_version(c->ssl) == TLS1_3_VERSION)
        return SSL_export_keying_material(c->ssl, out->bytes, out->size, label, sizeof label - 1,
                                          NULL, 0, 0) == 1
                   ? 0
                   : -1;
    if (SSL_get_extms_support(c->ssl) != 1)
        return -1;
    out->name = "tls-unique"; /* the first Finished: the client's, unless the session is resumed */
    bool is_own = SSL_is_server(c->ssl) == SSL_session_reused(c->ssl);
    out->size =
        (is_own ? SSL_get_finished : SSL_get_peer_finished)(c->ssl, out->bytes, sizeof out->bytes);
    return out->size > 0 && out->size <= sizeof out->bytes ? 0 : -1;
}

const char *connection_error(const struct connection *c)
{
    return c->error != NULL ? c->error : c->phase == FAILED ? "out of memory" : "";
}
