/* A whole session, from the greeting to the last message: commands, texts by DATA and by BDAT, and
 * headers, by the readers that a worker joins, behind an EHLO on TLS by somebody who has logged in.
 * First byte: where the input is cut.
 *
 * What goes up of each message is one text to whoever reads it there, and however the network cuts,
 * the same messages go up: no octet of a text is ever taken for a command, or the other way round.
 */
#include "message/body.h"
#include "message/header_values.h"
#include "message/headers.h"
#include "message/headers_remove.h"
#include "message/model.h"
#include "protocol/smtp/server.h"

#include "fuzz.h"

enum {
    ALL = SMTP_PIPELINING | SMTP_SIZE | SMTP_8BITMIME | SMTP_SMTPUTF8 | SMTP_DSN | SMTP_AUTH,
    TEXT_LIMIT = 1 << 20,
};

static const char account_header[] = "X-Account";
static const char *const names[] = {account_header};

/* Who has the client's bytes, as a session's `take`. */
enum taker { COMMANDS, TEXT, CHUNK, DROPPED_CHUNK };

struct talk {
    struct smtp_server server;
    enum taker taker;
    unsigned recipients;
    uint64_t chunk_left;
    bool is_chunked, is_last_chunk, is_over;
    struct body body;
    struct headers headers;
    struct header_values values;
    bool are_headers_over;
    struct buffer held, up; /* its headers, and all that goes up */
    struct record said;
};

/* ---- a message ---- */

static void begin_text(struct talk *t)
{
    t->body = (struct body){.size = 0};
    t->headers = (struct headers){.size = 0};
    t->are_headers_over = false;
    header_values_init(&t->values, names, 1);
}

static void forget_text(struct talk *t)
{
    buffer_clear(&t->held);
    buffer_clear(&t->up);
    t->is_chunked = false;
    t->recipients = 0;
}

/* As smtp_text does with each piece. */
static void pass_on(struct talk *t, struct span text)
{
    struct headers_cut cut;
    must(buffer_append(&t->up, text) == 0, "no more goes up than twice what came");
    if (t->are_headers_over)
        return;
    t->are_headers_over = headers_take(&t->headers, text, &cut) != HEADERS_MORE;
    for (size_t i = 0; i < 2; i++) {
        header_values_take(&t->values, cut.headers[i]);
        must(buffer_append(&t->held, cut.headers[i]) == 0, "headers are no more than the text");
    }
}

/* Two readers of the same field agree, and nothing of it is left. */
static void check_account(struct talk *t)
{
    struct header_values left;
    bool is_named = header_values_find(&t->values, account_header) != NULL;
    unsigned count = headers_remove(&t->held, account_header);
    must(is_named == (count > 0), "who looks for a field and who takes it out find the same");
    header_values_init(&left, names, 1);
    header_values_take(&left, buffer_bytes(&t->held));
    must(header_values_find(&left, account_header) == NULL, "what was taken out is gone");
    must(headers_remove(&t->held, account_header) == 0, "it was all of them");
    record_number(&t->said, count);
    record_span(&t->said, buffer_bytes(&t->held));
}

static void end_text(struct talk *t)
{
    struct span up = buffer_bytes(&t->up);
    for (size_t at = 0; at < up.size; at++) {
        must(up.data[at] != '\r' || has_at(up, at, "\r\n"), "no CR stands alone");
        must(up.data[at] != '\n' || (at > 0 && up.data[at - 1] == '\r'), "no LF stands alone");
        must(!is_line_start(up, at) || !has_at(up, at, ".\r\n"), "no end stands within it");
    }
    must(up.size == 0 || is_line_start(up, up.size), "the last line is whole");
    record_span(&t->said, up);
    record_number(&t->said, (long long)t->body.size);
    check_account(t);
    forget_text(t);
    smtp_server_envelope_ended(&t->server);
    t->taker = COMMANDS;
}

/* ---- commands ---- */

static void begin_chunk(struct talk *t, const struct smtp_event *e)
{
    t->chunk_left = e->chunk_size;
    t->is_last_chunk = e->is_last;
    if (!t->is_chunked)
        begin_text(t);
    t->is_chunked = true;
    t->taker = CHUNK;
}

