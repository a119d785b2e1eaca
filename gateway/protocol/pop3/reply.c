#include "protocol/pop3/reply.h"

#include <stdio.h>

static const char *const texts[] = {
#define REPLY(name, text) text,
#include "protocol/pop3/replies.def"
#undef REPLY
};

enum { LINE_MAX_SIZE = 510, UPSTREAM_LINE_MAX = 2048 };

bool pop3_reply_is_error(enum pop3_reply_name name)
{
    return texts[name][0] == '-';
}

int pop3_reply_append(enum pop3_reply_name name, const char *argument, const char *id,
                      struct buffer *out)
{
    char line[LINE_MAX_SIZE + 3],
        ending[REPLY_ENDING_MAX + 4] = ""; /* with CRLF, and a NUL that isn't sent */
    const char *text = texts[name], *at = strstr(text, "%s");
    if (id != NULL && pop3_reply_is_error(name))
        (void)snprintf(ending, sizeof ending, " (%.*s)", REPLY_ENDING_MAX, id); /* fits */
    size_t room = LINE_MAX_SIZE + 1 - strlen(ending), used;
    if (at == NULL) {
        used = span_copy(span_of(text), line, room);
    } else {
        used = span_copy(span_make(text, (size_t)(at - text)), line, room);
        used += span_copy(span_of(argument == NULL ? "" : argument), line + used, room - used);
        used += span_copy(span_of(at + 2), line + used, room - used);
    }
    for (size_t i = 0; i < used; i++)
        if (line[i] < ' ' || line[i] >= 0x7f) /* char may be unsigned */
            line[i] = '?';
    used += span_copy(span_of(ending), line + used, sizeof line - used);
    used += span_copy(span_of("\r\n"), line + used, sizeof line - used);
    return buffer_append(out, span_make(line, used)); /* all of it or nothing */
}

/* "[CODE]" at the front of the text. */
static struct span find_code(struct span text)
{
    const char *end =
        text.size > 0 && text.data[0] == '[' ? memchr(text.data, ']', text.size) : NULL;
    return end == NULL ? span_make(text.data, 0)
                       : span_make(text.data + 1, (size_t)(end - text.data) - 1);
}

int pop3_reply_parse(struct line_reader *lines, struct span *in, struct pop3_reply *reply,
                     struct error *why)
{
    struct span line;
    enum line_result got = line_take(lines, UPSTREAM_LINE_MAX, in, &line);
    if (got == LINE_MORE)
        return 0;
    if (got == LINE_TOO_LONG)
        return error_set(why, "a reply line is longer than %d octets", UPSTREAM_LINE_MAX);
    struct span status = span_split(&line, ' ');
    reply->is_ok = span_equals_nocase(status, "+OK");
    if (!reply->is_ok && !span_equals_nocase(status, "-ERR"))
        return error_set(why, "no POP3 reply");
    reply->text = line;
    reply->code = find_code(line);
    return 1;
}

bool pop3_code_is_known(struct span code)
{
    static const char *const known[] = {"AUTH", "IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_equals_nocase(code, known[i]))
            return true;
    return false;
}
