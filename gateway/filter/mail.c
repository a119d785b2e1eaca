#include "filter/mail_state.h"

#include "auth/aliases.h"
#include "base/arena.h"
#include "base/clock.h"
#include "message/header_addresses.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    ARENA_MAX = 1024 * 1024,
    FIELDS_MAX = 32,
    AFTER_MAX = 64,
    REFERENCE_SIZE = ID_SIZE + CONTACT_MAX + 4
};

/* ---- life ---- */

void mail_client_begin(struct filter *f, const struct address *address, struct mail_client *out)
{
    *out = (struct mail_client){.text = ""};
    id_next(&f->ids, clock_wall_ns(), out->session);
    if (address == NULL)
        return;
    out->address = *address;
    address_format(address, out->text);
    if (f->countries != NULL)
        countries_find(f->countries->bytes, address, out->country);
}

struct mail *mail_create(struct filter *f, const struct mail_client *client, struct span login,
                         struct span sender)
{
    struct mail *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->filter = f;
    m->policy = f->config->filter.policy_rules;
    m->client = client;
    m->arena = arena_create(ARENA_MAX);
    m->sender = m->arena == NULL ? NULL : arena_copy(m->arena, sender);
    if (m->sender == NULL) {
        mail_destroy(&m);
        return NULL;
    }
    m->begun_ns = loop_now(f->loop);
    id_next(&f->ids, clock_wall_ns(), m->id);
    (void)span_copy(login, m->given, sizeof m->given); /* cut: then it is nobody's name */
    if (login.size > 0 && aliases_account(f->aliases, login, f->config->auth.realm, m->account) < 0)
        m->account[0] = '\0';
    return m;
}

void mail_destroy(struct mail **mail)
{
    struct mail *m = *mail;
    *mail = NULL;
    if (m == NULL)
        return;
    decision_destroy(&m->decision);
    decider_give_back(m->filter->decider, &m->receipts);
    arena_destroy(&m->arena);
    free(m);
}

void mail_undo(struct mail *m)
{
    struct receipt *last = NULL, **end = &last;
    while (m->receipts != m->before_last) {
        *end = m->receipts;
        m->receipts = m->receipts->next;
        end = &(*end)->next;
    }
    *end = NULL;
    decider_give_back(m->filter->decider, &last);
}

/* ---- what is known, and told ---- */

const char *mail_account(const struct mail *m)
{
    return m->account[0] == '\0' ? NULL : m->account;
}

static const char *header(const void *owner, const char *name)
{
    return owner == NULL ? NULL : header_values_find(owner, name);
}

struct policy_facts mail_facts(const struct mail *m)
{
    const struct filter *f = m->filter;
    const struct mail_client *c = m->client;
    bool is_set = set_limits_version(f->set_limits.owner) != 0;
    return (struct policy_facts){.account = mail_account(m),
                                 .login = mail_account(m),
                                 .listener = FILTER_LISTENER,
                                 .sender = m->sender,
                                 .recipient = m->recipient,
                                 .client = c->address.size == 0 ? NULL : &c->address,
                                 .country = c->country[0] == '\0' ? NULL : c->country,
                                 .now_s = clock_wall_ns() / CLOCK_SECOND,
                                 .set_limits = is_set ? &f->set_limits : NULL,
                                 .recipients = m->recipients,
                                 .bytes = m->bytes,
                                 .delayed_us = m->delayed_us,
                                 .header = header,
                                 .header_owner = m->header_values,
                                 .credentials = KNOWN_UNSAID,
                                 .is_shared = c->address.size == 0 ||
                                              networks_hold(&f->config->shared, &c->address)};
}

void mail_event_fields(const struct mail *m, enum event event, const struct field *fields)
{
    struct field all[FIELDS_MAX] = {
        field_text(KEY_session, m->client->session), field_text(KEY_listener, FILTER_LISTENER),
        field_text(KEY_client, m->client->text), field_text(KEY_account, m->account)};
    size_t count = 4;
    if (!event_is_logged(m->filter->log, event))
        return;
    for (; fields->kind != FIELD_END && count < FIELDS_MAX - 1; fields++)
        all[count++] = *fields;
    all[count].kind = FIELD_END;
    log_event_fields(m->filter->log, event, all);
}

void mail_refuse(const struct mail_client *client, const struct config *config,
                 enum smtp_reply_name name, const char *argument, struct mail_answer *out)
{
    char reference[REFERENCE_SIZE];
    struct buffer line = {.limit = 2 * SMTP_REPLY_LINE_MAX};
    const char *contact = config->contact;
    if (client != NULL)
        (void)snprintf(reference, sizeof reference, "%s%s%s", client->session,
                       contact[0] == '\0' ? "" : "; ", contact); /* fits */
    *out = (struct mail_answer){.code = smtp_reply_code(name)};
    if (smtp_reply_append(name, argument, client == NULL ? NULL : reference, &line) == 0) {
        struct span text = buffer_bytes(&line);
        text.size -= 2; /* its CRLF */
        (void)span_split(&text, ' ');
        (void)span_copy(span_split(&text, ' '), out->enhanced, sizeof out->enhanced); /* fits */
        (void)span_copy(text, out->text, sizeof out->text);                           /* fits */
    }
    buffer_clear(&line);
}

