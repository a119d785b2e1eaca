/* An SMTP session, for the files that make it up, one a phase:
 * smtp_connect → smtp_auth → smtp_envelope (smtp_relay) → smtp_body (smtp_text, smtp_held) →
 * smtp_end, and again. */
#pragma once

#include "decision/decision.h"
#include "message/body.h"
#include "message/header_values.h"
#include "message/headers.h"
#include "protocol/smtp/server.h"
#include "session/login.h"
#include "session/pace.h"
#include "session/registry.h"
#include "session/smtp_replies.h"

struct arena;
struct authors;
struct held;
struct milter_chain;
struct smtp_filtering;
struct outside;
struct smtp_session;

/* Goes on when policy has decided, and replies have been held back for as long as it says. */
typedef void smtp_judged_fn(struct smtp_session *s);

enum recipient_state {
    RECIPIENT_NEW,      /* its RCPT is to be asked upstream */
    RECIPIENT_DENIED,   /* by policy: `denial` is the answer, when its turn comes */
    RECIPIENT_ASKED,    /* and has been */
    RECIPIENT_ACCEPTED, /* the client was told 2yz */
    RECIPIENT_REFUSED,
    RECIPIENT_REMOVED, /* by a milter, after it was accepted */
};

struct recipient {
    struct recipient *next;
    enum recipient_state state;
    bool is_repeated; /* accepted once; asked again on another connection, the client hears nothing
                       */
    const char *address, *notify, *orcpt; /* "" when not given */
    int group;                            /* of the decision's questions */
    uint16_t first_take, end_take;        /* likewise */
    const char *denial;
    int denial_code;
    struct receipt *receipts; /* what its acceptance has taken of limits */
    bool is_tried, is_nobody; /* the server behind has answered; there is no such mailbox */
    bool is_shown;            /* milters know of it */
};

/* Where the text of a message stands. */
enum data_state {
    DATA_NONE,     /* no DATA yet */
    DATA_WANTED,   /* the client's is waiting for the recipients' answers */
    DATA_STARTED,  /* the client was told 354, the upstream's is to come */
    DATA_OPEN,     /* text goes up */
    DATA_JUDGED,   /* all of it is up but the dot, or is held; policy has the word */
    DATA_FILTERED, /* milters have it, of a text that is held */
    DATA_RESENT,   /* what was held may go up: its envelope does, and DATA */
    DATA_SENDING,  /* and its text */
    DATA_ENDED,    /* the final dot is up */
    DATA_DROPPED,  /* `refusal` will be the answer; the text is read and dropped */
};

/* From MAIL to the answer to the final dot. Lies in its arena. */
struct transaction {
    struct arena *arena;
    char id[ID_SIZE];
    int64_t started_ns;
    const char *sender, *body_type, *ret, *envid, *auth; /* "" when not given */
    bool is_smtputf8;
    uint64_t declared_size;
    struct recipient *first, **last;
    unsigned count;               /* recipients the client was not refused at once */
    unsigned accepted;            /* by the upstream */
    unsigned refused;             /* for good */
    unsigned overshot;            /* recipients past max_recipients */
    unsigned lost, lost_for_good; /* accepted once, and refused when asked again; with 5yz */

