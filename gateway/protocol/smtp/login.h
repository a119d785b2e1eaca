/* Our own login at a server behind: AUTH with PLAIN (RFC 4616), LOGIN or XOAUTH2 (RFC 4954). Pure.
 */
#pragma once

#include "base/buffer.h"
#include "base/mask.h"

/* In the order in which we like them. */
enum smtp_mechanism {
    SMTP_AUTH_XOAUTH2 = 1 << 0,
    SMTP_AUTH_PLAIN = 1 << 1,
    SMTP_AUTH_LOGIN = 1 << 2,
};

/* With what it is made; the text is its owner's. */
struct smtp_credentials {
    const char *user, *secret; /* a password, or with XOAUTH2 a token */
    unsigned mechanisms;       /* a bit for each enum smtp_mechanism that may be used */
};

/* One exchange; { .mechanism = M } is a new one. */
struct smtp_login {
    enum smtp_mechanism mechanism;
    unsigned step;
};

/* "PLAIN" */
const char *smtp_mechanism_name(enum smtp_mechanism mechanism);

/* The mechanisms in the words of an AUTH capability: "PLAIN LOGIN". */
unsigned smtp_mechanisms_parse(struct span words);

/* The best in both sets, or 0. */
enum smtp_mechanism smtp_mechanism_choose(unsigned ours, unsigned offered);

/* What a server said of the login, for the log: without the secret, as it is, in base 64 or in what
 * AUTH said of it. */
struct span smtp_login_mask(enum smtp_mechanism mechanism, const struct smtp_credentials *c,
                            struct span text, char out[MASK_SIZE]);

/* Appends the next line, with CRLF: first AUTH, then what answers each 334. Returns 0, or -1: the
 * server asks for more than there is to say, or `out` is full. */
int smtp_login_line(struct smtp_login *l, const struct smtp_credentials *c, struct buffer *out);
