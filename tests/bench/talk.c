#include "talk.h"

#include "base/base64.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETR_SIZE = 24, STEPS_BESIDE = 8, STEPS_A_MESSAGE = 4 };

#define MAIL "MAIL FROM:<sender@example.com>\r\n"
#define RCPT "RCPT TO:<recipient@dest.example>\r\n"
#define DATA "DATA\r\n"

/* ---- the script ---- */

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        abort();
    return memory;
}

static void add(struct script *s, struct step step)
{
    s->steps[s->count++] = step;
}

static void add_say(struct script *s, const char *say, const char *hear)
{
    add(s, (struct step){.say = span_of(say), .hear = {hear}});
}

static void add_sent_message(struct script *s, bool is_pipelined)
{
    if (is_pipelined) {
        add(s, (struct step){.say = span_of(MAIL RCPT DATA), .hear = {"250", "250", "354"}});
    } else {
        add_say(s, MAIL, "250");
        add_say(s, RCPT, "250");
        add_say(s, DATA, "354");
    }
    add(s, (struct step){.say = s->text, .hear = {"250"}, .is_operation = true});
}

static void add_smtp(struct script *s, const struct script_options *o)
{
    add_say(s, "EHLO client.example\r\n", "250");
    add(s, (struct step){.login = LOGIN_AUTH, .hear = {"235"}});
    if (o->is_login_alone)
        return;
    for (unsigned i = 0; i < o->messages; i++)
        add_sent_message(s, o->is_pipelined);
    add_say(s, "QUIT\r\n", "221");
}

static void add_pop3(struct script *s, const struct script_options *o)
{
    char(*retr)[RETR_SIZE] = allocate(o->mailbox, sizeof *retr);
    for (unsigned i = 0; i < o->mailbox; i++)
        (void)snprintf(retr[i], sizeof retr[i], "RETR %u\r\n", i + 1); /* fits */
    add(s, (struct step){.login = LOGIN_USER, .hear = {"+OK"}});
    add(s, (struct step){.login = LOGIN_PASS, .hear = {"+OK"}});
    if (o->is_login_alone)
        return;
    add_say(s, "STAT\r\n", "+OK");
    for (unsigned i = 0; i < o->messages; i++)
        add(s, (struct step){.say = span_of(retr[i % o->mailbox]),
                             .hear = {"+OK"},
                             .has_text = true,
                             .is_operation = true});
    add_say(s, "QUIT\r\n", "+OK");
}

struct script script_create(const struct script_options *o)
{
    struct script s = {.text = text_with_dot(o->size)};
    s.steps = allocate(STEPS_BESIDE + (size_t)o->messages * STEPS_A_MESSAGE, sizeof *s.steps);
    add(&s, (struct step){.hear = {o->kind == TALK_SMTP ? "220" : "+OK"},
                          .is_operation = o->is_greeting_alone});
    if (o->is_greeting_alone)
        return s;
    if (o->kind == TALK_SMTP)
        add_smtp(&s, o);
    else
        add_pop3(&s, o);
    return s;
}

void login_lines(unsigned number, char out[LOGIN_LINES][LOGIN_LINE_MAX])
{
    char plain[LOGIN_LINE_MAX], encoded[BASE64_ENCODED_SIZE(sizeof plain)];
    int size = snprintf(plain, sizeof plain, "%cuser%u@example.com%csecret", 0, number, 0);
    (void)base64_encode(span_make(plain, (size_t)size), encoded);
    (void)snprintf(out[LOGIN_AUTH], LOGIN_LINE_MAX, "AUTH PLAIN %.90s\r\n", encoded); /* fits */
    (void)snprintf(out[LOGIN_USER], LOGIN_LINE_MAX, "USER user%u@example.com\r\n", number);
    (void)snprintf(out[LOGIN_PASS], LOGIN_LINE_MAX, "PASS secret\r\n");
}

/* ---- the conversation ---- */

const struct step *talk_step(const struct talk *t)
{
    return t->at < t->script->count ? &t->script->steps[t->at] : NULL;
}

/* How many replies a step has. */
static size_t count_due(const struct step *s)
{
    size_t count = 0;
    while (count < HEARD_MAX && s->hear[count] != NULL)
        count++;
    return count;
}

static int hear_line(struct talk *t, struct span line, struct error *why)
{
    const struct step *step = talk_step(t);
    const char *wanted = step->hear[t->heard];
    int shown = (int)(line.size < 200 ? line.size : 200);
    if (line.size < strlen(wanted) || memcmp(line.data, wanted, strlen(wanted)) != 0)
        return error_set(why, "step %zu: heard \"%.*s\", not %s", t->at, shown, line.data, wanted);
    bool is_smtp = wanted[0] != '+';
    t->is_in_reply = is_smtp && line.size > 3 && line.data[3] == '-';
    if (t->is_in_reply)
        return 0;
    t->heard++;
    t->is_in_text = step->has_text && t->heard == count_due(step);
    return 0;
}

/* Up to the next CRLF, which may come later. Returns 1 with a line. */
static int take_line(struct talk *t, struct span *in, struct span *line, struct error *why)
{
    const char *end = memchr(in->data, '\n', in->size);
    size_t size = end == NULL ? in->size : (size_t)(end - in->data) + 1;
    if (t->line_size + size > sizeof t->line)
        return error_set(why, "step %zu: heard a line without end", t->at);
    struct span piece = span_take(in, size);
    if (end != NULL && t->line_size == 0) {
        *line = piece;
    } else {
        memcpy(t->line + t->line_size, piece.data, piece.size);
        t->line_size += piece.size;
        *line = span_make(t->line, t->line_size);
    }
    if (end == NULL)
        return 0;
    t->line_size = 0;
    if (line->size < 2 || line->data[line->size - 2] != '\r')
        return error_set(why, "step %zu: heard a line that ends without CR", t->at);
    line->size -= 2;
    return 1;
}

static int hear_text(struct talk *t, struct span *in, struct error *why)
{
    struct span wanted = t->script->text;
    span_skip(&wanted, t->text_at);
    size_t size = in->size < wanted.size ? in->size : wanted.size;
    struct span piece = span_take(in, size);
    if (memcmp(piece.data, wanted.data, size) != 0)
        return error_set(why, "step %zu: heard another message", t->at);
    t->text_at += size;
    if (t->text_at < t->script->text.size)
        return 0;
    t->text_at = 0;
    t->is_in_text = false;
    return 0;
}

int talk_hear(struct talk *t, struct span *in, struct error *why)
{
    const struct step *step = talk_step(t);
    struct span line = span_of("");
    if (step == NULL)
        return error_set(why, "heard %zu octets behind the end", in->size);
    while (in->size > 0) {
        int got = t->is_in_text ? hear_text(t, in, why) : take_line(t, in, &line, why);
        if (got < 0 || (got > 0 && hear_line(t, line, why) < 0))
            return -1;
        if (t->is_in_reply || t->is_in_text || t->line_size > 0 || t->heard < count_due(step))
            continue;
        t->heard = 0;
        t->at++;
        if (in->size > 0)
            return error_set(why, "step %zu: heard more than was asked for", t->at - 1);
        return 1;
    }
    return 0;
}
