#include "policy/policy.h"

#include "base/arena.h"
#include "policy/figures.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { TAKES_AT_FIRST = 16 };

static int check_rate(const char *text, struct error *why)
{
    struct rate rate;
    return limit_parse_rate(text, &rate, why);
}

const struct setting policy_settings[] = {
    {"base", SETTING_TEXT, .offset = offsetof(struct policy, base_name), .preset = "",
     .help = "another policy, whose rules this one has too, unless it names them itself",
     .example = "\"\""},
    {"mode", SETTING_CHOICE, .offset = offsetof(struct policy, mode), .preset = "enforce",
     .choices = (const char *const[]){"enforce", "monitor", NULL},
     .help = "of all its rules: enforce, or monitor (decides, counts and logs, changes nothing)"},
    {"max_suspensions", SETTING_TEXT, .offset = offsetof(struct policy, max_suspensions_text),
     .preset = "10/10min", .check = check_rate,
     .help = "COUNT/PERIOD: a rule that would suspend more accounts defers instead, and says so "
             "once: it may be a server behind that refuses everybody"},
    {"overrides", SETTING_TEXT, .offset = offsetof(struct policy, overrides.path), .preset = "",
     .check = setting_check_path,
     .help = "file, watched: ana@example.com: LIMIT RATE [BURST] ...; @example.com: for all of "
             "a domain that have none of their own",
     .example = "\"\""},
    {.name = NULL}};

/* ---- keys ---- */

struct key_text {
    char *out;
    size_t size;
    bool is_cut;
};

static void put(struct key_text *k, char c)
{
    if (k->size < STORE_KEY_MAX - 20)
        k->out[k->size++] = c;
    else
        k->is_cut = true;
}

/* In lower case; what would end a word is escaped, so that no two keys have the same text. */
static void put_value(struct key_text *k, struct span v)
{
    static const char digits[] = "0123456789abcdef";
    if (k->size > 0)
        put(k, ' ');
    for (size_t i = 0; i < v.size; i++) {
        unsigned char c = (unsigned char)v.data[i];
        if (c > ' ' && c != '%' && c != 0x7f) {
            put(k, ascii_lower((char)c));
        } else {
            put(k, '%');
            put(k, digits[c >> 4]);
            put(k, digits[c & 15]);
        }
    }
    if (v.size == 0)
        put(k, '-');
}

/* Behind a key that was cut: what tells it from others with the same beginning (FNV-1a). */
static void put_tail(struct key_text *k, const struct span *values, size_t count)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < values[i].size; n++)
            hash = (hash ^ (unsigned char)ascii_lower(values[i].data[n])) * UINT64_C(0x100000001b3);
        hash = (hash ^ 0x100) * UINT64_C(0x100000001b3);
    }
    k->size += (size_t)snprintf(k->out + k->size, 20, "~%016llx", (unsigned long long)hash);
}

static struct span domain_of(const char *address)
{
    const char *at = strrchr(address, '@');
    return span_of(at == NULL ? "" : at + 1);
}

/* An IPv4 address or a /64; /24 or /48: a host has as many addresses of IPv6 as it likes. */
static struct span network_text(const struct address *a, bool is_wide,
                                char out[ADDRESS_TEXT_SIZE + 8])
{
    struct address first = *a;
    bool is_v6 = address_is_v6(a);
    if (is_v6)
        memset(&first.v6.sin6_addr.s6_addr[is_wide ? 6 : 8], 0, is_wide ? 10 : 8);
    address_format_host(&first, out);
    if (!is_v6 && is_wide)
        memcpy(strrchr(out, '.'), ".0", sizeof ".0");
    strcat(out, is_v6 ? (is_wide ? "/48" : "/64") : is_wide ? "/24" : "");
    return span_of(out);
}

