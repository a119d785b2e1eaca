/* What a client says and what it must hear, from the greeting to QUIT. Pure: bytes in, a verdict
 * out; whoever owns the socket sends what each step says. */
#pragma once

#include "base/error.h"
#include "base/span.h"

enum { HEARD_MAX = 3, TALK_LINE_MAX = 600, LOGIN_LINE_MAX = 120 };

/* What each client says for itself. */
enum login_line { LOGIN_NONE, LOGIN_AUTH, LOGIN_USER, LOGIN_PASS, LOGIN_LINES };

/* One write, and the replies to it. */
struct step {
    struct span say;             /* nothing: the server speaks first */
    enum login_line login;       /* the client's own line is said instead */
    const char *hear[HEARD_MAX]; /* how each reply begins, in their order */
    bool has_text;               /* the message follows the last of them (POP3) */
    bool is_operation;           /* with the last of them an operation is done */
};

enum talk_kind { TALK_SMTP, TALK_POP3 };

struct script_options {
    enum talk_kind kind;
    bool is_greeting_alone; /* the greeting is the whole session */
    bool is_login_alone;    /* the session stops after the login, and stays open */
    bool is_pipelined;      /* MAIL, RCPT and DATA in one write */
    unsigned messages;      /* of a session, sent or retrieved */
    unsigned mailbox;       /* POP3: how many messages the server has */
    size_t size;            /* of a message, in octets */
};

/* All steps of a session, the same for every client. */
struct script {
    struct step *steps;
    size_t count;
    struct span text; /* of a message, with its final dot */
};

/* Never freed. Ends the program without memory. */
struct script script_create(const struct script_options *o);

/* The lines of client `number`, who is userN@example.com with the password "secret". */
void login_lines(unsigned number, char out[LOGIN_LINES][LOGIN_LINE_MAX]);

/* A conversation that follows a script. { .script = s } is one at its begin. */
struct talk {
    const struct script *script;
    size_t at;        /* the step */
    size_t heard;     /* replies of it */
    bool is_in_text;  /* the message is being heard */
    bool is_in_reply; /* of several lines */
    size_t text_at;   /* octets of the message heard */
    size_t line_size;
    char line[TALK_LINE_MAX]; /* the beginning of one */
};

/* The present step; NULL behind the last. */
const struct step *talk_step(const struct talk *t);

/* Hears what the server has said, from the front of `in`. Returns 1: the step is done and the next
 * one is present; 0: all of `in` is heard, more is to come; -1: that was another answer, `why`. */
int talk_hear(struct talk *t, struct span *in, struct error *why);
