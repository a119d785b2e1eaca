/* A message that somebody has to see as a whole before any of it goes up: its headers as fields,
 * the rest in a spool. What goes up afterwards is made from that. */
#pragma once

#include "message/dots.h"
#include "message/fields.h"
#include "session/smtp.h"

struct spool;

/* Lies in the transaction's arena. */
struct held {
    struct fields *fields; /* NULL until the headers are over */
    struct spool *body;    /* behind the empty line, without doubled dots */
    struct dots dots;
    unsigned skip;              /* octets of the empty line, which is neither's */
    struct buffer headers;      /* as they go up */
    const struct spool *source; /* what goes up behind them: `body`, or another in its place */
    uint64_t sent;              /* octets of it */
    struct dots doubled;        /* of `body`, on its way up */
    struct body other;          /* of another */
    bool is_ended;              /* the dot has gone up */
    struct entry soon;
    int64_t lend_at_ns; /* until then the connection behind is kept */
};

/* The message's text is to be held. Returns 0, or -1 without memory. */
int smtp_held_begin(struct smtp_session *s);

/* The headers are all there, in `t->header_text`; `missing` is what they lack. Where there is no
 * room the message is refused. */
void smtp_held_headers(struct smtp_session *s, struct span missing, bool has_empty_line);

/* More of the text behind them, the empty line in front, dots doubled. */
void smtp_held_take(struct smtp_session *s, const struct span *parts, size_t count);

/* It may go up; with another body, where that isn't NULL. `is_other`: so is the envelope, and what
 * the server behind has heard of it must be said anew. */
void smtp_held_send(struct smtp_session *s, const struct spool *body, bool is_other);

/* Its envelope has its answers; DATA its 354; the server behind takes more. */
void smtp_held_envelope_answered(struct smtp_session *s);
void smtp_held_data_answered(struct smtp_session *s, const struct smtp_reply *reply);
void smtp_held_drained(struct smtp_session *s);

/* The connection behind is lost. */
void smtp_held_lost(struct smtp_session *s, const char *reason);

void smtp_held_end(struct transaction *t);

/* For how many ms more the connection behind is kept while a message takes its time; 0: there is
 * none to be kept. */
int64_t smtp_held_patience(const struct smtp_session *s);

/* The session's deadline has passed: others may have the connection now, if that was it. Returns
 * whether it was. */
bool smtp_held_lend(struct smtp_session *s);