/* Returns false when it isn't known. */
static bool value_of(enum limit_key key, const struct policy_facts *f,
                     char text[ADDRESS_TEXT_SIZE + 8], struct span *out)
{
    const char *whole = NULL, *of_domain = NULL;
    switch (key) {
    case LIMIT_KEY_ACCOUNT: whole = f->account; break;
    case LIMIT_KEY_LOGIN: whole = f->login; break;
    case LIMIT_KEY_ACCOUNT_DOMAIN: of_domain = f->account; break;
    case LIMIT_KEY_SENDER: whole = f->sender; break;
    case LIMIT_KEY_SENDER_DOMAIN: of_domain = f->sender; break;
    case LIMIT_KEY_RECIPIENT: whole = f->recipient; break;
    case LIMIT_KEY_RECIPIENT_DOMAIN: of_domain = f->recipient; break;
    case LIMIT_KEY_LISTENER: whole = f->listener; break;
    case LIMIT_KEY_COUNTRY: whole = f->country; break;
    case LIMIT_KEY_GLOBAL: whole = "all"; break;
    case LIMIT_KEY_IP:
    case LIMIT_KEY_NETWORK:
        if (f->client == NULL)
            return false;
        *out = network_text(f->client, key == LIMIT_KEY_NETWORK, text);
        return true;
    case LIMIT_KEY_HEADER:
    case LIMIT_KEY_COUNT: break;
    }
    if (whole == NULL && of_domain == NULL)
        return false;
    *out = whole != NULL ? span_of(whole) : domain_of(of_domain);
    return true;
}

/* Returns false when the message hasn't it, unless that is a value too. */
static bool header_value(const struct limit_rule *r, const struct policy_facts *f, const char *name,
                         struct span *out)
{
    const char *value = f->header == NULL ? NULL : f->header(f->header_owner, name);
    *out = span_of(value == NULL ? "" : value);
    return value != NULL || r->missing == LIMIT_MISSING_EMPTY;
}

/* Does it refuse a message for a header that isn't there? */
static bool lacks_header(const struct limit_rule *r, const struct policy_facts *f)
{
    struct span value;
    for (size_t i = 0; i < r->key_count && r->missing == LIMIT_MISSING_REJECT; i++)
        if (r->keys[i] == LIMIT_KEY_HEADER && !header_value(r, f, limit_header(r, i), &value))
            return true;
    return false;
}

/* Nobody is to be banned for what others do behind his address. */
static bool is_pair(const struct limit_rule *r, const struct policy_facts *f)
{
    return r->action == LIMIT_BAN && r->stage == STAGE_FAILURE && f->is_shared;
}

bool limit_is_of_account(const struct limit_rule *r, const struct policy_facts *f)
{
    return is_pair(r, f) || limit_has_key(r, LIMIT_KEY_ACCOUNT);
}

static size_t keys_of(const struct limit_rule *r, const struct policy_facts *f,
                      enum limit_key out[LIMIT_KEYS_MAX + 1])
{
    memcpy(out, r->keys, r->key_count * sizeof *out);
    if (!is_pair(r, f))
        return r->key_count;
    out[0] = LIMIT_KEY_IP;
    out[1] = LIMIT_KEY_ACCOUNT;
    return 2;
}

size_t limit_key_text(const struct limit_rule *r, const struct policy_facts *f,
                      char out[STORE_KEY_MAX])
{
    struct key_text k = {.out = out};
    enum limit_key keys[LIMIT_KEYS_MAX + 1];
    struct span values[LIMIT_KEYS_MAX + 1];
    char texts[LIMIT_KEYS_MAX + 1][ADDRESS_TEXT_SIZE + 8];
    size_t count = keys_of(r, f, keys);
    put_value(&k, span_of(r->name));
    for (size_t i = 0; i < count; i++) {
        bool is_known = keys[i] == LIMIT_KEY_HEADER
                            ? header_value(r, f, limit_header(r, i), &values[i])
                            : value_of(keys[i], f, texts[i], &values[i]);
        if (!is_known)
            return 0;
        put_value(&k, values[i]);
    }
    if (k.is_cut)
        put_tail(&k, values, count);
    return k.size;
}

