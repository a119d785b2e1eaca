#include "policy/rules/delegate.h"

#include "policy/policy.h"
#include "support/test.h"

/* ---- whether it is asked ---- */

START_TEST(it_is_asked_at_the_stages_that_at_names)
{
    const char *items[] = {"mail", "eom"};
    struct delegate_rule r = {.at = {items, 2}, .enabled = true};
    const struct policy_facts f = {.recipient = "bob@example.net"};
    delegate_rule_prepare(&r);
    ck_assert_uint_eq(r.stages, 1u << STAGE_MAIL | 1u << STAGE_END);
    ck_assert(delegate_is_asked(&r, STAGE_MAIL, &f));
    ck_assert(!delegate_is_asked(&r, STAGE_RCPT, &f));
    ck_assert(delegate_is_asked(&r, STAGE_END, &f));
    r.enabled = false;
    ck_assert(!delegate_is_asked(&r, STAGE_END, &f));
}
END_TEST

START_TEST(at_rcpt_it_is_asked_about_somebody)
{
    const struct delegate_rule r = {.stages = 1u << STAGE_RCPT, .enabled = true};
    struct policy_facts f = {.account = "ana@example.com"};
    ck_assert(!delegate_is_asked(&r, STAGE_RCPT, &f));
    f.recipient = "bob@example.net";
    ck_assert(delegate_is_asked(&r, STAGE_RCPT, &f));
}
END_TEST

START_TEST(it_is_asked_when_the_account_is_known)
{
    const struct delegate_rule r = {.stages = 1u << STAGE_DATA, .enabled = true};
    struct policy_facts f = {.account_state = ACCOUNT_TO_COME};
    ck_assert(!delegate_is_asked(&r, STAGE_DATA, &f));
    f.account_state = ACCOUNT_HAS_COME;
    ck_assert(delegate_is_asked(&r, STAGE_DATA, &f));
}
END_TEST

START_TEST(it_is_asked_about_whom_when_and_except_leave)
{
    const char *all[] = {"@example.com"}, *one[] = {"ana@example.com"};
    struct delegate_rule r = {.stages = 1u << STAGE_DATA, .enabled = true};
    struct policy_facts ana = {.account = "ana@example.com"}, bob = {.account = "bob@example.com"};
    r.when.accounts = (struct text_list){all, 1};
    r.except.accounts = (struct text_list){one, 1};
    ck_assert(!delegate_is_asked(&r, STAGE_DATA, &ana));
    ck_assert(delegate_is_asked(&r, STAGE_DATA, &bob));
    bob.account = "bob@example.net";
    ck_assert(!delegate_is_asked(&r, STAGE_DATA, &bob));
}
END_TEST

/* ---- actions: those of access(5) ---- */

static const struct {
    const char *action;
    enum delegate_says says;
    int code;
    const char *enhanced, *text;
} actions[] = {
    {"DUNNO", DELEGATE_DUNNO, 0, "", ""},
    {"dunno", DELEGATE_DUNNO, 0, "", ""},
    {"OK", DELEGATE_OK, 0, "", ""},
    {"permit", DELEGATE_OK, 0, "", ""},
    {"1", DELEGATE_OK, 0, "", ""},
    {"12345", DELEGATE_OK, 0, "", ""},
    {"250", DELEGATE_OK, 0, "", ""},
    {"REJECT", DELEGATE_REFUSES, 554, "5.7.1", ""},
    {"REJECT \t No  way ", DELEGATE_REFUSES, 554, "5.7.1", "No  way"},
    {"REJECT 5.1.1 Nobody", DELEGATE_REFUSES, 554, "5.1.1", "Nobody"},
    {"REJECT 5.1.1", DELEGATE_REFUSES, 554, "5.1.1", ""},
    {"REJECT 4.1.1 Nobody", DELEGATE_REFUSES, 554, "5.1.1", "Nobody"},
    {"REJECT 5.1.1.1 x", DELEGATE_REFUSES, 554, "5.7.1", "5.1.1.1 x"},
    {"REJECT 3.1.1 x", DELEGATE_REFUSES, 554, "5.7.1", "3.1.1 x"},
    {"REJECT 5.1 x", DELEGATE_REFUSES, 554, "5.7.1", "5.1 x"},
    {"REJECT 5.1234.1 x", DELEGATE_REFUSES, 554, "5.7.1", "5.1234.1 x"},
    {"REJECT 05.1.1 x", DELEGATE_REFUSES, 554, "5.7.1", "05.1.1 x"},
    {"REJECT 5.999.999 x", DELEGATE_REFUSES, 554, "5.999.999", "x"},
    {"DEFER", DELEGATE_REFUSES, 450, "4.7.1", ""},
    {"DEFER 5.2.2 Full", DELEGATE_REFUSES, 450, "4.2.2", "Full"},
    {"DEFER_IF_PERMIT Greylisted", DELEGATE_IF_PERMIT, 450, "4.7.1", "Greylisted"},
    {"defer_if_reject 4.3.5 Wait", DELEGATE_IF_REJECT, 450, "4.3.5", "Wait"},
    {"421 Away", DELEGATE_REFUSES, 421, "4.7.1", "Away"},
    {"599 5.0.0 x", DELEGATE_REFUSES, 599, "5.0.0", "x"},
    {"PREPEND X-A: 5.1.1", DELEGATE_PREPENDS, 0, "", "X-A: 5.1.1"},
    {"DISCARD spam", DELEGATE_DISCARDS, 0, "", "spam"},
    {"WARN look", DELEGATE_WARNS, 0, "", "look"},
    {"INFO so", DELEGATE_INFORMS, 0, "", "so"},
    {"HOLD", DELEGATE_CANNOT, 0, "", ""},
    {"REDIRECT a@example.net", DELEGATE_CANNOT, 0, "", "a@example.net"},
    {"FILTER smtp:[::1]", DELEGATE_CANNOT, 0, "", "smtp:[::1]"},
    {"BCC a@example.net", DELEGATE_CANNOT, 0, "", "a@example.net"},
};

