/* What goes up of a message, piece by piece: our trace line, its headers with what they lack, and
 * the rest; or nothing more, once something is wrong with it. */
#include "base/arena.h"
#include "base/clock.h"
#include "message/headers_remove.h"
#include "message/received.h"
#include "session/smtp_held.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    HOPS_MAX = 50, /* Received fields; RFC 5321 section 6.3 */
    PARTS_MAX = 8,
};

/* ---- what we add ---- */

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

/* Policy wants to know some fields. Returns 0, or -1 without memory. */
static int collect_headers(const struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    const struct policy *p = s->base.listener->policy_rules;
    if (p == NULL || p->headers.count == 0)
        return 0;
    t->header_values = arena_alloc(t->arena, header_values_size(p->headers.count));
    if (t->header_values == NULL)
        return -1;
    header_values_init(t->header_values, p->headers.items, p->headers.count);
    return 0;
}

int smtp_text_begin(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    char text[RECEIVED_MAX], from[LITERAL_SIZE], date[CLOCK_RFC5322_SIZE];
    const struct received r = origin(s, from, date);
    size_t size = received_write(&r, text);
    const struct span prepended = buffer_bytes(&t->prepended);
    t->received =
        arena_printf(t->arena, "%.*s%.*s", (int)prepended.size, prepended.data, (int)size, text);
    return t->received == NULL || smtp_sender_begin(s) < 0 ? -1 : collect_headers(s);
}

/* ---- what can't go on ---- */

/* What goes up in one write. */
struct text_parts {
    struct span spans[PARTS_MAX];
    size_t count;
    bool is_kept;              /* until policy has said whether the dot may follow */
    char missing[MISSING_MAX]; /* in front of what ends the headers */
};

/* NULL: nothing is. */
static struct text_parts *take_kept(struct transaction *t)
{
    struct text_parts *p = t->kept;
    t->kept = NULL;
    if (p != NULL)
        p->is_kept = false;
    return p;
}

/* The text can't go on: what has gone up is abandoned by closing. */
void smtp_text_denied(struct smtp_session *s)
{
    (void)take_kept(s->transaction);
    if (s->transaction->held == NULL) /* else nothing has */
        pool_discard(s->base.context->pool, &s->link);
    s->transaction->data = DATA_DROPPED;
    session_state(&s->base, SESSION_BODY_DROP);
}

static void abandon(struct smtp_session *s, enum smtp_reply_name name, const char *argument)
{
    struct transaction *t = s->transaction;
    t->refusal = smtp_own_text(s, name, argument, &t->refusal_code);
    smtp_text_denied(s);
}

static void refuse_size(struct smtp_session *s, enum smtp_reply_name name, int64_t most)
{
    char max[24];
    (void)snprintf(max, sizeof max, "%" PRId64, most); /* fits */
    abandon(s, name, max);
}

void smtp_text_refuse(struct smtp_session *s, enum smtp_reply_name name)
{
    abandon(s, name, NULL);
}

void smtp_text_too_big(struct smtp_session *s)
{
    refuse_size(s, SMTP_REPLY_too_big, s->base.listener->max_message_size);
}

/* ---- what goes up ---- */

/* Adds what stands behind what is there; where it lies behind it too, to the last of them. */
static void add_part(struct text_parts *p, struct span part)
{
    struct span *last = p->count == 0 ? NULL : &p->spans[p->count - 1];
    if (part.size == 0)
        return;
    if (last != NULL && last->data + last->size == part.data)
        last->size += part.size;
    else
        p->spans[p->count++] = part;
}

/* They say whose message it is, or are for others to see: nothing of them goes up before all are
 * there. */
static bool are_held(const struct transaction *t)
{
    return t->account_header != NULL || t->held != NULL;
}

static void hold(struct smtp_session *s, struct headers_cut *cut)
{
    struct transaction *t = s->transaction;
    size_t max = (size_t)s->base.listener->max_header_size;
    t->header_text.limit = max + MISSING_MAX;
    if (t->headers.size > max)
        refuse_size(s, SMTP_REPLY_headers_too_big, s->base.listener->max_header_size);
    else if (buffer_append(&t->header_text, cut->headers[0]) < 0 ||
             buffer_append(&t->header_text, cut->headers[1]) < 0)
        abandon(s, SMTP_REPLY_upstream_busy, NULL); /* out of memory */
    cut->headers[0].size = cut->headers[1].size = 0;
}

/* Those that were held are all there: the account's name is taken out of them. */
static void end_held(struct smtp_session *s, struct text_parts *p)
{
    struct transaction *t = s->transaction;
    struct header_values found;
    enum smtp_reply_name refusal;
    header_values_init(&found, &t->account_header, 1);
    header_values_take(&found, buffer_bytes(&t->header_text));
    unsigned count = headers_remove(&t->header_text, t->account_header);
    t->is_named =
        smtp_trusted_name(s, count, header_values_find(&found, t->account_header), &refusal);
    if (t->is_named)
        smtp_policy_named(s);
    else
        abandon(s, refusal, t->account_header);
    if (t->held == NULL)
        add_part(p, buffer_bytes(&t->header_text));
}

/* What they lack, in `out`. */
static struct span missing(const struct smtp_session *s, char out[MISSING_MAX])
{
    const struct headers *h = &s->transaction->headers;
    char from[LITERAL_SIZE], date[CLOCK_RFC5322_SIZE];
    if (!s->base.listener->complete_headers ||
        (h->count[HEADER_DATE] > 0 && h->count[HEADER_MESSAGE_ID] > 0))
        return span_make(out, 0);
    const struct received r = origin(s, from, date);
    return span_make(out, missing_write(h, &r, out));
}