    /* Policy. */
    struct decision *decision; /* under way, or NULL */
    enum policy_stage stage;   /* that it is about */
    smtp_judged_fn *judged;    /* goes on afterwards */
    struct recipient *asked;   /* the first of those that it is about */
    int group;                 /* of MAIL or of the whole message, in its questions */
    size_t end_take;           /* likewise */
    int64_t wait_us;           /* the replies are to be held back so long */
    int64_t delayed_us;        /* and have been, in this message */
    const char *denial;        /* the answer, where it is refused */
    int denial_code;
    struct outside *outside; /* questions to policy servers under way, or NULL */
    smtp_judged_fn *told;    /* goes on after them */
    struct buffer prepended; /* headers that they have put in front of the message */
    const char *stopped;     /* the same, where a rule that suspends has said so */
    int stopped_code;
    struct {
        const struct limit_rule *rule; /* NULL: none has counted it */
        int64_t left;
        double share_used;
    } tightest;          /* of the rules that have let it pass: the one nearest to its limit */
    bool is_batch_held;  /* until its recipients are judged, and for as long as they have to wait */
    bool is_mail_due;    /* the answer to MAIL waits for the batch's decision */
    bool is_mail_judged; /* policy has said what it has to say of it: milters are to come */
    bool is_at_end;      /* of the text: what is left is decided, and is the answer to all of it */
    bool is_denied;      /* MAIL was refused: nothing of it goes on */
    bool is_taken;       /* the upstream has it: what was taken of limits is kept */
    struct recipient *first_unjudged; /* of the batch; those behind it too */
    struct recipient *first_unanswered;
    struct receipt *receipts; /* what the message itself has taken */

    /* Of a trusted login whose messages name their account by a header; NULL: they don't. */
    const char *account_header;
    bool is_named;             /* it is known by now */
    struct buffer header_text; /* the headers, until they are all there */

    /* The envelope upstream. */
    struct pool_request request;
    struct xclient_values values;
    bool is_taking;      /* a connection is awaited */
    bool is_mail_sent;   /* on the present connection */
    bool is_link_reused; /* it has served before: its first command may find it dead */
    bool is_answered;    /* it has answered something */
    bool is_replaced;    /* a dead one was replaced, which is done once */
    bool is_parameter_dropped;
    bool is_data_sent; /* DATA is up, its reply not yet here */
    unsigned due;      /* replies to RCPT */
    struct recipient *next_reply;
    enum smtp_reply_name trouble; /* why there is no connection, for the answer to DATA */
    const char *mail_refusal;     /* the upstream's answer to MAIL, for its recipients */
    int mail_refusal_code;

    enum data_state data;
    bool is_chunked, is_last_chunk;   /* it comes by BDAT; the present one ends it */
    struct held *held;                /* the text, where somebody must see all of it first */
    struct smtp_filtering *filtering; /* NULL: no milter sees it */
    bool is_discarded;                /* nobody is to get it, and the client not to know */
    struct body body;
    struct headers headers;
    struct header_values *header_values; /* that policy goes by; NULL: none */
    struct authors *authors;             /* who it says it is from, for policy; NULL: nobody asks */
    const char *received;                /* the trace line, until it is sent */
    struct text_parts *kept;             /* the last of the text, while policy is asked; or NULL */
    const char *refusal;                 /* the answer to the final dot, whole lines */
    int refusal_code;
    uint64_t dropped;      /* octets since then */
    bool ends_after_batch; /* RSET or EHLO stands behind recipients whose answers are to come */
};

struct smtp_session {
    struct session base;
    struct smtp_server server;
    struct smtp_replies replies;
    /* Who has the client's bytes now. Returns true when another one has them, who is to look. */
    bool (*take)(struct smtp_session *s, struct span *in);
    struct pace pace;                   /* of a text */
    uint64_t chunk_size, chunk_left;    /* of BDAT's octets, to be taken or dropped */
    enum smtp_reply_name chunk_refusal; /* the answer to a BDAT out of place */
    bool is_waiting;                    /* for somebody else than the client, who is paused */
    bool is_quitting;                   /* ends when the replies have gone */
    bool is_client_gone;                /* the reply to the final dot is awaited all the same */
    unsigned errors, junk; /* 5yz, and commands that lead nowhere, since a message was taken */
    char *helo;
    bool is_login_fresh;         /* by AUTH or XCLIENT, and no message has begun since */
    char *told_name, *told_helo; /* by XCLIENT, of whom the client speaks for; NULL: not known */
    struct address told_destination; /* where that one came to; size 0: not known */
    struct login login;
    struct smtp_own *own;            /* his login at the server behind; NULL: none */
    struct milter_chain *milters;    /* NULL before the first message that they see */
    struct transaction *transaction; /* NULL between messages */
    struct smtp_link *link; /* of the transaction; one that was told whose it is stays behind it */
};

