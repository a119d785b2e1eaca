/* The counters of all rules that the listeners' policies have for somebody are looked at in one
 * call of the store, a group for each listener; rows that are the same but for it become one. */
#include "control/limiting.h"

#include "base/clock.h"
#include "base/id.h"
#include "control/subject.h"
#include "control/tally.h"
#include "decision/guessing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUESTIONS_MAX = 8, GROUPS_MAX = STORE_GROUPS_MAX };
#define LOOK_AGAIN_NS (20 * CLOCK_MS)
#define CONNECT_NS    (2 * CLOCK_SECOND)

/* Whose rules the takes of a group are. */
struct asked_of {
    const struct policy *policy;
    const char *listener; /* NULL: of all of them, it is auth.guessing */
};

struct question {
    struct limiting *limiting;
    struct control_socket *socket; /* NULL: nobody's */
    uint32_t request;
    struct subject subject;
    void (*run)(struct question *q); /* once Redis is there, or is away */
    uint32_t count;                  /* of what is told */
    struct explanation *explanation; /* of who asks for one; else NULL */
    struct decision *decision;
    struct asked_of groups[GROUPS_MAX];
    struct timeout *again; /* until Redis is there */
    int64_t until_ns;
};

struct limiting {
    struct limiting_options options;
    struct redis_store *store;
    struct decider *decider; /* NULL until somebody asks */
    struct guessing_policy guessing;
    struct explaining explaining;
    struct question questions[QUESTIONS_MAX];
};

static struct subject_lists lists_of(const struct limiting *l)
{
    return (struct subject_lists){l->options.config, l->options.aliases, l->options.countries};
}

struct limiting *limiting_create(const struct limiting_options *options)
{
    struct limiting *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->options = *options;
    guessing_policy_make(&options->config->auth.guessing, &l->guessing);
    l->explaining = (struct explaining){.lists = lists_of(l),
                                        .suspending = options->suspending,
                                        .known = options->known,
                                        .sessions = options->sessions,
                                        .set_limits = options->set_limits};
    return l;
}

static void end_question(struct question *q)
{
    decision_destroy(&q->decision);
    timeout_destroy(&q->again);
    explaining_free(&q->explanation);
    *q = (struct question){.socket = NULL};
}

void limiting_destroy(struct limiting **limiting)
{
    struct limiting *l = *limiting;
    if (l == NULL)
        return;
    for (size_t i = 0; i < QUESTIONS_MAX; i++)
        end_question(&l->questions[i]);
    decider_destroy(&l->decider);
    free(l);
    *limiting = NULL;
}

static void answer(struct question *q, bool is_good, const char *text)
{
    control_socket_answer(q->socket, q->request, is_good, span_of(text));
    end_question(q);
}

/* ---- rows ---- */

static bool is_same(const struct policy_call *call, size_t a, size_t b)
{
    return call->rules[a] == call->rules[b] && call->takes[a].key.size == call->takes[b].key.size &&
           memcmp(call->takes[a].key.data, call->takes[b].key.data, call->takes[a].key.size) == 0;
}

static bool was_told(const struct policy_call *call, size_t i)
{
    for (size_t before = 0; before < i; before++)
        if (is_same(call, before, i))
            return true;
    return false;
}

/* So many pass now; what is used up is the rest of what passes from rest. In memory, while Redis is
 * away, each gateway has its part. */
struct figures {
    uint64_t most, left;
    int64_t wait_us, rest_us; /* until one more passes; until it is at rest. -1: unknown */
};

static struct figures figures_of(const struct counter_take *take, const struct counter_answer *a,
                                 const struct rate *rate, int64_t gateways)
{
    struct figures f = {.most = 0, .wait_us = 0, .rest_us = -1};
    int64_t owed_us = a->tat_us > a->now_us ? a->tat_us - a->now_us : 0;
    if (take->kind == COUNTER_RATE) {
        int64_t wait_us = owed_us + rate_increment(rate, 1) * gateways - rate_tolerance(rate);
        f.most = (uint64_t)(rate->burst / gateways > 0 ? rate->burst / gateways : 1);
        f.left = rate_left(rate, a->tat_us, a->now_us) / (uint64_t)gateways;
        f.rest_us = owed_us;
        f.wait_us = f.left > 0 || wait_us < 0 ? 0 : wait_us;
        return f;
    }
    f.most = take->kind == COUNTER_AT_ONCE ? take->at_once.max : take->distinct.max;
    bool is_held = a->wait_us > 0;
    f.left = a->used < f.most && !is_held ? f.most - a->used : 0;
    f.wait_us = is_held ? a->wait_us : f.left > 0 ? 0 : -1;
    f.rest_us = a->used == 0 && !is_held ? 0 : -1;
    return f;
}

