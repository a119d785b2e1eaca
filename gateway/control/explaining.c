#include "control/explaining.h"

#include "auth/aliases.h"
#include "base/clock.h"
#include "control/explaining_doors.h"
#include "policy/figures.h"

#include <stdio.h>
#include <stdlib.h>

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

/* Whoever sends for the account: one of the listener's trusted logins, or he who comes from one of
 * its trusted networks and hasn't logged in at all. */
static int take_login(struct explanation *e, const json_t *request, struct error *why)
{
    const struct subject_lists *l = &e->from->lists;
    const char *word = order_text(request, "login");
    const struct trusted_config *network =
        e->facts.client == NULL ? NULL : trusted_network(e->listener, e->facts.client);
    e->is_unasked = word[0] == '\0' && network != NULL && strcmp(network->account, e->account) == 0;
    if (word[0] == '\0')
        return 0;
    if (aliases_account(l->aliases, span_of(word), l->config->auth.realm, e->login) < 0)
        return error_set(why, "\"%s\" is no account; write one as --login web@example.com", word);
    const struct trusted_config *t = trusted_login(e->listener, e->login);
    if (t == NULL && strcmp(e->login, e->account) != 0)
        return error_set(why, "%s is none of the logins that send for others at %s (trusted)",
                         e->login, e->listener->name);
    e->facts.login = e->login;
    if (t != NULL && t->header != NULL)
        e->facts.account_state = ACCOUNT_HAS_COME;
    return 0;
}

/* Whose certificate it has shown, which was verified. */
static void take_certificate(struct explanation *e, const json_t *request)
{
    const struct subject_lists *l = &e->from->lists;
    const char *word = order_text(request, "certificate");
    e->facts.has_certificate = word[0] != '\0';
    if (e->facts.has_certificate &&
        aliases_account(l->aliases, span_of(word), l->config->auth.realm, e->certificate) == 0)
        e->facts.certificate = e->certificate;
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

static const char *header(const void *owner, const char *name)
{
    return header_values_find(owner, name);
}

/* "NAME: VALUE", each a field of the message. */
static int take_headers(struct explanation *e, const json_t *request, struct error *why)
{
    static const struct text_list none = {NULL, 0};
    const json_t *fields = json_object_get(request, "headers");
    const struct policy *p = e->listener->policy_rules;
    const struct text_list *names = p == NULL ? &none : &p->headers;
    e->headers.limit = EXPLAINED_HEADERS_MAX;
    header_values_init(&e->values, names->items, names->count);
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const char *field = json_string_value(json_array_get(fields, i));
        const char *colon = field == NULL ? NULL : strchr(field, ':');
        if (colon == NULL || strpbrk(field, "\r\n") != NULL)
            return error_set(why, "\"%.80s\" is no field; write --header \"From: ana@example.com\"",
                             field == NULL ? "" : field);
        if (buffer_append(&e->headers, span_of(field)) < 0 ||
            buffer_append(&e->headers, span_of("\r\n")) < 0)
            return error_set(why, "that are too many headers");
    }
    header_values_take(&e->values, buffer_bytes(&e->headers));
    header_values_take(&e->values, span_of("\r\n"));
    e->facts.header = header;
    e->facts.header_owner = &e->values;
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
        take_address(request, "to", e->recipient, &e->facts.recipient, why) < 0 ||
        take_login(e, request, why) < 0 || take_headers(e, request, why) < 0)
        return -1;
    take_certificate(e, request);
    e->facts.now_s = at > 0 ? at : clock_wall_ns() / CLOCK_SECOND;
    e->facts.set_limits = &x->set_limits;
    e->facts.recipients = e->facts.bytes = 1;
    return 0;
}

void explaining_free(struct explanation **e)
{
    if (*e != NULL)
        buffer_clear(&(*e)->headers);
    free(*e);
    *e = NULL;
}

/* ---- counters ---- */

