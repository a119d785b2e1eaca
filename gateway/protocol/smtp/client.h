/* The client's side of SMTP: commands in order, as many at once as PIPELINING allows, each with its
 * reply (RFC 5321, RFC 2920). Pure: what it wants written, somebody else writes. */
#pragma once

#include "base/buffer.h"
#include "protocol/smtp/reply.h"

enum smtp_command {
    SMTP_COMMAND_GREETING, /* not sent: the reply that comes by itself */
    SMTP_COMMAND_EHLO,
    SMTP_COMMAND_STARTTLS,
    SMTP_COMMAND_XCLIENT,
    SMTP_COMMAND_AUTH, /* and what answers its challenges */
    SMTP_COMMAND_XFORWARD,
    SMTP_COMMAND_MAIL,
    SMTP_COMMAND_RCPT,
    SMTP_COMMAND_DATA,
    SMTP_COMMAND_DOT, /* not sent from here: the end of the text */
    SMTP_COMMAND_RSET,
    SMTP_COMMAND_QUIT,
};

enum { SMTP_CLIENT_COMMANDS = 256 }; /* queued and unanswered, at most */

struct smtp_client {
    bool is_pipelining;
    unsigned char commands[SMTP_CLIENT_COMMANDS]; /* a ring: first those sent, then the others */
    unsigned first, sent, unsent;
    struct buffer text; /* of the unsent, a line each */
    struct smtp_reply_parser parser;
};

void smtp_client_init(struct smtp_client *c);
void smtp_client_clear(struct smtp_client *c);

/* Queues a command; `line` has its CRLF. Returns 0, or -1: too many. */
int smtp_client_queue(struct smtp_client *c, enum smtp_command command, struct span line);

/* A reply to `command` will come without a line from here: the greeting, the end of the text. */
int smtp_client_expect(struct smtp_client *c, enum smtp_command command);

/* What is to be written now; it counts as sent. Empty when nothing may go. Its memory goes with
 * smtp_client_written. */
struct span smtp_client_output(struct smtp_client *c);
void smtp_client_written(struct smtp_client *c, size_t size);

/* How many replies are due, of commands sent or not. */
unsigned smtp_client_due(const struct smtp_client *c);

/* The command whose reply is due next; one must be. */
enum smtp_command smtp_client_next(const struct smtp_client *c);

/* Takes a reply off the front of `in`: 1 with the command that it answers; 0: more is needed; -1
 * and why: nonsense, or nobody has asked. */
int smtp_client_input(struct smtp_client *c, struct span *in, enum smtp_command *command,
                      const struct smtp_reply **reply, struct error *why);
