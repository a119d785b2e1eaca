/* Who sends a message: whether he may at all, and under the names that it says. */
#include "filter/mail_state.h"

#include "auth/authors.h"
#include "base/clock.h"
#include "policy/verdict_text.h"

#include <stdio.h>

/* Who has logged in by a name that can be nobody's account is nobody whom rules could hold. */
static bool is_named(struct mail *m)
{
    if (m->given[0] == '\0' || m->account[0] != '\0')
        return true;
    mail_event(m, EVENT_message_refused, field_text(KEY_message, m->id),
               field_text(KEY_sender, m->sender), field_text(KEY_login, m->given),
               field_text(KEY_reason, "the login is no name of an account; an alias may map it"));
    mail_say(m, SMTP_REPLY_limit_reject, "Your login is no name of an account here");
    return false;
}

bool mail_is_free(struct mail *m)
{
    char text[SUSPENSION_TEXT_SIZE];
    if (!mail_is_suspended(m, text))
        return true;
    mail_say(m, SMTP_REPLY_sending_suspended, text);
    mail_event(m, EVENT_message_refused, field_text(KEY_message, m->id),
               field_text(KEY_sender, m->sender), field_number(KEY_code, m->answer.code),
               field_text(KEY_reason, "suspended"));
    return false;
}

/* Who has logged in is spared where a rule has banned his address for what strangers did there; not
 * where it is his own account there: he may be who has guessed its password. */
static bool is_banned(const struct mail *m, struct ban_verdict *out)
{
    const struct guessing *g = &m->filter->guessing;
    const struct address *client = &m->client->address;
    const char *account = mail_account(m);
    int64_t now = clock_wall_ns();
    if (client->size == 0)
        return false;
    if (!networks_hold(&m->filter->config->shared, client) &&
        bans_hold(g->bans, client, 0, now, out) && (account == NULL || !out->spares_known))
        return true;
    return account != NULL &&
           bans_hold(g->bans, client, guessing_account(g->key, account), now, out);
}

/* Sent away as at the gateway's door. */
static bool is_not_banned(struct mail *m)
{
    struct ban_verdict ban;
    char text[BAN_TEXT_SIZE];
    if (!is_banned(m, &ban))
        return true;
    ban_format(&m->client->address, ban.until_ns, text);
    mail_say(m, SMTP_REPLY_greeting_banned, text);
    mail_event(m, EVENT_message_refused, field_text(KEY_message, m->id),
               field_text(KEY_sender, m->sender), field_number(KEY_code, m->answer.code),
               field_text(KEY_reason, "banned"));
    return false;
}

static void log_access(struct mail *m, const struct access_refusal *r, const char *verdict,
                       char text[VERDICT_TEXT_SIZE])
{
    mail_event(m, EVENT_decision, field_text(KEY_message, m->id), field_text(KEY_sender, m->sender),
               field_text(KEY_rule, r->rule->name), field_text(KEY_verdict, verdict),
               field_text(KEY_country, m->client->country),
               field_text(KEY_reason, access_text(r, text, VERDICT_TEXT_SIZE)));
}

static void log_monitored_access(void *owner, const struct access_refusal *r)
{
    char text[VERDICT_TEXT_SIZE];
    log_access(owner, r, "monitor", text);
}

static bool is_let_in(struct mail *m)
{
    const struct policy_facts facts = mail_facts(m);
    char text[VERDICT_TEXT_SIZE];
    struct access_refusal refusal;
    if (access_allows(m->policy, &facts, log_monitored_access, m, &refusal))
        return true;
    log_access(m, &refusal, "reject", text);
    mail_say(m, SMTP_REPLY_limit_reject, text);
    return false;
}

/* Whose addresses are looked at. */
static bool has_author(const struct mail *m)
{
    const struct policy_facts facts = mail_facts(m);
    return facts.account != NULL && sender_is_for(&m->policy->sender, &facts);
}

/* Logs what was found, and refuses unless it is only watched. */
static bool is_good(struct mail *m, const struct sender_finding *f, enum smtp_reply_name name)
{
    bool is_monitored = policy_sender_is_monitored(m->policy);
    char key[ACCOUNT_SIZE + 8], text[SENDER_TEXT_SIZE];
    if (f->fault == SENDER_GOOD)
        return true;
    (void)snprintf(key, sizeof key, "sender %s",
                   f->fault == SENDER_FOREIGN ? f->address : f->where); /* cut to fit */
    mail_event(m, EVENT_decision, field_text(KEY_message, m->id), field_text(KEY_sender, m->sender),
               field_text(KEY_rule, "sender"),
               field_text(KEY_verdict, is_monitored ? "monitor" : "reject"),
               field_text(KEY_key, key), field_text(KEY_reason, sender_text(f, m->account, text)));
    if (!is_monitored)
        mail_say(m, name, text);
    return is_monitored;
}

static bool is_own(struct mail *m)
{
    const struct author whose = {&m->policy->sender, m->account};
    char address[ACCOUNT_SIZE];
    struct sender_finding found;
    if (m->policy->sender.envelope == SENDER_ANY || !has_author(m))
        return true;
    authors_look_at_envelope(&whose, span_of(m->sender), address, &found);
    return is_good(m, &found, SMTP_REPLY_sender_not_own);
}

bool mail_is_welcome(struct mail *m)
{
    return is_named(m) && is_not_banned(m) && mail_is_free(m) && is_let_in(m) && is_own(m);
}

bool mail_has_good_authors(struct mail *m, struct span headers)
{
    const struct author whose = {&m->policy->sender, m->account};
    struct sender_finding found;
    struct authors authors;
    if (m->policy->sender.header == SENDER_ANY || !has_author(m))
        return true;
    authors_begin(&authors, &whose);
    authors_take(&authors, headers);
    authors_end(&authors, &found);
    return is_good(m, &found, SMTP_REPLY_author_not_own);
}
