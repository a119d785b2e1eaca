/* Who may send as whom: the policy's rule is asked at MAIL, and when the headers are over; for both
 * then, where the headers name the account. */
#include "auth/account.h"
#include "base/arena.h"
#include "message/header_addresses.h"
#include "session/policy.h"
#include "session/smtp.h"

#include <stdio.h>

/* What is read of a message's headers, in its arena. */
struct smtp_authors {
    const struct smtp_session *session;
    struct header_addresses header;
    bool is_foreign; /* one of the addresses isn't the account's: the first */
    enum author_field field;
    char address[ACCOUNT_SIZE];
};

/* NULL: nobody asks. */
static const struct sender_rule *rule_of(const struct smtp_session *s)
{
    const struct policy *p = s->base.listener->policy_rules;
    return p == NULL ? NULL : &p->sender;
}

static bool is_for(const struct smtp_session *s)
{
    const struct policy_facts f = session_facts(&s->base);
    return sender_is_for(rule_of(s), &f);
}

/* As it is compared. What can't be compared is nobody's, and is told as it is. */
static bool is_own(const struct smtp_session *s, struct span address, char out[ACCOUNT_SIZE])
{
    size_t size = account_address(address, out);
    if (size == 0)
        (void)span_copy(address, out, ACCOUNT_SIZE); /* cut to fit */
    return size > 0 &&
           sender_is_own(rule_of(s), span_of(session_account(&s->base)), span_make(out, size));
}

/* Logs what was found. Returns whether the message is refused for it, and why. */
static bool is_refused(struct smtp_session *s, const struct sender_finding *f, const char *sender,
                       char text[SENDER_TEXT_SIZE])
{
    bool is_monitored = policy_sender_is_monitored(s->base.listener->policy_rules);
    char key[ACCOUNT_SIZE + 8];
    if (f->fault == SENDER_GOOD)
        return false;
    (void)snprintf(key, sizeof key, "sender %s",
                   f->fault == SENDER_FOREIGN ? f->address : f->where); /* cut to fit */
    session_event(&s->base, EVENT_decision,
                  field_text(KEY_message, s->transaction == NULL ? "" : s->transaction->id),
                  field_text(KEY_sender, sender), field_text(KEY_rule, "sender"),
                  field_text(KEY_verdict, is_monitored ? "monitor" : "reject"),
                  field_text(KEY_key, key),
                  field_text(KEY_reason, sender_text(f, session_account(&s->base), text)));
    if (!is_monitored)
        session_add(&s->base, COUNTER_senders_refused, 1);
    return !is_monitored;
}

/* ---- the envelope ---- */

static void keep(void *owner, struct span address)
{
    (void)span_copy(address, owner, ACCOUNT_SIZE); /* cut to fit: then it is nobody's */
}

/* The same address is written in one way, as in headers. */
static void look_at_envelope(const struct smtp_session *s, struct span sender,
                             char address[ACCOUNT_SIZE], struct sender_finding *out)
{
    struct addresses a;
    char plain[ACCOUNT_SIZE];
    *out = (struct sender_finding){.where = "MAIL FROM", .address = address};
    if (sender.size == 0)
        return;
    addresses_begin(&a, keep, plain);
    addresses_take(&a, sender);
    bool is_plain = addresses_end(&a) == NULL;
    if (!is_own(s, is_plain ? span_of(plain) : sender, address) || !is_plain)
        out->fault = SENDER_FOREIGN;
}

bool smtp_sender_mail(struct smtp_session *s, const struct smtp_event *event,
                      char text[SENDER_TEXT_SIZE])
{
    const struct sender_rule *r = rule_of(s);
    char address[ACCOUNT_SIZE], sender[ACCOUNT_SIZE];
    struct sender_finding found;
    if (r == NULL || r->envelope == SENDER_ANY || smtp_trusted_header(s) != NULL || !is_for(s))
        return true;
    look_at_envelope(s, event->path.address, address, &found);
    (void)span_copy(event->path.address, sender, sizeof sender); /* cut to fit */
    return !is_refused(s, &found, sender, text);
}

/* ---- the headers ---- */

static void look_at_author(void *owner, enum author_field field, struct span address)
{
    struct smtp_authors *a = owner;
    if (a->is_foreign || is_own(a->session, address, a->address))
        return;
    a->is_foreign = true;
    a->field = field;
}

int smtp_sender_begin(struct smtp_session *s)
{
    const struct sender_rule *r = rule_of(s);
    struct transaction *t = s->transaction;
    bool is_known = t->account_header == NULL;
    if (r == NULL || (r->header == SENDER_ANY && (is_known || r->envelope == SENDER_ANY)) ||
        (is_known && !is_for(s)))
        return 0;
    t->authors = arena_alloc(t->arena, sizeof *t->authors);
    if (t->authors == NULL)
        return -1;
    t->authors->session = s;
    header_addresses_begin(&t->authors->header, look_at_author, t->authors);
    return 0;
}

void smtp_sender_take(struct smtp_session *s, struct span headers)
{
    struct smtp_authors *a = s->transaction->authors;
    if (a != NULL && rule_of(s)->header == SENDER_OWN)
        header_addresses_take(&a->header, headers);
}

static void look_at_headers(struct smtp_authors *a, struct sender_finding *out)
{
    const struct header_addresses *h = &a->header;
    *out = (struct sender_finding){.where = "From"};
    header_addresses_end(&a->header);
    if (h->wrong != NULL)
        *out = (struct sender_finding){
            .fault = SENDER_UNREADABLE, .where = author_names[h->wrong_field], .wrong = h->wrong};
    else if (h->count[AUTHOR_FROM] != 1)
        out->fault = h->count[AUTHOR_FROM] == 0 ? SENDER_MISSING : SENDER_REPEATED;
    else if (a->is_foreign)
        *out = (struct sender_finding){
            .fault = SENDER_FOREIGN, .where = author_names[a->field], .address = a->address};
}

bool smtp_sender_headers(struct smtp_session *s, char text[SENDER_TEXT_SIZE])
{
    struct transaction *t = s->transaction;
    const struct sender_rule *r = rule_of(s);
    struct sender_finding found = {.fault = SENDER_GOOD};
    char address[ACCOUNT_SIZE];
    if (t->authors == NULL || (t->is_named && !is_for(s)))
        return true;
    if (t->is_named && r->envelope == SENDER_OWN)
        look_at_envelope(s, span_of(t->sender), address, &found);
    if (found.fault == SENDER_GOOD && r->header == SENDER_OWN)
        look_at_headers(t->authors, &found);
    return !is_refused(s, &found, t->sender, text);
}
