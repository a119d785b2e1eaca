#include "control/explaining_doors.h"

#include "base/clock.h"
#include "message/header_addresses.h"
#include "policy/ownership.h"

#include <stdio.h>

enum { WHY_SIZE = 320 };

void explaining_tell_row(struct explaining_teller *t, json_t *row)
{
    if (row != NULL)
        t->tell(t->owner, row);
    json_decref(row);
}

/* What is looked at, and what becomes of it. */
struct looked_at {
    const char *rule, *stage, *verdict, *why;
    const struct place *place; /* NULL: it stands nowhere */
    bool refuses;
};

static void tell(const struct explanation *e, struct explaining_teller *t,
                 const struct looked_at *f)
{
    char at[PLACE_SIZE] = "";
    bool decides = f->refuses && !t->is_over;
    t->is_over = t->is_over || decides;
    if (f->place != NULL && f->place->file != NULL)
        (void)place_format(f->place, at);
    if (decides)
        (void)snprintf(t->text, EXPLAINED_TEXT_SIZE, "%s is refused at %s (%s) by %s: %s",
                       e->account, e->listener->name, f->stage, f->rule, f->why); /* cut to fit */
    explaining_tell_row(t, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "rule", f->rule, "stage",
                                     f->stage, "verdict", f->verdict, "why", f->why, "where", at,
                                     "decides", decides));
}

/* ---- the door ---- */

/* As session/guard looks at it: of the address, and of who logs in there. */
static bool is_banned(const struct explanation *e, struct ban_verdict *out, bool *is_at_door)
{
    const struct suspending *s = e->from->suspending;
    const int64_t remembered_ns = e->from->lists.config->auth.remember_networks_ms * CLOCK_MS;
    const char *login = e->facts.login;
    int64_t now = clock_wall_ns();
    bool is_of_all = !e->facts.is_shared && bans_hold(s->bans, &e->client, 0, now, out);
    *is_at_door = is_of_all && !(out->spares_known && known_has(e->from->known, s->key, NULL,
                                                                &e->client, remembered_ns, now));
    bool is_hit =
        is_of_all || bans_hold(s->bans, &e->client, guessing_account(s->key, login), now, out);
    return is_hit && !(out->spares_known &&
                       known_has(e->from->known, s->key, login, &e->client, remembered_ns, now));
}

static void tell_ban(const struct explanation *e, struct explaining_teller *t)
{
    struct ban_verdict ban;
    char until[BAN_END_SIZE], why[BAN_END_SIZE + 40] = "";
    bool is_at_door, is_hit = is_banned(e, &ban, &is_at_door);
    if (is_hit) {
        ban_format_end(ban.until_ns, until);
        (void)snprintf(why, sizeof why, "banned until %s", until); /* fits */
    }
    const struct looked_at f = {.rule = "bans",
                                .stage = is_hit && !is_at_door ? "login" : "connect",
                                .verdict = is_hit ? "defer" : "pass",
                                .why = why,
                                .refuses = is_hit};
    tell(e, t, &f);
}

static void tell_crowd(const struct explanation *e, struct explaining_teller *t, const char *rule,
                       size_t are, int64_t max)
{
    char why[64];
    bool is_full = are >= (uint64_t)max;
    (void)snprintf(why, sizeof why, "%zu of %lld are there", are, (long long)max); /* fits */
    const struct looked_at f = {.rule = rule,
                                .stage = "connect",
                                .verdict = is_full ? "defer" : "pass",
                                .why = why,
                                .refuses = is_full};
    tell(e, t, &f);
}

void explaining_tell_door(const struct explanation *e, struct explaining_teller *t)
{
    const struct config *c = e->from->lists.config;
    if (e->facts.client == NULL)
        return;
    tell_ban(e, t);
    tell_crowd(e, t, "max_connections", session_count(&e->from->sessions, -1), c->max_connections);
    if (!e->facts.is_shared)
        tell_crowd(e, t, "max_connections_per_ip",
                   session_count_network(&e->from->sessions, network_number(&e->client)),
                   c->max_connections_per_ip);
}

/* ---- suspensions ---- */

