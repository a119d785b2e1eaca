/* Who may send as whom: the policy's rule is asked at MAIL, and when the headers are over; for both
 * then, where the headers name the account. */
#include "auth/authors.h"
#include "base/arena.h"
#include "session/policy.h"
#include "session/smtp.h"

#include <stdio.h>

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

static struct author author_of(const struct smtp_session *s)
{
    return (struct author){rule_of(s), session_account(&s->base)};
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

bool smtp_sender_mail(struct smtp_session *s, const struct smtp_event *event,
                      char text[SENDER_TEXT_SIZE])
{
    const struct sender_rule *r = rule_of(s);
    char address[ACCOUNT_SIZE], sender[ACCOUNT_SIZE];
    struct sender_finding found;
    const struct author whose = author_of(s);
    if (r == NULL || r->envelope == SENDER_ANY || smtp_trusted_header(s) != NULL || !is_for(s))
        return true;
    authors_look_at_envelope(&whose, event->path.address, address, &found);
    (void)span_copy(event->path.address, sender, sizeof sender); /* cut to fit */
    return !is_refused(s, &found, sender, text);
}

/* ---- the headers ---- */

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
    const struct author whose = author_of(s);
    authors_begin(t->authors, &whose);
    return 0;
}

void smtp_sender_take(struct smtp_session *s, struct span headers)
{
    struct authors *a = s->transaction->authors;
    if (a == NULL || rule_of(s)->header != SENDER_OWN)
        return;
    a->whose.account = session_account(&s->base); /* whom the headers may have named */
    authors_take(a, headers);
}

const char *smtp_sender_author(const struct transaction *t)
{
    return t->authors == NULL ? "" : t->authors->address;
}

bool smtp_sender_headers(struct smtp_session *s, char text[SENDER_TEXT_SIZE])
{
    struct transaction *t = s->transaction;
    const struct sender_rule *r = rule_of(s);
    struct sender_finding found = {.fault = SENDER_GOOD};
    const struct author whose = author_of(s);
    char address[ACCOUNT_SIZE];
    if (t->authors == NULL || (t->is_named && !is_for(s)))
        return true;
    if (t->is_named && r->envelope == SENDER_OWN)
        authors_look_at_envelope(&whose, span_of(t->sender), address, &found);
    if (found.fault == SENDER_GOOD && r->header == SENDER_OWN)
        authors_end(t->authors, &found);
    return !is_refused(s, &found, t->sender, text);
}