/* It stands at their end. Where an empty line is missing, some readers would look for addresses
 * behind it, which nobody has seen. */
static void add_missing(const struct smtp_session *s, bool needs_line, struct text_parts *p)
{
    add_part(p, missing(s, p->missing));
    if (needs_line && (s->base.listener->complete_headers || s->transaction->authors != NULL))
        add_part(p, span_of("\r\n"));
}

/* All of them were seen: may the account send as those whom they name? */
static void judge_senders(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    char text[SENDER_TEXT_SIZE];
    if (t->account_header != NULL)
        smtp_sender_take(s, buffer_bytes(&t->header_text));
    if (smtp_sender_headers(s, text))
        return;
    abandon(s, SMTP_REPLY_author_not_own, text);
    t->denial = t->refusal; /* whose decision was logged */
}

static void end_headers(struct smtp_session *s, bool needs_line, struct text_parts *p)
{
    if (s->transaction->account_header != NULL && s->transaction->data == DATA_OPEN)
        end_held(s, p);
    if (s->transaction->data == DATA_OPEN)
        judge_senders(s);
    if (s->transaction->held == NULL)
        add_missing(s, needs_line, p);
    else if (s->transaction->data == DATA_OPEN)
        smtp_held_headers(s, missing(s, p->missing), !needs_line);
}

/* The headers, as far as they stand in this piece of text, and what stands behind them. */
static void add_headers(struct smtp_session *s, struct span text, struct text_parts *p)
{
    struct headers_cut cut;
    struct transaction *t = s->transaction;
    enum headers_result result = headers_take(&t->headers, text, &cut);
    if (t->header_values != NULL) {
        header_values_take(t->header_values, cut.headers[0]);
        header_values_take(t->header_values, cut.headers[1]);
    }
    if (t->account_header == NULL) {
        smtp_sender_take(s, cut.headers[0]);
        smtp_sender_take(s, cut.headers[1]);
    }
    if (are_held(t))
        hold(s, &cut);
    add_part(p, cut.headers[0]);
    add_part(p, cut.headers[1]);
    if (result != HEADERS_MORE)
        end_headers(s, result == HEADERS_NO_LINE, p);
    add_part(p, cut.behind[0]);
    add_part(p, cut.behind[1]);
}

/* Hot: no copy, no allocation; nothing is looked at once the headers are over. */
static void add_text(struct smtp_session *s, struct span text, enum text_end end,
                     struct text_parts *p)
{
    struct transaction *t = s->transaction;
    p->count = 0;
    p->is_kept = false;
    if (t->received != NULL && t->held == NULL) {
        add_part(p, span_of(t->received));
        t->received = NULL;
    }
    if (t->headers.is_over)
        add_part(p, text);
    else
        add_headers(s, text, p);
    if (end != TEXT_GOES_ON && !t->headers.is_over) {
        end_headers(s, false, p); /* nothing but headers */
        t->headers.is_over = true;
    }
    if (end == TEXT_DOT)
        add_part(p, span_of(".\r\n"));
}

/* ---- may it go up? ---- */

/* Hot: may the text go on, as far as it has been seen? Else it is abandoned. */
static bool is_good(struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    const struct listener_config *l = s->base.listener;
    if (t->data != DATA_OPEN)
        return false; /* which was found on the way */
    if (t->body.size > (uint64_t)l->max_message_size)
        smtp_text_too_big(s);
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

static void send_up(struct smtp_session *s, const struct text_parts *p, enum text_end end)
{
    struct transaction *t = s->transaction;
    if (t->held != NULL)
        smtp_held_take(s, p->spans, p->count);
    else if (p->count > 0)
        smtp_link_text(s->link, p->spans, p->count, end);
    if (t->is_named && t->header_text.size > 0)
        buffer_clear(&t->header_text); /* they have gone up */
}

void smtp_text_pass_on(struct smtp_session *s, struct span text, enum text_end end)
{
    struct text_parts parts;
    add_text(s, text, end, &parts);
    if (!is_good(s))
        return;
    send_up(s, &parts, end);
    s->base.bytes += text.size;
}

void smtp_text_pass_dot(struct smtp_session *s)
{
    static const struct span dot = {".\r\n", 3};
    struct text_parts *kept = take_kept(s->transaction), alone = {.count = 0};
    struct text_parts *p = kept == NULL ? &alone : kept;
    add_part(p, dot);
    send_up(s, p, TEXT_DOT);
}

/* Of what is held nothing has to be said upstream yet. */
static void judge_whole(struct smtp_session *s, const struct text_parts *p, smtp_judged_fn *judged)
{
    send_up(s, p, TEXT_WHOLE);
    if (s->transaction->data != DATA_OPEN) {
        judged(s);
        return;
    }
    s->transaction->data = DATA_JUDGED;
    smtp_policy_ask_end(s, judged);
}

void smtp_text_judge(struct smtp_session *s, struct span text, smtp_judged_fn *judged)
{
    struct text_parts parts;
    struct transaction *t = s->transaction;
    add_text(s, text, TEXT_WHOLE, &parts);
    if (!is_good(s)) {
        judged(s);
        return;
    }
    s->base.bytes += text.size;
    if (t->held != NULL) {
        judge_whole(s, &parts, judged);
        return;
    }
    t->data = DATA_JUDGED;
    t->kept = &parts;
    parts.is_kept = true;
    smtp_policy_ask_end(s, judged);
    if (parts.is_kept) { /* it will be judged later: else the session may be gone */
        (void)take_kept(t);
        send_up(s, &parts, TEXT_WHOLE);
    }
}
