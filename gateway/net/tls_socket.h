/* How TLS reads and writes its socket (a BIO of OpenSSL). For net/tls and net/connection. */
#pragma once

#include <stdbool.h>

struct bio_st;

struct tls_socket {
    int fd;
    bool has_more; /* what is written is followed by more at once: the kernel may wait for it */
    bool is_eof;   /* the peer has ended the stream */
};

/* The BIO of `socket`, which must outlive it; its descriptor isn't closed. NULL without memory. */
struct bio_st *tls_socket_bio(struct tls_socket *socket);
