/* DATA or BDAT and the text: normalised once, and sent up as it comes.
 *
 * The client's 354 waits for the recipients' answers, not for the upstream's 354. When the upstream
 * refuses or is lost midway, the rest is read and dropped, and the refusal answers the dot.
 *
 * Chunks (RFC 3030) end here: the upstream gets the same text by DATA. Each is answered behind its
 * octets, which are dropped where it is refused; what was refused once is over, so that chunks
 * pipelined behind it are out of sequence. */
#include "base/clock.h"
#include "session/guard.h"
#include "session/smtp_filter.h"
#include "session/smtp_held.h"

#include <inttypes.h>
#include <stdio.h>

static bool take_text(struct smtp_session *s, struct span *in);
static bool take_chunk(struct smtp_session *s, struct span *in);

/* Listens to the client for text, or goes on with a chunk that is all here. */
static void go_on(struct smtp_session *s)
{
    struct span nothing = span_of("");
    if (s->take == take_chunk && s->chunk_left == 0)
        (void)take_chunk(s, &nothing); /* nobody is there who would have to look again */
    else
        smtp_continue(s);
}

/* ---- DATA ---- */

enum smtp_reply_name smtp_body_trouble(const struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    bool is_for_good = t->accepted == 0 && t->lost == t->lost_for_good;
    if (t->accepted == 0 && t->lost == 0)
        return SMTP_REPLY_no_recipients;
    return s->link == NULL ? t->trouble
           : is_for_good   ? SMTP_REPLY_no_recipients
                           : SMTP_REPLY_upstream_lost;
}

/* The answer to DATA itself: there is nobody to take the message for, or nowhere to. */
static void refuse_data(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    t->refusal = smtp_own_text(s, smtp_body_trouble(s), NULL, &t->refusal_code);
    smtp_body_refused(s, "no recipient is left");
}

/* From now on the client's octets are text. Its answer to BDAT comes behind them. Returns 0, or -1
 * without memory. */
static int begin_text(struct smtp_session *s, enum data_state state)
{
    struct transaction *t = s->transaction;
    int code;
    const char *text = t->is_chunked ? "" : smtp_own_text(s, SMTP_REPLY_data, NULL, &code);
    if (text == NULL || smtp_replies_answer(&s->replies, span_of(text)) < 0)
        return -1;
    t->data = state;
    s->take = t->is_chunked ? take_chunk : take_text;
    pace_begin(&s->pace, loop_now(s->base.context->loop));
    session_state(&s->base, state == DATA_DROPPED ? SESSION_BODY_DROP : SESSION_BODY);
    return 0;
}

static void give_up(struct smtp_session *s)
{
    smtp_give_up(s);
    smtp_continue(s);
}

void smtp_body_refused(struct smtp_session *s, const char *reason)
{
    if (!s->transaction->is_chunked)
        smtp_final_refused(s, reason);
    else if (begin_text(s, DATA_DROPPED) < 0)
        give_up(s);
    else
        go_on(s);
}

/* A chunk that can't fit is refused by its size. */
static void check_chunk(struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    uint64_t max = (uint64_t)s->base.listener->max_message_size;
    if (t->data != DATA_DROPPED && t->body.size + s->chunk_left > max)
        smtp_text_too_big(s);
}

/* Nothing goes up before all of it is here. */
static void begin_held(struct smtp_session *s)
{
    if (smtp_held_begin(s) < 0 || smtp_text_begin(s) < 0 || begin_text(s, DATA_OPEN) < 0) {
        give_up(s);
        return;
    }
    check_chunk(s);
    go_on(s);
}

void smtp_body_begin(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    if (t->accepted == 0 && t->is_data_sent)
        return; /* its reply says whether a lone dot is due (RFC 2920 section 3.1) */
    bool is_held = smtp_filter_asks(s) || t->is_discarded;
    if (t->accepted == 0 || t->lost > 0 || (s->link == NULL && !is_held)) {
        refuse_data(s);
        return;
    }
    if (is_held) {
        begin_held(s);
        return;
    }
    if (!t->is_data_sent &&
        smtp_link_command(s->link, SMTP_COMMAND_DATA, span_of("DATA\r\n")) < 0) {
        refuse_data(s);
        return;
    }
    t->is_data_sent = true;
    smtp_link_flush(s->link);
    if (smtp_text_begin(s) < 0 || begin_text(s, DATA_STARTED) < 0) {
        give_up(s);
        return;
    }
    check_chunk(s);
    go_on(s);
}

void smtp_body_chunk(struct smtp_session *s)
{
    bool is_dropped = s->transaction->data == DATA_DROPPED;
    s->take = take_chunk;
    session_state(&s->base, is_dropped ? SESSION_BODY_DROP : SESSION_BODY);
    check_chunk(s);
}

/* What comes from now on is dropped; `t->refusal` is kept for the dot. */
static void begin_dropping(struct smtp_session *s)
{
    s->transaction->data = DATA_DROPPED;
    session_state(&s->base, SESSION_BODY_DROP);
    if (s->is_waiting)
        go_on(s);
}

