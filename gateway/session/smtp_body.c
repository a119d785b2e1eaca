/* DATA and the text: normalised once, and sent up as it comes.
 *
 * The client's 354 waits for the recipients' answers, not for the upstream's 354. When the upstream
 * refuses or is lost midway, the rest is read and dropped, and the refusal answers the dot. */
#include "base/arena.h"
#include "base/clock.h"
#include "message/received.h"
#include "session/smtp.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    HOPS_MAX = 50, /* Received fields; RFC 5321 section 6.3 */
    PARTS_MAX = 8,
};

static void take_text(struct smtp_session *s, struct span *in);

/* ---- DATA ---- */

/* The answer to DATA itself: there is nobody to take the message for, or nowhere to. */
static void refuse_data(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    enum smtp_reply_name name = SMTP_REPLY_no_recipients;
    if (t->accepted > 0 || t->lost > 0) {
        bool is_for_good = t->accepted == 0 && t->lost == t->lost_for_good;
        name = s->link == NULL ? t->trouble
               : is_for_good   ? SMTP_REPLY_no_recipients
                               : SMTP_REPLY_upstream_lost;
    }
    t->refusal = smtp_own_text(s, name, NULL, &t->refusal_code);
    smtp_final_refused(s, "no recipient is left");
}

enum { LITERAL_SIZE = ADDRESS_TEXT_SIZE + 8 };

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). */
static const char *literal(const struct address *a, char out[LITERAL_SIZE])
{
    char host[ADDRESS_TEXT_SIZE];
    address_format_host(a, host);
    (void)snprintf(out, LITERAL_SIZE, address_is_v6(a) ? "[IPv6:%s]" : "[%s]", host); /* fits */
    return out;
}

/* What is told of where the message comes from. Its texts lie in `from` and `date` too. */
static struct received origin(const struct smtp_session *s, char from[LITERAL_SIZE],
                              char date[CLOCK_RFC5322_SIZE])
{
    const struct transaction *t = s->transaction;
    bool is_full = s->base.listener->received == RECEIVED_FULL;
    clock_format_rfc5322(clock_wall_ns(), date);
    return (struct received){.from = is_full ? literal(&s->base.client_address, from) : NULL,
                             .helo = smtp_client_name(s),
                             .by = s->base.context->config->hostname,
                             .id = t->id,
                             .date = date,
                             .is_extended = s->server.offered != 0,
                             .is_account = !s->server.needs_auth,
                             .is_smtputf8 = t->is_smtputf8,
                             .tls_version = connection_tls_version(s->base.client),
                             .cipher = connection_tls_cipher(s->base.client)};
}

/* The trace line, for the front of the text. */
static const char *trace(struct smtp_session *s)
{
    char text[RECEIVED_MAX], from[LITERAL_SIZE], date[CLOCK_RFC5322_SIZE];
    const struct received r = origin(s, from, date);
    size_t size = received_write(&r, text);
    return arena_copy(s->transaction->arena, span_make(text, size));
}

void smtp_body_begin(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    int code;
    if (t->accepted == 0 && t->is_data_sent)
        return; /* its reply says whether a lone dot is due (RFC 2920 section 3.1) */
    if (t->accepted == 0 || t->lost > 0 || s->link == NULL) {
        refuse_data(s);
        return;
    }
    if (!t->is_data_sent &&
        smtp_link_command(s->link, SMTP_COMMAND_DATA, span_of("DATA\r\n")) < 0) {
        refuse_data(s);
        return;
    }
    t->is_data_sent = true;
    smtp_link_flush(s->link);
    t->received = trace(s);
    const char *text = smtp_own_text(s, SMTP_REPLY_data, NULL, &code);
    if (t->received == NULL || text == NULL ||
        smtp_replies_answer(&s->replies, span_of(text)) < 0) {
        smtp_give_up(s);
        smtp_continue(s);
        return;
    }
    t->data = DATA_STARTED;
    pace_begin(&t->pace, loop_now(s->base.context->loop));
    s->take = take_text;
    session_state(&s->base, SESSION_BODY);
    smtp_continue(s);
}

