#include "protocol/smtp/reply.h"

#include <stdio.h>

static const struct {
    int code;
    const char *enhanced, *text;
} replies[] = {
#define REPLY(name, code, enhanced, text) {code, enhanced, text},
#include "protocol/smtp/replies.def"
#undef REPLY
};

enum { UPSTREAM_LINE_MAX = 2048, LINES_MAX = 100 };

int smtp_reply_code(enum smtp_reply_name name)
{
    return replies[name].code;
}

const char *smtp_reply_text(enum smtp_reply_name name)
{
    return replies[name].text;
}

/* The text with its argument in place of "%s"; what doesn't fit is cut. Of the argument nothing but
 * printable ASCII and line breaks is shown. */
static struct span fill_in(const char *text, const char *argument, char *out, size_t room)
{
    const char *at = argument == NULL ? NULL : strstr(text, "%s");
    if (at == NULL)
        return span_of(text);
    size_t used = span_copy(span_make(text, (size_t)(at - text)), out, room);
    size_t end = used + span_copy(span_of(argument), out + used, room - used);
    for (; used < end; used++)
        if (out[used] != '\n' && (out[used] < ' ' || out[used] >= 0x7f))
            out[used] = '?';
    used += span_copy(span_of(at + 2), out + used, room - used);
    return span_make(out, used);
}

/* One line of a reply. `mark` is '-' before further lines. */
static int append_line(int code, char mark, const char *enhanced, struct span text,
                       struct span ending, struct buffer *out)
{
    char line[SMTP_REPLY_LINE_MAX + 3]; /* with CRLF, and a NUL that isn't sent */
    const char head[] = {(char)('0' + code / 100), (char)('0' + code / 10 % 10),
                         (char)('0' + code % 10), mark};
    size_t used = span_copy(span_make(head, sizeof head), line, sizeof line);
    used += span_copy(span_of(enhanced), line + used, sizeof line - used);
    if (enhanced[0] != '\0')
        line[used++] = ' ';
    size_t room = SMTP_REPLY_LINE_MAX - used - ending.size;
    if (text.size > room)
        text.size = room;
    used += span_copy(text, line + used, text.size + 1);
    used += span_copy(ending, line + used, ending.size + 1);
    used += span_copy(span_of("\r\n"), line + used, 3);
    return buffer_append(out, span_make(line, used)); /* all of it or nothing */
}

int smtp_reply_append(enum smtp_reply_name name, const char *argument, const char *id,
                      struct buffer *out)
{
    char filled[2048], ending[REPLY_ENDING_MAX + 4];
    int code = replies[name].code, failed = 0;
    struct span text = fill_in(replies[name].text, argument, filled, sizeof filled);
    ending[0] = '\0';
    if (id != NULL && code >= 400)
        (void)snprintf(ending, sizeof ending, " (%.*s)", REPLY_ENDING_MAX, id); /* fits */
    while (memchr(text.data, '\n', text.size) != NULL)
        failed |= append_line(code, '-', replies[name].enhanced, span_split(&text, '\n'),
                              span_of(""), out);
    return failed | append_line(code, ' ', replies[name].enhanced, text, span_of(ending), out);
}

int smtp_reply_pass(const struct smtp_reply *reply, struct buffer *out)
{
    char clean[SMTP_REPLY_LINE_MAX];
    size_t used = 0;
    const char *enhanced = reply->enhanced;
    if (enhanced[0] == '\0')
        enhanced = reply->code < 300 ? "2.0.0" : reply->code < 500 ? "4.0.0" : "5.0.0";
    for (size_t i = 0; i < reply->text.size && used < sizeof clean; i++) {
        char c = reply->text.data[i];
        clean[used++] = c == '\n' ? ' ' : c >= ' ' && c < 0x7f ? c : '?';
    }
    return append_line(reply->code, ' ', enhanced, span_make(clean, used), span_of(""), out);
}

/* "5.1.1 " of the class of `code` at the front: its length with the space, else 0. */
static size_t enhanced_size(struct span line, int code)
{
    size_t dots = 0, digits = 0, i = 0;
    for (; i < line.size && i < sizeof((struct smtp_reply *)0)->enhanced; i++) {
        if (ascii_is_digit(line.data[i])) {
            if (++digits > 3)
                return 0;
        } else if (line.data[i] == '.' && digits > 0) {
            dots++;
            digits = 0;
        } else {
            break;
        }
    }
    bool is_ended = i == line.size || line.data[i] == ' ';
    if (dots != 2 || digits == 0 || !is_ended || line.data[0] - '0' != code / 100 ||
        line.data[1] != '.' || i >= sizeof((struct smtp_reply *)0)->enhanced)
        return 0;
    return i == line.size ? i : i + 1;
}

static void add_text(struct smtp_reply_parser *p, struct span text)
{
    size_t size = enhanced_size(text, p->reply.code);
    if (size > 0) {
        struct span enhanced = span_trim(span_take(&text, size));
        if (p->line_count == 0)
            (void)span_copy(enhanced, p->reply.enhanced, sizeof p->reply.enhanced); /* fits */
    }
    if (p->line_count > 0 && text.size >= sizeof p->text - p->used)
        return; /* half a line of EHLO could be another extension */
    if (p->line_count > 0)
        p->text[p->used++] = '\n';
    if (text.size > 0)
        memcpy(p->text + p->used, text.data, text.size);
    p->used += text.size;
}

/* Takes one line; returns 1 after the last of a reply, 0, or -1. */
static int take_line(struct smtp_reply_parser *p, struct span line, struct error *why)
{
    uint64_t code;
    if (line.size < 3 || span_number(span_make(line.data, 3), 599, &code) < 0 || code < 200 ||
        (line.size > 3 && line.data[3] != ' ' && line.data[3] != '-'))
        return error_set(why, "no SMTP reply");
    if (p->is_within && (int)code != p->reply.code)
        return error_set(why, "codes differ within a reply: %d and %d", p->reply.code, (int)code);
    if (!p->is_within) {
        p->reply = (struct smtp_reply){.code = (int)code};
        p->used = 0;
        p->line_count = 0;
    }
    bool is_last = line.size == 3 || line.data[3] == ' ';
    span_skip(&line, line.size == 3 ? 3 : 4);
    add_text(p, line);
    p->is_within = !is_last;
    if (++p->line_count > LINES_MAX)
        return error_set(why, "a reply of more than %d lines", LINES_MAX);
    p->reply.text = span_make(p->text, p->used);
    return is_last;
}

int smtp_reply_parse(struct smtp_reply_parser *p, struct span *in, const struct smtp_reply **reply,
                     struct error *why)
{
    for (;;) {
        struct span line;
        enum line_result got = line_take(&p->lines, UPSTREAM_LINE_MAX, in, &line);
        if (got == LINE_MORE)
            return 0;
        if (got == LINE_TOO_LONG)
            return error_set(why, "a reply line is longer than %d octets", UPSTREAM_LINE_MAX);
        int outcome = take_line(p, line, why); /* LF alone is borne from a server behind */
        if (outcome == 1)
            *reply = &p->reply;
        if (outcome != 0)
            return outcome;
    }
}
