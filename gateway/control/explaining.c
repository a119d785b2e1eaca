#include "control/explaining.h"

#include "auth/aliases.h"
#include "base/clock.h"
#include "policy/figures.h"

#include <stdio.h>

enum { VERDICT_TEXT = 320 };

/* ---- whom it is about ---- */

static const struct listener_config *find_listener(const struct config *c, const char *name,
                                                   int role)
{
    const struct listener_config *first = NULL;
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener_config *l = &c->listeners[i];
        if (name[0] != '\0' ? strcmp(l->name, name) != 0 : l->role != role)
            continue;
        if (name[0] != '\0' || l->policy_rules != NULL)
            return l;
        first = first == NULL ? l : first;
    }
    return first;
}

static int choose_listener(struct explanation *e, const json_t *request, struct error *why)
{
    const struct config *c = e->from->lists.config;
    const char *protocol = order_text(request, "protocol"), *name = order_text(request, "listener");
    bool is_pop3 = strcmp(protocol, "pop3") == 0;
    if (!is_pop3 && protocol[0] != '\0' && strcmp(protocol, "smtp") != 0)
        return error_set(why, "\"%s\" is no protocol: write smtp or pop3", protocol);
    e->listener = find_listener(c, name, is_pop3 ? ROLE_POP3 : ROLE_SUBMISSION);
    if (e->listener == NULL && name[0] != '\0')
        return error_set(why, "\"%s\" is none of the listeners", name);
    if (e->listener == NULL)
        return error_set(why, "no listener speaks %s", is_pop3 ? "POP3" : "SMTP for submission");
    e->facts.listener = e->listener->name;
    return 0;
}

static int take_account(struct explanation *e, const json_t *request, struct error *why)
{
    const struct subject_lists *l = &e->from->lists;
    const char *word = order_text(request, "account");
    if (word[0] == '\0' || word[0] == '@' ||
        aliases_account(l->aliases, span_of(word), l->config->auth.realm, e->account) < 0)
        return error_set(why, "\"%s\" is no account; write one as --account ana@example.com", word);
    e->facts.account = e->facts.login = e->account;
    return 0;
}

static int take_client(struct explanation *e, const json_t *request, struct error *why)
{
    const struct subject_lists *l = &e->from->lists;
    const char *word = order_text(request, "ip");
    if (word[0] == '\0')
        return 0;
    if (address_make(word, 1, &e->client) < 0)
        return error_set(why, "\"%s\" is no address; write it as 192.0.2.7", word);
    e->facts.client = &e->client;
    e->facts.is_shared = networks_hold(&l->config->shared, &e->client);
    e->facts.is_exempt = bans_exempt(e->from->suspending->bans, &e->client, clock_wall_ns());
    if (l->countries != NULL)
        countries_find(l->countries->bytes, &e->client, e->country);
    e->facts.country = e->country[0] == '\0' ? NULL : e->country;
    return 0;
}

/* An address of a message; "<>" is the empty sender. */
static int take_address(const json_t *request, const char *key, char out[ACCOUNT_SIZE],
                        const char **fact, struct error *why)
{
    const char *word = order_text(request, key);
    if (word[0] == '\0')
        return 0;
    bool is_empty = strcmp(word, "<>") == 0;
    if (strlen(word) >= ACCOUNT_SIZE || (!is_empty && strchr(word, '@') == NULL))
        return error_set(why, "\"%.80s\" is no address; write --%s bob@example.net", word, key);
    (void)span_copy(span_of(is_empty ? "" : word), out, ACCOUNT_SIZE); /* fits */
    *fact = out;
    return 0;
}

int explaining_understand(const struct explaining *x, const json_t *request, struct explanation *e,
                          struct error *why)
{
    json_int_t at = json_integer_value(json_object_get(request, "at"));
    e->from = x;
    if (choose_listener(e, request, why) < 0 || take_account(e, request, why) < 0 ||
        take_client(e, request, why) < 0 ||
        take_address(request, "from", e->sender, &e->facts.sender, why) < 0 ||
        take_address(request, "to", e->recipient, &e->facts.recipient, why) < 0)
        return -1;
    e->facts.now_s = at > 0 ? at : clock_wall_ns() / CLOCK_SECOND;
    e->facts.set_limits = &x->set_limits;
    e->facts.recipients = e->facts.bytes = 1;
    return 0;
}

/* ---- counters ---- */

static bool is_asked_there(const struct explanation *e, const struct limit_rule *r)
{
    return e->listener->role == ROLE_SUBMISSION || r->stage < STAGE_MAIL;
}