/* ---- smtp_connect: commands that need nobody else ---- */

/* Takes the client's commands; the `take` of a session between texts. */
bool smtp_take_commands(struct smtp_session *s, struct span *in);

/* What was waited for has come: replies go, and the client is listened to again. The last thing
 * that a caller does with the session, which may be gone afterwards. */
void smtp_continue(struct smtp_session *s);

/* The same, for who goes on if the session does: returns false when it is gone. */
bool smtp_settle(struct smtp_session *s);

/* Waits for somebody else than the client, `ms` at most, 0: that one has its own time-out. */
void smtp_wait(struct smtp_session *s, enum session_state state, int64_t ms);

/* A reply of our own, with the session's id where it refuses; logged then. */
void smtp_say(struct smtp_session *s, enum smtp_reply_name name, const char *argument);

/* A reply's lines as they are logged: without the CRLF at their end. NULL is "". */
static inline struct span smtp_without_end(const char *text)
{
    struct span lines = span_of(text == NULL ? "" : text);
    if (lines.size >= 2 && memcmp(lines.data + lines.size - 2, "\r\n", 2) == 0)
        lines.size -= 2;
    return lines;
}

/* Out of memory: says 421 and ends. */
void smtp_give_up(struct smtp_session *s);

/* Frees the session and all that it has. `is_polite`: what was written is to arrive. */
void smtp_end(struct smtp_session *s, bool is_polite);

/* ---- smtp_identity ---- */

/* Fills in the transaction's values for XCLIENT. */
void smtp_identity_fill_in(struct smtp_session *s);

/* Where the client came to: here, or at who speaks for it. */
struct address smtp_identity_destination(const struct smtp_session *s);

/* What a connection of the client's own begins with, in the transaction's arena. */
struct span smtp_identity_header(struct smtp_session *s);

/* Queues what is said of the client before MAIL, as far as the server wants to know. Returns 0, or
 * -1: too many commands. */
int smtp_identity_forward(struct smtp_session *s);

/* ---- smtp_xclient ---- */

/* Whom the client may speak for, by its own address. */
void smtp_xclient_begin(struct smtp_session *s);
void smtp_xclient(struct smtp_session *s, const struct smtp_event *event);
void smtp_xclient_end(struct smtp_session *s);

/* What the client has called itself, or was called by who speaks for it. */
const char *smtp_client_name(const struct smtp_session *s);

/* ---- smtp_trusted ---- */

/* Does the client come from a network that may send without AUTH? */
void smtp_trusted_begin(struct smtp_session *s);

/* Whose message is it that MAIL begins? False: it may not be sent, which was said. */
bool smtp_trusted_mail(struct smtp_session *s, const struct smtp_event *event);
void smtp_trusted_mail_ended(struct smtp_session *s);

/* The header that names the account of the session's messages; NULL: none does. */
const char *smtp_trusted_header(const struct smtp_session *s);

/* It came so often, first with that value, or NULL. Returns whether it is known now whose message
 * it is; else the reply, which wants the header's name. */
bool smtp_trusted_name(struct smtp_session *s, unsigned count, const char *value,
                       enum smtp_reply_name *refusal);

/* ---- smtp_auth ---- */

void smtp_auth_begin(struct smtp_session *s, const struct smtp_event *event);
void smtp_auth_response(struct smtp_session *s, const struct smtp_event *event);
void smtp_auth_cancel(struct smtp_session *s, const struct smtp_event *event);
void smtp_auth_answered(void *owner, const struct login_answer *a);
void smtp_auth_own_answered(struct smtp_session *s, const struct login_answer *a);
void smtp_auth_timed_out(struct smtp_session *s);
void smtp_auth_delayed(struct smtp_session *s);

/* ---- smtp_login: the user's own login at the server behind (identity password) ---- */

/* The account's password is right here: asks there. LOGIN_CHECK: smtp_auth_own_answered is called
 * later. */
void smtp_own_begin(struct smtp_session *s, struct span account, struct login_answer *out);

