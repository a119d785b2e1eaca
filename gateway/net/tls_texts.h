/* The texts of files that belong together, as the master reads them and workers get them: the
 * certificates and keys of a tls block; a listener's client_ca and client_crl. */
#pragma once

#include "base/error.h"

#include <stddef.h>

enum { TLS_TEXTS_MAX = 8, TLS_TEXT_MAX = 16 * 1024 * 1024 };

struct tls_texts {
    struct tls_text {
        char *bytes; /* NULL: it could not be read */
        size_t size;
    } texts[TLS_TEXTS_MAX];
};

/* Reads the i-th of them. Returns 0, or -1 and why, which names no file. */
int tls_texts_read(struct tls_texts *t, size_t i, const char *file, struct error *why);

/* All of them in a piece of memory that can be handed on: its descriptor, or -1 and why. */
int tls_texts_pack(const struct tls_texts *t, struct error *why);

/* What another process has packed; `fd` stays the caller's. Returns 0, or -1 and why. */
int tls_texts_unpack(struct tls_texts *t, int fd, struct error *why);

/* Frees them, overwritten. */
void tls_texts_clear(struct tls_texts *t);