/* What comes from now on is dropped; `t->refusal` is kept for the dot. */
static void begin_dropping(struct smtp_session *s)
{
    s->transaction->data = DATA_DROPPED;
    session_state(&s->base, SESSION_BODY_DROP);
    if (s->is_waiting)
        smtp_continue(s);
}

void smtp_body_data_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
    static const struct span dot = {".\r\n", 3};
    struct transaction *t = s->transaction;
    t->is_data_sent = false;
    if (t->data == DATA_WANTED && reply->code == 354) {
        smtp_link_text(s->link, &dot, 1, true); /* all recipients refused, and 354 still */
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
            smtp_continue(s);
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
    int64_t left_ms =
        pace_left(&s->transaction->pace, loop_now(s->base.context->loop)) / CLOCK_MS + 1;
    bool is_by_pace = l->min_data_rate > 0 && left_ms < l->idle_timeout_ms;
    session_deadline(&s->base, is_by_pace ? left_ms : l->idle_timeout_ms);
}

void smtp_body_listen(struct smtp_session *s)
{
    pace_resume(&s->transaction->pace, loop_now(s->base.context->loop));
    set_deadline(s);
}

bool smtp_body_is_slow(const struct smtp_session *s)
{
    return s->take == take_text && s->base.listener->min_data_rate > 0 &&
           pace_left(&s->transaction->pace, loop_now(s->base.context->loop)) == 0;
}

static void count_octets(const struct smtp_session *s, size_t size)
{
    if (s->base.listener->min_data_rate > 0)
        pace_came(&s->transaction->pace, size, s->base.listener->min_data_rate,
                  loop_now(s->base.context->loop));
}

/* ---- the text ---- */

/* The text can't go on: what has gone up is abandoned by closing. */
static void abandon(struct smtp_session *s, enum smtp_reply_name name, const char *argument)
{
    struct transaction *t = s->transaction;
    pool_discard(s->base.context->pool, &s->link);
    t->refusal = smtp_own_text(s, name, argument, &t->refusal_code);
    t->data = DATA_DROPPED;
    session_state(&s->base, SESSION_BODY_DROP);
}

/* What goes up in one write. */
struct parts {
    struct span spans[PARTS_MAX];
    size_t count;
    char missing[MISSING_MAX]; /* in front of what ends the headers */
};

/* Adds what stands behind what is there; where it lies behind it too, to the last of them. */
static void add_part(struct parts *p, struct span part)
{
    struct span *last = p->count == 0 ? NULL : &p->spans[p->count - 1];
    if (part.size == 0)
        return;
    if (last != NULL && last->data + last->size == part.data)
        last->size += part.size;
    else
        p->spans[p->count++] = part;
}

/* The headers end here: with what they lack. */
static void add_missing(const struct smtp_session *s, bool needs_line, struct parts *p)
{
    const struct headers *h = &s->transaction->headers;
    char from[LITERAL_SIZE], date[CLOCK_RFC5322_SIZE];
    if (!s->base.listener->complete_headers)
        return;
    if (h->count[HEADER_DATE] == 0 || h->count[HEADER_MESSAGE_ID] == 0) {
        const struct received r = origin(s, from, date);
        add_part(p, span_make(p->missing, missing_write(h, &r, p->missing)));
    }
    if (needs_line)
        add_part(p, span_of("\r\n"));
}

/* The headers, as far as they stand in this piece of text, and what stands behind them. */
static void add_headers(struct smtp_session *s, struct span text, struct parts *p)
{
    struct headers_cut cut;
    enum headers_result result = headers_take(&s->transaction->headers, text, &cut);
    add_part(p, cut.headers[0]);
    add_part(p, cut.headers[1]);
    if (result != HEADERS_MORE)
        add_missing(s, result == HEADERS_NO_LINE, p);
    add_part(p, cut.behind[0]);
    add_part(p, cut.behind[1]);
}

