/* What a milter says. Replies come in the order of the commands. After a verdict libmilter passes
 * over what it was told ahead of it, mostly without a reply: a connection with replies due then is
 * closed, and the next message has another. */
#include "base/clock.h"
#include "config/config.h"
#include "milter/member.h"

#include <stdlib.h>

static struct told *first_told(struct member *m)
{
    return &m->told_commands[m->first_told];
}

static void pop(struct member *m)
{
    if (--first_told(m)->count > 0)
        return;
    m->first_told = (m->first_told + 1) % TOLD_MAX;
    m->told_count--;
}

void member_command_done(struct member *m, char command)
{
    m->heard += command == MILTER_COMMAND_MAIL || command == MILTER_COMMAND_RCPT ||
                command == MILTER_COMMAND_DATA;
    chain_move(m->chain);
}

/* The oldest command has its answer, and those behind it that need none. */
static void answered(struct member *m)
{
    member_begin_wait(m);
    do {
        char command = first_told(m)->command;
        pop(m);
        member_command_done(m, command);
    } while (m->told_count > 0 && !first_told(m)->is_answered);
}

void member_begin_wait(struct member *m)
{
    m->patience_ns = loop_now(m->chain->worker->loop) + m->config->message_timeout_ms * CLOCK_MS;
}

void member_set_deadline(struct member *m)
{
    int64_t at = loop_now(m->chain->worker->loop) + m->config->reply_timeout_ms * CLOCK_MS;
    if (m->link == NULL || !milter_link_is_open(m->link))
        return;
    if (m->told_count > 0 && m->patience_ns < at)
        at = m->patience_ns;
    if (m->told_count == 0 && !milter_link_is_blocked(m->link))
        at = 0;
    milter_link_set_deadline(m->link, at);
}

/* ---- its link ---- */

void member_take_link(struct member *m)
{
    struct error why;
    struct milter_chain *c = m->chain;
    m->first_told = m->told_count = 0;
    m->taken_at = m->told = m->heard;
    m->is_in_message = m->has_continued = false;
    m->link = milters_take(c->options.milters, m->config, c->whom, &m->may_be_dead, member_heard, m,
                           &why);
    free(m->why);
    m->why = m->link == NULL ? strdup(why.text) : NULL;
}

/* What is to be said of a message that is over for it. */
static void leave(struct member *m)
{
    char abort[MILTER_HEAD_SIZE];
    const struct span bytes = {abort, sizeof abort};
    milter_frame_head(MILTER_COMMAND_ABORT, 0, abort);
    if (m->is_in_message)
        milter_link_write(m->link, &bytes, 1);
    milter_link_memory(m->link)->takes_another = m->has_continued;
    if (milter_link_is_blocked(m->link))
        milter_link_close(&m->link);
    else
        milters_keep(m->chain->options.milters, m->config, &m->link);
}

void member_finish(struct member *m)
{
    m->state = MEMBER_OUT;
    edits_drop(m);
    if (m->link == NULL)
        return;
    if (milter_link_is_open(m->link) && m->told_count == 0 &&
        milter_link_memory(m->link)->whom == m->chain->whom)
        leave(m);
    else
        milter_link_close(&m->link);
    m->told_count = 0;
}

/* An old connection that was dead when it was first used is replaced, once, unseen. */
static bool replace(struct member *m)
{
    if (!m->may_be_dead || m->heard != m->taken_at || m->state != MEMBER_ENVELOPE)
        return false;
    milter_link_close(&m->link);
    member_take_link(m);
    m->may_be_dead = false;
    if (m->link != NULL)
        chain_move(m->chain);
    return m->link != NULL;
}

void member_failed(struct member *m, const char *reason)
{
    struct milter_chain *c = m->chain;
    const int on_failure = m->config->on_failure;
    milters_failed(c->options.milters, m->config, reason);
    if (on_failure != MILTER_FAILURE_ACCEPT) {
        const struct milter_answer a = {.verdict = MILTER_REFUSES,
                                        .code = on_failure == MILTER_FAILURE_REJECT ? 550 : 451,
                                        .is_failure = true,
                                        .milter = m->config->name,
                                        .reason = reason};
        chain_refuse(c, &a, span_of(""));
    }
    milter_link_close(&m->link);
    member_finish(m);
    chain_move(c);
}

void member_give_up(struct member *m, const char *reply, const char *reason)
{
    const struct milter_answer a = {.verdict = MILTER_REFUSES,
                                    .code = reply[0] == '5' ? 550 : 451,
                                    .milter = m->config->name,
                                    .reason = reason};
    chain_refuse(m->chain, &a, span_of(reply));
    milter_link_close(&m->link);
    member_finish(m);
    chain_move(m->chain);
}

/* ---- verdicts ---- */

/* The one that was just answered is the last that it hears of the message. `is_clean`: it knows
 * that, and is ready for the next one. */
static void be_out(struct member *m, bool is_clean)
{
    m->is_in_message = m->is_in_message && !is_clean;
    milters_worked(m->chain->options.milters, m->config);
    member_finish(m);
    chain_move(m->chain);
}

static bool is_of_client(char command)
{
    return command == MILTER_COMMAND_CONNECT || command == MILTER_COMMAND_HELO;
}

