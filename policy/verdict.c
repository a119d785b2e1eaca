/* What the answers say: of a group, of one rule, and stage by stage for whoever wonders. */
#include "policy/verdict.h"

#include "policy/figures.h"
#include "policy/policy.h"

#include <string.h>

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

void policy_judge_look(const struct policy_call *call, const struct policy_row *row,
                       struct verdict *out)
{
    struct counter_answer a = call->answers[row->take];
    const struct counter_take *take = &call->takes[row->take];
    const int64_t delay_us = take->rate.max_delay_us - row->delayed_us;
    const struct gcra_take rate = {take->rate.increment_us, take->rate.tolerance_us,
                                   delay_us > 0 ? delay_us : 0};
    int64_t tat_us = a.tat_us;
    a.now_us += row->passed_us;
    if (take->kind == COUNTER_RATE)
        a.is_refusing = !gcra_take(&tat_us, &rate, a.now_us, &a.wait_us);
    else if (a.is_refusing && a.wait_us == 0)
        a.wait_us = -1; /* nobody knows until when */
    *out = describe(call, row->take, &a);
    if (a.is_refusing)
        refuse(call, row->take, &a, out);
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

static bool has_turn(const struct policy_row *row, unsigned turn)
{
    return row->turn == turn && row->rule->stage != STAGE_FAILURE && !row->is_harmless;
}

/* A header that is missing goes before what was counted. Returns the row that refuses, or -1 and
 * how long it is to wait. */
static int explained_at(const struct policy_call *call, const struct policy_row *rows, size_t count,
                        unsigned turn, struct verdict *out)
{
    int64_t longest_us = 0;
    for (size_t i = 0; i < count; i++)
        if (has_turn(&rows[i], turn) && rows[i].kind == POLICY_ROW_LACKS) {
            *out = lacking(rows[i].rule);
            return (int)i;
        }
    for (size_t i = 0; i < count; i++) {
        if (!has_turn(&rows[i], turn) || rows[i].kind != POLICY_ROW_LOOKED)
            continue;
        policy_judge_look(call, &rows[i], out);
        if (out->kind != VERDICT_PASS)
            return (int)i;
        longest_us = out->wait_us > longest_us ? out->wait_us : longest_us;
    }
    *out = (struct verdict){.kind = VERDICT_PASS, .wait_us = longest_us};
    return -1;
}

/* A reply was held back for rows of that stage: those behind them have their turn later. */
static void pass_time(struct policy_row *rows, size_t count, unsigned turn, int64_t wait_us)
{
    const unsigned stage = turn % (POLICY_TURNS / 2) / 4;
    for (size_t i = 0; i < count; i++)
        if (rows[i].turn > (turn | 1)) {
            rows[i].passed_us += wait_us;
            rows[i].delayed_us += stage >= STAGE_MAIL ? wait_us : 0;
        }
}

int policy_explained(const struct policy_call *call, struct policy_row *rows, size_t count,
                     struct verdict *out)
{
    int64_t waited_us = 0;
    for (unsigned turn = 0; turn < POLICY_TURNS; turn++) {
        int decides = explained_at(call, rows, count, turn, out);
        if (decides >= 0)
            return decides;
        pass_time(rows, count, turn, out->wait_us);
        waited_us += out->wait_us;
    }
    *out = (struct verdict){.kind = VERDICT_PASS, .wait_us = waited_us};
    return -1;
}

/* ---- what is told besides ---- */

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