/* ---- whose turn it is ---- */

static bool goes_by_account(const struct limit_rule *r)
{
    bool has_key = false;
    for (size_t i = 0; i < r->key_count; i++)
        has_key =
            has_key || r->keys[i] == LIMIT_KEY_ACCOUNT || r->keys[i] == LIMIT_KEY_ACCOUNT_DOMAIN;
    return has_key || r->when.accounts.count > 0 || r->except.accounts.count > 0;
}

/* Is it the rule's turn? At the end it is every rule's that hasn't had it. */
static bool is_its_turn(const struct limit_rule *r, const struct policy_facts *f, bool is_end)
{
    switch (f->account_state) {
    case ACCOUNT_KNOWN: break;
    case ACCOUNT_TO_COME: return !goes_by_account(r);
    case ACCOUNT_HAS_COME: return is_end || goes_by_account(r);
    }
    return true;
}

static bool goes_by_recipient(const struct limit_rule *r)
{
    bool has_key = r->count == LIMIT_DISTINCT_RECIPIENTS;
    for (size_t i = 0; i < r->key_count; i++)
        has_key = has_key || r->keys[i] == LIMIT_KEY_RECIPIENT ||
                  r->keys[i] == LIMIT_KEY_RECIPIENT_DOMAIN;
    return has_key;
}

/* Afterwards recipients are asked about together, where it makes no difference who they are: then
 * it is known whether they can ever pass. */
static bool are_together(const struct limit_rule *r, const struct policy_facts *f)
{
    return r->stage == STAGE_RCPT && f->account_state == ACCOUNT_HAS_COME && !goes_by_recipient(r);
}

static bool is_asked(const struct limit_rule *r, const struct policy_facts *f,
                     enum policy_stage stage)
{
    return r->enabled && r->stage == stage && is_its_turn(r, f, stage == STAGE_END) &&
           (stage != STAGE_RCPT || are_together(r, f) == (f->recipient == NULL));
}

/* ---- questions ---- */

void policy_call_begin(struct policy_call *call, struct arena *a)
{
    *call = (struct policy_call){.arena = a};
}

static bool make_room(struct policy_call *call)
{
    size_t room = call->room == 0 ? TAKES_AT_FIRST : call->room * 4;
    if (call->count < call->room)
        return true;
    if (room > STORE_TAKES_MAX)
        return false;
    struct counter_take *takes = arena_alloc(call->arena, room * sizeof *takes);
    struct counter_answer *answers = arena_alloc(call->arena, room * sizeof *answers);
    const struct limit_rule **rules = arena_alloc(call->arena, room * sizeof *rules);
    const struct override **overrides = arena_alloc(call->arena, room * sizeof *overrides);
    if (takes == NULL || answers == NULL || rules == NULL || overrides == NULL)
        return false;
    if (call->count > 0) {
        memcpy(takes, call->takes, call->count * sizeof *takes);
        memcpy(rules, call->rules, call->count * sizeof *rules);
        memcpy(overrides, call->overrides, call->count * sizeof *overrides);
    }
    call->takes = takes;
    call->answers = answers;
    call->rules = rules;
    call->overrides = overrides;
    call->room = room;
    return true;
}

static uint64_t quantity(const struct limit_rule *r, const struct policy_facts *f)
{
    if (r->count == LIMIT_BYTES)
        return f->bytes;
    bool is_one = r->stage == STAGE_RCPT && !are_together(r, f);
    return r->count == LIMIT_RECIPIENTS && !is_one ? f->recipients : 1;
}

