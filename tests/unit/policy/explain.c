/* What is explained is what then happens: random policies, after random traffic. */
#include "policy/policy.h"

#include "base/arena.h"
#include "policy/limit/table.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { RULES = 6, CELLS = 200, BLOCKS = 8, ROUNDS = 4000, TRAFFIC = 14, SETTLES = 32 };

static struct arena *arena;
static struct table table;
static struct limit_rule rules[RULES];
static char names[RULES][16];
static struct policy policy;
static uint64_t state;
static int64_t now_us;

static unsigned pick(unsigned among)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % among;
}

static void begin(void)
{
    arena = arena_create(16 * 1024 * 1024);
    table = (struct table){.cells = CELLS, .blocks = BLOCKS, .key = {1, 2}};
    table.memory = calloc(1, table_size(CELLS, BLOCKS));
    ck_assert_ptr_nonnull(table.memory);
}

static void end(void)
{
    arena_destroy(&arena);
    free(table.memory);
}

/* ---- a policy ---- */

static const char *const accounts[] = {"ana@example.com", "bob@example.com", "@example.com"};

/* What is counted, where, and by what it is limited. */
static const struct {
    enum limit_count count;
    enum policy_stage stage;
    enum counter_kind kind;
} forms[] = {{LIMIT_CONNECTIONS, STAGE_CONNECT, COUNTER_RATE},
             {LIMIT_CONNECTIONS, STAGE_CONNECT, COUNTER_AT_ONCE},
             {LIMIT_LOGINS, STAGE_LOGIN, COUNTER_RATE},
             {LIMIT_SESSIONS, STAGE_LOGIN, COUNTER_AT_ONCE},
             {LIMIT_DISTINCT_NETWORKS, STAGE_LOGIN, COUNTER_DISTINCT},
             {LIMIT_DISTINCT_COUNTRIES, STAGE_LOGIN, COUNTER_DISTINCT},
             {LIMIT_MESSAGES, STAGE_MAIL, COUNTER_RATE},
             {LIMIT_RECIPIENTS, STAGE_RCPT, COUNTER_RATE},
             {LIMIT_DISTINCT_RECIPIENTS, STAGE_RCPT, COUNTER_DISTINCT},
             {LIMIT_REJECTED_RECIPIENTS, STAGE_RCPT, COUNTER_RATIO},
             {LIMIT_RECIPIENTS, STAGE_DATA, COUNTER_RATE},
             {LIMIT_BYTES, STAGE_END, COUNTER_RATE},
             {LIMIT_MESSAGES, STAGE_END, COUNTER_RATE}};

static enum limit_key key_for(enum policy_stage stage)
{
    static const enum limit_key keys[] = {LIMIT_KEY_IP,        LIMIT_KEY_NETWORK,
                                          LIMIT_KEY_GLOBAL,    LIMIT_KEY_LISTENER,
                                          LIMIT_KEY_COUNTRY,   LIMIT_KEY_ACCOUNT,
                                          LIMIT_KEY_LOGIN,     LIMIT_KEY_ACCOUNT_DOMAIN,
                                          LIMIT_KEY_SENDER,    LIMIT_KEY_SENDER_DOMAIN,
                                          LIMIT_KEY_RECIPIENT, LIMIT_KEY_RECIPIENT_DOMAIN};
    return keys[pick(stage < STAGE_LOGIN   ? 5
                     : stage < STAGE_MAIL  ? 8
                     : stage != STAGE_RCPT ? 10
                                           : 12)];
}

static void make_rule(struct limit_rule *r, const char *name)
{
    const size_t form = pick(sizeof forms / sizeof *forms);
    const int64_t burst = 1 + pick(3);
    *r = (struct limit_rule){.name = name,
                             .enabled = pick(8) > 0,
                             .mode = pick(5) == 0 ? RULE_MONITOR : RULE_ENFORCE,
                             .action = pick(6) == 0 ? LIMIT_SUSPEND
                                       : pick(2)    ? LIMIT_DEFER
                                                    : LIMIT_REJECT,
                             .count = (int)forms[form].count,
                             .stage = forms[form].stage,
                             .kind = forms[form].kind,
                             .key_count = 1,
                             .rate_text = "",
                             .rate = {burst, INT64_C(3600000000), burst},
                             .max = burst,
                             .ratio = 30,
                             .min = burst,
                             .window_ms = 3600000,
                             .slot = (uint16_t)(r - rules)};
    r->keys[0] = key_for(r->stage);
    if (r->kind == COUNTER_RATE && r->stage >= STAGE_LOGIN && pick(3) == 0) {
        r->action = LIMIT_DELAY;
        r->max_delay_ms = 30 * (1 + pick(2));
        r->rate.period_us =
            30000 * burst; /* what holds for an hour does so longer than any delay */
    }
    if (r->kind != COUNTER_RATE && pick(2))
        r->duration_ms = 1800000;
    if (pick(4) == 0)
        r->when.accounts = (struct text_list){(const char **)(uintptr_t)&accounts[pick(3)], 1};
    if (pick(4) == 0)
        r->except.accounts = (struct text_list){(const char **)(uintptr_t)&accounts[pick(3)], 1};
    if (r->stage == STAGE_END && pick(4) == 0)
        r->missing = LIMIT_MISSING_REJECT;
}