/* Gives up what is asked, and overwrites the password. */
void smtp_own_end(struct smtp_session *s);

/* What he logs in with; NULL: he has not. */
const struct smtp_credentials *smtp_own_credentials(const struct smtp_session *s);

/* ---- smtp_envelope ---- */

void smtp_mail(struct smtp_session *s, const struct smtp_event *event);
void smtp_rcpt(struct smtp_session *s, const struct smtp_event *event);
void smtp_data(struct smtp_session *s, const struct smtp_event *event);
void smtp_bdat(struct smtp_session *s, const struct smtp_event *event);

/* RSET, or EHLO: the message is given up, behind the answers that are to come. */
void smtp_reset(struct smtp_session *s);

/* The message is over, however: its connection is given back, all is forgotten. */
void smtp_transaction_end(struct smtp_session *s);

/* ---- smtp_words ---- */

/* Text for the client from a reply of the upstream, in the transaction's arena, with its code. NULL
 * without memory. */
const char *smtp_upstream_text(struct smtp_session *s, enum smtp_command command,
                               const struct smtp_reply *reply, int *code);

/* Likewise a reply of our own; there is one that refuses without memory too. */
const char *smtp_own_text(struct smtp_session *s, enum smtp_reply_name name, const char *argument,
                          int *code);

/* Likewise one that somebody else has worded. */
const char *smtp_worded_text(struct smtp_session *s, const struct smtp_reply *reply);

/* ---- smtp_relay ---- */

/* The batch is read: whatever of it needs the upstream is sent, and the session waits. */
void smtp_relay_run(struct smtp_session *s);

/* A connection that is the client's own already. */
void smtp_relay_adopt(struct smtp_session *s, struct smtp_link *link);

/* While the client is held back others may have the connection; the envelope is repeated. */
void smtp_relay_lend(struct smtp_session *s);

/* Says all of it upstream, of a text that was held: smtp_held_envelope_answered follows. */
void smtp_relay_repeat(struct smtp_session *s);

/* ---- smtp_policy ---- */

/* Has policy to be asked at that stage? */
bool smtp_policy_asks(const struct smtp_session *s, enum policy_stage stage);

/* Asks, and then calls `judged`, at once or later. STAGE_MAIL: about MAIL and the new recipients of
 * the batch; MAIL is answered, and those that are denied are marked. STAGE_DATA, STAGE_END: about
 * all of it; `t->denial` is the answer, or NULL. */
void smtp_policy_ask(struct smtp_session *s, enum policy_stage stage, smtp_judged_fn *judged);

/* Likewise when all of the text is there: about what is left to be asked, which is all that goes by
 * the account where the headers have named it. */
void smtp_policy_ask_end(struct smtp_session *s, smtp_judged_fn *judged);

/* What is known of the message. */
struct policy_facts smtp_policy_facts(const struct smtp_session *s);

/* Is it about MAIL too that policy is asked now, and not about recipients alone? */
bool smtp_policy_asks_mail(const struct transaction *t);

/* MAIL has its answer: 250, or what `t->denial` says where it is denied; and a recipient his: he is
 * refused, at the end with all of the message. */
void smtp_policy_answer_mail(struct smtp_session *s);
void smtp_policy_deny(struct transaction *t, struct recipient *r, const char *text, int code);

/* Nobody could be asked: for now nothing passes. */
void smtp_policy_fail(struct smtp_session *s);

/* The headers have named the account: what was tried before is its own. */
void smtp_policy_named(const struct smtp_session *s);

/* The replies were held back long enough. */
void smtp_policy_delayed(struct smtp_session *s);

/* The server behind has answered for a recipient; it has taken the message. */
void smtp_policy_attempted(const struct smtp_session *s, struct recipient *r,
                           const struct smtp_reply *reply);
void smtp_policy_taken(const struct smtp_session *s);

/* What recipients that were refused after all have taken is given back; or all of it. */
void smtp_policy_give_back(struct smtp_session *s, bool is_all);

/* ---- smtp_delegate ---- */