void member_pass(struct member *m)
{
    struct error why;
    struct milter_answer a = {.verdict = MILTER_REFUSES,
                              .code = 451,
                              .milter = m->config->name,
                              .reason =
                                  "it wants the message held, and there is no place for that"};
    if (m->holds && m->config->quarantine == MILTER_QUARANTINE_TEMPFAIL) {
        chain_refuse(m->chain, &a, span_of(""));
    } else if (edits_apply(m, &why) < 0) {
        a.is_failure = true;
        a.reason = why.text;
        milters_failed(m->chain->options.milters, m->config, why.text);
        chain_refuse(m->chain, &a, span_of(""));
    }
    be_out(m, true);
}

/* Its end of message, and it passes. */
static void let_pass(struct member *m, bool has_continued)
{
    m->has_continued = has_continued;
    m->is_in_message = false;
    m->state = MEMBER_PASSING;
    milter_link_set_deadline(m->link, 0);
    chain_move(m->chain);
}

static void go_on(struct member *m, char command)
{
    answered(m);
    if (command == MILTER_COMMAND_END)
        let_pass(m, true);
    else
        member_set_deadline(m);
}

/* Nothing of this message, or this client, need be told any more. */
static void accept_all(struct member *m, char command)
{
    pop(m);
    if (command == MILTER_COMMAND_END) {
        let_pass(m, false);
        return;
    }
    if (is_of_client(command)) {
        m->accepted_whom = m->chain->whom;
        milter_link_close(&m->link);
    }
    be_out(m, true);
}

/* It refuses what was told: a recipient alone, or the message. */
static void refuse(struct member *m, char command, const struct milter_answer *a, struct span lines)
{
    struct milter_chain *c = m->chain;
    if (command == MILTER_COMMAND_RCPT && a->verdict == MILTER_REFUSES) {
        chain_stop_question(c, m->heard, a, lines);
        answered(m);
        member_set_deadline(m);
        return;
    }
    pop(m);
    chain_refuse(c, a, lines);
    if (is_of_client(command))
        milter_link_close(&m->link); /* it wants to hear nothing of this client */
    be_out(m, command != MILTER_COMMAND_RCPT);
}

static void refuse_plainly(struct member *m, char command, enum milter_verdict verdict, int code,
                           const char *reason)
{
    const struct milter_answer a = {
        .verdict = verdict, .code = code, .milter = m->config->name, .reason = reason};
    refuse(m, command, &a, span_of(""));
}

static void refuse_in_words(struct member *m, char command, struct span text)
{
    struct buffer lines = {.limit = 64 * 1024};
    struct milter_answer a = {
        .verdict = MILTER_REFUSES, .milter = m->config->name, .reason = "in its own words"};
    int outcome = milter_reply_lines(text, &a.code, &lines);
    if (outcome < 0) {
        buffer_clear(&lines);
        member_failed(m, "its own reply is no refusal");
        return;
    }
    if (a.code == 421)
        a.verdict = MILTER_CLOSES;
    if (outcome == 0)
        a.reason = "in words of its own that are no reply";
    refuse(m, command, &a, buffer_bytes(&lines));
    buffer_clear(&lines);
}

static void skip(struct member *m, char command)
{
    m->skips_header = m->skips_header || command == MILTER_COMMAND_HEADER;
    m->skips_body = m->skips_body || command == MILTER_COMMAND_BODY;
    go_on(m, command);
}

static void take_edit(struct member *m, const struct milter_frame *f, const struct milter_reply *r)
{
    struct error why;
    if (edits_keep(m, f, r, &why) < 0)
        member_give_up(
            m, "451 4.3.1 No room for what the mail filter makes of it; try again later\r\n",
            why.text);
    else
        member_set_deadline(m);
}

static void take_reply(struct member *m, const struct milter_frame *f)
{
    struct milter_reply r;
    struct error why;
    char command = first_told(m)->command;
    if (milter_reply_parse(f, milter_link_terms(m->link)->actions, command == MILTER_COMMAND_END,
                           &r, &why) < 0) {
        member_failed(m, why.text);
        return;
    }
    m->may_be_dead = false;
    switch (r.code) {
    case MILTER_REPLY_CONTINUE: go_on(m, command); return;
    case MILTER_REPLY_SKIP: skip(m, command); return;
    case MILTER_REPLY_PROGRESS: member_set_deadline(m); return;
    case MILTER_REPLY_ACCEPT: accept_all(m, command); return;
    case MILTER_REPLY_TEXT: refuse_in_words(m, command, r.value); return;
    case MILTER_REPLY_REJECT: refuse_plainly(m, command, MILTER_REFUSES, 550, "rejected"); return;
    case MILTER_REPLY_TEMPFAIL: refuse_plainly(m, command, MILTER_REFUSES, 451, "not now"); return;
    case MILTER_REPLY_DISCARD:
        if (is_of_client(command)) {
            go_on(m, command); /* of a client there is nothing to discard: as Postfix takes it */
            return;
        }
        refuse_plainly(m, command, MILTER_DISCARDS, 250, "discarded");
        return;
    case MILTER_REPLY_SHUTDOWN:
    case MILTER_REPLY_CONNECTION_FAILURE:
        refuse_plainly(m, command, MILTER_CLOSES, 421, "the client is sent away");
        return;
    default: take_edit(m, f, &r); return;
    }
}

void member_heard(void *owner, const struct milter_link_event *event)
{
    struct member *m = owner;
    switch (event->kind) {
    case MILTER_LINK_OPEN:
    case MILTER_LINK_DRAINED: chain_move(m->chain); return;
    case MILTER_LINK_FRAME:
        if (m->told_count > 0)
            take_reply(m, event->frame);
        else
            member_failed(m, "it says what nobody has asked for");
        return;
    case MILTER_LINK_LOST:
        if (event->is_late || !replace(m))
            member_failed(m, event->reason);
        return;
    }
}