static void refused(struct talk *t, const struct smtp_event *e)
{
    record_number(&t->said, smtp_reply_code(e->refusal));
    t->is_over = smtp_reply_code(e->refusal) == 421;
    t->chunk_left = e->chunk_size;
    if (t->chunk_left > 0)
        t->taker = DROPPED_CHUNK;
    if (t->server.state == SMTP_IN_AUTH)
        smtp_server_auth_ended(&t->server, false);
}

static void take_event(struct talk *t, const struct smtp_event *e)
{
    record_number(&t->said, e->kind);
    switch (e->kind) {
    case SMTP_EVENT_HELLO:
        smtp_server_greeted(&t->server);
        t->server.offered = e->is_extended ? ALL : 0;
        forget_text(t); /* a message in chunks is given up */
        break;
    case SMTP_EVENT_RSET: forget_text(t); break;
    case SMTP_EVENT_MAIL: record_span(&t->said, e->path.address); break;
    case SMTP_EVENT_RCPT:
        t->recipients++;
        record_span(&t->said, e->path.address);
        break;
    case SMTP_EVENT_DATA:
        if (t->recipients == 0) {
            smtp_server_envelope_ended(&t->server); /* 554 */
            break;
        }
        begin_text(t);
        t->taker = TEXT;
        break;
    case SMTP_EVENT_BDAT: begin_chunk(t, e); break;
    case SMTP_EVENT_QUIT: t->is_over = true; break;
    case SMTP_EVENT_REFUSED: refused(t, e); break;
    case SMTP_EVENT_XCLIENT:
    case SMTP_EVENT_STARTTLS:
    case SMTP_EVENT_AUTH:
    case SMTP_EVENT_AUTH_RESPONSE:
    case SMTP_EVENT_AUTH_CANCEL: must(false, "nobody may do that here"); break;
    case SMTP_EVENT_NOOP:
    case SMTP_EVENT_VERIFY:
    case SMTP_EVENT_HELP: break;
    }
}

/* ---- the client's bytes ---- */

/* Each takes something off the front, or returns false: more must come. */
static bool take_command(struct talk *t, struct span *in)
{
    struct smtp_event event;
    if (smtp_server_next(&t->server, in, &event) == 0)
        return false;
    take_event(t, &event);
    return true;
}

static bool take_text(struct talk *t, struct span *in)
{
    struct span out;
    char *spare = malloc(2 * in->size + 1);
    must(spare != NULL, "there is memory");
    enum body_result result = body_take(&t->body, in, spare, &out);
    pass_on(t, out);
    free(spare);
    if (result == BODY_WHOLE)
        end_text(t);
    return result == BODY_WHOLE;
}

static bool take_chunk(struct talk *t, struct span *in)
{
    struct span out, piece = span_take(in, in->size < t->chunk_left ? in->size : t->chunk_left);
    char *spare = malloc(2 * piece.size + 1);
    must(spare != NULL, "there is memory");
    t->chunk_left -= piece.size;
    if (t->taker == CHUNK) {
        body_take_chunk(&t->body, piece, spare, &out);
        pass_on(t, out);
    }
    free(spare);
    if (t->chunk_left > 0)
        return false;
    if (t->taker == CHUNK && t->is_last_chunk) {
        pass_on(t, body_end_chunks(&t->body));
        end_text(t);
    }
    t->taker = COMMANDS;
    return true;
}

static void take_all(struct talk *t, struct span *in)
{
    bool goes_on = true;
    while (goes_on && !t->is_over)
        switch (t->taker) {
        case COMMANDS: goes_on = take_command(t, in); break;
        case TEXT: goes_on = take_text(t, in); break;
        case CHUNK:
        case DROPPED_CHUNK: goes_on = take_chunk(t, in); break;
        }
}

static struct record talk(struct span input, struct cuts cuts)
{
    struct talk t = {.held = {.limit = TEXT_LIMIT}, .up = {.limit = TEXT_LIMIT}};
    struct leftover in = {NULL, {NULL, 0}};
    t.server = (struct smtp_server){.state = SMTP_READY, .offered = ALL};
    t.said = record_make();
    while (input.size > 0 && !t.is_over)
        take_all(&t, leftover_join(&in, next_piece(&cuts, &input)));
    leftover_drop(&in);
    buffer_clear(&t.held);
    buffer_clear(&t.up);
    return t.said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned seed = take_byte(&input);
    struct record whole = talk(input, (struct cuts){0});
    struct record cut = talk(input, (struct cuts){seed + 1});
    records_are_equal(&whole, &cut, "however the network cuts, the same messages go up");
    return 0;
}