static bool is_asked_there(const struct explanation *e, const struct limit_rule *r)
{
    return e->listener->role == ROLE_SUBMISSION
               ? !e->is_unasked || (r->stage != STAGE_LOGIN && r->stage != STAGE_FAILURE)
               : r->stage < STAGE_MAIL;
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

/* What a rule that suspends would do once more: defer, where it has done so too often. */
static bool suspends(const struct explanation *e, const struct limit_rule *r)
{
    const struct policy *p = e->listener->policy_rules;
    return r->action == LIMIT_SUSPEND && !offence_is_flood(e->from->suspending->bans, r->name,
                                                           &p->max_suspensions, clock_wall_ns());
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
           : suspends(e, r)           ? "suspend"
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
                      struct explaining_teller *t)
{
    const struct policy_row *r = &e->rows[i];
    char at[PLACE_SIZE] = "";
    struct verdict v = {.kind = r->kind == POLICY_ROW_LACKS ? VERDICT_REJECT : VERDICT_PASS};
    bool is_asked = r->kind == POLICY_ROW_LOOKED || r->kind == POLICY_ROW_LACKS;
    if (r->kind == POLICY_ROW_LOOKED)
        policy_judge_look(call, r, &v);
    if (r->rule->place.file != NULL)
        (void)place_format(&r->rule->place, at);
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "rule", r->rule->name, "stage",
                            stage_names[r->rule->stage], "verdict",
                            is_asked ? verdict_name(e, i, &v) : "skip", "why", why_not(r), "where",
                            at, "decides", !t->is_over && (int)i == e->decides);
    if (row != NULL && r->kind == POLICY_ROW_LOOKED)
        add_counter(row, call, r->take, &v);
    explaining_tell_row(t, row);
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

/* Whoever reads goes on doing so while his account may not send. */
static void note_harmless(struct explanation *e)
{
    for (size_t i = 0; i < e->own; i++)
        if (e->listener->role == ROLE_POP3 && e->rows[i].rule->scope == LIMIT_SENDING &&
            suspends(e, e->rows[i].rule))
            e->rows[i].is_harmless = true;
}

static void tell_stage(const struct explanation *e, enum policy_stage stage, bool is_late,
                       const struct policy_call *call, struct explaining_teller *t)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->rows[i].rule->stage == stage && e->rows[i].is_late == is_late)
            tell_rule(e, i, call, t);
    if (e->decides >= 0 && e->rows[e->decides].rule->stage == stage &&
        e->rows[e->decides].is_late == is_late)
        t->is_over = true;
}

/* What is known by then is judged: where the headers name the account, the rest at the end. */
void explaining_tell(struct explanation *e, const struct policy_call *call,
                     void (*fn)(void *owner, json_t *row), void *owner,
                     char text[EXPLAINED_TEXT_SIZE])
{
    struct explaining_teller t = {.tell = fn, .owner = owner, .text = text};
    bool is_named_late = e->facts.account_state == ACCOUNT_HAS_COME;
    bool is_mail = e->listener->role == ROLE_SUBMISSION;
    note_harmless(e);
    e->decides = policy_explained(call, e->rows, e->own, &e->verdict);
    say(e, call, text);
    explaining_tell_door(e, &t);
    tell_stage(e, STAGE_CONNECT, false, call, &t);
    explaining_tell_login(e, &t);
    tell_stage(e, STAGE_LOGIN, false, call, &t);
    tell_stage(e, STAGE_FAILURE, false, call, &t);
    if (is_mail)
        explaining_tell_mail(e, &t);
    for (int stage = STAGE_MAIL; stage < STAGE_END; stage++) {
        tell_stage(e, (enum policy_stage)stage, false, call, &t);
        if (is_mail && !is_named_late)
            explaining_tell_delegates(e, &t, (enum policy_stage)stage);
    }
    if (is_mail)
        explaining_tell_headers(e, &t);
    for (int stage = is_named_late ? STAGE_MAIL : STAGE_END; stage <= STAGE_END; stage++) {
        tell_stage(e, (enum policy_stage)stage, is_named_late, call, &t);
        if (is_mail)
            explaining_tell_delegates(e, &t, (enum policy_stage)stage);
    }
    if (is_mail && is_named_late)
        explaining_tell_end(e, &t);
}