START_TEST(an_action_is_understood)
{
    struct delegate_answer a;
    struct span action = span_of(actions[_i].action);
    ck_assert_int_eq(delegate_understand(action, &a), 0);
    ck_assert_int_eq(a.says, actions[_i].says);
    ck_assert_int_eq(a.code, actions[_i].code);
    ck_assert_str_eq(a.enhanced, actions[_i].enhanced);
    ck_assert_msg(span_equals(a.text, actions[_i].text), "%.*s", (int)a.text.size, a.text.data);
}
END_TEST

static const char *const unknown[] = {"", "MAYBE", "reject_unlisted_recipient", "REJECTED",
                                      "4x0 x"};

START_TEST(another_action_is_none)
{
    struct delegate_answer a;
    ck_assert_int_eq(delegate_understand(span_of(unknown[_i]), &a), -1);
}
END_TEST

/* ---- what becomes of it ---- */

enum { TEMPFAIL_RULE, ACCEPT_RULE, REJECT_RULE, MONITOR_RULE };

static const struct delegate_rule rules[] = {{.on_failure = DELEGATE_TEMPFAIL},
                                             {.on_failure = DELEGATE_ACCEPT},
                                             {.on_failure = DELEGATE_REJECT},
                                             {.mode = RULE_MONITOR}};

/* Rules, what each of their servers has said (NULL: nothing that can be used), and what becomes of
 * it: who decides (-1: nobody), with which code, and how many are heard. */