/* Is one of them, of whom the second may be the first? */
static void tell_suspension(const struct explanation *e, struct explaining_teller *t,
                            const char *const accounts[2], const char *stage)
{
    const struct suspending *s = e->from->suspending;
    char why[BAN_REASON_SIZE + 32] = "";
    enum suspension is = SUSPENSION_LIFTED;
    for (size_t i = 0; i < 2 && is == SUSPENSION_LIFTED; i++) {
        struct ban b;
        is = bans_suspension(s->bans, guessing_account(s->key, accounts[i]), clock_wall_ns(), &b);
        if (is != SUSPENSION_LIFTED)
            (void)snprintf(why, sizeof why, "%s%s%s", is == SUSPENSION_ALL ? "all" : "sending",
                           b.reason[0] == '\0' ? "" : ": ", b.reason); /* fits */
    }
    bool is_at_login = strcmp(stage, "login") == 0;
    bool is_hit = is == SUSPENSION_ALL || (is == SUSPENSION_SENDING && !is_at_login);
    const struct looked_at f = {.rule = "suspension",
                                .stage = stage,
                                .verdict = !is_hit       ? "pass"
                                           : is_at_login ? "defer"
                                                         : "reject",
                                .why = why,
                                .refuses = is_hit};
    tell(e, t, &f);
}

/* Of all that an account does its login is refused, before anything is counted for it. */
static bool is_suspended_at_login(const struct explanation *e)
{
    const struct suspending *s = e->from->suspending;
    return !e->is_unasked && bans_suspension(s->bans, guessing_account(s->key, e->facts.login),
                                             clock_wall_ns(), NULL) == SUSPENSION_ALL;
}

/* ---- from where ---- */

/* Where the headers name the account, what goes by it is looked at when they are over. */
static void tell_access(const struct explanation *e, struct explaining_teller *t, const char *stage,
                        bool is_late)
{
    const struct policy *p = e->listener->policy_rules;
    bool is_named_late = e->facts.account_state == ACCOUNT_HAS_COME;
    struct policy_facts facts = e->facts;
    facts.account_state = ACCOUNT_KNOWN;
    if (is_named_late && !is_late)
        facts.account = facts.login;
    for (size_t i = 0; p != NULL && i < p->access_count; i++) {
        struct access_refusal refusal = {.rule = &p->access[i]};
        char why[WHY_SIZE] = "";
        if (!refusal.rule->enabled ||
            (is_named_late && access_goes_by_account(refusal.rule) != is_late))
            continue;
        int outcome = access_judge(refusal.rule, &facts, &refusal.lack);
        bool refuses = outcome == 0 && !access_is_monitored(p, refusal.rule);
        if (outcome == 0)
            (void)access_text(&refusal, why, sizeof why);
        const struct looked_at f = {.rule = refusal.rule->name,
                                    .stage = stage,
                                    .verdict = outcome < 0   ? "skip"
                                               : outcome > 0 ? "pass"
                                               : refuses     ? "reject"
                                                             : "monitor",
                                    .why = outcome < 0 ? "when" : why,
                                    .place = &refusal.rule->place,
                                    .refuses = refuses};
        tell(e, t, &f);
    }
}

/* ---- as whom ---- */

struct authors {
    const struct explanation *e;
    bool is_foreign; /* one of the addresses isn't the account's: the first */
    enum author_field field;
    char address[ACCOUNT_SIZE];
};

/* As session/smtp_sender compares them. */
static bool is_own(const struct explanation *e, struct span given, char out[ACCOUNT_SIZE])
{
    size_t size = account_address(given, out);
    if (size == 0)
        (void)span_copy(given, out, ACCOUNT_SIZE); /* cut to fit */
    return size > 0 && sender_is_own(&e->listener->policy_rules->sender, span_of(e->account),
                                     span_make(out, size));
}

static void look_at_author(void *owner, enum author_field field, struct span address)
{
    struct authors *a = owner;
    if (a->is_foreign || is_own(a->e, address, a->address))
        return;
    a->is_foreign = true;
    a->field = field;
}

static void find_in_envelope(const struct explanation *e, char address[ACCOUNT_SIZE],
                             struct sender_finding *out)
{
    *out = (struct sender_finding){.where = "MAIL FROM", .address = address};
    if (e->facts.sender != NULL && e->sender[0] != '\0' && !is_own(e, span_of(e->sender), address))
        out->fault = SENDER_FOREIGN;
}

static void find_in_headers(struct authors *a, struct sender_finding *out)
{
    struct header_addresses h;
    header_addresses_begin(&h, look_at_author, a);
    header_addresses_take(&h, buffer_bytes(&a->e->headers));
    header_addresses_take(&h, span_of("\r\n"));
    header_addresses_end(&h);
    *out = (struct sender_finding){.where = "From"};
    if (h.wrong != NULL)
        *out = (struct sender_finding){
            .fault = SENDER_UNREADABLE, .where = author_names[h.wrong_field], .wrong = h.wrong};
    else if (h.count[AUTHOR_FROM] != 1)
        out->fault = h.count[AUTHOR_FROM] == 0 ? SENDER_MISSING : SENDER_REPEATED;
    else if (a->is_foreign)
        *out = (struct sender_finding){
            .fault = SENDER_FOREIGN, .where = author_names[a->field], .address = a->address};
}

