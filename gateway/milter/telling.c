/* What a milter is told, stage by stage, macros before each command. All that can be told now goes
 * in one write; replies are awaited afterwards, in the order of the commands. */
#include "base/spool.h"
#include "config/config.h"
#include "message/fields.h"
#include "milter/member.h"

#include <assert.h>

enum {
    WRITE_SIZE = 48 * 1024, /* so much together in one write */
    FRAME_MAX = 96 * 1024,  /* of one frame of ours, whatever was agreed on: see link.h */
    COPY_MAX = 16 * 1024,   /* of a body, rather than a part of its own in the write */
};

/* ---- commands, and whose answers are awaited ---- */

static void push(struct member *m, char command, bool is_answered)
{
    struct told *last = m->told_count == 0
                            ? NULL
                            : &m->told_commands[(m->first_told + m->told_count - 1) % TOLD_MAX];
    if (last == NULL && !is_answered) {
        member_command_done(m, command);
    } else if (last != NULL && last->command == command && last->is_answered == is_answered) {
        last->count++;
    } else {
        if (m->told_count == 0)
            member_begin_wait(m);
        assert(m->told_count < TOLD_MAX); /* there are fewer changes of kind in one message */
        m->told_commands[(m->first_told + m->told_count++) % TOLD_MAX] =
            (struct told){command, is_answered, 1};
    }
}

static const struct milter_terms *terms(const struct member *m)
{
    return milter_link_terms(m->link);
}

static struct buffer *out(const struct member *m)
{
    return milters_scratch(m->chain->options.milters);
}

/* The answer for what it can't be shown: sent again it would be no smaller. */
static const char too_large[] =
    "550 5.6.0 A part of the message is larger than the mail filter takes\r\n";

static size_t most(const struct member *m)
{
    return terms(m)->most < FRAME_MAX ? terms(m)->most : FRAME_MAX;
}

static void flush(struct member *m)
{
    struct span bytes = buffer_bytes(out(m));
    if (bytes.size > 0 && m->link != NULL)
        milter_link_write(m->link, &bytes, 1);
    buffer_empty(out(m));
}

/* Is there room for more? What has been put together goes when there is enough of it. */
static bool may_go_on(struct member *m)
{
    if (out(m)->size >= WRITE_SIZE)
        flush(m);
    return m->link != NULL && !milter_link_is_blocked(m->link);
}

/* ---- macros ---- */

static const char *rcpt_macro(const struct question *q, const char *name, const char **out_value)
{
    const char *at = strrchr(q->address, '@');
    if (strcmp(name, "{rcpt_addr}") == 0)
        return *out_value = q->is_refused ? q->parameters[0] : q->address;
    if (strcmp(name, "{rcpt_host}") == 0)
        return *out_value = q->is_refused || at == NULL ? "" : at + 1;
    if (strcmp(name, "{rcpt_mailer}") == 0)
        return *out_value = q->is_refused ? "error" : "smtp"; /* as Sendmail says it */
    return NULL;
}

static const char *value_of(const struct member *m, const struct question *q, const char *name,
                            char room[MILTER_MACRO_SIZE])
{
    const char *value = NULL;
    const struct milter_options *o = &m->chain->options;
    if (q != NULL && q->kind == MILTER_RCPT && rcpt_macro(q, name, &value) != NULL)
        return value;
    return o->macro == NULL ? NULL : o->macro(o->owner, name, room);
}

/* Those that have a value; a frame without any isn't sent: filters take it for an error. */
static void put_macros(struct member *m, enum milter_command command, const struct question *q)
{
    struct milter_writer w = {.out = out(m)};
    char name[MILTER_MACRO_NAME_SIZE], room[MILTER_MACRO_SIZE], letter = (char)command;
    enum milter_stage stage;
    bool has_any = false;
    if (!milter_stage_of(terms(m), command, &stage))
        return;
    milter_frame_begin(&w, MILTER_COMMAND_MACROS);
    milter_frame_put(&w, span_make(&letter, 1));
    for (struct span list = terms(m)->macros[stage]; milter_macro_next(&list, name);) {
        const char *value = value_of(m, q, name, room);
        if (value == NULL || value[0] == '\0')
            continue;
        milter_frame_put_text(&w, span_of(name));
        milter_frame_put_text(&w, span_of(value));
        has_any = true;
    }
    if (!has_any)
        milter_frame_drop(&w);
    else if (milter_frame_end(&w, most(m)) < 0)
        member_give_up(m, too_large, "macros have more octets than it takes");
}

