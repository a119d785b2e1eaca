/* The other end of a connection, over TCP on loopback: a plain socket, or OpenSSL on it. It never
 * waits: what it can't do yet it does in a later turn of the test's loop. */
#pragma once

#include "turns.h"

#include "base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEER_ROOM = 3 * 512 * 1024 };

struct peer {
    int fd;
    SSL *ssl;
    bool has_ended; /* it has read to the end */
    int error;      /* errno, or -1 for one of TLS */
    size_t size;    /* what has been read */
    char in[PEER_ROOM];
};

/* A socket that listens on a free port. */
static inline int peer_listen(struct sockaddr_in *at, int receive_buffer)
{
    socklen_t size = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (receive_buffer > 0)
        ck_assert_int_eq(
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer), 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)at, sizeof *at), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)at, &size), 0);
    return fd;
}

static inline void peer_init(struct peer *p, int fd)
{
    const int on = 1;
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    p->fd = fd;
    p->ssl = NULL;
    p->has_ended = false;
    p->error = 0;
    p->size = 0;
}

/* Connects to who listens there. */
static inline int peer_connect(const struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)at, sizeof *at), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* A peer and, returned, the socket that it is connected to. A buffer of 0 bytes is the system's. */
static inline int peer_open(struct peer *p, int receive_buffer)
{
    struct sockaddr_in at;
    int listening = peer_listen(&at, receive_buffer), other = peer_connect(&at);
    peer_init(p, accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    ck_assert_int_ge(p->fd, 0);
    ck_assert_int_eq(close(listening), 0);
    return other;
}

/* From here on it speaks TLS; the handshake goes on whenever it reads. */
static inline void peer_start_tls(struct peer *p, SSL_CTX *context, bool is_server)
{
    p->ssl = SSL_new(context);
    ck_assert_ptr_nonnull(p->ssl);
    ck_assert_int_eq(SSL_set_fd(p->ssl, p->fd), 1);
    (void)SSL_set_mode(p->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (is_server)
        SSL_set_accept_state(p->ssl);
    else
        SSL_set_connect_state(p->ssl);
}

static inline void peer_free_tls(struct peer *p)
{
    SSL_free(p->ssl);
    p->ssl = NULL;
}

static inline void peer_close(struct peer *p)
{
    if (p->fd < 0)
        return;
    peer_free_tls(p);
    ck_assert_int_eq(close(p->fd), 0);
    p->fd = -1;
}

/* What the other end sees as a broken connection. */
static inline void peer_reset(struct peer *p)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    peer_close(p);
}

/* Looks at the outcome of an SSL call; is the call to be made again? */
static inline bool peer_tls_waits(struct peer *p, int outcome)
{
    int error = SSL_get_error(p->ssl, outcome);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return true;
    if (error == SSL_ERROR_ZERO_RETURN)
        p->has_ended = true;
    else
        p->error = -1;
    return false;
}

static inline ssize_t peer_read_some(struct peer *p)
{
    size_t room = sizeof p->in - p->size, got = 0;
    if (p->ssl == NULL) {
        ssize_t size = recv(p->fd, p->in + p->size, room, MSG_DONTWAIT);
        p->has_ended = size == 0;
        if (size < 0 && errno != EAGAIN)
            p->error = errno;
        return size;
    }
    ERR_clear_error();
    int outcome = SSL_read_ex(p->ssl, p->in + p->size, room, &got);
    if (outcome != 1)
        (void)peer_tls_waits(p, outcome);
    return outcome == 1 ? (ssize_t)got : -1;
}

/* Reads all that has come. Returns how much it has read since it began. */
static inline size_t peer_read(struct peer *p)
{
    ssize_t got = 1;
    while (p->fd >= 0 && !p->has_ended && p->error == 0 && p->size < sizeof p->in && got > 0) {
        got = peer_read_some(p);
        p->size += got > 0 ? (size_t)got : 0;
    }
    return p->size;
}

static inline bool peer_has_ended(struct peer *p)
{
    (void)peer_read(p);
    return p->has_ended || p->error != 0;
}

/* Sends what goes without waiting. Returns how much that is. */
static inline size_t peer_send_some(struct peer *p, struct span bytes)
{
    size_t sent = 0;
    if (p->ssl == NULL) {
        ssize_t size = send(p->fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && errno != EAGAIN)
            p->error = errno;
        return size < 0 ? 0 : (size_t)size;
    }
    ERR_clear_error();
    int outcome = SSL_write_ex(p->ssl, bytes.data, bytes.size, &sent);
    if (outcome != 1)
        (void)peer_tls_waits(p, outcome);
    return outcome == 1 ? sent : 0;
}

static inline void peer_send(struct peer *p, struct span bytes)
{
    while (bytes.size > 0) {
        size_t sent = peer_send_some(p, bytes);
        ck_assert_int_eq(p->error, 0);
        span_skip(&bytes, sent);
        if (sent == 0)
            turns_for(1); /* until the other end has taken some */
    }
}

static inline void peer_say(struct peer *p, const char *text)
{
    peer_send(p, span_of(text));
}

/* Sends no more, and says so. */
static inline void peer_end(struct peer *p)
{
    if (p->ssl != NULL)
        ck_assert_int_ge(SSL_shutdown(p->ssl), 0);
    ck_assert_int_eq(shutdown(p->fd, SHUT_WR), 0);
}

/* The TLS records that carry a text, to be sent by other means. Returns their size. */
static inline size_t peer_seal(const struct peer *p, struct span text, char *out, size_t room)
{
    size_t sent;
    SSL_set0_wbio(p->ssl, BIO_new(BIO_s_mem()));
    ck_assert_int_eq(SSL_write_ex(p->ssl, text.data, text.size, &sent), 1);
    int size = BIO_read(SSL_get_wbio(p->ssl), out, (int)room);
    ck_assert_int_gt(size, 0);
    SSL_set0_wbio(p->ssl, BIO_new_socket(p->fd, BIO_NOCLOSE));
    return (size_t)size;
}
