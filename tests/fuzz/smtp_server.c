/* What a client says to the SMTP server, answered by a session as small as can be. First two bytes:
 * how the door is, and where the input is cut. */
#include "base/utf8.h"
#include "protocol/smtp/server.h"

#include "fuzz.h"

enum {
    ALL = SMTP_PIPELINING | SMTP_SIZE | SMTP_8BITMIME | SMTP_SMTPUTF8 | SMTP_DSN | SMTP_AUTH,
};

/* Where a client stands, kept by what was answered alone. */
struct talk {
    struct smtp_server server;
    struct span line; /* the input of the call */
    bool has_hello, is_secure, is_known, is_trusted, is_in_auth, has_mail, has_chunks;
    unsigned offered;
    struct record said;
};

static void refused(struct talk *t, const struct smtp_event *e)
{
    struct buffer reply = {.limit = 1024};
    char argument[4096];
    (void)span_copy(e->text, argument, sizeof argument); /* what is cut doesn't fit a reply */
    must(smtp_reply_append(e->refusal, argument, "dc2y5gh27gqh", &reply) == 0, "a refusal fits");
    must(is_reply_line(buffer_bytes(&reply)), "a refusal is one line");
    record_span(&t->said, buffer_bytes(&reply));
    buffer_clear(&reply);
    if (!t->is_in_auth)
        return;
    smtp_server_auth_ended(&t->server, false);
    t->is_in_auth = false;
}

/* What goes on to the server behind stands on one line, and is one word each. */
static void envelope(struct talk *t, const struct smtp_event *e)
{
    const struct smtp_parameters *p = &e->parameters;
    const struct span words[] = {p->body, p->ret, p->envid, p->notify, p->orcpt};
    struct smtp_path again;
    char copy[300];
    must(lies_in(e->path.address, t->line), "a path lies in the input");
    must(is_clean(e->path.address, ""), "a path has no control character");
    must(e->path.address.size <= 254, "a path is no longer than RFC 5321 says");
    int size =
        snprintf(copy, sizeof copy, "<%.*s>", (int)e->path.address.size, e->path.address.data);
    struct span whole = span_make(copy, (size_t)size);
    must(smtp_path_parse(&whole, &again) == NULL && whole.size == 0 &&
             again.address.size == e->path.address.size,
         "a path that is sent on is read as the same");
    must(e->path.is_utf8 == !is_ascii(e->path.address), "SMTPUTF8 is asked for where it is needed");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        must(lies_in(words[i], t->line), "a parameter lies in the input");
        must(is_clean(words[i], " "), "a parameter is one word");
        record_span(&t->said, words[i]);
    }
    must(p->size == 0 || (t->offered & SMTP_SIZE) != 0, "a parameter belongs to what was offered");
    record_span(&t->said, e->path.address);
    record_number(&t->said, (long long)p->size);
    record_number(&t->said, p->is_smtputf8);
}

static void hello(struct talk *t, const struct smtp_event *e)
{
    must(e->text.size > 0 && is_clean(e->text, " <>@\"\\(),;=/") && utf8_is_valid(e->text),
         "a name is one word that fits into XCLIENT, Received and the log");
    smtp_server_greeted(&t->server);
    t->server.offered = t->offered = e->is_extended ? ALL : 0;
    t->has_hello = true;
    t->has_mail = t->has_chunks = false;
    record_span(&t->said, e->text);
}

static void starttls(struct talk *t)
{
    must(t->has_hello && !t->is_secure, "STARTTLS comes once, after EHLO");
    smtp_server_secured(&t->server);
    t->is_secure = true;
    t->has_hello = false;
}

/* Of the response's length: right, wrong, or to be asked for more. */
static void authenticate(struct talk *t, const struct smtp_event *e)
{
    must(t->has_hello && t->is_secure && !t->is_known, "AUTH comes after TLS, and once");
    must(is_clean(e->response, "") && lies_in(e->response, t->line), "a response is of the input");
    record_span(&t->said, e->text);
    record_span(&t->said, e->response);
    t->is_in_auth = e->response.size % 3 == 2 && e->kind != SMTP_EVENT_AUTH_CANCEL;
    t->is_known = e->response.size % 3 == 0 && e->kind != SMTP_EVENT_AUTH_CANCEL;
    if (!t->is_in_auth)
        smtp_server_auth_ended(&t->server, t->is_known);
}

