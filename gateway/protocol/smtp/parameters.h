/* Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), AUTH (RFC 4954), SMTPUTF8 (RFC
 * 6531), RET, ENVID, NOTIFY and ORCPT (RFC 3461). Pure. */
#pragma once

#include "base/span.h"

/* Extensions that we or a server behind may know. */
enum smtp_extension {
    SMTP_PIPELINING = 1 << 0,
    SMTP_SIZE = 1 << 1,
    SMTP_STARTTLS = 1 << 2,
    SMTP_ENHANCEDSTATUSCODES = 1 << 3,
    SMTP_8BITMIME = 1 << 4,
    SMTP_SMTPUTF8 = 1 << 5,
    SMTP_DSN = 1 << 6,
    SMTP_CHUNKING = 1 << 7,
    SMTP_XCLIENT = 1 << 8,
    SMTP_AUTH = 1 << 9,
    SMTP_XFORWARD = 1 << 10,
};

/* Spans point into the line; an empty one was not given. */
struct smtp_parameters {
    uint64_t size;             /* 0: not given */
    struct span body;          /* "7BIT", "8BITMIME" */
    struct span auth;          /* xtext, or "<>" */
    struct span ret, envid;    /* MAIL */
    struct span notify, orcpt; /* RCPT */
    bool is_smtputf8;
};

enum smtp_parameters_result {
    SMTP_PARAMETERS_GOOD,
    SMTP_PARAMETERS_UNKNOWN, /* 555: not ours, or of an extension that is not in `offered` */
    SMTP_PARAMETERS_WRONG    /* 501: value not allowed, or given twice */
};

/* Parses all of `in`: parameters, each behind a space. `wrong` is set to the one that is refused.
 */
enum smtp_parameters_result smtp_parameters_parse_mail(struct span in, unsigned offered,
                                                       struct smtp_parameters *out,
                                                       struct span *wrong);
enum smtp_parameters_result smtp_parameters_parse_rcpt(struct span in, unsigned offered,
                                                       struct smtp_parameters *out,
                                                       struct span *wrong);
