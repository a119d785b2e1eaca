/* What milters have made of a message's envelope, and that it is to be held back: done to it before
 * it goes up. */
#include "base/arena.h"
#include "session/policy.h"
#include "session/smtp_filter.h"
#include "session/smtp_held.h"

#include <stdio.h>

static bool is_edited(const struct milter_edits *e)
{
    return e->sender != NULL || e->recipient_count > 0;
}

/* In front of all else, so that readers and rules find it. Returns 0, or -1: there is no room. */
static int mark_quarantined(struct smtp_session *s, const struct milter_edits *e)
{
    char value[VERDICT_TEXT_SIZE];
    (void)snprintf(value, sizeof value, "%s: %s", e->quarantined_by,
                   e->quarantine); /* may be cut */
    session_event(&s->base, EVENT_quarantined, field_text(KEY_message, s->transaction->id),
                  field_text(KEY_milter, e->quarantined_by), field_text(KEY_reason, e->quarantine));
    return fields_insert(s->transaction->held->fields, 0, span_of("X-Porteiro-Quarantine"),
                         span_of(value), false);
}

static bool is_same(const char *a, const char *b)
{
    const char *at = strrchr(a, '@');
    size_t local = at == NULL ? strlen(a) : (size_t)(at - a);
    return strncmp(a, b, local) == 0 && span_equals_nocase(span_of(a + local), b + local);
}

static void remove_recipient(struct transaction *t, const char *address)
{
    for (struct recipient *r = t->first; r != NULL; r = r->next)
        if (r->state == RECIPIENT_ACCEPTED && is_same(r->address, address)) {
            r->state = RECIPIENT_REMOVED;
            t->accepted--;
        }
}

static bool has_recipient(const struct transaction *t, const char *address)
{
    for (const struct recipient *r = t->first; r != NULL; r = r->next)
        if (r->state == RECIPIENT_ACCEPTED && is_same(r->address, address))
            return true;
    return false;
}

/* Of parameters as a milter gives them, the value of one; "" where there is none. */
static const char *parameter(struct transaction *t, const char *parameters, const char *name)
{
    struct span rest = span_of(parameters == NULL ? "" : parameters);
    while (rest.size > 0) {
        struct span value = span_split(&rest, ' '), key = span_split(&value, '=');
        if (span_equals_nocase(key, name))
            return arena_copy(t->arena, value);
    }
    return "";
}

/* It counts as accepted, and is asked upstream with the others: refused there, it fails the
 * message. Returns 0, or -1 without memory. */
static int add_recipient(struct transaction *t, const struct milter_recipient *m)
{
    if (has_recipient(t, m->address))
        return 0;
    struct recipient *r = arena_alloc(t->arena, sizeof *r);
    if (r == NULL)
        return -1;
    r->state = RECIPIENT_ACCEPTED;
    r->address = arena_copy(t->arena, span_of(m->address));
    r->notify = parameter(t, m->parameters, "NOTIFY");
    r->orcpt = parameter(t, m->parameters, "ORCPT");
    if (r->address == NULL || r->notify == NULL || r->orcpt == NULL)
        return -1;
    *t->last = r;
    t->last = &r->next;
    t->accepted++;
    return 0;
}

/* Returns 0, or -1 without memory. */
static int change_envelope(struct transaction *t, const struct milter_edits *e)
{
    int failed = 0;
    if (e->sender != NULL) {
        t->sender = arena_copy(t->arena, span_of(e->sender));
        failed |= t->sender == NULL ? -1 : 0;
    }
    for (size_t i = 0; !failed && i < e->recipient_count; i++) {
        const struct milter_recipient *m = &e->recipients[i];
        if (m->is_removed)
            remove_recipient(t, m->address);
        else
            failed = add_recipient(t, m);
    }
    return failed;
}

static void give_up(struct smtp_session *s)
{
    smtp_give_up(s);
    smtp_continue(s);
}

void smtp_filter_passed(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    const struct milter_edits *e = milter_chain_edits(s->milters);
    if (e->quarantine != NULL && mark_quarantined(s, e) < 0) {
        t->refusal = smtp_own_text(s, SMTP_REPLY_no_room, NULL, &t->refusal_code);
        smtp_final_refused(s, "no room to mark it as quarantined");
    } else if (change_envelope(t, e) < 0)
        give_up(s);
    else if (t->accepted == 0)
        smtp_final_discarded(s); /* they have taken away all whom it was for */
    else
        smtp_held_send(s, e->body, is_edited(e));
}
