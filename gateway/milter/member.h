/* One milter of a chain, and what the chain's files share: telling.c writes to it, hearing.c reads
 * what it says, edits.c keeps what it wants changed. */
#pragma once

#include "milter/chain.h"
#include "milter/milters.h"
#include "protocol/milter/reply.h"

struct arena;

enum member_state {
    MEMBER_OUT,      /* not for this message, or done with it: it passes */
    MEMBER_ENVELOPE, /* until it has all of the envelope */
    MEMBER_HEADER,   /* its fields are told, one after the other */
    MEMBER_BODY,
    MEMBER_END,     /* it has all; its verdict is awaited */
    MEMBER_PASSING, /* it lets pass, and its edits wait until those before it have seen all */
};

/* So many commands of one kind that were told. Those without an answer count as answered when all
 * before them are. */
struct told {
    char command;
    bool is_answered;
    uint32_t count;
};

enum { TOLD_MAX = 16 };

struct member {
    struct milter_chain *chain;
    const struct milter_config *config;
    struct milter_link *link;
    enum member_state state;
    struct told told_commands[TOLD_MAX];
    size_t first_told, told_count;
    size_t told, heard; /* so many questions of this message were told, and passed by it */
    size_t taken_at;    /* `heard` when it got its link */
    bool may_be_dead;   /* the link is an old one, and nothing has been heard on it */
    bool has_recipient; /* it was told of one */
    bool is_in_message; /* ABORT would mean something */
    bool has_continued; /* at the end of its last message */
    size_t next_field;  /* to be told */
    uint64_t body_at;   /* likewise */
    bool skips_body, skips_header;
    int64_t patience_ns;    /* until the next answer, whatever progress it reports */
    uint64_t accepted_whom; /* it wants to hear no more of this client */
    struct buffer edits;    /* frames, as they came */
    struct spool *body;     /* the new one */
    bool holds;             /* it wants the message held */
    char *why;              /* it has no link; NULL: no memory */
};

struct question {
    enum milter_event_kind kind;
    void *recipient;
    const char *address;
    const char *parameters[MILTER_PARAMETERS_MAX];
    size_t parameter_count;
    bool is_stopped; /* it has its answer, and nobody else is asked */
    bool is_refused; /* a recipient that was refused before: told, not asked about */
    struct milter_answer answer;
    char *text, *own; /* of the answer; of what was refused before */
};

struct milter_chain {
    struct milter_options options;
    const struct milters_options *worker;
    struct member *members;
    size_t count;

    uint64_t whom;
    struct milter_client client; /* its name is owned */
    char *client_name, *helo;
    unsigned helo_version;

    unsigned message; /* counts messages */
    struct question *questions;
    size_t base, first, asked, room; /* base: the number of questions[0]; first: not answered yet */
    struct milter_answer refusal;    /* of all of the message; PASSES: none */
    char *refusal_text, *refusal_reason;

    struct fields *fields; /* NULL: there is no text yet */
    struct spool *body;
    bool is_whole; /* the body */
    bool is_over;  /* the text has its verdict */
    struct arena *arena;
    struct milter_edits edits;
    struct milter_recipient *recipients;
    size_t recipient_room;

    bool is_moving, moves_again, is_destroyed;
    struct entry soon;
    struct deferred deferred;
};

/* ---- chain.c ---- */

/* Looks at what can be told and answered, soon. */
void chain_move(struct milter_chain *c);
struct question *chain_question(const struct milter_chain *c, size_t number);

/* This one's answer to a question, or to all of the message. `lines` may be empty. The reason that
 * a question is stopped for is a constant. */
void chain_stop_question(struct milter_chain *c, size_t number, const struct milter_answer *a,
                         struct span lines);
void chain_refuse(struct milter_chain *c, const struct milter_answer *a, struct span lines);

/* The body as it is for those who come next. */
struct spool *chain_body(const struct milter_chain *c);

/* ---- telling.c ---- */

/* Tells it what it may be told: questions up to number `limit`, and text if it `may_see_text`. */
void member_tell(struct member *m, size_t limit, bool may_see_text);

/* A command was answered, or needs no answer. */
void member_command_done(struct member *m, char command);

/* It hears no more of this message: its link is kept, or closed where that isn't safe. */
void member_finish(struct member *m);
void member_set_deadline(struct member *m);

/* Something is asked of it, or answered: it has message_timeout from now on. */
void member_begin_wait(struct member *m);

/* ---- hearing.c ---- */

void member_take_link(struct member *m);

/* Of one that is passing: its edits take place. */
void member_pass(struct member *m);
void member_failed(struct member *m, const char *reason);

/* It hasn't failed, but can't be shown what it is to judge, or not be followed: the message goes no
 * further, whatever its on_failure says. `reply` is the answer, a whole line, 4yz or 5yz. */
void member_give_up(struct member *m, const char *reply, const char *reason);
void member_heard(void *owner, const struct milter_link_event *event);

/* ---- edits.c ---- */

/* Keeps an edit. Returns 0, or -1 and why: there is no room. */
int edits_keep(struct member *m, const struct milter_frame *f, const struct milter_reply *r,
               struct error *why);

/* All that was kept takes place. Returns 0, or -1 and why: then the message can't go on. */
int edits_apply(struct member *m, struct error *why);
void edits_drop(struct member *m);