/* What has to be different. */
static enum limit_key element_key(const struct limit_rule *r)
{
    switch ((enum limit_count)r->count) {
    case LIMIT_DISTINCT_NETWORKS: return LIMIT_KEY_NETWORK;
    case LIMIT_DISTINCT_COUNTRIES: return LIMIT_KEY_COUNTRY;
    default: return LIMIT_KEY_RECIPIENT;
    }
}

/* FNV-1a, in lower case: which of the different ones it is; 0: not known. The store hashes it once
 * more, with a key that nobody knows. */
static uint64_t element_of(const struct limit_rule *r, const struct policy_facts *f)
{
    char text[ADDRESS_TEXT_SIZE + 8];
    struct span value;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (r->count == LIMIT_DISTINCT_CREDENTIALS)
        return f->credentials;
    if (!value_of(element_key(r), f, text, &value))
        return 0;
    for (size_t i = 0; i < value.size; i++)
        hash = (hash ^ (unsigned char)ascii_lower(value.data[i])) * UINT64_C(0x100000001b3);
    return hash;
}

static void fill_in_rate(struct counter_take *take, const struct limit_rule *r,
                         const struct rate *rate, const struct policy_facts *f)
{
    int64_t delay_us = r->action == LIMIT_DELAY ? r->max_delay_ms * 1000 - f->delayed_us : 0;
    take->rate.increment_us = rate_increment(rate, quantity(r, f));
    take->rate.tolerance_us = rate_tolerance(rate);
    take->rate.max_delay_us = delay_us > 0 ? delay_us : 0;
}

static uint64_t part_of(int64_t whole, int64_t percent)
{
    return ((uint64_t)whole * (uint64_t)percent + 99) / 100;
}

/* Where warn_at stands, of a limit of `rate`, or `max`; of a rate, at the take that gets there if
 * none of those before it has been worked off. */
static void fill_in_near(struct counter_marks *m, const struct limit_rule *r,
                         const struct rate *rate, int64_t max)
{
    const int64_t hour_us = INT64_C(3600) * 1000000;
    m->near_us = r->window_ms * 1000;
    switch (r->kind) {
    case COUNTER_RATE:
        m->near = (uint64_t)(rate_increment(rate, part_of(rate->burst, r->warn_at)) -
                             rate_increment(rate, 1) + 1);
        m->near_us = rate->period_us;
        return;
    case COUNTER_AT_ONCE: m->near_us = hour_us; /* fall through */
    case COUNTER_DISTINCT: m->near = part_of(max, r->warn_at); return;
    case COUNTER_RATIO: m->near = part_of(r->ratio, r->warn_at); return;
    }
}

/* The last of the call's takes, of a rule and what is in force in its place. */
static void fill_in(struct policy_call *call, const struct policy_facts *f)
{
    const size_t last = call->count - 1;
    const struct limit_rule *r = call->rules[last];
    const struct override *o = call->overrides[last];
    const uint32_t max = (uint32_t)(o == NULL ? r->max : o->figure.count);
    struct counter_take *take = &call->takes[last];
    take->kind = r->kind;
    take->cost = r->kind == COUNTER_RATIO ? 0 : quantity(r, f);
    if (limit_holds(r))
        take->marks.hold_us = r->duration_ms * 1000;
    if (r->warn_at > 0)
        fill_in_near(&take->marks, r, policy_rate(call, last), max);
    switch (r->kind) {
    case COUNTER_RATE: fill_in_rate(take, r, policy_rate(call, last), f); return;
    case COUNTER_AT_ONCE:
        take->at_once.max = max;
        take->at_once.lease = f->lease;
        take->at_once.lease_us = POLICY_LEASE_US;
        return;
    case COUNTER_DISTINCT:
        take->distinct.max = max;
        take->distinct.element = element_of(r, f);
        take->distinct.window_us = r->window_ms * 1000;
        return;
    case COUNTER_RATIO:
        take->ratio.percent = (uint32_t)r->ratio;
        take->ratio.min = (uint32_t)r->min;
        take->ratio.window_us = r->window_ms * 1000;
        return;
    }
}

