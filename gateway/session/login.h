/* A session's login, as SMTP (RFC 4954) and POP3 (RFC 1939, RFC 5034) have it in common: what is
 * offered, and one exchange after the other. Base64 is decoded and bounded here; PLAIN and LOGIN
 * are put together here, so that an auth process is asked once; the others run there.
 *
 * Nothing here answers the client or changes the session: whoever asks does that. */
#pragma once

#include "auth/account.h"
#include "auth/client.h"
#include "base/buffer.h"
#include "decision/bans.h"

struct asked;
struct session;

enum {
    LOGIN_RESPONSE_MAX = 9216, /* decoded, of lines of 12,288 octets */
    LOGIN_TIMEOUT_MS = 30000,  /* for the auth process */
    LOGIN_LIST_MAX = 96,
    LOGIN_CHALLENGE_SIZE = 500, /* in base64, with a NUL: what a reply's line holds */
};

enum login_result {
    LOGIN_CHALLENGE,   /* `text` is the client's to answer, in base64 */
    LOGIN_CHECK,       /* an auth process is asked: its answer comes by login_fn */
    LOGIN_GOOD,        /* `text` is the account */
    LOGIN_WRONG,       /* the credentials */
    LOGIN_REFUSED,     /* nobody is asked: `text` says whom, and until when */
    LOGIN_UNAVAILABLE, /* `text` says why */
    LOGIN_NOT_OFFERED, /* the mechanism */
    LOGIN_NOT_BASE64,  /* the response */
};

/* `text` is valid during the call that brought it. */
struct login_answer {
    enum login_result result;
    struct span text;
    char challenge[LOGIN_CHALLENGE_SIZE];
};

typedef void login_fn(void *owner, const struct login_answer *answer);

/* Lies in the session that it is of. */
struct login {
    const struct session *session;
    enum auth_service service;
    login_fn *fn;
    void *owner;
    enum mechanism mechanism; /* of the last exchange */
    bool has_name;            /* LOGIN: what comes next is the password */
    struct buffer plain;      /* what PLAIN says (RFC 4616), as far as it is known */
    struct buffer name;       /* of another mechanism, where it has said one */
    struct auth_exchange *exchange;
    int64_t refused_until_ns; /* the last exchange, without asking anybody; 0: it was not */
    struct asked *asked;      /* instead of an exchange: a server behind checks the password */
};

/* The caller's session outlives it; `fn` is called with `owner`. */
void login_init(struct login *l, const struct session *s, enum auth_service service, login_fn *fn,
                void *owner);

/* The names of what is offered now, each with a space before it; "": nothing. */
const char *login_list(const struct login *l, char out[LOGIN_LIST_MAX]);

/* Is a name and a password in clear, as of USER and PASS, taken? */
bool login_takes_passwords(const struct login *l);

/* AUTH: begins an exchange; `response` is what came with it, in base64, or NULL. */
void login_begin(struct login *l, struct span mechanism, const struct span *response,
                 struct login_answer *out);

/* The client's answer to a challenge, in base64. */
void login_respond(struct login *l, struct span response, struct login_answer *out);

/* USER and PASS. */
void login_with_password(struct login *l, struct span user, struct span password,
                         struct login_answer *out);

/* Name and password that were right, as they were typed, where they were said; valid until
 * login_end. */
struct span login_user(const struct login *l);
struct span login_password(const struct login *l);

/* Who it was to be, in the last exchange: canonical, or as it was given where that is nobody's
 * name. Returns 0, or -1: nobody was named. Valid until login_end, as above. */
int login_account(const struct login *l, char out[ACCOUNT_SIZE]);

/* The same, where it is canonical and may be shown: what was typed in the place of the name may be
 * a password. So it was written with a domain, or stands for an account by an alias, or has logged
 * in from there lately. A certificate's name nobody types. */
bool login_shows_account(const struct login *l, char out[ACCOUNT_SIZE]);

/* What the backend is told, and a server behind that is told the password: writes the name of
 * `account` there. Returns 0, or -1: it can't be told. */
int login_name(const struct login *l, const char *account, char out[ACCOUNT_SIZE]);

/* Was the password let in only because the server behind is to be told it now, whose word counts?
 */
bool login_is_unproven(const struct login *l);

/* Was the last exchange refused before anybody was asked? Then whom that goes for, and until when,
 * is written to `out`; else "". */
bool login_is_refused(const struct login *l, char out[BAN_TEXT_SIZE]);

/* "PLAIN", of the last exchange: for the log. */
const char *login_mechanism(const struct login *l);

/* Forgets the exchange and what was said in it. */
void login_end(struct login *l);
