#include "session/smtp_held.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/spool.h"
#include "message/received.h"
#include "session/guard.h"
#include "session/smtp_filter.h"

enum {
    PIECE = LOOP_SPARE_SIZE / 4, /* with its dots doubled it needs twice as much beside it */
    PIECES_A_TURN = 4,
    PATIENCE_MS = 2000,      /* how long the connection behind is kept for what takes its time */
    EDITS_MAX = 1024 * 1024, /* octets that filters may add to the headers */
};

/* ---- taking it in ---- */

int smtp_held_begin(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    struct held *h = arena_alloc(t->arena, sizeof *h);
    if (h == NULL)
        return -1;
    t->held = h;
    h->headers.limit = SIZE_MAX; /* the fields have one */
    h->lend_at_ns = loop_now(s->base.context->loop) + PATIENCE_MS * CLOCK_MS;
    h->body = spool_create(s->base.context->spools);
    return h->body == NULL ? -1 : 0;
}

void smtp_held_headers(struct smtp_session *s, struct span missing, bool has_empty_line)
{
    struct transaction *t = s->transaction;
    struct held *h = t->held;
    size_t limit = 2 * (size_t)s->base.listener->max_header_size + EDITS_MAX;
    h->skip = has_empty_line ? 2 : 0;
    if (fields_are_too_many(buffer_bytes(&t->header_text))) {
        smtp_text_refuse(s, SMTP_REPLY_too_many_fields);
        return;
    }
    if (buffer_append(&t->header_text, missing) == 0)
        h->fields = fields_create(buffer_bytes(&t->header_text), limit);
    buffer_clear(&t->header_text);
    if (h->fields == NULL)
        smtp_text_refuse(s, SMTP_REPLY_no_room);
    else
        smtp_filter_text(s);
}

/* Returns 0, or -1: there is no room. */
static int take(struct held *h, struct span text)
{
    struct span piece, empty_line = span_take(&text, text.size < h->skip ? text.size : h->skip);
    h->skip -= (unsigned)empty_line.size;
    while ((piece = dots_next(&h->dots, &text)).size > 0)
        if (spool_append(h->body, piece) < 0)
            return -1;
    return 0;
}

void smtp_held_take(struct smtp_session *s, const struct span *parts, size_t count)
{
    struct transaction *t = s->transaction;
    int failed = 0;
    for (size_t i = 0; i < count && !t->is_discarded; i++)
        failed |= take(t->held, parts[i]);
    if (failed)
        smtp_text_refuse(s, SMTP_REPLY_no_room);
    else if (count > 0)
        smtp_filter_more(s);
}

void smtp_held_end(struct transaction *t)
{
    struct held *h = t->held;
    if (h == NULL)
        return;
    loop_not_soon(&h->soon);
    fields_destroy(&h->fields);
    spool_destroy(&h->body);
    buffer_clear(&h->headers);
    t->held = NULL;
}

/* ---- the connection behind, meanwhile ---- */

static bool has_envelope_up(const struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    return t != NULL && t->held != NULL && s->link != NULL && t->is_mail_sent;
}

int64_t smtp_held_patience(const struct smtp_session *s)
{
    if (!has_envelope_up(s))
        return 0;
    int64_t left = s->transaction->held->lend_at_ns - loop_now(s->base.context->loop);
    return left > 0 ? left / CLOCK_MS + 1 : 1;
}

bool smtp_held_lend(struct smtp_session *s)
{
    bool is_in_text = !s->is_waiting && smtp_body_is_due(s) && has_envelope_up(s);
    if (s->base.state != SESSION_MILTER &&
        (!is_in_text || loop_now(s->base.context->loop) < s->transaction->held->lend_at_ns))
        return false;
    smtp_relay_lend(s);
    if (is_in_text)
        smtp_body_listen(s, false);
    else
        session_deadline(&s->base, 0); /* the milter has a time-out of its own */
    return true;
}

/* ---- sending it up ---- */

static void refuse(struct smtp_session *s, enum smtp_reply_name name, const char *reason)
{
    struct transaction *t = s->transaction;
    t->refusal = smtp_own_text(s, name, NULL, &t->refusal_code);
    smtp_final_refused(s, reason);
}

/* All that stands before the body. Returns 0, or -1 without memory. */
static int write_headers(struct transaction *t)
{
    struct held *h = t->held;
    return buffer_append(&h->headers, span_of(t->received)) | fields_write(h->fields, &h->headers) |
           buffer_append(&h->headers, span_of("\r\n"));
}