/* NULL: what the rule says. Without memory too. */
static const struct override *override_of(struct policy_call *call, const struct limit_rule *r,
                                          const struct policy_facts *f)
{
    struct override found;
    if ((r->overrides == NULL && f->set_limits == NULL) || !override_find(r, f, &found))
        return NULL;
    struct override *o = arena_alloc(call->arena, sizeof *o);
    if (o != NULL)
        *o = found;
    return o;
}

static bool is_for(const struct limit_rule *r, const struct policy_facts *f)
{
    if (r->action == LIMIT_BAN && f->is_exempt)
        return false;
    return match_holds(&r->when, f) && (match_is_empty(&r->except) || !match_holds(&r->except, f));
}

static bool has_element(const struct limit_rule *r, const struct policy_facts *f)
{
    return r->kind != COUNTER_DISTINCT || element_of(r, f) != 0;
}

/* Returns 1; 0: the rule isn't for these facts; -1: no room. Whoever looks has nothing to add. */
static int ask(struct policy_call *call, const struct limit_rule *r, const struct policy_facts *f,
               uint16_t group, uint16_t needs)
{
    char text[STORE_KEY_MAX];
    if (!is_for(r, f) || (needs != STORE_LOOK && !has_element(r, f)))
        return 0;
    size_t size = limit_key_text(r, f, text);
    if (size == 0)
        return 0;
    const char *key = arena_copy(call->arena, span_make(text, size));
    if (key == NULL || !make_room(call))
        return -1;
    call->takes[call->count] =
        (struct counter_take){.group = group, .needs = needs, .slot = r->slot, .key = {key, size}};
    call->overrides[call->count] = override_of(call, r, f);
    call->rules[call->count++] = r;
    fill_in(call, f);
    return 1;
}

/* Those that change nothing, those that act on the account, and those of a login that has failed:
 * that counts for each. */
static bool stands_alone(const struct policy *p, const struct limit_rule *r)
{
    return r->action == LIMIT_SUSPEND || r->stage == STAGE_FAILURE || policy_is_monitored(p, r);
}

/* Credentials that were wrong, but not said. */
static bool is_unsaid(const struct limit_rule *r, const struct policy_facts *f)
{
    return r->count == LIMIT_DISTINCT_CREDENTIALS && f->credentials == 0;
}

bool policy_has_room(const struct policy_call *call, const struct policy *p)
{
    return call->count + p->limit_count <= STORE_TAKES_MAX &&
           call->groups + 1 + p->limit_count <= STORE_GROUPS_MAX;
}

int policy_ask(struct policy_call *call, const struct policy *p, enum policy_stage stage,
               const struct policy_facts *f, uint16_t needs)
{
    int asked = 0, group = POLICY_NOTHING;
    if (p == NULL || (p->stages >> stage & 1) == 0)
        return POLICY_NOTHING;
    if (!policy_has_room(call, p))
        return POLICY_FAILED;
    for (size_t i = 0; i < p->limit_count && asked >= 0; i++) {
        const struct limit_rule *r = &p->limits[i];
        if (!is_asked(r, f, stage) || stands_alone(p, r))
            continue;
        asked = ask(call, r, f, call->groups, needs);
        if (asked > 0)
            group = call->groups;
        else if (asked == 0 && call->lacks_header == NULL && is_for(r, f) && lacks_header(r, f))
            call->lacks_header = r;
    }
    if (group >= 0)
        call->groups++;
    /* What stands by itself counts only what the others let pass. */
    for (size_t i = 0; i < p->limit_count && asked >= 0; i++) {
        const struct limit_rule *r = &p->limits[i];
        if (!is_asked(r, f, stage) || !stands_alone(p, r) || is_unsaid(r, f))
            continue;
        asked = ask(call, r, f, call->groups, group >= 0 ? (uint16_t)group : needs);
        call->groups = (uint16_t)(call->groups + (asked > 0));
    }
    return asked < 0 ? POLICY_FAILED : group;
}

