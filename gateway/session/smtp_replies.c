#include "session/smtp_replies.h"

#include <assert.h>
#include <stdlib.h>

enum { TEXT_MAX = SMTP_REPLIES_MAX * (SMTP_REPLY_LINE_MAX + 2) + 4096 };

void smtp_replies_init(struct smtp_replies *r)
{
    *r = (struct smtp_replies){.ready = {.limit = TEXT_MAX}, .later = {.limit = TEXT_MAX}};
}

static void drop_queue(struct smtp_replies *r)
{
    free(r->queue);
    r->queue = NULL;
    r->first = r->count = 0;
}

void smtp_replies_clear(struct smtp_replies *r)
{
    buffer_clear(&r->ready);
    buffer_clear(&r->later);
    drop_queue(r);
}

static int push(struct smtp_replies *r, size_t size)
{
    if (r->queue == NULL && (r->queue = calloc(SMTP_REPLIES_MAX, sizeof *r->queue)) == NULL)
        return -1;
    if (r->count == SMTP_REPLIES_MAX || size > UINT16_MAX)
        return -1;
    r->queue[(r->first + r->count++) % SMTP_REPLIES_MAX] = (unsigned short)size;
    return 0;
}

int smtp_replies_add(struct smtp_replies *r, enum smtp_reply_name name, const char *argument,
                     const char *id)
{
    if (r->count == 0)
        return smtp_reply_append(name, argument, id, &r->ready);
    size_t before = r->later.size;
    if (smtp_reply_append(name, argument, id, &r->later) < 0)
        return -1;
    return push(r, r->later.size - before);
}

int smtp_replies_expect(struct smtp_replies *r)
{
    return push(r, 0);
}

/* Everything up to the next answer to come may go. */
static int release(struct smtp_replies *r)
{
    int failed = 0;
    while (r->count > 0 && r->queue[r->first] > 0) {
        size_t size = r->queue[r->first];
        failed |= buffer_append(&r->ready, span_make(buffer_bytes(&r->later).data, size));
        buffer_consume(&r->later, size);
        r->first = (r->first + 1) % SMTP_REPLIES_MAX;
        r->count--;
    }
    if (r->count == 0)
        drop_queue(r);
    return failed;
}

int smtp_replies_answer(struct smtp_replies *r, struct span text)
{
    assert(smtp_replies_are_due(r) && r->queue[r->first] == 0);
    int failed = buffer_append(&r->ready, text);
    r->first = (r->first + 1) % SMTP_REPLIES_MAX;
    r->count--;
    return failed | release(r);
}

bool smtp_replies_are_due(const struct smtp_replies *r)
{
    return r->count > 0;
}

bool smtp_replies_are_full(const struct smtp_replies *r)
{
    return r->count >= SMTP_REPLIES_MAX - 1;
}

bool smtp_replies_pass(enum smtp_command command, int code, enum smtp_reply_name *instead,
                       bool *is_admins)
{
    static const int about_the_gateway[] = {503, 530, 534, 535, 538};
    bool is_envelope = command == SMTP_COMMAND_MAIL || command == SMTP_COMMAND_RCPT;
    *instead = SMTP_REPLY_upstream_refuses;
    *is_admins = true;
    for (size_t i = 0; i < sizeof about_the_gateway / sizeof *about_the_gateway; i++)
        if (code == about_the_gateway[i])
            return false;
    if (code == 421) { /* it is not we who close */
        *instead = SMTP_REPLY_upstream_busy;
        *is_admins = false;
        return false;
    }
    return code >= 400 || (is_envelope && code >= 250 && code <= 252);
}