static void make_policy(void)
{
    policy = (struct policy){.name = "p", .limits = rules, .limit_count = 1 + pick(RULES)};
    policy.mode = pick(10) == 0 ? RULE_MONITOR : RULE_ENFORCE;
    for (size_t i = 0; i < policy.limit_count; i++) {
        (void)snprintf(names[i], sizeof names[i], "rule%zu", i); /* fits */
        make_rule(&rules[i], names[i]);
        policy.stages |= 1u << rules[i].stage;
    }
}

/* ---- traffic ---- */

static struct policy_facts some_facts(struct address *client)
{
    static const char *const recipients[] = {"x@dest.example", "y@dest.example", "z@other.example"};
    static const char *const clients[] = {"192.0.2.7", "192.0.2.8", "198.51.100.1"};
    static uint64_t lease;
    ck_assert_int_eq(address_make(clients[pick(3)], 25, client), 0);
    const char *account = accounts[pick(2)];
    const enum policy_account comes_when = pick(4) == 0 ? ACCOUNT_HAS_COME : ACCOUNT_KNOWN;
    return (struct policy_facts){.account = account,
                                 .account_state = comes_when,
                                 .login = pick(3) == 0 ? accounts[0] : account,
                                 .listener = "submission",
                                 .sender = accounts[pick(2)],
                                 .recipient = recipients[pick(3)],
                                 .client = client,
                                 .country = pick(3) == 0 ? NULL : "BR",
                                 .recipients = 1,
                                 .bytes = 1,
                                 .lease = ++lease};
}

static void take(struct policy_call *call)
{
    struct table_name table_names_of[STORE_TAKES_MAX];
    (void)table_names(&table, call->takes, call->count, table_names_of); /* nobody else is there */
    ck_assert_int_eq(
        table_take(&table, call->takes, table_names_of, call->count, now_us, call->answers), 0);
}

/* A turn of a session: nothing is known of what comes later. */
static struct policy_facts known_at(const struct policy_facts *all, enum policy_stage stage,
                                    bool is_late)
{
    struct policy_facts f = *all;
    bool is_named = all->account_state == ACCOUNT_HAS_COME;
    f.account_state = !is_named || stage < STAGE_MAIL ? ACCOUNT_KNOWN
                      : is_late                       ? ACCOUNT_HAS_COME
                                                      : ACCOUNT_TO_COME;
    if (stage < STAGE_MAIL || f.account_state == ACCOUNT_TO_COME)
        f.account = f.login;
    if (stage < STAGE_LOGIN)
        f.account = f.login = NULL;
    if (stage < STAGE_MAIL)
        f.sender = NULL;
    if (stage != STAGE_RCPT)
        f.recipient = NULL;
    return f;
}

static void settle(enum policy_after what, const struct policy_facts *f, bool is_bad)
{
    struct counter_settle settles[SETTLES];
    struct table_name settle_names[SETTLES];
    size_t count = policy_after(&policy, what, f, is_bad, arena, settles, SETTLES);
    (void)table_settle_names(&table, settles, count, settle_names); /* as above */
    table_settle(&table, settles, settle_names, count, now_us);
}

static void note_first(void *owner, const struct verdict *v)
{
    struct verdict *first = owner;
    if (first->kind == VERDICT_PASS)
        *first = *v;
}

/* One question: what it says, and for how long a reply is held back. */
static struct verdict asked(enum policy_stage stage, const struct policy_facts *f)
{
    struct policy_call call;
    struct verdict v, suspends = {.kind = VERDICT_PASS};
    policy_call_begin(&call, arena);
    int group = policy_ask(&call, &policy, stage, f, STORE_NO_GROUP);
    ck_assert_int_ne(group, POLICY_FAILED);
    take(&call);
    policy_judge(&call, group, &v);
    if (v.kind == VERDICT_PASS)
        policy_suspending(&call, &policy, note_first, &suspends);
    return suspends.kind == VERDICT_PASS ? v : suspends;
}