int policy_look(struct policy_call *call, const struct policy *p, const struct policy_facts *f)
{
    int asked = 0, group = POLICY_NOTHING;
    if (call->groups == STORE_GROUPS_MAX)
        return POLICY_FAILED;
    for (size_t i = 0; i < p->limit_count && asked >= 0; i++) {
        if (!p->limits[i].enabled)
            continue;
        asked = ask(call, &p->limits[i], f, call->groups, STORE_LOOK);
        if (asked > 0)
            group = call->groups;
    }
    if (group >= 0)
        call->groups++;
    return asked < 0 ? POLICY_FAILED : group;
}

/* Of all facts those that are known when a rule has its turn: an account in `except` exempts
 * nobody from a limit on connections. */
static struct policy_facts known_at(const struct policy_facts *all, enum policy_stage stage)
{
    struct policy_facts f = *all;
    if (stage < STAGE_LOGIN)
        f.account = f.login = NULL;
    if (stage == STAGE_FAILURE)
        f.login = NULL;
    if (stage < STAGE_MAIL)
        f.sender = NULL;
    if (stage != STAGE_RCPT)
        f.recipient = NULL;
    return f;
}

/* Whether it is for these facts, and asks. */
static int explain(struct policy_call *call, const struct limit_rule *r,
                   const struct policy_facts *all, struct policy_row *row)
{
    const struct policy_facts known = known_at(all, r->stage), *f = &known;
    *row = (struct policy_row){.rule = r, .kind = POLICY_ROW_LOOKED, .take = call->count};
    if (!match_holds(&r->when, f))
        row->kind = POLICY_ROW_WHEN;
    else if (!match_is_empty(&r->except) && match_holds(&r->except, f))
        row->kind = POLICY_ROW_EXCEPT;
    else if (r->action == LIMIT_BAN && f->is_exempt)
        row->kind = POLICY_ROW_EXEMPT;
    if (row->kind != POLICY_ROW_LOOKED)
        return 0;
    bool is_known = r->stage == STAGE_FAILURE || has_element(r, f);
    int asked = is_known ? ask(call, r, f, call->groups, STORE_LOOK) : 0;
    if (asked == 0)
        row->kind = lacks_header(r, f) ? POLICY_ROW_LACKS : POLICY_ROW_UNKNOWN;
    call->groups = (uint16_t)(call->groups + (asked > 0));
    return asked;
}

int policy_explain(struct policy_call *call, const struct policy *p, const struct policy_facts *f,
                   struct policy_row *rows)
{
    int count = 0;
    if (!policy_has_room(call, p))
        return POLICY_FAILED;
    for (size_t i = 0; i < p->limit_count; i++)
        if (p->limits[i].enabled && explain(call, &p->limits[i], f, &rows[count++]) < 0)
            return POLICY_FAILED;
    return count;
}

/* ---- verdicts ---- */

/* How many have led to a refusal: with the one that was refused. */
static uint64_t tries_of(const struct counter_take *take, const struct counter_answer *a)
{
    int64_t owed_us = a->tat_us - a->now_us;
    if (take->kind == COUNTER_RATIO)
        return a->bad;
    if (take->kind != COUNTER_RATE)
        return a->used + 1;
    return take->rate.increment_us > 0 && owed_us > 0
               ? (uint64_t)((owed_us - 1) / take->rate.increment_us) + 2
               : 1;
}

/* As it passes. */
static struct verdict describe(const struct policy_call *call, size_t i,
                               const struct counter_answer *a)
{
    return (struct verdict){.kind = VERDICT_PASS,
                            .rule = call->rules[i],
                            .override = call->overrides[i],
                            .key = call->takes[i].key,
                            .wait_us = a->wait_us,
                            .cost = call->takes[i].cost,
                            .left = figures_left(&call->takes[i], a),
                            .used = figures_used(&call->takes[i], a)};
}