/* It says for whom it speaks, and all begins anew, but for TLS and a login. */
static void told(struct talk *t, const struct smtp_event *e)
{
    char text[SMTP_TOLD_SIZE];
    struct address address;
    bool has_login = smtp_told_text(&e->told, XCLIENT_LOGIN, text);
    bool has_name = smtp_told_text(&e->told, XCLIENT_HELO, text);
    must(t->server.may_tell && (!has_login || t->server.may_vouch), "who is trusted may tell");
    must(!t->has_mail, "nobody becomes another within a message");
    for (unsigned i = 0; i < XCLIENT_COUNT; i++) {
        must(lies_in(e->told.value[i], t->line), "what is told is of the input");
        if (smtp_told_text(&e->told, (enum xclient_attribute)i, text)) {
            must(is_clean(span_of(text), "") && text[0] != '\0', "a told text is printable");
            record_span(&t->said, span_of(text));
        }
    }
    record_number(&t->said, smtp_told_address(&e->told, &address));
    smtp_server_told(&t->server, has_name, has_login);
    t->is_known = t->is_known || has_login;
    t->has_hello = has_name || (t->has_hello && !t->is_secure);
}

static void take(struct talk *t, const struct smtp_event *e)
{
    bool was_in_auth = t->is_in_auth;
    bool is_group = e->kind == SMTP_EVENT_MAIL || e->kind == SMTP_EVENT_RCPT ||
                    e->kind == SMTP_EVENT_RSET || e->kind == SMTP_EVENT_REFUSED;
    record_number(&t->said, e->kind);
    must(e->ends_group || is_group, "RFC 2920 section 3.1 says which commands end a group");
    must(e->kind == SMTP_EVENT_REFUSED || was_in_auth == (e->kind == SMTP_EVENT_AUTH_RESPONSE ||
                                                          e->kind == SMTP_EVENT_AUTH_CANCEL),
         "within AUTH every line is a response, and nowhere else");
    switch (e->kind) {
    case SMTP_EVENT_HELLO: hello(t, e); break;
    case SMTP_EVENT_STARTTLS: starttls(t); break;
    case SMTP_EVENT_AUTH:
    case SMTP_EVENT_AUTH_RESPONSE:
    case SMTP_EVENT_AUTH_CANCEL: authenticate(t, e); break;
    case SMTP_EVENT_MAIL:
        must(t->has_hello && !t->has_mail && (t->is_trusted || (t->is_secure && t->is_known)),
             "MAIL comes after EHLO, TLS and AUTH");
        t->has_mail = true;
        envelope(t, e);
        break;
    case SMTP_EVENT_RCPT:
        must(t->has_mail && !t->has_chunks && e->path.address.size > 0,
             "RCPT comes after MAIL, and names somebody");
        envelope(t, e);
        break;
    case SMTP_EVENT_BDAT:
        must(t->has_mail, "BDAT comes after MAIL");
        t->has_chunks = true;
        record_number(&t->said, (long long)e->chunk_size);
        record_number(&t->said, e->is_last);
        break;
    case SMTP_EVENT_DATA:
        must(t->has_mail && !t->has_chunks, "DATA comes after MAIL, and not after BDAT");
        t->has_mail = false;
        smtp_server_envelope_ended(&t->server);
        break;
    case SMTP_EVENT_RSET: t->has_mail = t->has_chunks = false; break;
    case SMTP_EVENT_XCLIENT: told(t, e); break;
    case SMTP_EVENT_REFUSED: refused(t, e); break;
    case SMTP_EVENT_NOOP:
    case SMTP_EVENT_VERIFY:
    case SMTP_EVENT_HELP:
    case SMTP_EVENT_QUIT: break;
    }
}

static struct record talk(unsigned door, struct span input, struct cuts cuts)
{
    struct talk t = {
        .is_secure = (door & 1) == 0, .is_known = (door & 2) == 0, .is_trusted = (door & 4) != 0};
    struct leftover in = {NULL, {NULL, 0}};
    t.server = (struct smtp_server){
        .state = SMTP_CONNECTED, .needs_tls = !t.is_secure, .needs_auth = !t.is_known};
    t.said = record_make();
    while (input.size > 0) {
        struct span *rest = leftover_join(&in, next_piece(&cuts, &input));
        struct smtp_event event;
        for (t.line = *rest; smtp_server_next(&t.server, rest, &event) == 1; t.line = *rest) {
            must(rest->size < t.line.size, "a command takes something");
            take(&t, &event);
        }
        must(rest->size < 12288, "no more is kept than a line may have");
    }
    leftover_drop(&in);
    return t.said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned door = take_byte(&input), seed = take_byte(&input);
    struct record whole = talk(door, input, (struct cuts){0});
    struct record cut = talk(door, input, (struct cuts){seed + 1});
    records_are_equal(&whole, &cut, "however the network cuts, the same is understood");
    return 0;
}
