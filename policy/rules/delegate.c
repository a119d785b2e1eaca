#include "policy/rules/delegate.h"

#include "policy/policy.h"

#include <stdio.h>

enum { ENHANCED_MAX = 9 }; /* "5.123.456" */

#define AT(member) .offset = offsetof(struct delegate_rule, member)

/* The stages that a server can be asked at: in the file, and on the wire. */
static const struct stage {
    const char *at, *state;
} stages[STAGE_COUNT] = {
    [STAGE_MAIL] = {"mail", "MAIL"},
    [STAGE_RCPT] = {"rcpt", "RCPT"},
    [STAGE_DATA] = {"data", "DATA"},
    [STAGE_END] = {"eom", "END-OF-MESSAGE"},
};

static const char *const at_names[] = {"mail", "rcpt", "data", "eom", NULL};

const struct setting delegate_settings[] = {
    {"address", SETTING_TEXT, AT(address), .preset = "", .check = endpoint_check,
     .help = "the policy server, which speaks Postfix's protocol: inet:HOST:PORT or unix:/PATH",
     .example = "\"inet:127.0.0.1:10031\"", .is_required = true},
    {"at", SETTING_TEXT_LIST, AT(at), .preset = "rcpt", .min = 1, .max = 4, .choices = at_names,
     .help = "when it is asked: mail, rcpt (about each recipient), data, eom (END-OF-MESSAGE, with "
             "the size)"},
    {"timeout", SETTING_DURATION, AT(timeout_ms), .preset = "10s", .min = 10, .max = 300000,
     .help = "for its answer, with connecting and waiting for a free connection"},
    {"on_failure", SETTING_CHOICE, AT(on_failure), .preset = "tempfail",
     .choices = (const char *const[]){"accept", "tempfail", "reject", NULL},
     .help = "without an answer that can be used: accept, tempfail (451 4.7.1) or reject (550 "
             "5.7.1)"},
    {"mode", SETTING_CHOICE, AT(mode), .preset = "enforce",
     .choices = (const char *const[]){"enforce", "monitor", NULL},
     .help = "enforce, or monitor (asks and logs, changes nothing)"},
    {"enabled", SETTING_BOOLEAN, AT(enabled), .preset = "true",
     .help = "false drops a rule that base has"},
    {.name = NULL}};

void delegate_rule_prepare(struct delegate_rule *r)
{
    r->stages = 0;
    for (size_t i = 0; i < r->at.count; i++)
        for (unsigned s = 0; s < STAGE_COUNT; s++)
            if (stages[s].at != NULL && strcmp(r->at.items[i], stages[s].at) == 0)
                r->stages |= 1u << s;
}

bool delegate_is_asked(const struct delegate_rule *r, enum policy_stage stage,
                       const struct policy_facts *f)
{
    return r->enabled && (r->stages >> stage & 1) != 0 && f->account_state != ACCOUNT_TO_COME &&
           (stage != STAGE_RCPT || f->recipient != NULL) && match_holds(&r->when, f) &&
           (match_is_empty(&r->except) || !match_holds(&r->except, f));
}

const char *delegate_state(enum policy_stage stage)
{
    return stages[stage].state;
}

/* ---- answers ---- */

/* access(5). A reply that isn't given its own enhanced code gets that of policy. */
static const struct action {
    const char *name;
    enum delegate_says says;
    int code;
} actions[] = {
    {"DUNNO", DELEGATE_DUNNO, 0},
    {"OK", DELEGATE_OK, 0},
    {"PERMIT", DELEGATE_OK, 0},
    {"RELAY", DELEGATE_OK, 0},
    {"REJECT", DELEGATE_REFUSES, 554},
    {"DEFER", DELEGATE_REFUSES, 450},
    {"DEFER_IF_PERMIT", DELEGATE_IF_PERMIT, 450},
    {"DEFER_IF_REJECT", DELEGATE_IF_REJECT, 450},
    {"PREPEND", DELEGATE_PREPENDS, 0},
    {"DISCARD", DELEGATE_DISCARDS, 0},
    {"WARN", DELEGATE_WARNS, 0},
    {"INFO", DELEGATE_INFORMS, 0},
    {"HOLD", DELEGATE_CANNOT, 0},
    {"REDIRECT", DELEGATE_CANNOT, 0},
    {"FILTER", DELEGATE_CANNOT, 0},
    {"BCC", DELEGATE_CANNOT, 0},
    {"DELAY", DELEGATE_CANNOT, 0},
};