/* Hot: no copy, no allocation; nothing is looked at once the headers are over. */
static void add_text(struct smtp_session *s, struct span text, bool is_end, struct parts *p)
{
    struct transaction *t = s->transaction;
    p->count = 0;
    if (t->received != NULL)
        add_part(p, span_of(t->received));
    t->received = NULL;
    if (t->headers.is_over)
        add_part(p, text);
    else
        add_headers(s, text, p);
    if (is_end && !t->headers.is_over)
        add_missing(s, false, p); /* nothing but headers */
    if (is_end)
        add_part(p, span_of(".\r\n"));
}

/* The dot has come. */
static void text_ended(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    s->take = smtp_take_commands;
    if (t->data == DATA_DROPPED) {
        smtp_final_refused(s, "");
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

static void refuse_size(struct smtp_session *s, enum smtp_reply_name name, int64_t most)
{
    char max[24];
    (void)snprintf(max, sizeof max, "%" PRId64, most); /* fits */
    abandon(s, name, max);
}

/* Hot: may the text go on, as far as it has been seen? Else it is abandoned. */
static bool is_good(struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    const struct listener_config *l = s->base.listener;
    if (t->body.size > (uint64_t)l->max_message_size)
        refuse_size(s, SMTP_REPLY_too_big, l->max_message_size);
    else if (t->headers.size > (uint64_t)l->max_header_size)
        refuse_size(s, SMTP_REPLY_headers_too_big, l->max_header_size);
    else if (t->headers.count[HEADER_RECEIVED] > HOPS_MAX)
        abandon(s, SMTP_REPLY_loop, NULL);
    else if (t->body.has_nul)
        abandon(s, SMTP_REPLY_nul, NULL);
    else if (t->body.has_bare && l->bare_newline == BARE_NEWLINE_REJECT)
        abandon(s, SMTP_REPLY_bare_newline, NULL);
    return t->data == DATA_OPEN;
}

/* Hot: one system call for all of it; no copy, no allocation. */
static void pass_on(struct smtp_session *s, struct span text, bool is_end)
{
    struct parts parts;
    add_text(s, text, is_end, &parts);
    if (!is_good(s))
        return;
    if (parts.count > 0)
        smtp_link_text(s->link, parts.spans, parts.count, is_end);
    s->base.bytes += text.size;
}

static void take_text(struct smtp_session *s, struct span *in)
{
    struct transaction *t = s->transaction;
    struct span text;
    if (t->data == DATA_STARTED) {
        smtp_wait(s, SESSION_DATA_START, 0); /* the upstream's 354 is to come */
        return;
    }
    size_t before = in->size;
    enum body_result result = body_take(&t->body, in, loop_spare(s->base.context->loop), &text);
    count_octets(s, before - in->size);
    if (t->data == DATA_OPEN)
        pass_on(s, text, result == BODY_WHOLE);
    else
        t->dropped += before - in->size;
    if (result == BODY_WHOLE)
        text_ended(s);
    else if (t->data == DATA_OPEN && smtp_link_is_blocked(s->link))
        smtp_wait(s, SESSION_BODY_SEND, 0);
    else if (t->data == DATA_DROPPED && is_dropped_enough(s))
        smtp_final_refused(s, "the client does not stop sending");
    else
        set_deadline(s);
}

void smtp_body_drained(struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    if (t == NULL || t->data != DATA_OPEN || !s->is_waiting)
        return;
    session_state(&s->base, SESSION_BODY);
    smtp_continue(s);
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
    t->refusal = smtp_own_text(s, SMTP_REPLY_upstream_lost, NULL, &t->refusal_code);
    if (is_ended)
        smtp_final_refused(s, reason);
    else
        begin_dropping(s);
}