static json_t *seconds(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1e6);
}

/* The limit in figures: what passes in a period, and at once; or how many there may be. */
static void add_limit(json_t *row, const struct counter_take *take, const struct rate *rate)
{
    json_t *figures =
        take->kind == COUNTER_RATE
            ? json_pack("{s:I, s:f, s:I}", "count", (json_int_t)rate->count, "period",
                        (double)rate->period_us / 1e6, "burst", (json_int_t)rate->burst)
            : json_pack("{s:I}", "max", (json_int_t)take->at_once.max);
    (void)json_object_update_missing(row, figures); /* without memory it isn't told */
    json_decref(figures);
}

static json_t *listeners_of(const struct question *q, size_t i)
{
    const struct policy_call *call = &q->decision->call;
    json_t *names = json_array();
    for (size_t k = i; k < call->count; k++)
        if (is_same(call, i, k) && q->groups[call->takes[k].group].listener != NULL)
            (void)json_array_append_new(names,
                                        json_string(q->groups[call->takes[k].group].listener));
    return names;
}

static void tell_row(const struct question *q, size_t i, int64_t gateways)
{
    const struct policy_call *call = &q->decision->call;
    const struct limit_rule *r = call->rules[i];
    const struct policy *p = q->groups[call->takes[i].group].policy;
    const struct override *o = call->overrides[i];
    const struct rate *rate = policy_rate(call, i);
    const struct figures f = figures_of(&call->takes[i], &call->answers[i], rate, gateways);
    char limit[160];
    json_t *row =
        json_pack("{s:s, s:s, s:s%, s:s, s:s, s:I, s:I}", "rule", r->name, "policy", p->name, "key",
                  call->takes[i].key.data, call->takes[i].key.size, "limit",
                  limit_rule_text(r, o, limit, sizeof limit), "mode",
                  policy_is_monitored(p, r) ? "monitor" : "enforce", "used",
                  (json_int_t)(f.most > f.left ? f.most - f.left : 0), "left", (json_int_t)f.left);
    if (row == NULL)
        return; /* without memory; the others are told */
    add_limit(row, &call->takes[i], rate);
    (void)json_object_set_new(row, "override",
                              json_string(o == NULL         ? ""
                                          : o->is_of_domain ? "domain"
                                                            : "account"));
    (void)json_object_set_new(row, "by", json_string(o == NULL ? "" : o->is_set ? "set" : "file"));
    (void)json_object_set_new(row, "listeners", listeners_of(q, i));
    (void)json_object_set_new(row, "wait", seconds(f.wait_us));
    (void)json_object_set_new(row, "rest", seconds(f.rest_us));
    control_socket_tell(q->socket, q->request, row);
    json_decref(row);
}

static void tell_explained(void *owner, json_t *row)
{
    const struct question *q = owner;
    control_socket_tell(q->socket, q->request, row);
}

static void explain(struct question *q)
{
    char text[EXPLAINED_TEXT_SIZE];
    explaining_tell(q->explanation, &q->decision->call, tell_explained, q, text);
    answer(q, true, text);
}

static void tell(struct question *q)
{
    const struct limiting *l = q->limiting;
    const struct redis_config *redis = &l->options.config->redis;
    const struct policy_call *call = &q->decision->call;
    bool is_divided = l->store != NULL && !q->decision->is_in_redis;
    size_t count = 0;
    if (is_divided && redis->on_failure != REDIS_FAILURE_MEMORY) {
        answer(q, false, "Redis is away, and nothing is counted elsewhere (redis.on_failure)");
        return;
    }
    if (q->explanation != NULL) {
        explain(q);
        return;
    }
    for (size_t i = 0; i < call->count; i++)
        if (subject_is_asked(&q->subject, call->rules[i]) && !was_told(call, i)) {
            tell_row(q, i, is_divided ? redis->gateways : 1);
            count++;
        }
    answer(q, true,
           count == 0   ? "no limit goes by that"
           : is_divided ? "Redis is away: this is what this gateway counts, of its part"
                        : "");
}

