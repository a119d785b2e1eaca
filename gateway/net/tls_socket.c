/* OpenSSL's own BIO for sockets writes each record of 16 KiB as if it were the last: the peer is
 * woken for each, and the kernel sends a short segment at the end of each. Here whoever writes many
 * says so. */
#include "net/tls_socket.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

static bool must_wait(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static int read_socket(BIO *bio, char *at, size_t room, size_t *got)
{
    struct tls_socket *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t size = recv(s->fd, at, room, 0);
    if (size < 0 && must_wait())
        BIO_set_retry_read(bio);
    s->is_eof = size == 0;
    *got = size > 0 ? (size_t)size : 0;
    return size > 0;
}

static int write_socket(BIO *bio, const char *bytes, size_t size, size_t *taken)
{
    const struct tls_socket *s = BIO_get_data(bio);
    /* A ticket goes with what comes next: the server's Finished in TLS 1.2, a greeting in 1.3. */
    bool has_more = s->has_more || SSL_get_state(s->ssl) == TLS_ST_SW_SESSION_TICKET;
    BIO_clear_retry_flags(bio);
    ssize_t sent = send(s->fd, bytes, size, MSG_NOSIGNAL | (has_more ? MSG_MORE : 0));
    if (sent < 0 && must_wait())
        BIO_set_retry_write(bio);
    *taken = sent > 0 ? (size_t)sent : 0;
    return sent > 0;
}

static long control(BIO *bio, int command, long number, void *argument)
{
    const struct tls_socket *s = BIO_get_data(bio);
    (void)number, (void)argument;
    switch (command) {
    case BIO_CTRL_EOF: return s->is_eof;
    case BIO_CTRL_FLUSH: return 1; /* nothing is held back */
    default: return 0;
    }
}

/* Made once a process; OpenSSL wants it as an object. */
static const BIO_METHOD *socket_method(void)
{
    static BIO_METHOD *method;
    if (method == NULL) {
        BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
        if (made == NULL || BIO_meth_set_read_ex(made, read_socket) != 1 ||
            BIO_meth_set_write_ex(made, write_socket) != 1 ||
            BIO_meth_set_ctrl(made, control) != 1) {
            BIO_meth_free(made);
            return NULL;
        }
        method = made;
    }
    return method;
}

int tls_socket_join(struct tls_socket *socket, SSL *ssl)
{
    const BIO_METHOD *method = socket_method();
    BIO *bio = method == NULL ? NULL : BIO_new(method);
    if (bio == NULL)
        return -1;
    socket->ssl = ssl;
    BIO_set_data(bio, socket);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio); /* which frees it */
    return 0;
}