static const struct {
    struct {
        int rule;
        const char *action;
    } told[3];
    int by, code;
    size_t heard;
    bool is_discarded;
} verdicts[] = {
    {{{0, "DUNNO"}, {0, "DUNNO"}, {0, "DUNNO"}}, -1, 0, 3, false},
    {{{0, "DUNNO"}, {0, "REJECT"}, {0, "450 x"}}, 1, 554, 2, false},
    {{{0, "450 x"}, {0, "REJECT"}, {0, "DUNNO"}}, 0, 450, 1, false},
    {{{0, "OK"}, {0, "REJECT"}, {0, "REJECT"}}, -1, 0, 1, false},
    {{{0, "WARN x"}, {0, "PREPEND X-A: b"}, {0, "HOLD"}}, -1, 0, 3, false},
    /* access(5): "if some later restriction would result in ..." */
    {{{0, "DEFER_IF_PERMIT x"}, {0, "DUNNO"}, {0, "DUNNO"}}, 0, 450, 3, false},
    {{{0, "DEFER_IF_PERMIT x"}, {0, "OK"}, {0, "REJECT"}}, 0, 450, 2, false},
    {{{0, "DEFER_IF_PERMIT x"}, {0, "DEFER_IF_PERMIT y"}, {0, "DUNNO"}}, 0, 450, 3, false},
    {{{0, "DEFER_IF_PERMIT x"}, {0, "DUNNO"}, {0, "550 y"}}, 2, 550, 3, false},
    {{{0, "DEFER_IF_REJECT x"}, {0, "DUNNO"}, {0, "DUNNO"}}, -1, 0, 3, false},
    {{{0, "DEFER_IF_REJECT x"}, {0, "DUNNO"}, {0, "REJECT"}}, 0, 450, 3, false},
    {{{0, "DEFER_IF_REJECT x"}, {0, "451 y"}, {0, "DUNNO"}}, 1, 451, 2, false},
    {{{0, "REJECT"}, {0, "DEFER_IF_REJECT x"}, {0, "DUNNO"}}, 0, 554, 1, false},
    {{{0, "DISCARD"}, {0, "REJECT"}, {0, "DUNNO"}}, -1, 0, 1, true},
    {{{0, "DEFER_IF_PERMIT x"}, {0, "DISCARD"}, {0, "DUNNO"}}, 0, 450, 2, true},
    /* No answer. */
    {{{TEMPFAIL_RULE, NULL}, {0, "DUNNO"}, {0, "REJECT"}}, 0, 451, 1, false},
    {{{ACCEPT_RULE, NULL}, {0, "DUNNO"}, {0, "REJECT"}}, 2, 554, 3, false},
    {{{REJECT_RULE, NULL}, {0, "DUNNO"}, {0, "DUNNO"}}, 0, 550, 1, false},
    /* Monitor. */
    {{{MONITOR_RULE, "REJECT"}, {MONITOR_RULE, "DISCARD"}, {0, "450 x"}}, 2, 450, 3, false},
    {{{MONITOR_RULE, "OK"}, {MONITOR_RULE, "DEFER_IF_PERMIT x"}, {0, "DUNNO"}}, -1, 0, 3, false},
};

static void tell(struct delegate_told *t, int rule, const char *action)
{
    *t = (struct delegate_told){.rule = &rules[rule], .answer = {.says = DELEGATE_FAILED}};
    if (action != NULL)
        ck_assert_int_eq(delegate_understand(span_of(action), &t->answer), 0);
}

START_TEST(the_answers_are_heard_in_the_order_of_the_rules)
{
    struct delegate_told told[3];
    struct delegate_verdict v;
    for (size_t i = 0; i < 3; i++)
        tell(&told[i], verdicts[_i].told[i].rule, verdicts[_i].told[i].action);
    delegate_judge(told, 3, false, &v);
    ck_assert_ptr_eq(v.by, verdicts[_i].by < 0 ? NULL : &told[verdicts[_i].by]);
    ck_assert_int_eq(v.code, verdicts[_i].code);
    ck_assert_uint_eq(v.heard, verdicts[_i].heard);
    ck_assert_int_eq(v.is_discarded, verdicts[_i].is_discarded);
    delegate_judge(told, 3, true, &v);
    ck_assert(v.by == NULL && v.code == 0 && v.heard == 3 && !v.is_discarded);
}
END_TEST

START_TEST(one_by_itself_says_with_which_code_it_refuses)
{
    static const struct {
        int rule;
        const char *action;
        int code;
    } cases[] = {{0, "DUNNO", 0},
                 {0, "450 x", 450},
                 {0, "REJECT", 554},
                 {0, "DEFER_IF_PERMIT", 450},
                 {0, "DEFER_IF_REJECT", 0},
                 {0, "DISCARD", 0},
                 {TEMPFAIL_RULE, NULL, 451},
                 {ACCEPT_RULE, NULL, 0},
                 {REJECT_RULE, NULL, 550}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct delegate_told t;
        tell(&t, cases[i].rule, cases[i].action);
        ck_assert_int_eq(delegate_refusal(&t), cases[i].code);
    }
}
END_TEST

SUITE(delegate)
{
    TEST(it_is_asked_at_the_stages_that_at_names);
    TEST(at_rcpt_it_is_asked_about_somebody);
    TEST(it_is_asked_when_the_account_is_known);
    TEST(it_is_asked_about_whom_when_and_except_leave);
    LOOP_TEST(an_action_is_understood, actions);
    LOOP_TEST(another_action_is_none, unknown);
    LOOP_TEST(the_answers_are_heard_in_the_order_of_the_rules, verdicts);
    TEST(one_by_itself_says_with_which_code_it_refuses);
}