/* ---- asking ---- */

static void on_answers(void *owner, enum decision_outcome outcome)
{
    struct question *q = owner;
    if (outcome == DECISION_FAILED)
        answer(q, false, "the counters can't be asked now");
    else
        tell(q);
}

static int look_for(struct question *q, const struct policy *p, const char *listener)
{
    struct policy_call *call = &q->decision->call;
    if (p == NULL || (q->subject.listener != NULL && q->subject.listener != listener))
        return 0;
    q->subject.facts.listener = listener;
    q->subject.facts.now_s = clock_wall_ns() / CLOCK_SECOND;
    q->subject.facts.set_limits = &q->limiting->options.set_limits;
    int group = policy_look(call, p, &q->subject.facts);
    if (group >= GROUPS_MAX)
        return -1;
    if (group >= 0)
        q->groups[group] = (struct asked_of){p, listener};
    return group == POLICY_FAILED ? -1 : 0;
}

static int look_for_all(struct question *q)
{
    const struct config *c = q->limiting->options.config;
    int failed = 0;
    if (q->explanation != NULL)
        return explaining_ask(q->explanation, &q->decision->call);
    for (size_t i = 0; i < c->listener_count; i++)
        failed |= look_for(q, c->listeners[i].policy_rules, c->listeners[i].name);
    return failed | look_for(q, &q->limiting->guessing.policy, NULL);
}

static void ask(struct question *q)
{
    q->decision = decision_create(q->limiting->decider);
    if (q->decision == NULL || look_for_all(q) < 0) {
        answer(q, false, "there are more rules than one question holds");
        return;
    }
    enum decision_outcome outcome = decision_run(q->decision, on_answers, q);
    if (outcome != DECISION_PENDING)
        on_answers(q, outcome);
}

/* ---- settling ---- */

static bool is_away(const struct limiting *l)
{
    return l->store != NULL && !redis_store_is_trusted(l->store) &&
           l->options.config->redis.on_failure != REDIS_FAILURE_MEMORY;
}

static void settle_all(struct question *q)
{
    const struct limiting *l = q->limiting;
    struct tally tally = {.count = 0};
    char text[ACCOUNT_SIZE + 80];
    q->decision = decision_create(l->decider); /* its memory is what is needed */
    if (q->decision != NULL)
        tally_rejected(l->options.config, q->subject.account, q->count, q->decision->arena, &tally);
    if (is_away(l) || tally.count == 0) {
        answer(q, false,
               tally.count == 0 ? "no limit on rejected_recipients goes by this account"
                                : "Redis is away, and nothing is counted elsewhere "
                                  "(redis.on_failure)");
        return;
    }
    decider_settle(l->decider, tally.settles, tally.count);
    (void)snprintf(text, sizeof text, "%s: %" PRIu32 " more, in %zu limit%s", q->subject.account,
                   q->count, tally.count, tally.count == 1 ? "" : "s"); /* fits */
    answer(q, true, text);
}

static void forget_all(struct question *q)
{
    const struct limiting *l = q->limiting;
    struct tally tally = {.count = 0};
    char text[ACCOUNT_SIZE + 40];
    q->decision = decision_create(l->decider); /* as above */
    if (q->decision != NULL)
        tally_suspending(l->options.config, q->subject.account, q->decision->arena, &tally);
    if (tally.count > 0)
        decider_settle(l->decider, tally.settles, tally.count);
    (void)snprintf(text, sizeof text, "%s is suspended no more", q->subject.account); /* fits */
    answer(q, true, text);
}

/* Whoever asks first waits until Redis is there; who is away that long is away. */
static void ask_when_ready(void *owner)
{
    struct question *q = owner;
    const struct limiting *l = q->limiting;
    int64_t now = loop_now(l->options.loop);
    if (l->store == NULL || redis_store_is_linked(l->store) || now >= q->until_ns)
        q->run(q);
    else
        timeout_set(q->again, now + LOOK_AGAIN_NS);
}