void smtp_body_data_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
    static const struct span dot = {".\r\n", 3};
    struct transaction *t = s->transaction;
    t->is_data_sent = false;
    if (t->data == DATA_RESENT) {
        smtp_held_data_answered(s, reply);
        return;
    }
    if (t->data == DATA_WANTED && reply->code == 354) {
        smtp_link_text(s->link, &dot, 1, TEXT_DOT); /* all recipients refused, and 354 still */
        return;
    }
    if (t->data == DATA_WANTED) {
        refuse_data(s);
        return;
    }
    if (reply->code == 354) {
        t->data = DATA_OPEN;
        if (s->is_waiting) {
            session_state(&s->base, SESSION_BODY);
            go_on(s);
        }
        return;
    }
    t->refusal = smtp_upstream_text(s, SMTP_COMMAND_DATA, reply, &t->refusal_code);
    begin_dropping(s);
}

/* ---- how fast it comes ---- */

/* It may be silent for idle_timeout, and slow for as long as its pace allows. */
static void set_deadline(const struct smtp_session *s)
{
    const struct listener_config *l = s->base.listener;
    int64_t left_ms = pace_left(&s->pace, loop_now(s->base.context->loop)) / CLOCK_MS + 1;
    bool is_by_pace = l->min_data_rate > 0 && left_ms < l->idle_timeout_ms;
    int64_t ms = is_by_pace ? left_ms : l->idle_timeout_ms, patience_ms = smtp_held_patience(s);
    session_deadline(&s->base, patience_ms > 0 && patience_ms < ms ? patience_ms : ms);
}

bool smtp_body_is_due(const struct smtp_session *s)
{
    return s->take != smtp_take_commands || s->server.state == SMTP_IN_CHUNKS;
}

void smtp_body_listen(struct smtp_session *s, bool was_waiting)
{
    if (was_waiting)
        pace_resume(&s->pace, loop_now(s->base.context->loop));
    set_deadline(s);
}

bool smtp_body_is_slow(const struct smtp_session *s)
{
    return smtp_body_is_due(s) && s->base.listener->min_data_rate > 0 &&
           pace_left(&s->pace, loop_now(s->base.context->loop)) == 0;
}

static void count_octets(struct smtp_session *s, size_t size)
{
    if (s->base.listener->min_data_rate > 0)
        pace_came(&s->pace, size, s->base.listener->min_data_rate, loop_now(s->base.context->loop));
}

/* ---- the text ---- */

/* The dot has come, or the last chunk; or one at whose end there is a refusal to tell. */
static void text_ended(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    s->take = smtp_take_commands;
    if (t->data == DATA_DROPPED) {
        smtp_final_refused(s, "");
        return;
    }
    if (t->held != NULL) {
        smtp_filter_end_text(s);
        return;
    }
    t->data = DATA_ENDED;
    smtp_wait(s, SESSION_FINAL, 0);
}

/* Reads on without end for nobody. */
static bool is_dropped_enough(const struct smtp_session *s)
{
    return s->transaction->dropped > (uint64_t)s->base.listener->max_message_size;
}

/* Does the server behind take no more of what goes up as it comes? */
static bool is_blocked(const struct smtp_session *s)
{
    return s->transaction->held == NULL && smtp_link_is_blocked(s->link);
}

/* What of the client's has come is dealt with: what is there to wait for? */
static void wait_for_more(struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    if (t->data == DATA_OPEN && is_blocked(s))
        smtp_wait(s, SESSION_BODY_SEND, 0);
    else if (t->data == DATA_DROPPED && is_dropped_enough(s))
        smtp_final_refused(s, "the client does not stop sending");
    else
        set_deadline(s);
}

/* Was its sender suspended meanwhile? Then it goes no further. */
static bool is_stopped(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    char why[SUSPENSION_TEXT_SIZE];
    if (!guard_sending(&s->base, why))
        return false;
    t->refusal = smtp_own_text(s, SMTP_REPLY_sending_suspended, why, &t->refusal_code);
    smtp_text_denied(s);
    return true;
}

/* Policy has seen all of it. */
static void text_judged(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    if (t->data == DATA_JUDGED && t->denial != NULL) {
        t->refusal = t->denial;
        t->refusal_code = t->denial_code;
        smtp_text_denied(s);
    } else if (t->data == DATA_JUDGED && !is_stopped(s) && t->held == NULL) {
        if (t->is_discarded) { /* at the end */
            smtp_text_denied(s);
            smtp_final_discarded(s);
            return;
        }
        smtp_text_pass_dot(s);
    }
    text_ended(s);
}

/* Hot: the last of the text. The dot is withheld where policy wants to know all of it first. */
static void end_text(struct smtp_session *s, struct span text)
{
    const struct transaction *t = s->transaction;
    bool is_asked = smtp_policy_asks(s, STAGE_END) || t->account_header != NULL || t->held != NULL;
    if (t->data == DATA_OPEN && is_asked) {
        smtp_text_judge(s, text, text_judged);
        return;
    }
    if (t->data == DATA_OPEN && !is_stopped(s))
        smtp_text_pass_on(s, text, TEXT_DOT);
    text_ended(s);
}