static void tell_sender(const struct explanation *e, struct explaining_teller *t, const char *stage,
                        const struct sender_finding *found, const char *unknown)
{
    const struct policy *p = e->listener->policy_rules;
    char why[SENDER_TEXT_SIZE];
    bool is_for = sender_is_for(&p->sender, &e->facts);
    bool is_wrong = is_for && unknown[0] == '\0' && found->fault != SENDER_GOOD;
    bool refuses = is_wrong && !policy_sender_is_monitored(p);
    (void)sender_text(found, e->account, why);
    const struct looked_at f = {.rule = "sender",
                                .stage = stage,
                                .verdict = !is_for || unknown[0] != '\0' ? "skip"
                                           : !is_wrong                   ? "pass"
                                           : refuses                     ? "reject"
                                                                         : "monitor",
                                .why = !is_for              ? "when"
                                       : unknown[0] != '\0' ? unknown
                                       : is_wrong           ? why
                                                            : "",
                                .place = &p->sender.place,
                                .refuses = refuses};
    tell(e, t, &f);
}

static void tell_envelope(const struct explanation *e, struct explaining_teller *t,
                          const char *stage)
{
    const struct policy *p = e->listener->policy_rules;
    struct sender_finding found;
    char address[ACCOUNT_SIZE];
    if (p == NULL || p->sender.envelope == SENDER_ANY)
        return;
    find_in_envelope(e, address, &found);
    tell_sender(e, t, stage, &found, e->facts.sender == NULL ? "--from isn't given" : "");
}

static void tell_authors(const struct explanation *e, struct explaining_teller *t)
{
    const struct policy *p = e->listener->policy_rules;
    struct authors a = {.e = e};
    struct sender_finding found;
    if (p == NULL || p->sender.header == SENDER_ANY)
        return;
    find_in_headers(&a, &found);
    tell_sender(e, t, "headers", &found,
                buffer_bytes(&e->headers).size == 0 ? "--header \"From: ...\" isn't given" : "");
}

/* ---- moments of a session ---- */

void explaining_tell_login(const struct explanation *e, struct explaining_teller *t)
{
    const char *const who[2] = {e->facts.login, e->facts.login};
    if (is_suspended_at_login(e) || e->listener->role == ROLE_POP3)
        tell_suspension(e, t, who, "login");
    if (e->listener->role == ROLE_POP3)
        tell_access(e, t, "login", false);
}

void explaining_tell_mail(const struct explanation *e, struct explaining_teller *t)
{
    bool is_named_late = e->facts.account_state == ACCOUNT_HAS_COME;
    const char *const who[2] = {is_named_late ? e->facts.login : e->account, e->facts.login};
    if (!is_suspended_at_login(e))
        tell_suspension(e, t, who, "MAIL");
    tell_access(e, t, "MAIL", false);
    if (!is_named_late)
        tell_envelope(e, t, "MAIL");
}

void explaining_tell_headers(const struct explanation *e, struct explaining_teller *t)
{
    bool is_named_late = e->facts.account_state == ACCOUNT_HAS_COME;
    if (is_named_late)
        tell_envelope(e, t, "headers");
    tell_authors(e, t);
    if (is_named_late)
        tell_access(e, t, "end", true);
}

void explaining_tell_end(const struct explanation *e, struct explaining_teller *t)
{
    const char *const who[2] = {e->account, e->account};
    tell_suspension(e, t, who, "end");
}

/* ---- policy servers ---- */

void explaining_tell_delegates(const struct explanation *e, struct explaining_teller *t,
                               enum policy_stage stage)
{
    const struct policy *p = e->listener->policy_rules;
    for (size_t i = 0; p != NULL && i < p->delegate_count; i++) {
        const struct delegate_rule *r = &p->delegates[i];
        bool is_asked = match_holds(&r->when, &e->facts);
        bool is_excepted = !match_is_empty(&r->except) && match_holds(&r->except, &e->facts);
        if (!r->enabled || (r->stages >> stage & 1) == 0)
            continue;
        const struct looked_at f = {.rule = r->name,
                                    .stage = delegate_state(stage),
                                    .verdict = is_asked && !is_excepted ? "ask" : "skip",
                                    .why = !is_asked     ? "when"
                                           : is_excepted ? "except"
                                                         : r->address,
                                    .place = &r->place};
        tell(e, t, &f);
    }
}