static int open_stores(struct limiting *l)
{
    struct decider_options options = {.memory = l->options.memory,
                                      .config = &l->options.config->redis};
    if (l->decider != NULL)
        return 0;
    l->store = l->options.open_store == NULL ? NULL : l->options.open_store(l->options.owner);
    options.redis = l->store;
    l->decider = decider_create(&options);
    return l->decider == NULL ? -1 : 0;
}

static struct question *find_free(struct limiting *l)
{
    for (size_t i = 0; i < QUESTIONS_MAX; i++)
        if (l->questions[i].socket == NULL)
            return &l->questions[i];
    return NULL;
}

/* Whom to answer; NULL, having answered: there are too many. */
static struct question *begin(struct limiting *l, struct control_socket *socket, uint32_t request)
{
    struct question *q = find_free(l);
    if (q == NULL) {
        control_socket_answer(socket, request, false, span_of("too many questions; try again"));
        return NULL;
    }
    *q = (struct question){.limiting = l,
                           .socket = socket,
                           .request = request,
                           .until_ns = loop_now(l->options.loop) + CONNECT_NS};
    q->again = timeout_create(l->options.loop, ask_when_ready, q);
    return q;
}

static void go_on(struct question *q, void (*run)(struct question *q))
{
    q->run = run;
    if (q->again == NULL || open_stores(q->limiting) < 0)
        answer(q, false, "out of memory");
    else
        ask_when_ready(q);
}

void limiting_show(struct limiting *l, struct control_socket *socket, uint32_t request,
                   const json_t *keys)
{
    struct question *q = begin(l, socket, request);
    const struct subject_lists lists = lists_of(l);
    struct error why;
    if (q == NULL)
        return;
    if (subject_understand(&lists, keys, &q->subject, &why) < 0)
        answer(q, false, why.text);
    else
        go_on(q, ask);
}

void limiting_explain(struct limiting *l, struct control_socket *socket, uint32_t request,
                      const json_t *question)
{
    struct question *q = begin(l, socket, request);
    struct error why;
    if (q == NULL)
        return;
    q->explanation = calloc(1, sizeof *q->explanation);
    if (q->explanation == NULL)
        answer(q, false, "out of memory");
    else if (explaining_understand(&l->explaining, question, q->explanation, &why) < 0)
        answer(q, false, why.text);
    else
        go_on(q, ask);
}

void limiting_count(struct limiting *l, struct control_socket *socket, uint32_t request,
                    const char *account, json_int_t count)
{
    struct question *q = begin(l, socket, request);
    const struct subject_lists lists = lists_of(l);
    if (q == NULL)
        return;
    q->count = count < 1 || count > LIMITING_COUNT_MAX ? 0 : (uint32_t)count;
    if (q->count == 0)
        answer(q, false, "1 to 10000 recipients are counted at once");
    else if (account[0] == '@' || subject_be_account(&lists, account, &q->subject) < 0)
        answer(q, false, "that is no account");
    else
        go_on(q, settle_all);
}

void limiting_count_message(struct limiting *l, struct control_socket *socket, uint32_t request,
                            const char *message)
{
    struct question *q = begin(l, socket, request);
    char id[ID_SIZE] = "", account[SENDER_ACCOUNT_SIZE];
    if (q == NULL)
        return;
    q->count = 1;
    if (strlen(message) == ID_SIZE - 1)
        (void)span_copy(span_of(message), id, sizeof id); /* fits */
    if (id_number(id) == 0) {
        answer(q, false, "that is no id of a message: it has 12 characters, as in the log");
    } else if (senders_find(l->options.senders, id_number(id), account) < 0) {
        answer(q, false,
               "nothing is known of this message any more; its account stands in the log's "
               "message_accepted");
    } else {
        (void)span_copy(span_of(account), q->subject.account, ACCOUNT_SIZE); /* fits */
        go_on(q, settle_all);
    }
}

void limiting_forget(struct limiting *l, struct control_socket *socket, uint32_t request,
                     const char *account)
{
    struct question *q = begin(l, socket, request);
    const struct subject_lists lists = lists_of(l);
    if (q == NULL)
        return;
    if (subject_be_account(&lists, account, &q->subject) < 0)
        answer(q, false, "that is no account");
    else
        go_on(q, forget_all);
}