/* What the listener's sessions never come to is left out. */
static size_t keep_asked(const struct explanation *e, struct policy_row *rows, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (is_asked_there(e, rows[i].rule))
            rows[kept++] = rows[i];
    return kept;
}

static int add_rows(struct explanation *e, struct policy_call *call, const struct policy *p)
{
    if (p == NULL)
        return 0;
    if (p->limit_count > EXPLAINED_ROWS_MAX - e->count)
        return -1;
    int count = policy_explain(call, p, &e->facts, e->rows + e->count);
    if (count < 0)
        return -1;
    e->count += keep_asked(e, e->rows + e->count, (size_t)count);
    return 0;
}

int explaining_ask(struct explanation *e, struct policy_call *call)
{
    if (add_rows(e, call, e->listener->policy_rules) < 0)
        return -1;
    e->own = e->count;
    guessing_policy_make(&e->from->lists.config->auth.guessing, &e->guessing);
    return add_rows(e, call, &e->guessing.policy);
}

/* ---- rows ---- */

struct teller {
    void (*tell)(void *owner, json_t *row);
    void *owner;
    bool is_over; /* a row has ended it */
};

static void tell(struct teller *t, json_t *row)
{
    if (row != NULL)
        t->tell(t->owner, row); /* without memory it is missing */
    json_decref(row);
}

static const char *const stage_names[] = {
    [STAGE_CONNECT] = "connect", [STAGE_LOGIN] = "login", [STAGE_FAILURE] = "failure",
    [STAGE_MAIL] = "MAIL",       [STAGE_RCPT] = "RCPT",   [STAGE_DATA] = "DATA",
    [STAGE_END] = "end"};

static const char *why_not(const struct policy_row *row)
{
    switch (row->kind) {
    case POLICY_ROW_WHEN: return "when";
    case POLICY_ROW_EXCEPT: return "except";
    case POLICY_ROW_EXEMPT: return "exempt from bans";
    case POLICY_ROW_UNKNOWN: return "a key is unknown";
    case POLICY_ROW_LACKS: return "without the header";
    case POLICY_ROW_LOOKED: break;
    }
    return "";
}

static bool is_monitored(const struct explanation *e, size_t i)
{
    return i < e->own && policy_is_monitored(e->listener->policy_rules, e->rows[i].rule);
}

static const char *verdict_name(const struct explanation *e, size_t i, const struct verdict *v)
{
    const struct limit_rule *r = e->rows[i].rule;
    if (v->kind == VERDICT_PASS)
        return v->wait_us > 0 ? "delay" : "pass";
    if (r->stage == STAGE_FAILURE)
        return r->action == LIMIT_BAN ? "next: ban" : "next: log";
    return is_monitored(e, i)         ? "monitor"
           : r->action == LIMIT_BAN   ? "ban"
           : v->kind == VERDICT_DEFER ? "defer"
                                      : "reject";
}

static json_t *figure(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static void add_counter(json_t *row, const struct policy_call *call, size_t take,
                        const struct verdict *v)
{
    char limit[160];
    (void)json_object_set_new(row, "key", json_stringn(v->key.data, v->key.size));
    (void)json_object_set_new(
        row, "limit",
        json_string(limit_rule_text(call->rules[take], v->override, limit, sizeof limit)));
    (void)json_object_set_new(row, "used", figure(v->used));
    (void)json_object_set_new(row, "left", figure(v->left));
    (void)json_object_set_new(row, "wait",
                              v->wait_us < 0 ? json_null() : json_real((double)v->wait_us / 1e6));
}

static void tell_rule(const struct explanation *e, size_t i, const struct policy_call *call,
                      struct teller *t)
{
    const struct policy_row *r = &e->rows[i];
    char at[PLACE_SIZE] = "";
    struct verdict v = {.kind = r->kind == POLICY_ROW_LACKS ? VERDICT_REJECT : VERDICT_PASS};
    bool is_asked = r->kind == POLICY_ROW_LOOKED || r->kind == POLICY_ROW_LACKS;
    if (r->kind == POLICY_ROW_LOOKED)
        policy_judge_look(call, r->take, &v);
    if (r->rule->place.file != NULL)
        (void)place_format(&r->rule->place, at);
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "rule", r->rule->name, "stage",
                            stage_names[r->rule->stage], "verdict",
                            is_asked ? verdict_name(e, i, &v) : "skip", "why", why_not(r), "where",
                            at, "decides", !t->is_over && (int)i == e->decides);
    if (row != NULL && r->kind == POLICY_ROW_LOOKED)
        add_counter(row, call, r->take, &v);
    tell(t, row);
}