static void refuse(const struct policy_call *call, size_t i, const struct counter_answer *a,
                   struct verdict *out)
{
    const struct limit_rule *r = call->rules[i];
    out->tries = tries_of(&call->takes[i], a);
    out->is_too_large = r->kind == COUNTER_RATE && a->wait_us < 0;
    out->kind = r->action == LIMIT_REJECT || out->is_too_large ? VERDICT_REJECT : VERDICT_DEFER;
}

static void look_at(const struct policy_call *call, size_t i, struct verdict *out)
{
    const struct counter_answer *a = &call->answers[i];
    bool waits_longer = a->is_taken && a->wait_us > out->wait_us;
    if (out->kind != VERDICT_PASS || (!a->is_refusing && !waits_longer))
        return;
    *out = describe(call, i, a);
    if (a->is_refusing)
        refuse(call, i, a, out);
}

void policy_judge_one(const struct policy_call *call, size_t take, struct verdict *out)
{
    *out = (struct verdict){.kind = VERDICT_PASS};
    look_at(call, take, out);
}

void policy_judge_look(const struct policy_call *call, size_t i, struct verdict *out)
{
    struct counter_answer a = call->answers[i];
    const struct counter_take *take = &call->takes[i];
    const struct gcra_take rate = {take->rate.increment_us, take->rate.tolerance_us,
                                   take->rate.max_delay_us};
    int64_t tat_us = a.tat_us;
    if (take->kind == COUNTER_RATE)
        a.is_refusing = !gcra_take(&tat_us, &rate, a.now_us, &a.wait_us);
    else if (a.is_refusing && a.wait_us == 0)
        a.wait_us = -1; /* nobody knows until when */
    *out = describe(call, i, &a);
    if (a.is_refusing)
        refuse(call, i, &a, out);
}

static struct verdict lacking(const struct limit_rule *r)
{
    return (struct verdict){.kind = VERDICT_REJECT,
                            .rule = r,
                            .key = span_of(""),
                            .wait_us = -1,
                            .left = -1,
                            .used = -1,
                            .lacks_header = true};
}

void policy_judge(const struct policy_call *call, int group, struct verdict *out)
{
    *out = (struct verdict){.kind = VERDICT_PASS};
    if (call->lacks_header != NULL)
        *out = lacking(call->lacks_header);
    for (size_t i = 0; group >= 0 && i < call->count; i++)
        if (call->takes[i].group == group)
            look_at(call, i, out);
}

static bool is_of_stage(const struct policy *p, const struct policy_row *row,
                        enum policy_stage stage)
{
    return row->rule->stage == stage && stage != STAGE_FAILURE &&
           !policy_is_monitored(p, row->rule);
}

/* A header that is missing goes before what was counted. Returns as policy_explained. */
static int explained_at(const struct policy_call *call, const struct policy *p,
                        const struct policy_row *rows, size_t count, enum policy_stage stage,
                        struct verdict *out)
{
    int64_t longest_us = out->wait_us;
    for (size_t i = 0; i < count; i++)
        if (is_of_stage(p, &rows[i], stage) && rows[i].kind == POLICY_ROW_LACKS) {
            *out = lacking(rows[i].rule);
            return (int)i;
        }
    for (size_t i = 0; i < count; i++) {
        if (!is_of_stage(p, &rows[i], stage) || rows[i].kind != POLICY_ROW_LOOKED)
            continue;
        policy_judge_look(call, rows[i].take, out);
        if (out->kind != VERDICT_PASS)
            return (int)i;
        longest_us = out->wait_us > longest_us ? out->wait_us : longest_us;
    }
    *out = (struct verdict){.kind = VERDICT_PASS, .wait_us = longest_us};
    return -1;
}

