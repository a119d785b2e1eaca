/* What a policy server is asked (Postfix's SMTPD_POLICY_README): lines of name=value, and an empty
 * one. Pure. */
#pragma once

#include "base/buffer.h"

enum { DELEGATION_REQUEST_MAX = 16 * 1024 };

/* Texts may be NULL, which is told as "", the word of Postfix for what is not known or not so. */
struct delegation_request {
    const char *protocol_state; /* "CONNECT", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE" */
    const char *protocol_name;  /* "SMTP", "ESMTP" */
    const char *client_address, *client_name, *reverse_client_name; /* names: or "unknown" */
    const char *server_address;
    const char *helo_name, *sender, *recipient;
    const char *queue_id, *instance;
    const char *sasl_method, *sasl_username, *sasl_sender;
    const char *ccert_subject, *ccert_issuer; /* common names, of one that was verified */
    const char *ccert_fingerprint, *ccert_pubkey_fingerprint;
    const char *encryption_protocol, *encryption_cipher;
    const char *tls_sni;
    const char *mail_version;
    uint64_t client_port, server_port, recipient_count, size, encryption_keysize;
};

/* Appends it. A control character in a value, which could begin a line, becomes "?". Returns 0, or
 * -1: `out` has no room. */
int delegation_request_write(const struct delegation_request *r, struct buffer *out);