/* ---- what isn't a limit ---- */

static void tell_other(struct teller *t, const char *rule, const char *stage, const char *verdict,
                       const char *why)
{
    bool decides = !t->is_over && strcmp(verdict, "pass") != 0;
    t->is_over = t->is_over || decides;
    tell(t, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "rule", rule, "stage", stage, "verdict",
                      verdict, "why", why, "where", "", "decides", decides));
}

/* As session/guard looks at it: at the door, and for the account there. */
static bool is_banned(const struct explanation *e, struct ban_verdict *out)
{
    const struct suspending *s = e->from->suspending;
    const struct config *c = e->from->lists.config;
    int64_t now = clock_wall_ns();
    if (e->facts.client == NULL)
        return false;
    bool is_hit = (!e->facts.is_shared && bans_hold(s->bans, &e->client, 0, now, out)) ||
                  bans_hold(s->bans, &e->client, guessing_account(s->key, e->account), now, out);
    return is_hit &&
           !(out->spares_known && known_has(e->from->known, s->key, e->account, &e->client,
                                            c->auth.remember_networks_ms * CLOCK_MS, now));
}

static void tell_ban(const struct explanation *e, struct teller *t, char text[EXPLAINED_TEXT_SIZE])
{
    struct ban_verdict ban;
    char until[BAN_END_SIZE], why[BAN_END_SIZE + 40] = "";
    bool is_hit = is_banned(e, &ban);
    if (e->facts.client == NULL)
        return;
    if (is_hit) {
        ban_format_end(ban.until_ns, until);
        (void)snprintf(why, sizeof why, "banned until %s", until); /* fits */
        (void)snprintf(text, EXPLAINED_TEXT_SIZE, "%s is refused: its address is %s", e->account,
                       why); /* cut to fit */
    }
    tell_other(t, "bans", "connect", is_hit ? "defer" : "pass", why);
}

/* Of all an account does its login is refused, before anything is counted for it. */
static int suspended_at(const struct explanation *e)
{
    const struct suspending *s = e->from->suspending;
    return bans_suspension(s->bans, guessing_account(s->key, e->account), clock_wall_ns(), NULL) ==
                   SUSPENSION_ALL
               ? STAGE_LOGIN
               : STAGE_MAIL;
}

static void tell_suspension(const struct explanation *e, struct teller *t,
                            char text[EXPLAINED_TEXT_SIZE])
{
    const struct suspending *s = e->from->suspending;
    struct ban b;
    enum suspension is =
        bans_suspension(s->bans, guessing_account(s->key, e->account), clock_wall_ns(), &b);
    bool is_all = is == SUSPENSION_ALL;
    bool is_hit = is_all || (is == SUSPENSION_SENDING && e->listener->role == ROLE_SUBMISSION);
    const char *why = is == SUSPENSION_LIFTED ? "" : is_all ? "all" : "sending";
    if (is_hit && !t->is_over)
        (void)snprintf(text, EXPLAINED_TEXT_SIZE, "%s is suspended (%s)%s%s", e->account, why,
                       b.reason[0] == '\0' ? "" : ": ", b.reason); /* cut to fit */
    tell_other(t, "suspension", is_all ? "login" : "MAIL",
               !is_hit  ? "pass"
               : is_all ? "defer"
                        : "reject",
               why);
}

/* ---- who may send as whom, and from where ---- */

static void tell_placed(struct teller *t, const char *rule, const struct place *place,
                        const char *stage, const char *verdict, const char *why)
{
    char at[PLACE_SIZE] = "";
    bool decides = !t->is_over && strcmp(verdict, "reject") == 0;
    t->is_over = t->is_over || decides;
    if (place->file != NULL)
        (void)place_format(place, at);
    tell(t, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "rule", rule, "stage", stage, "verdict",
                      verdict, "why", why, "where", at, "decides", decides));
}

/* At login for a mailbox, at MAIL for who sends. */
static void tell_access(const struct explanation *e, struct teller *t,
                        char text[EXPLAINED_TEXT_SIZE])
{
    const struct policy *p = e->listener->policy_rules;
    const char *stage = e->listener->role == ROLE_SUBMISSION ? "MAIL" : "login";
    for (size_t i = 0; p != NULL && i < p->access_count; i++) {
        struct access_refusal refusal = {.rule = &p->access[i]};
        char why[VERDICT_TEXT] = "";
        if (!refusal.rule->enabled)
            continue;
        int outcome = access_judge(refusal.rule, &e->facts, &refusal.lack);
        const char *verdict = outcome < 0                            ? "skip"
                              : outcome > 0                          ? "pass"
                              : access_is_monitored(p, refusal.rule) ? "monitor"
                                                                     : "reject";
        if (outcome == 0)
            (void)access_text(&refusal, why, sizeof why);
        if (strcmp(verdict, "reject") == 0 && !t->is_over)
            (void)snprintf(text, EXPLAINED_TEXT_SIZE, "%s is refused at %s (%s) by %s", e->account,
                           e->listener->name, stage, why); /* cut to fit */
        tell_placed(t, refusal.rule->name, &refusal.rule->place, stage, verdict,
                    outcome < 0 ? "when" : why);
    }
}