static bool take_text(struct smtp_session *s, struct span *in)
{
    struct transaction *t = s->transaction;
    struct span text;
    if (t->data == DATA_STARTED) {
        smtp_wait(s, SESSION_DATA_START, 0); /* the upstream's 354 is to come */
        return false;
    }
    size_t before = in->size;
    enum body_result result = body_take(&t->body, in, loop_spare(s->base.context->loop), &text);
    count_octets(s, before - in->size);
    if (t->data != DATA_OPEN)
        t->dropped += before - in->size;
    else if (result != BODY_WHOLE)
        smtp_text_pass_on(s, text, TEXT_GOES_ON);
    if (result == BODY_WHOLE)
        end_text(s, text);
    else
        wait_for_more(s);
    return false;
}

/* ---- chunks ---- */

static struct span take_octets(struct smtp_session *s, struct span *in)
{
    struct span piece = span_take(in, in->size < s->chunk_left ? in->size : s->chunk_left);
    s->chunk_left -= piece.size;
    count_octets(s, piece.size);
    return piece;
}

/* All of it is here. Are there commands to be looked at behind it? */
static bool chunk_ended(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    char size[24];
    if (t->data == DATA_DROPPED || t->is_last_chunk) {
        end_text(s, t->data == DATA_OPEN ? body_end_chunks(&t->body) : span_of(""));
        return false;
    }
    (void)snprintf(size, sizeof size, "%" PRIu64, s->chunk_size); /* fits */
    smtp_say(s, SMTP_REPLY_chunk, size);
    s->take = smtp_take_commands;
    return smtp_settle(s);
}

static bool take_chunk(struct smtp_session *s, struct span *in)
{
    struct transaction *t = s->transaction;
    struct span text;
    if (t->data == DATA_STARTED || (t->data == DATA_OPEN && is_blocked(s))) {
        smtp_wait(s, t->data == DATA_STARTED ? SESSION_DATA_START : SESSION_BODY_SEND, 0);
        return false;
    }
    struct span piece = take_octets(s, in);
    if (t->data == DATA_OPEN) {
        body_take_chunk(&t->body, piece, loop_spare(s->base.context->loop), &text);
        smtp_text_pass_on(s, text, TEXT_GOES_ON);
    } else {
        t->dropped += piece.size;
    }
    if (s->chunk_left == 0)
        return chunk_ended(s);
    wait_for_more(s);
    return false;
}

/* A chunk out of place: its octets are dropped, and then BDAT is refused (RFC 3030 section 2). */
static bool drop_chunk(struct smtp_session *s, struct span *in)
{
    (void)take_octets(s, in);
    if (s->chunk_left > 0) {
        set_deadline(s);
        return false;
    }
    smtp_say(s, s->chunk_refusal, NULL);
    s->take = smtp_take_commands;
    return smtp_settle(s);
}

void smtp_body_drop_chunk(struct smtp_session *s, enum smtp_reply_name refusal)
{
    if (s->chunk_left > (uint64_t)s->base.listener->max_message_size) {
        smtp_say(s, refusal, NULL);
        s->is_quitting = true; /* nobody reads so much for nothing */
        return;
    }
    s->chunk_refusal = refusal;
    s->take = drop_chunk;
    pace_begin(&s->pace, loop_now(s->base.context->loop));
    session_state(&s->base, SESSION_BODY_DROP);
}

void smtp_body_drained(struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    if (t != NULL && t->data == DATA_SENDING) {
        smtp_held_drained(s);
    } else if (t != NULL && t->data == DATA_OPEN && s->is_waiting) {
        session_state(&s->base, SESSION_BODY);
        go_on(s);
    }
}

void smtp_body_lost(struct smtp_session *s, const char *reason)
{
    struct transaction *t = s->transaction;
    bool is_ended = t->data == DATA_ENDED;
    t->is_data_sent = false;
    session_event(&s->base, EVENT_upstream_lost, field_text(KEY_message, t->id),
                  field_text(KEY_reason, reason));
    if (t->data == DATA_DROPPED)
        return; /* the answer is there already */
    if (t->data == DATA_WANTED) {
        refuse_data(s);
        return;
    }
    if (t->data == DATA_RESENT || t->data == DATA_SENDING) {
        smtp_held_lost(s, reason);
        return;
    }
    t->refusal = smtp_own_text(s, SMTP_REPLY_upstream_lost, NULL, &t->refusal_code);
    if (is_ended)
        smtp_final_refused(s, reason);
    else if (t->data == DATA_JUDGED)
        t->data = DATA_DROPPED; /* policy's answer is awaited all the same */
    else
        begin_dropping(s);
}

void smtp_body_filtered(struct smtp_session *s)
{
    if (s->transaction->data == DATA_JUDGED)
        s->transaction->data = DATA_DROPPED; /* policy's answer is awaited all the same */
    else
        begin_dropping(s);
}