/* ---- commands ---- */

/* What the frame of a command says. */
typedef void put_fn(const struct member *m, struct milter_writer *w, const void *what);

/* A command with its macros. Those that it doesn't want to hear count as answered. */
static void tell(struct member *m, enum milter_command command, const struct question *q,
                 put_fn *put, const void *what)
{
    struct milter_writer w = {.out = out(m)};
    put_macros(m, command, q);
    if (m->link == NULL)
        return;
    if (!milter_is_told(terms(m), command)) {
        push(m, (char)command, false);
        return;
    }
    milter_frame_begin(&w, (char)command);
    if (put != NULL)
        put(m, &w, what);
    if (milter_frame_end(&w, most(m)) < 0)
        member_give_up(m, too_large, "a command has more octets than it takes");
    else
        push(m, (char)command, milter_is_answered(terms(m), command));
}

static void put_client(const struct member *m, struct milter_writer *w, const void *what)
{
    const struct milter_client *client = what;
    char host[ADDRESS_TEXT_SIZE];
    address_format_host(&client->address, host);
    const char family = strchr(host, ':') != NULL ? '6' : '4';
    const char port[] = {(char)(client->port >> 8), (char)client->port};
    (void)m;
    milter_frame_put_text(w, span_of(client->name));
    milter_frame_put(w, span_make(&family, 1));
    milter_frame_put(w, span_make(port, sizeof port));
    milter_frame_put_text(w, span_of(host));
}

static void put_text(const struct member *m, struct milter_writer *w, const void *what)
{
    (void)m;
    milter_frame_put_text(w, span_of(what));
}

static void put_path(const struct member *m, struct milter_writer *w, const void *what)
{
    const struct question *q = what;
    (void)m;
    milter_frame_put(w, span_of("<"));
    milter_frame_put(w, span_of(q->address));
    milter_frame_put_text(w, span_of(">"));
    for (size_t i = 0; i < q->parameter_count; i++)
        milter_frame_put_text(w, span_of(q->parameters[i]));
}

/* Whose message it is, as far as this connection doesn't know. */
static void tell_client(struct member *m)
{
    struct milter_chain *c = m->chain;
    struct milter_link_memory *memory = milter_link_memory(m->link);
    bool is_new = memory->whom != c->whom;
    if (is_new)
        tell(m, MILTER_COMMAND_CONNECT, NULL, put_client, &c->client);
    if (m->link != NULL && (is_new || memory->helo != c->helo_version))
        tell(m, MILTER_COMMAND_HELO, NULL, put_text, c->helo);
    memory->whom = c->whom;
    memory->helo = c->helo_version;
    memory->takes_another = false;
}

static void tell_question(struct member *m, const struct question *q)
{
    switch (q->kind) {
    case MILTER_MAIL:
        tell_client(m);
        m->is_in_message = true;
        m->has_recipient = false;
        if (m->link != NULL)
            tell(m, MILTER_COMMAND_MAIL, q, put_path, q);
        return;
    case MILTER_RCPT:
        m->has_recipient = true;
        tell(m, MILTER_COMMAND_RCPT, q, put_path, q);
        return;
    default: tell(m, MILTER_COMMAND_DATA, q, NULL, NULL); return;
    }
}

/* Is it none of this one's business? DATA without a recipient libmilter passes over in silence. */
static bool is_passed_over(const struct member *m, const struct question *q)
{
    bool wants_refused = (terms(m)->protocol & MILTER_WANTS_REFUSED_RCPT) != 0;
    return q->is_stopped || (q->is_refused && !wants_refused) ||
           (q->kind == MILTER_DATA && !m->has_recipient);
}

static void tell_questions(struct member *m, size_t limit)
{
    if (m->told < m->chain->first)
        m->told = m->heard = m->chain->first; /* those were stopped before it */
    while (m->told < limit && m->state == MEMBER_ENVELOPE && may_go_on(m)) {
        const struct question *q = chain_question(m->chain, m->told);
        bool is_over = is_passed_over(m, q);
        if (is_over && m->told_count > 0)
            return; /* the order would be lost */
        m->told++;
        if (is_over)
            m->heard++;
        else
            tell_question(m, q);
    }
}

/* ---- the text ---- */