void mail_say(struct mail *m, enum smtp_reply_name name, const char *argument)
{
    mail_refuse(m->client, m->filter->config, name, argument, &m->answer);
}

bool mail_is_suspended(const struct mail *m, char text[SUSPENSION_TEXT_SIZE])
{
    const struct guessing *g = &m->filter->guessing;
    struct ban b;
    if (mail_account(m) == NULL || !bans_have_suspensions(g->bans) ||
        bans_suspension(g->bans, guessing_account(g->key, m->account), clock_wall_ns(), &b) ==
            SUSPENSION_LIFTED)
        return false;
    suspension_format(&b, text);
    return true;
}

/* ---- questions ---- */

void mail_ask_sender(struct mail *m, mail_fn *fn, void *owner)
{
    mail_begin(m, NULL, fn, owner);
    if (mail_is_welcome(m))
        mail_ask(m, STAGE_MAIL);
    else
        mail_tell(m);
}

void mail_ask_recipient(struct mail *m, struct span address, mail_fn *fn, void *owner)
{
    const char *recipient = arena_copy(m->arena, address);
    mail_begin(m, recipient, fn, owner);
    if (recipient != NULL) {
        mail_ask(m, STAGE_RCPT);
        return;
    }
    mail_say(m, SMTP_REPLY_policy_away, NULL); /* more of them than a message has room for */
    mail_tell(m);
}

void mail_ask_data(struct mail *m, mail_fn *fn, void *owner)
{
    mail_begin(m, NULL, fn, owner);
    mail_ask(m, STAGE_DATA);
}

/* Returns 0, or -1 without memory. */
static int read_values(struct mail *m, struct span headers)
{
    const struct text_list *names = &m->policy->headers;
    if (names->count == 0)
        return 0;
    m->header_values = arena_alloc(m->arena, sizeof *m->header_values);
    if (m->header_values == NULL)
        return -1;
    header_values_init(m->header_values, names->items, names->count);
    header_values_take(m->header_values, headers);
    return 0;
}

void mail_ask_headers(struct mail *m, struct span headers, mail_fn *fn, void *owner)
{
    mail_begin(m, NULL, fn, owner);
    if (mail_has_good_authors(m, headers) && read_values(m, headers) < 0)
        mail_say(m, SMTP_REPLY_policy_away, NULL);
    mail_tell(m);
}

bool mail_wants_header(const struct policy *p, const char *name)
{
    bool wants = false;
    for (size_t i = 0; i < p->headers.count; i++)
        wants = wants || strcasecmp(name, p->headers.items[i]) == 0;
    for (size_t i = 0; p->sender.header == SENDER_OWN && i < AUTHOR_FIELDS; i++)
        wants = wants || strcasecmp(name, author_names[i]) == 0;
    return wants;
}

void mail_ask_end(struct mail *m, uint64_t bytes, mail_fn *fn, void *owner)
{
    mail_begin(m, NULL, fn, owner);
    m->bytes = bytes;
    if (mail_is_free(m))
        mail_ask(m, STAGE_END);
    else
        mail_tell(m);
}

/* ---- afterwards ---- */

void mail_count(struct mail *m, enum policy_after what, const char *recipient, bool is_bad)
{
    struct counter_settle settles[AFTER_MAX];
    struct policy_facts facts = mail_facts(m);
    struct decision *x = decision_create(m->filter->decider); /* its memory is what is needed */
    facts.recipient = recipient;
    if (x == NULL)
        return;
    size_t count = policy_after(m->policy, what, &facts, is_bad, x->arena, settles, AFTER_MAX);
    if (count > 0)
        decider_settle(m->filter->decider, settles, count);
    decision_destroy(&x);
}

void mail_delayed(struct mail *m, int64_t ns)
{
    m->delayed_us += ns / 1000;
    m->due_ns = 0;
}

void mail_leave(struct mail *m)
{
    m->receipts = m->before_last = NULL; /* they are the arena's */
    for (const struct accepted *a = m->first; a != NULL; a = a->next)
        mail_count(m, AFTER_MESSAGE, a->address, false);
    m->first = NULL;
}

void mail_keep(struct mail *m, const char *queue)
{
    mail_leave(m);
    mail_event(m, EVENT_message_accepted, field_text(KEY_message, m->id),
               field_text(KEY_sender, m->sender[0] == '\0' ? "<>" : m->sender),
               field_number(KEY_recipients, (int64_t)m->recipients), field_text(KEY_queue, queue),
               m->bytes == 0 ? field_text(KEY_bytes, "")
                             : field_number(KEY_bytes, (int64_t)m->bytes),
               field_seconds(KEY_duration, loop_now(m->filter->loop) - m->begun_ns));
}

/* RFC 3463: there is no such mailbox, or none any more. */
static bool is_nobody(struct span status)
{
    return span_starts_nocase(status, "5.1.") || span_equals(status, "5.2.1");
}

void mail_refused_recipient(struct mail *m, struct span address, struct span status)
{
    char recipient[ACCOUNT_SIZE];
    (void)span_copy(address, recipient, sizeof recipient); /* cut to fit */
    if ((m->policy->counts >> LIMIT_REJECTED_RECIPIENTS & 1) != 0)
        mail_count(m, AFTER_ATTEMPT, recipient, is_nobody(status));
}
