#include "protocol/pop3/tunnel.h"

#include "base/scan.h"

enum {
    COMMAND_LINE_MAX = 255, /* RFC 2449 section 4 */
    ERRORS_MAX = 100,
};

static bool is_multiline(struct span verb, bool has_argument)
{
    if (span_equals_nocase(verb, "LIST") || span_equals_nocase(verb, "UIDL") ||
        span_equals_nocase(verb, "LANG")) /* RFC 6856 */
        return !has_argument;
    return span_equals_nocase(verb, "RETR") || span_equals_nocase(verb, "TOP") ||
           span_equals_nocase(verb, "CAPA");
}

static enum pop3_tunnel_verb counted_verb(struct span verb)
{
    static const char *const verbs[] = {[TUNNEL_RETR] = "RETR",
                                        [TUNNEL_DELE] = "DELE",
                                        [TUNNEL_RSET] = "RSET",
                                        [TUNNEL_QUIT] = "QUIT"};
    for (enum pop3_tunnel_verb v = TUNNEL_OTHER + 1; v <= TUNNEL_QUIT; v++)
        if (span_equals_nocase(verb, verbs[v]))
            return v;
    return TUNNEL_OTHER;
}

static void command(struct pop3_tunnel *t, struct span line)
{
    while (line.size > 0 && (line.data[line.size - 1] == '\r' || line.data[line.size - 1] == '\n'))
        line.size--;
    struct span verb = span_split(&line, ' ');
    struct pop3_tunnel_command *c = &t->commands[(t->first + t->waiting++) % POP3_TUNNEL_COMMANDS];
    c->is_multiline = is_multiline(verb, span_trim(line).size > 0);
    c->verb = (unsigned char)counted_verb(verb);
}

bool pop3_tunnel_is_full(const struct pop3_tunnel *t)
{
    return t->waiting >= (t->is_one_by_one ? 1 : POP3_TUNNEL_COMMANDS);
}

ptrdiff_t pop3_tunnel_commands(struct pop3_tunnel *t, struct span in)
{
    size_t size = in.size;
    while (in.size > 0 && !pop3_tunnel_is_full(t)) {
        const char *end = memchr(in.data, '\n', in.size);
        size_t line = end == NULL ? in.size : (size_t)(end - in.data) + 1;
        bool is_too_long = line > COMMAND_LINE_MAX;
        if (is_too_long && in.size == size)
            return -1;
        if (is_too_long || end == NULL)
            break;
        command(t, span_take(&in, line));
    }
    return (ptrdiff_t)(size - in.size);
}

static void count(struct pop3_tunnel *t, enum pop3_tunnel_verb verb)
{
    t->errors = t->is_ok ? 0 : t->errors + 1;
    if (!t->is_ok)
        return;
    t->retrieved += verb == TUNNEL_RETR;
    t->deleted += verb == TUNNEL_DELE;
    t->has_quit = t->has_quit || verb == TUNNEL_QUIT;
    if (verb == TUNNEL_RSET)
        t->deleted = 0;
}

/* The response is whole: the next one belongs to the next command. */
static void answered(struct pop3_tunnel *t)
{
    t->state = TUNNEL_STATUS;
    if (t->waiting == 0)
        return; /* nobody asked */
    count(t, (enum pop3_tunnel_verb)t->commands[t->first].verb);
    t->first = (t->first + 1) % POP3_TUNNEL_COMMANDS;
    t->waiting--;
}

static void status(struct pop3_tunnel *t, struct span *in)
{
    if (t->state == TUNNEL_STATUS) {
        t->is_ok = in->data[0] == '+';
        t->state = TUNNEL_STATUS_REST;
    }
    const char *end = memchr(in->data, '\n', in->size);
    span_skip(in, end == NULL ? in->size : (size_t)(end - in->data) + 1);
    if (end == NULL)
        return;
    if (t->is_ok && t->waiting > 0 && t->commands[t->first].is_multiline) {
        t->state = TUNNEL_BODY;
        t->match = 2;
    } else {
        answered(t);
    }
}

/* CRLF . CRLF ends it, wherever the network has cut. */
static void body(struct pop3_tunnel *t, struct span *in)
{
    static const char ending[] = "\r\n.\r\n";
    const char *end = in->data + in->size;
    while (in->size > 0 && t->match < 5) {
        if (t->match == 0) {
            const char *at = scan_pair(in->data, end, '\n', '.');
            if (at == end) {
                bool is_line_end = in->size >= 2 && end[-2] == '\r' && end[-1] == '\n';
                t->match = is_line_end ? 2 : end[-1] == '\r' ? 1 : 0;
                span_skip(in, in->size);
                return;
            }
            bool is_line_start = at > in->data && at[-1] == '\r';
            span_skip(in, (size_t)(at - in->data) + 2);
            t->match = is_line_start ? 3 : 0;
            continue;
        }
        char c = in->data[0];
        t->match = c == ending[t->match] ? t->match + 1 : c == '\r' ? 1 : 0;
        span_skip(in, 1);
    }
    if (t->match == 5)
        answered(t);
}

void pop3_tunnel_responses(struct pop3_tunnel *t, struct span in)
{
    while (in.size > 0)
        if (t->state == TUNNEL_BODY)
            body(t, &in);
        else
            status(t, &in);
}

bool pop3_tunnel_is_quiet(const struct pop3_tunnel *t)
{
    return t->waiting == 0 && t->state == TUNNEL_STATUS;
}

bool pop3_tunnel_is_junk(const struct pop3_tunnel *t)
{
    return t->errors >= ERRORS_MAX;
}