/* Filters have line feeds alone there, and the one space behind the colon is not theirs unless they
 * ask for it: so does Sendmail. */
static void put_field(const struct member *m, struct milter_writer *w, const void *what)
{
    const struct mail_field *field = what;
    struct span value = field->value;
    bool is_spaced = (terms(m)->protocol & MILTER_LEADING_SPACE) != 0;
    if (!is_spaced && value.size > 0 && value.data[0] == ' ')
        span_skip(&value, 1);
    milter_frame_put_text(w, field->name);
    for (const char *cr; (cr = memchr(value.data, '\r', value.size)) != NULL;) {
        milter_frame_put(w, span_take(&value, (size_t)(cr - value.data)));
        span_skip(&value, 1);
    }
    milter_frame_put_text(w, value);
}

static void tell_fields(struct member *m)
{
    const struct fields *fields = m->chain->fields;
    while (m->state == MEMBER_HEADER && may_go_on(m)) {
        if (m->skips_header || m->next_field == fields_count(fields)) {
            m->state = MEMBER_BODY;
            tell(m, MILTER_COMMAND_EOH, NULL, NULL, NULL);
            return;
        }
        const struct mail_field field = fields_at(fields, m->next_field++);
        tell(m, MILTER_COMMAND_HEADER, NULL, put_field, &field);
    }
}

/* A piece of the body: copied behind what is put together where it is short, else from where it
 * lies. */
static void tell_piece(struct member *m, struct span piece)
{
    char head[MILTER_HEAD_SIZE];
    struct buffer *b = out(m);
    milter_frame_head(MILTER_COMMAND_BODY, piece.size, head);
    m->body_at += piece.size;
    if (piece.size <= COPY_MAX && buffer_append(b, span_make(head, sizeof head)) == 0) {
        if (buffer_append(b, piece) < 0)
            member_failed(m, "out of memory");
    } else {
        const struct span parts[] = {buffer_bytes(b), {head, sizeof head}, piece};
        milter_link_write(m->link, parts, 3);
        buffer_empty(b);
    }
    if (m->link != NULL)
        push(m, MILTER_COMMAND_BODY, milter_is_answered(terms(m), MILTER_COMMAND_BODY));
}

static void refuse_unreadable(struct milter_chain *c)
{
    const struct milter_answer a = {.verdict = MILTER_REFUSES,
                                    .code = 451,
                                    .is_failure = true,
                                    .reason = "the message that is held can't be read"};
    chain_refuse(c, &a, span_of(""));
}

/* Whole frames go, and what is left when the end of the body is known. Returns whether all of it
 * was told. */
static bool tell_body(struct member *m)
{
    struct milter_chain *c = m->chain;
    struct spool *body = chain_body(c);
    uint64_t size = spool_size(body);
    if (m->skips_body || !milter_is_told(terms(m), MILTER_COMMAND_BODY))
        return c->is_whole;
    while (m->link != NULL && m->body_at < size &&
           (c->is_whole || size - m->body_at >= MILTER_DATA_MAX)) {
        if (!may_go_on(m))
            return false;
        struct span piece =
            spool_read(body, m->body_at, loop_spare(c->worker->loop), MILTER_DATA_MAX);
        if (piece.data == NULL) {
            refuse_unreadable(c);
            return false;
        }
        tell_piece(m, piece);
    }
    return c->is_whole && m->link != NULL;
}

static void tell_text(struct member *m)
{
    if (m->state == MEMBER_ENVELOPE) {
        m->state = MEMBER_HEADER;
        m->next_field = 0;
        m->body_at = 0;
        m->skips_header = !milter_is_told(terms(m), MILTER_COMMAND_HEADER);
        m->skips_body = false;
    }
    if (m->state == MEMBER_HEADER)
        tell_fields(m);
    if (m->state != MEMBER_BODY || !tell_body(m) || !may_go_on(m))
        return;
    m->state = MEMBER_END;
    member_begin_wait(m);
    tell(m, MILTER_COMMAND_END, NULL, NULL, NULL);
}

void member_tell(struct member *m, size_t limit, bool may_see_text)
{
    if (m->link == NULL || !milter_link_is_open(m->link))
        return;
    tell_questions(m, limit);
    if (may_see_text && m->link != NULL && m->state != MEMBER_OUT && !m->chain->is_over)
        tell_text(m);
    if (m->link != NULL)
        flush(m);
    buffer_empty(out(m));
    member_set_deadline(m);
}
