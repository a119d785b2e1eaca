/* What a client says to the POP3 server before its login. First two bytes: how the door is, and
 * where the input is cut. */
#include "protocol/pop3/server.h"

#include "fuzz.h"

struct talk {
    struct pop3_server server;
    struct span line; /* the input of the call */
    bool is_secure, is_in_auth, has_user;
    struct record said;
};

static void refused(struct talk *t, const struct pop3_event *e)
{
    struct buffer reply = {.limit = 1024};
    char argument[4096];
    (void)span_copy(e->text, argument, sizeof argument); /* what is cut doesn't fit a reply */
    must(pop3_reply_append(e->refusal, argument, "dc2y5gh27gqh", &reply) == 0, "a refusal fits");
    must(is_reply_line(buffer_bytes(&reply)), "a refusal is one line");
    record_span(&t->said, buffer_bytes(&reply));
    buffer_clear(&reply);
    if (t->is_in_auth)
        pop3_server_login_ended(&t->server);
    t->is_in_auth = false;
}

/* Of the response's length: wrong, or to be asked for more. */
static void authenticate(struct talk *t, const struct pop3_event *e)
{
    must(t->is_secure, "AUTH comes after TLS");
    if (e->kind == POP3_EVENT_AUTH && e->text.size == 0)
        return; /* only asks which mechanisms there are */
    t->has_user = false;
    t->is_in_auth = e->kind != POP3_EVENT_AUTH_CANCEL && e->response.size % 3 == 2;
    if (!t->is_in_auth)
        pop3_server_login_ended(&t->server);
}

static void take(struct talk *t, const struct pop3_event *e)
{
    record_number(&t->said, e->kind);
    if (e->kind == POP3_EVENT_REFUSED) {
        refused(t, e);
        return;
    }
    must(lies_in(e->text, t->line) && lies_in(e->response, t->line), "an event is of the input");
    must(is_clean(e->text, "") && is_clean(e->response, ""), "no control character gets through");
    must(t->is_in_auth ==
             (e->kind == POP3_EVENT_AUTH_RESPONSE || e->kind == POP3_EVENT_AUTH_CANCEL),
         "within AUTH every line is a response, and nowhere else");
    record_span(&t->said, e->text);
    record_span(&t->said, e->response);
    switch (e->kind) {
    case POP3_EVENT_STLS:
        must(!t->is_secure, "STLS comes once");
        pop3_server_secured(&t->server);
        t->is_secure = true;
        break;
    case POP3_EVENT_USER:
        must(t->is_secure && e->text.size > 0, "USER comes after TLS, and names somebody");
        t->has_user = true;
        break;
    case POP3_EVENT_PASS:
        must(t->has_user, "PASS comes after USER");
        pop3_server_login_ended(&t->server);
        t->has_user = false;
        break;
    case POP3_EVENT_AUTH:
    case POP3_EVENT_AUTH_RESPONSE:
    case POP3_EVENT_AUTH_CANCEL: authenticate(t, e); break;
    case POP3_EVENT_CAPA:
    case POP3_EVENT_UTF8:
    case POP3_EVENT_QUIT:
    case POP3_EVENT_REFUSED: break;
    }
}

static struct record talk(unsigned door, struct span input, struct cuts cuts)
{
    struct talk t = {.is_secure = (door & 1) == 0, .said = record_make()};
    struct leftover in = {NULL, {NULL, 0}};
    t.server.state = t.is_secure ? POP3_READY : POP3_CLEAR;
    while (input.size > 0) {
        struct span *rest = leftover_join(&in, next_piece(&cuts, &input));
        struct pop3_event event;
        for (t.line = *rest; pop3_server_next(&t.server, rest, &event) == 1; t.line = *rest) {
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