/* Asks policy servers about what the stage has let pass so far, and then calls `told`, at once or
 * later: what they refuse is denied as by policy itself. */
void smtp_delegate_ask(struct smtp_session *s, smtp_judged_fn *told);

/* ---- smtp_sender ---- */

/* May the account send as the one that MAIL names? False: no, and why. */
bool smtp_sender_mail(struct smtp_session *s, const struct smtp_event *event,
                      char text[SENDER_TEXT_SIZE]);

/* A text begins. Returns 0, or -1 without memory. */
int smtp_sender_begin(struct smtp_session *s);

/* Looks at the next octets of its headers, all of them when the account has been named. */
void smtp_sender_take(struct smtp_session *s, struct span headers);

/* Of the addresses in them the one that was decided on, or the last; "": nobody has asked. Lies in
 * the transaction. */
const char *smtp_sender_author(const struct transaction *t);

/* They are over, and the account is known: may it send as those whom they name? False: no, and
 * why. */
bool smtp_sender_headers(struct smtp_session *s, char text[SENDER_TEXT_SIZE]);

/* ---- smtp_body ---- */

/* The recipients are there: 354, and the text is taken. */
void smtp_body_begin(struct smtp_session *s);

/* `t->refusal` is the answer to DATA; or to BDAT, behind its octets. */
void smtp_body_refused(struct smtp_session *s, const char *reason);

/* A chunk of `s->chunk_left` octets comes: another one of the message, or one out of place. */
void smtp_body_chunk(struct smtp_session *s);
void smtp_body_drop_chunk(struct smtp_session *s, enum smtp_reply_name refusal);

/* Is it text that the client has to send, or the next chunk of it? */
bool smtp_body_is_due(const struct smtp_session *s);

/* The client is listened to for text: sets its deadline. `was_waiting`: until now it was not. */
void smtp_body_listen(struct smtp_session *s, bool was_waiting);

/* Its deadline has passed: was it too slow, rather than silent? */
bool smtp_body_is_slow(const struct smtp_session *s);

/* The upstream has answered DATA, takes text again, or is gone. */
void smtp_body_data_answered(struct smtp_session *s, const struct smtp_reply *reply);
void smtp_body_drained(struct smtp_session *s);
void smtp_body_lost(struct smtp_session *s, const char *reason);

/* Why no recipient is left for the message, or none can be said of. */
enum smtp_reply_name smtp_body_trouble(const struct smtp_session *s);

/* A milter has refused the text under way: `t->refusal` is the answer to its end. */
void smtp_body_filtered(struct smtp_session *s);

/* ---- smtp_text ---- */

/* Writes the trace line, which goes in front. Returns 0, or -1 without memory. */
int smtp_text_begin(struct smtp_session *s);

/* Hot: sends a piece of the text up, with what we add to it; or abandons it (DATA_DROPPED), when
 * something is wrong. One system call; no copy, no allocation, but of headers that are held. */
void smtp_text_pass_on(struct smtp_session *s, struct span text, enum text_end end);

/* Likewise the last piece, which policy wants to know of before its dot: asks, and then calls
 * `judged`. Decided at once, it goes up with smtp_text_pass_dot alone, in one write; else before.
 */
void smtp_text_judge(struct smtp_session *s, struct span text, smtp_judged_fn *judged);
void smtp_text_pass_dot(struct smtp_session *s);

/* Abandons it: `t->refusal` will be the answer to its end; or that of this name; or it is more than
 * max_message_size. */
void smtp_text_denied(struct smtp_session *s);
void smtp_text_refuse(struct smtp_session *s, enum smtp_reply_name name);
void smtp_text_too_big(struct smtp_session *s);

/* ---- smtp_end ---- */

/* The upstream has answered the final dot. */
void smtp_final_answered(struct smtp_session *s, const struct smtp_reply *reply);

/* Nobody gets it, and the client is told 250. */
void smtp_final_discarded(struct smtp_session *s);

/* The message is not taken: `t->refusal` is the answer to its final dot, or to its DATA. */
void smtp_final_refused(struct smtp_session *s, const char *reason);
