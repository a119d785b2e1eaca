#include "protocol/smtp/client.h"

#include <assert.h>

enum { TEXT_MAX = 512 * 1024 };

void smtp_client_init(struct smtp_client *c)
{
    c->is_pipelining = false;
    c->first = c->sent = c->unsent = 0;
    c->text = (struct buffer){.limit = TEXT_MAX};
    c->parser.lines = (struct line_reader){false};
    c->parser.is_within = false;
}

void smtp_client_clear(struct smtp_client *c)
{
    buffer_clear(&c->text);
}

static int push(struct smtp_client *c, enum smtp_command command, unsigned *count)
{
    if (c->sent + c->unsent == SMTP_CLIENT_COMMANDS)
        return -1;
    c->commands[(c->first + c->sent + c->unsent) % SMTP_CLIENT_COMMANDS] = (unsigned char)command;
    ++*count;
    return 0;
}

int smtp_client_queue(struct smtp_client *c, enum smtp_command command, struct span line)
{
    if (c->sent + c->unsent == SMTP_CLIENT_COMMANDS || buffer_append(&c->text, line) < 0)
        return -1;
    return push(c, command, &c->unsent);
}

int smtp_client_expect(struct smtp_client *c, enum smtp_command command)
{
    assert(c->unsent == 0); /* it is sent by other means, behind all that was queued */
    return push(c, command, &c->sent);
}

struct span smtp_client_output(struct smtp_client *c)
{
    struct span all = buffer_bytes(&c->text);
    if (c->unsent == 0 || (!c->is_pipelining && c->sent > 0))
        return span_make("", 0);
    if (c->is_pipelining) {
        c->sent += c->unsent;
        c->unsent = 0;
        return all;
    }
    const char *end = memchr(all.data, '\n', all.size);
    assert(end != NULL);
    c->sent++;
    c->unsent--;
    return span_make(all.data, (size_t)(end - all.data) + 1);
}

void smtp_client_written(struct smtp_client *c, size_t size)
{
    buffer_consume(&c->text, size);
}

unsigned smtp_client_due(const struct smtp_client *c)
{
    return c->sent + c->unsent;
}

enum smtp_command smtp_client_next(const struct smtp_client *c)
{
    assert(smtp_client_due(c) > 0);
    return (enum smtp_command)c->commands[c->first];
}

int smtp_client_input(struct smtp_client *c, struct span *in, enum smtp_command *command,
                      const struct smtp_reply **reply, struct error *why)
{
    if (in->size > 0 && c->sent == 0)
        return error_set(why, "it sends what nobody has asked for");
    int got = smtp_reply_parse(&c->parser, in, reply, why);
    if (got != 1)
        return got;
    *command = smtp_client_next(c);
    c->first = (c->first + 1) % SMTP_CLIENT_COMMANDS;
    c->sent--;
    return 1;
}
