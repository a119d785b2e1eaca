/* Certificates of clients: whose are taken at a door, and the name in one that was verified. */
#pragma once

#include "config/config.h"
#include "net/tls.h"

struct client_authorities; /* a listener's client_ca and client_crl */
struct ssl_st;
struct tls_texts;
struct x509_st;

/* Loads those of a listener that asks for certificates, from the texts of its files. Whatever is
 * wrong or odd is added to `errors`; NULL when something is wrong. */
struct client_authorities *client_authorities_load(const struct listener_config *l,
                                                   const struct tls_texts *texts,
                                                   struct errors *errors);
void client_authorities_free(struct client_authorities **authorities);

/* Has `ssl`, a server's, ask for a certificate, and verify it in every handshake: it resumes no
 * session, so that whoever is revoked is out. Returns 0, or -1 without memory. */
int client_authorities_ask(const struct client_authorities *a, struct ssl_st *ssl);

/* To be said again after SSL_set_SSL_CTX, which takes the store away. Likewise. */
int client_authorities_keep(const struct client_authorities *a, struct ssl_st *ssl);

/* Whose certificate it is: the first rfc822Name of subjectAltName, else the only CN of the subject.
 * "" where there is none, or where it can't be one: a NUL or another control character in it, no
 * UTF-8, longer than any address. `out` has room for CERTIFICATE_NAME_SIZE. Returns `out`. */
enum { CERTIFICATE_NAME_SIZE = 320 };
const char *client_certificate_name(const struct x509_st *certificate, char *out);

/* What else is told of it: the common names of subject and issuer, "" where there is none that can
 * be one, as above; the SHA-256 of it and of its key, as "AB:CD:...". */
struct client_certificate_texts {
    char subject[CERTIFICATE_NAME_SIZE], issuer[CERTIFICATE_NAME_SIZE];
    char fingerprint[TLS_FINGERPRINT_SIZE], key_fingerprint[TLS_FINGERPRINT_SIZE];
};
void client_certificate_describe(const struct x509_st *certificate,
                                 struct client_certificate_texts *out);