/* Once the headers have named the account, of recipients first of each, then of all together. */
static struct verdict turn(enum policy_stage stage, struct policy_facts *f)
{
    struct verdict first = asked(stage, f);
    if (stage != STAGE_RCPT || f->account_state != ACCOUNT_HAS_COME || first.kind != VERDICT_PASS)
        return first;
    f->recipient = NULL;
    f->delayed_us += first.wait_us;
    now_us += first.wait_us;
    struct verdict all = asked(stage, f);
    now_us -= first.wait_us; /* the caller's to add */
    all.wait_us += all.kind == VERDICT_PASS ? first.wait_us : 0;
    return all;
}

/* A session with one message. Returns the rule that has refused, or NULL, and `wait_us`. */
static const struct limit_rule *comes(const struct policy_facts *all, enum verdict_kind *kind,
                                      int64_t *wait_us)
{
    int64_t delayed_us = 0;
    bool is_named = all->account_state == ACCOUNT_HAS_COME;
    *wait_us = 0;
    for (int i = 0; i < (is_named ? 2 : 1) * STAGE_COUNT; i++) {
        const enum policy_stage stage = (enum policy_stage)(i % STAGE_COUNT);
        bool is_late = i >= STAGE_COUNT;
        struct policy_facts f = known_at(all, stage, is_late);
        if (stage == STAGE_FAILURE || (is_late && stage < STAGE_MAIL) ||
            (is_named && !is_late && stage == STAGE_END))
            continue;
        f.delayed_us = delayed_us;
        const struct verdict v = turn(stage, &f);
        *kind = v.kind;
        if (v.kind != VERDICT_PASS)
            return v.rule;
        *wait_us += v.wait_us;
        now_us += v.wait_us;
        delayed_us += stage >= STAGE_MAIL ? v.wait_us : 0;
        if (stage == STAGE_LOGIN)
            settle(AFTER_LOGIN, &f, false);
        if (stage == STAGE_RCPT)
            settle(AFTER_ATTEMPT, &f, pick(3) == 0);
    }
    settle(AFTER_MESSAGE, all, false);
    return NULL;
}

/* ---- the promise ---- */

static void explains(const struct policy_facts *f, struct policy_call *call,
                     struct policy_row rows[RULES], int *count)
{
    policy_call_begin(call, arena);
    *count = policy_explain(call, &policy, f, rows);
    ck_assert_int_ge(*count, 0);
    take(call);
}

static void explain_and_compare(void)
{
    struct policy_row rows[RULES], again[RULES];
    struct policy_call call, second;
    struct address client;
    struct verdict said;
    enum verdict_kind kind;
    int64_t wait_us;
    int count, count_again;
    const struct policy_facts f = some_facts(&client);
    explains(&f, &call, rows, &count);
    explains(&f, &second, again, &count_again);
    ck_assert_int_eq(count, count_again);
    if (call.count > 0)
        ck_assert_mem_eq(call.answers, second.answers, call.count * sizeof *call.answers);
    int row = policy_explained(&call, rows, (size_t)count, &said);
    const struct limit_rule *refuses = comes(&f, &kind, &wait_us);
    ck_assert_msg((row < 0 ? NULL : rows[row].rule) == refuses && said.kind == kind,
                  "explained %s, and then %s", row < 0 ? "passes" : rows[row].rule->name,
                  refuses == NULL ? "passes" : refuses->name);
    if (refuses == NULL)
        ck_assert_int_eq(said.wait_us, wait_us);
}

START_TEST(what_is_explained_is_what_then_happens)
{
    unsigned refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct address client;
        enum verdict_kind kind;
        int64_t wait_us;
        state = (uint64_t)round * 7919 + 1;
        now_us = INT64_C(1795540385) * 1000000 + round;
        memset(table.memory, 0, table_size(CELLS, BLOCKS));
        arena_reset(arena);
        make_policy();
        for (unsigned n = pick(TRAFFIC); n > 0; n--) {
            const struct policy_facts f = some_facts(&client);
            refused += comes(&f, &kind, &wait_us) != NULL;
            now_us += pick(2) ? pick(600) * INT64_C(1000000) : pick(30) * 1000;
        }
        explain_and_compare();
    }
    ck_assert_uint_gt(refused, ROUNDS); /* there was something to explain */
}
END_TEST

SUITE(explain)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_is_explained_is_what_then_happens);
}