void smtp_held_send(struct smtp_session *s, const struct spool *body, bool is_other)
{
    struct transaction *t = s->transaction;
    char why[SUSPENSION_TEXT_SIZE];
    s->take = smtp_take_commands;
    t->data = DATA_RESENT;
    if (guard_sending(&s->base, why)) {
        t->refusal = smtp_own_text(s, SMTP_REPLY_sending_suspended, why, &t->refusal_code);
        smtp_final_refused(s, "");
        return;
    }
    t->held->source = body == NULL ? t->held->body : body;
    if (write_headers(t) < 0) {
        refuse(s, SMTP_REPLY_no_room, "out of memory");
        return;
    }
    if (is_other)
        smtp_relay_lend(s);
    if (has_envelope_up(s))
        smtp_held_envelope_answered(s);
    else
        smtp_relay_repeat(s);
}

void smtp_held_envelope_answered(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    if (t->accepted == 0 || t->lost > 0 || s->link == NULL) {
        refuse(s, smtp_body_trouble(s), "no recipient is left");
        return;
    }
    if (smtp_link_command(s->link, SMTP_COMMAND_DATA, span_of("DATA\r\n")) < 0) {
        refuse(s, SMTP_REPLY_upstream_lost, "too many commands");
        return;
    }
    t->is_data_sent = true;
    smtp_link_flush(s->link);
    smtp_wait(s, SESSION_DATA_START, 0);
}

/* What was taken in has its line ends already; what a milter has put in its place may have any. */
static struct span go_up(struct held *h, struct span piece, char *spare)
{
    struct span text;
    if (h->source == h->body)
        return dots_double(&h->doubled, piece, spare);
    body_take_chunk(&h->other, piece, spare, &text);
    return text;
}

/* Headers that are larger than what a connection keeps go up in pieces, as the rest does. Returns
 * whether there were any left over. */
static bool send_headers(struct smtp_session *s)
{
    struct buffer *headers = &s->transaction->held->headers;
    if (headers->size <= PIECE)
        return false;
    struct span some = span_make(buffer_bytes(headers).data, PIECE);
    smtp_link_text(s->link, &some, 1, TEXT_GOES_ON);
    buffer_consume(headers, PIECE);
    return true;
}

/* What is read next, and what ends it. Returns 0, or -1: it can't be read, or not go up. */
static int send_piece(struct smtp_session *s)
{
    struct held *h = s->transaction->held;
    char *spare = loop_spare(s->base.context->loop);
    struct span parts[4], piece = spool_read(h->source, h->sent, spare, PIECE);
    size_t count = 0;
    if (piece.data == NULL)
        return -1;
    parts[count++] = buffer_bytes(&h->headers); /* of the first piece */
    h->sent += piece.size;
    h->is_ended = h->sent == spool_size(h->source);
    parts[count++] = go_up(h, piece, spare + PIECE);
    if (h->other.has_nul)
        return -1;
    if (h->is_ended) {
        parts[count++] = h->source == h->body ? dots_end(&h->doubled) : body_end_chunks(&h->other);
        parts[count++] = span_of(".\r\n");
    }
    smtp_link_text(s->link, parts, count, h->is_ended ? TEXT_DOT : TEXT_GOES_ON);
    buffer_clear(&h->headers);
    return 0;
}

/* What has gone up is abandoned. */
static void give_up(struct smtp_session *s)
{
    bool is_nul = s->transaction->held->other.has_nul;
    pool_discard(s->base.context->pool, &s->link);
    refuse(s, is_nul ? SMTP_REPLY_nul : SMTP_REPLY_no_room,
           is_nul ? "a milter has put a NUL octet into it" : "what is held can't be read");
}

static void send_more(void *owner)
{
    struct smtp_session *s = owner;
    struct transaction *t = s->transaction;
    struct held *h = t->held;
    for (int i = 0; i < PIECES_A_TURN && !h->is_ended && !smtp_link_is_blocked(s->link); i++)
        if (!send_headers(s) && send_piece(s) < 0) {
            give_up(s);
            return;
        }
    t->data = h->is_ended ? DATA_ENDED : DATA_SENDING;
    smtp_wait(s, h->is_ended ? SESSION_FINAL : SESSION_BODY_SEND, 0);
    if (!h->is_ended && !smtp_link_is_blocked(s->link))
        loop_soon(s->base.context->loop, &h->soon, send_more, s);
}

void smtp_held_data_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
    struct transaction *t = s->transaction;
    if (reply->code == 354) {
        send_more(s);
        return;
    }
    t->refusal = smtp_upstream_text(s, SMTP_COMMAND_DATA, reply, &t->refusal_code);
    smtp_final_refused(s, "");
}

void smtp_held_drained(struct smtp_session *s)
{
    send_more(s);
}

void smtp_held_lost(struct smtp_session *s, const char *reason)
{
    refuse(s, SMTP_REPLY_upstream_lost, reason);
}
