/* Which rules have a question when something is to be decided, and what they ask: policy/key says
 * whose counters, policy/verdict what the answers mean. */
#include "policy/policy.h"

#include "base/arena.h"
#include "policy/key.h"

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
        take->distinct.element = limit_element(r, f);
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

/* Guesses of who isn't banned for them aren't counted; what he sends has its limits. */
static bool is_spared(const struct limit_rule *r, const struct policy_facts *f)
{
    return r->action == LIMIT_BAN && r->stage == STAGE_FAILURE && f->is_exempt;
}

static bool is_for(const struct limit_rule *r, const struct policy_facts *f)
{
    if (is_spared(r, f))
        return false;
    return match_holds(&r->when, f) && (match_is_empty(&r->except) || !match_holds(&r->except, f));
}

static bool has_element(const struct limit_rule *r, const struct policy_facts *f)
{
    return r->kind != COUNTER_DISTINCT || limit_element(r, f) != 0;
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
        else if (asked == 0 && call->lacks_header == NULL && is_for(r, f) &&
                 limit_lacks_header(r, f))
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

/* Where the headers name the account, what goes by it has its turn when they are over. */
static bool is_late(const struct limit_rule *r, const struct policy_facts *f)
{
    return f->account_state == ACCOUNT_HAS_COME && r->stage >= STAGE_MAIL &&
           (r->stage == STAGE_END || goes_by_account(r));
}

/* Stage by stage; what suspends counts only what the others let pass; of those that are late, who
 * is asked about each recipient goes before who is asked about all. */
static unsigned turn_of(const struct limit_rule *r, const struct policy_facts *f)
{
    unsigned late = is_late(r, f);
    return late * POLICY_TURNS / 2 + (unsigned)r->stage * 4 + (late && are_together(r, f)) * 2U +
           (r->action == LIMIT_SUSPEND);
}

/* Of all facts those that are known when a rule has its turn: an account in `except` exempts
 * nobody from a limit on connections, and who sends for others is himself until he names them. */
static struct policy_facts known_at(const struct policy_facts *all, const struct limit_rule *r)
{
    struct policy_facts f = *all;
    f.account_state = ACCOUNT_KNOWN;
    if (r->stage < STAGE_MAIL || (all->account_state == ACCOUNT_HAS_COME && !is_late(r, all)))
        f.account = f.login;
    if (r->stage < STAGE_LOGIN)
        f.account = f.login = NULL;
    if (r->stage == STAGE_FAILURE)
        f.login = NULL;
    if (r->stage < STAGE_MAIL)
        f.sender = NULL;
    if (r->stage != STAGE_RCPT)
        f.recipient = NULL;
    return f;
}

/* Whether it is for these facts, and asks. */
static int explain(struct policy_call *call, const struct limit_rule *r,
                   const struct policy_facts *all, struct policy_row *row)
{
    const struct policy_facts known = known_at(all, r), *f = &known;
    *row = (struct policy_row){.rule = r,
                               .kind = POLICY_ROW_LOOKED,
                               .take = call->count,
                               .turn = turn_of(r, all),
                               .is_late = is_late(r, all)};
    if (!match_holds(&r->when, f))
        row->kind = POLICY_ROW_WHEN;
    else if (!match_is_empty(&r->except) && match_holds(&r->except, f))
        row->kind = POLICY_ROW_EXCEPT;
    else if (is_spared(r, f))
        row->kind = POLICY_ROW_EXEMPT;
    if (row->kind != POLICY_ROW_LOOKED)
        return 0;
    bool is_known = r->stage == STAGE_FAILURE || has_element(r, f);
    int asked = is_known ? ask(call, r, f, call->groups, STORE_LOOK) : 0;
    if (asked == 0)
        row->kind = limit_lacks_header(r, f) && r->action != LIMIT_SUSPEND ? POLICY_ROW_LACKS
                                                                           : POLICY_ROW_UNKNOWN;
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
        if (p->limits[i].enabled) {
            if (explain(call, &p->limits[i], f, &rows[count]) < 0)
                return POLICY_FAILED;
            rows[count++].is_harmless = policy_is_monitored(p, &p->limits[i]);
        }
    return count;
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
        s->distinct.element = limit_element(r, f);
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
