#include "protocol/pop3/tunnel.h"

#include "base/scan.h"

enum { COMMAND_LINE_MAX = 2048 };

static bool is_multiline(struct span line)
{
    struct span verb = span_split(&line, ' ');
    bool has_argument = span_trim(line).size > 0;
    if (span_equals_nocase(verb, "LIST") || span_equals_nocase(verb, "UIDL") ||
        span_equals_nocase(verb, "LANG")) /* RFC 6856 */
        return !has_argument;
    return span_equals_nocase(verb, "RETR") || span_equals_nocase(verb, "TOP") ||
           span_equals_nocase(verb, "CAPA");
}

static void command(struct pop3_tunnel *t, struct span line)
{
    while (line.size > 0 && (line.data[line.size - 1] == '\r' || line.data[line.size - 1] == '\n'))
        line.size--;
    t->retrieved += span_starts_nocase(line, "RETR ");
    t->deleted += span_starts_nocase(line, "DELE ");
    t->is_multiline[(t->first + t->waiting++) % POP3_TUNNEL_COMMANDS] = is_multiline(line);
}

ptrdiff_t pop3_tunnel_commands(struct pop3_tunnel *t, struct span in)
{
    size_t size = in.size;
    while (in.size > 0 && t->waiting < POP3_TUNNEL_COMMANDS) {
        const char *end = memchr(in.data, '\n', in.size);
        size_t line = end == NULL ? in.size : (size_t)(end - in.data) + 1;
        if (line > COMMAND_LINE_MAX)
            return -1;
        if (end == NULL)
            break;
        command(t, span_take(&in, line));
    }
    return (ptrdiff_t)(size - in.size);
}

/* The response is whole: the next one belongs to the next command. */
static void answered(struct pop3_tunnel *t)
{
    t->state = TUNNEL_STATUS;
    if (t->waiting == 0)
        return; /* nobody asked */
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
    if (t->is_ok && t->waiting > 0 && t->is_multiline[t->first]) {
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
