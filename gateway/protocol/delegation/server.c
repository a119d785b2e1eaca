#include "protocol/delegation/server.h"

#include <stddef.h>

static const struct {
    const char *name;
    size_t offset;
} attributes[] = {
    {"request", offsetof(struct delegation_asked, request)},
    {"protocol_state", offsetof(struct delegation_asked, state)},
    {"instance", offsetof(struct delegation_asked, instance)},
    {"queue_id", offsetof(struct delegation_asked, queue)},
    {"sender", offsetof(struct delegation_asked, sender)},
    {"recipient", offsetof(struct delegation_asked, recipient)},
    {"recipient_count", offsetof(struct delegation_asked, recipient_count)},
    {"size", offsetof(struct delegation_asked, size)},
    {"client_address", offsetof(struct delegation_asked, client_address)},
    {"client_port", offsetof(struct delegation_asked, client_port)},
    {"sasl_username", offsetof(struct delegation_asked, login)},
};

static bool has_control(struct span line)
{
    for (size_t i = 0; i < line.size; i++)
        if ((unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f)
            return true;
    return false;
}

/* One that comes twice could be read in two ways. */
static int keep(struct span line, struct delegation_asked *out, unsigned *seen, struct error *why)
{
    if (memchr(line.data, '=', line.size) == NULL || has_control(line))
        return error_set(why, "a line is no name=value");
    struct span name = span_split(&line, '=');
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        if (!span_equals(name, attributes[i].name))
            continue;
        if ((*seen >> i & 1) != 0)
            return error_set(why, "%s comes twice", attributes[i].name);
        *seen |= 1u << i;
        *(struct span *)(void *)((char *)out + attributes[i].offset) = line;
    }
    return 0;
}

/* How many octets the request has with its empty line, or 0. */
static size_t whole(struct span in)
{
    if (in.size > 0 && in.data[0] == '\n')
        return 1;
    for (size_t i = 1; i < in.size; i++)
        if (in.data[i] == '\n' && in.data[i - 1] == '\n')
            return i + 1;
    return 0;
}

int delegation_asked_take(struct span *in, struct delegation_asked *out, struct error *why)
{
    size_t size = whole(*in);
    unsigned seen = 0;
    *out = (struct delegation_asked){.request = {"", 0}};
    if (size > DELEGATION_ASKED_MAX || (size == 0 && in->size > DELEGATION_ASKED_MAX))
        return error_set(why, "more than %d octets", DELEGATION_ASKED_MAX);
    if (size == 0)
        return 0;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        *(struct span *)(void *)((char *)out + attributes[i].offset) = span_make("", 0);
    struct span lines = span_take(in, size - 1);
    span_skip(in, 1);
    while (lines.size > 0)
        if (keep(span_split(&lines, '\n'), out, &seen, why) < 0)
            return -1;
    if (!span_equals(out->request, "smtpd_access_policy"))
        return error_set(why, "request isn't smtpd_access_policy");
    return 1;
}

int delegation_action_append(const char *action, struct buffer *out)
{
    int failed = buffer_append(out, span_of("action="));
    for (const char *c = action; *c != '\0'; c++) {
        bool is_good = (unsigned char)*c >= ' ' && *c != 0x7f;
        failed |= buffer_append(out, span_make(is_good ? c : "?", 1));
    }
    return failed | buffer_append(out, span_of("\n\n"));
}