int policy_explained(const struct policy_call *call, const struct policy *p,
                     const struct policy_row *rows, size_t count, struct verdict *out)
{
    int decides = -1;
    *out = (struct verdict){.kind = VERDICT_PASS};
    for (int stage = 0; stage < STAGE_COUNT && decides < 0; stage++)
        decides = explained_at(call, p, rows, count, (enum policy_stage)stage, out);
    return decides;
}

/* ---- afterwards ---- */

static bool is_settled(const struct limit_rule *r, enum policy_after what,
                       const struct policy_facts *f)
{
    if (!r->enabled || !is_its_turn(r, f, what == AFTER_MESSAGE))
        return false;
    switch (what) {
    case AFTER_LOGIN:
        return r->count == LIMIT_DISTINCT_NETWORKS || r->count == LIMIT_DISTINCT_COUNTRIES;
    case AFTER_ATTEMPT: return r->count == LIMIT_REJECTED_RECIPIENTS;
    case AFTER_MESSAGE: return r->count == LIMIT_DISTINCT_RECIPIENTS;
    }
    return false;
}

static void fill_in_settle(struct counter_settle *s, const struct limit_rule *r,
                           const struct policy_facts *f, bool is_bad)
{
    s->of = r->kind;
    s->slot = r->slot;
    if (r->kind == COUNTER_DISTINCT) {
        s->kind = SETTLE_ADD;
        s->distinct.element = element_of(r, f);
        s->distinct.window_us = r->window_ms * 1000;
    } else {
        s->kind = SETTLE_COUNT;
        s->ratio.tried = 1;
        s->ratio.bad = is_bad;
        s->ratio.window_us = r->window_ms * 1000;
    }
}

size_t policy_after(const struct policy *p, enum policy_after what, const struct policy_facts *f,
                    bool is_bad, struct arena *a, struct counter_settle *out, size_t room)
{
    char text[STORE_KEY_MAX];
    size_t count = 0;
    for (size_t i = 0; i < p->limit_count && count < room; i++) {
        const struct limit_rule *r = &p->limits[i];
        bool is_meant = is_settled(r, what, f) && is_for(r, f) && has_element(r, f);
        size_t size = is_meant ? limit_key_text(r, f, text) : 0;
        const char *key = size == 0 ? NULL : arena_copy(a, span_make(text, size));
        if (key == NULL)
            continue;
        out[count].key = span_make(key, size);
        fill_in_settle(&out[count++], r, f, is_bad);
    }
    return count;
}

void policy_monitored(const struct policy_call *call, const struct policy *p, policy_told_fn *fn,
                      void *owner)
{
    for (size_t i = 0; i < call->count; i++) {
        struct verdict v = {.kind = VERDICT_PASS};
        if (!policy_is_monitored(p, call->rules[i]) || !call->answers[i].is_refusing)
            continue;
        look_at(call, i, &v);
        fn(owner, &v);
    }
}

void policy_suspending(const struct policy_call *call, const struct policy *p, policy_told_fn *fn,
                       void *owner)
{
    for (size_t i = 0; i < call->count; i++) {
        struct verdict v = {.kind = VERDICT_PASS};
        if (call->rules[i]->action != LIMIT_SUSPEND || policy_is_monitored(p, call->rules[i]) ||
            !call->answers[i].is_refusing)
            continue;
        look_at(call, i, &v);
        fn(owner, &v);
    }
}

void policy_near(const struct policy_call *call, policy_told_fn *fn, void *owner)
{
    for (size_t i = 0; i < call->count; i++) {
        const struct verdict v = {.kind = VERDICT_PASS,
                                  .rule = call->rules[i],
                                  .override = call->overrides[i],
                                  .key = call->takes[i].key,
                                  .left = -1,
                                  .used = figures_used(&call->takes[i], &call->answers[i])};
        if (call->answers[i].is_near)
            fn(owner, &v);
    }
}