/* "450", "554": says what it is; other numbers are Postfix's other way to say OK. Returns 0, or -1:
 * it is no number. */
static int understand_number(struct span word, struct delegate_answer *out)
{
    uint64_t number;
    if (span_number(word, UINT32_MAX, &number) < 0)
        return -1;
    bool is_code = word.size == 3 && number >= 400 && number < 600;
    out->says = is_code ? DELEGATE_REFUSES : DELEGATE_OK;
    out->code = is_code ? (int)number : 0;
    return 0;
}

static int understand_word(struct span word, struct delegate_answer *out)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (span_equals_nocase(word, actions[i].name)) {
            out->says = actions[i].says;
            out->code = actions[i].code;
            return 0;
        }
    return understand_number(word, out);
}

static size_t word_size(struct span text)
{
    size_t size = 0;
    while (size < text.size && text.data[size] != ' ' && text.data[size] != '\t')
        size++;
    return size;
}

/* "5.7.1" at the front, as RFC 3463 has it: class 2, 4 or 5, and two numbers. Returns its size, or
 * 0. */
static size_t enhanced_size(struct span text)
{
    size_t size = word_size(text);
    struct span rest = span_make(text.data, size);
    uint64_t class, subject, detail;
    bool is_one = span_number(span_split(&rest, '.'), 5, &class) == 0 &&
                  span_number(span_split(&rest, '.'), 999, &subject) == 0 &&
                  span_number(rest, 999, &detail) == 0;
    return is_one && size <= ENHANCED_MAX && text.data[1] == '.' && (class == 2 || class >= 4)
               ? size
               : 0;
}

/* It has the class of the code, whatever the server says. */
static void take_enhanced(struct delegate_answer *out)
{
    size_t size = enhanced_size(out->text);
    (void)snprintf(out->enhanced, sizeof out->enhanced, "%d.7.1", out->code / 100); /* fits */
    if (size == 0)
        return;
    struct span given = span_take(&out->text, size);
    (void)span_copy(given, out->enhanced, sizeof out->enhanced); /* fits */
    out->enhanced[0] = (char)('0' + out->code / 100);
    out->text = span_trim(out->text);
}

int delegate_understand(struct span action, struct delegate_answer *out)
{
    struct span text = span_trim(action);
    *out = (struct delegate_answer){.action = span_take(&text, word_size(text))};
    out->text = span_trim(text);
    if (understand_word(out->action, out) < 0)
        return -1;
    if (out->code > 0)
        take_enhanced(out);
    return 0;
}

/* ---- what becomes of it ---- */

int delegate_refusal(const struct delegate_told *t)
{
    static const int of_failure[] = {
        [DELEGATE_ACCEPT] = 0, [DELEGATE_TEMPFAIL] = 451, [DELEGATE_REJECT] = 550};
    switch (t->answer.says) {
    case DELEGATE_FAILED: return of_failure[t->rule->on_failure];
    case DELEGATE_REFUSES:
    case DELEGATE_IF_PERMIT: return t->answer.code;
    default: return 0;
    }
}

/* Nothing that is heard refuses. */
static void pass(struct delegate_verdict *v, const struct delegate_told *if_permit)
{
    v->by = if_permit;
    v->code = if_permit == NULL ? 0 : if_permit->answer.code;
}

void delegate_judge(const struct delegate_told *told, size_t count, bool is_monitored,
                    struct delegate_verdict *out)
{
    const struct delegate_told *if_permit = NULL, *if_reject = NULL;
    *out = (struct delegate_verdict){.by = NULL};
    while (out->heard < count) {
        const struct delegate_told *t = &told[out->heard++];
        enum delegate_says says = t->answer.says;
        if (is_monitored || t->rule->mode == RULE_MONITOR)
            continue;
        if (says == DELEGATE_IF_PERMIT && if_permit == NULL)
            if_permit = t;
        if (says == DELEGATE_IF_REJECT && if_reject == NULL)
            if_reject = t;
        out->is_discarded = out->is_discarded || says == DELEGATE_DISCARDS;
        if (says == DELEGATE_OK || says == DELEGATE_DISCARDS)
            break;
        int code = says == DELEGATE_IF_PERMIT ? 0 : delegate_refusal(t);
        if (code > 0) {
            bool is_softened = code >= 500 && if_reject != NULL;
            out->by = is_softened ? if_reject : t;
            out->code = is_softened ? if_reject->answer.code : code;
            return;
        }
    }
    pass(out, if_permit);
}
