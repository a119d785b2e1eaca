/* What a POP3 server behind says, and what a client says to it after the login. First two bytes:
 * what is read, and where the input is cut; of a tunnel's input the client's part stands before the
 * first NUL. */
#include "protocol/pop3/reply.h"
#include "protocol/pop3/tunnel.h"

#include "fuzz.h"

static struct record read_replies(struct span input, struct cuts cuts)
{
    struct line_reader lines = {false};
    struct record said = record_make();
    struct leftover in = {NULL, {NULL, 0}};
    int outcome = 0;
    while (input.size > 0 && outcome >= 0) {
        struct pop3_reply reply;
        struct error why;
        struct span *rest = leftover_join(&in, next_piece(&cuts, &input)), before = *rest;
        while ((outcome = pop3_reply_parse(&lines, rest, &reply, &why)) == 1) {
            must(rest->size < before.size, "a reply takes something");
            must(lies_in(reply.text, before) && lies_in(reply.code, reply.text),
                 "a reply is of the input");
            must(memchr(before.data, '\n', before.size) >= (const void *)reply.text.data,
                 "a reply is one line");
            record_number(&said, reply.is_ok);
            record_span(&said, reply.text);
            record_span(&said, reply.code);
            before = *rest;
        }
        must(outcome < 0 || rest->size < 2048, "no more is kept than a line may have");
    }
    record_number(&said, outcome);
    leftover_drop(&in);
    return said;
}

/* ---- the tunnel, and a model that has all of it before it ---- */

static bool has_word(struct span line, const char *verb, bool is_alone)
{
    struct span word = span_split(&line, ' ');
    return span_equals_nocase(word, verb) && (!is_alone || span_trim(line).size == 0);
}

/* RFC 1939, 2449, 6856: whose positive response goes on to a lone dot. */
static bool has_body(struct span line)
{
    return has_word(line, "RETR", false) || has_word(line, "TOP", false) ||
           has_word(line, "CAPA", false) || has_word(line, "LIST", true) ||
           has_word(line, "UIDL", true) || has_word(line, "LANG", true);
}

/* Where the body that begins at the front ends: behind CRLF . CRLF, or a dot at once. */
static size_t body_size(struct span s)
{
    for (size_t at = 0; at + 3 <= s.size; at++)
        if (memcmp(s.data + at, ".\r\n", 3) == 0 &&
            (at == 0 || (at >= 2 && memcmp(s.data + at - 2, "\r\n", 2) == 0)))
            return at + 3;
    return 0;
}

/* What the responses say to the commands, and whether all are there. */
struct outcome {
    unsigned retrieved, deleted, errors;
    bool has_quit, is_quiet;
};

static void count(struct outcome *o, struct span line, bool is_ok)
{
    struct span verb = span_split(&line, ' ');
    o->errors = is_ok ? 0 : o->errors + 1;
    o->retrieved += is_ok && span_equals_nocase(verb, "RETR");
    o->deleted += is_ok && span_equals_nocase(verb, "DELE");
    o->has_quit = o->has_quit || (is_ok && span_equals_nocase(verb, "QUIT"));
    if (is_ok && span_equals_nocase(verb, "RSET"))
        o->deleted = 0;
}

static struct outcome model(struct span commands, struct span responses)
{
    struct outcome o = {.retrieved = 0};
    while (responses.size > 0) {
        const char *end = memchr(responses.data, '\n', responses.size);
        if (end == NULL)
            return o;
        bool is_ok = responses.data[0] == '+', is_asked = commands.size > 0;
        struct span line = span_split(&commands, '\n');
        while (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        span_skip(&responses, (size_t)(end - responses.data) + 1);
        if (is_ok && is_asked && has_body(line)) {
            size_t size = body_size(responses);
            if (size == 0)
                return o;
            span_skip(&responses, size);
        }
        if (is_asked)
            count(&o, line, is_ok);
    }
    o.is_quiet = commands.size == 0;
    return o;
}

/* What stays behind isn't whole, is too long, or may not pass now. */
static void check_rest(const struct pop3_tunnel *t, struct span rest)
{
    const char *end = rest.size == 0 ? NULL : memchr(rest.data, '\n', rest.size);
    must(end == NULL || pop3_tunnel_is_full(t) || end - rest.data >= 255,
         "a whole command passes unless too many wait");
    must(t->waiting <= (t->is_one_by_one ? 1 : POP3_TUNNEL_COMMANDS), "not too many wait");
}

static void check_tunnel(struct span input, struct cuts cuts, bool is_one_by_one)
{
    struct pop3_tunnel whole = {.is_one_by_one = is_one_by_one}, cut;
    struct span commands = span_split(&input, '\0');
    ptrdiff_t passed = pop3_tunnel_commands(&whole, commands);
    if (passed < 0)
        return;
    must((size_t)passed <= commands.size, "no more passes than came");
    must(passed == 0 || commands.data[passed - 1] == '\n', "whole commands pass");
    check_rest(&whole, span_make(commands.data + passed, commands.size - (size_t)passed));
    commands.size = (size_t)passed;
    cut = whole;
    pop3_tunnel_responses(&whole, input);
    const struct outcome is = model(commands, input);
    must(pop3_tunnel_is_quiet(&whole) == is.is_quiet, "it is quiet when every response is whole");
    must(whole.retrieved == is.retrieved && whole.deleted == is.deleted &&
             whole.errors == is.errors && whole.has_quit == is.has_quit,
         "what succeeded is counted");
    while (input.size > 0)
        pop3_tunnel_responses(&cut, next_piece(&cuts, &input));
    must(whole.first == cut.first && whole.waiting == cut.waiting && whole.state == cut.state &&
             whole.retrieved == cut.retrieved && whole.deleted == cut.deleted,
         "however the network cuts, the same is understood");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned what = take_byte(&input), seed = take_byte(&input);
    if (what % 2 == 0) {
        check_tunnel(input, (struct cuts){seed + 1}, what % 4 == 2);
        return 0;
    }
    struct record whole = read_replies(input, (struct cuts){0});
    struct record cut = read_replies(input, (struct cuts){seed + 1});
    records_are_equal(&whole, &cut, "however the network cuts, the same is understood");
    return 0;
}
