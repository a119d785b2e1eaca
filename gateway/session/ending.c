#include "session/ending.h"

static const struct {
    enum smtp_reply_name smtp;
    enum pop3_reply_name pop3;
    bool is_at_once;
    const char *text;
} endings[] = {
    [ENDING_none] = {SMTP_REPLY_shutting_down, POP3_REPLY_shutting_down, false, "shutting down"},
#define ENDING(name, is_at_once, help) \
    [ENDING_##name] = {SMTP_REPLY_##name, POP3_REPLY_##name, is_at_once, #name},
#include "ipc/endings.def"
#undef ENDING
};

enum smtp_reply_name ending_smtp_reply(const struct session *s)
{
    return endings[s->ending].smtp;
}

enum pop3_reply_name ending_pop3_reply(const struct session *s)
{
    return endings[s->ending].pop3;
}

const char *ending_text(const struct session *s)
{
    return endings[s->ending].text;
}

bool ending_is_at_once(const struct session *s)
{
    return endings[s->ending].is_at_once;
}

/* ---- by order ---- */

struct order {
    const struct message_end_sessions *message;
    enum ending why;
    struct network network; /* of END_OF_NETWORK */
    char who[END_WHO_SIZE], text[END_TEXT_SIZE];
};

static bool is_meant(const struct order *o, const struct session *s)
{
    switch ((enum end_of)o->message->of) {
    case END_OF_ACCOUNT: return s->account != NULL && strcmp(s->account, o->who) == 0;
    case END_OF_NETWORK: return network_holds(&o->network, &s->client_address);
    case END_OF_SESSION: return strcmp(s->id, o->who) == 0;
    }
    return false;
}

static void end_if_meant(void *owner, struct session *s)
{
    const struct order *o = owner;
    if (is_meant(o, s))
        session_ask_to_end(s, o->why, o->text);
}

void end_sessions(struct registry *r, const struct message_end_sessions *m)
{
    struct order o = {.message = m, .why = (enum ending)m->why};
    struct error why;
    (void)span_copy(span_make(m->who, strnlen(m->who, sizeof m->who)), o.who, sizeof o.who);
    (void)span_copy(span_make(m->text, strnlen(m->text, sizeof m->text)), o.text, sizeof o.text);
    bool is_good = m->why > ENDING_none && m->why < ENDING_COUNT && o.who[0] != '\0' &&
                   (m->of != END_OF_NETWORK || network_parse(o.who, &o.network, &why) == 0);
    if (is_good)
        registry_each(r, end_if_meant, &o);
}