/* Of the envelope: the header isn't known. */
static void tell_sender(const struct explanation *e, struct teller *t,
                        char text[EXPLAINED_TEXT_SIZE])
{
    const struct policy *p = e->listener->policy_rules;
    char address[ACCOUNT_SIZE], why[SENDER_TEXT_SIZE] = "";
    if (p == NULL || p->sender.envelope == SENDER_ANY || e->listener->role != ROLE_SUBMISSION ||
        e->facts.sender == NULL)
        return;
    size_t size = account_address(span_of(e->sender), address);
    bool is_for = sender_is_for(&p->sender, &e->facts);
    bool is_own =
        e->sender[0] == '\0' ||
        (size > 0 && sender_is_own(&p->sender, span_of(e->account), span_make(address, size)));
    const struct sender_finding found = {SENDER_FOREIGN, "MAIL FROM", e->sender, NULL};
    if (is_for && !is_own)
        (void)sender_text(&found, e->account, why);
    const char *verdict = !is_for                         ? "skip"
                          : is_own                        ? "pass"
                          : policy_sender_is_monitored(p) ? "monitor"
                                                          : "reject";
    if (strcmp(verdict, "reject") == 0 && !t->is_over)
        (void)snprintf(text, EXPLAINED_TEXT_SIZE, "%s is refused at %s (MAIL): %s", e->account,
                       e->listener->name, why); /* cut to fit */
    tell_placed(t, "sender", &p->sender.place, "MAIL", verdict, is_for ? why : "when");
}

/* ---- all of it ---- */

static void say(const struct explanation *e, const struct policy_call *call,
                char text[EXPLAINED_TEXT_SIZE])
{
    const struct verdict *v = &e->verdict;
    char limit[160], wait[40];
    if (e->decides < 0 && v->wait_us <= 0) {
        (void)snprintf(text, EXPLAINED_TEXT_SIZE, "%s passes, at %s", e->account,
                       e->listener->name); /* fits */
    } else if (e->decides < 0) {
        (void)snprintf(text, EXPLAINED_TEXT_SIZE, "%s passes, at %s, held back for %s", e->account,
                       e->listener->name,
                       limit_wait_text(v->wait_us, wait, sizeof wait)); /* likewise */
    } else {
        const struct policy_row *r = &e->rows[e->decides];
        bool is_counted = r->kind == POLICY_ROW_LOOKED;
        (void)snprintf(text, EXPLAINED_TEXT_SIZE, "%s is refused at %s (%s) by %s: %s", e->account,
                       e->listener->name, stage_names[r->rule->stage], r->rule->name,
                       is_counted
                           ? limit_rule_text(call->rules[r->take], v->override, limit, sizeof limit)
                           : "the message lacks a header"); /* cut to fit */
    }
}

void explaining_tell(struct explanation *e, const struct policy_call *call,
                     void (*fn)(void *owner, json_t *row), void *owner,
                     char text[EXPLAINED_TEXT_SIZE])
{
    struct teller t = {fn, owner, false};
    const struct policy *p = e->listener->policy_rules;
    e->decides = -1;
    e->verdict = (struct verdict){.kind = VERDICT_PASS};
    if (p != NULL)
        e->decides = policy_explained(call, p, e->rows, e->own, &e->verdict);
    say(e, call, text);
    tell_ban(e, &t, text);
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        if (stage == suspended_at(e))
            tell_suspension(e, &t, text);
        if (stage == STAGE_LOGIN && e->listener->role == ROLE_POP3)
            tell_access(e, &t, text);
        if (stage == STAGE_MAIL && e->listener->role == ROLE_SUBMISSION)
            tell_access(e, &t, text);
        if (stage == STAGE_MAIL)
            tell_sender(e, &t, text);
        for (size_t i = 0; i < e->count; i++)
            if ((int)e->rows[i].rule->stage == stage)
                tell_rule(e, i, call, &t);
        t.is_over = t.is_over || (e->decides >= 0 && (int)e->rows[e->decides].rule->stage == stage);
    }
}
