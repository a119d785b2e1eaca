/* How TLS reads and writes its socket (a BIO of OpenSSL). For net/tls and net/connection. */
#pragma once

#include <stdbool.h>

struct ssl_st;

struct tls_socket {
    const struct ssl_st *ssl;
    int fd;
    bool has_more; /* what is written is followed by more at once: the kernel may wait for it */
    bool is_eof;   /* the peer has ended the stream */
};

/* `ssl` reads and writes `socket` from now on, which must outlive it; its descriptor isn't closed.
 * Returns 0, or -1 without memory. */
int tls_socket_join(struct tls_socket *socket, struct ssl_st *ssl);
