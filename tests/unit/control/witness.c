#include "control/witness.h"

#include "base/shared_lock.h"

#include "support/test.h"
#include "telemetry/mapping.h"

static struct config config;
static struct listener_config listener = {.name = "submission"};
static struct policy rules;
static struct witness_memory *memory;
static struct witness *witness;

static void begin(void)
{
    config = (struct config){.listeners = &listener, .listener_count = 1};
    listener.policy_rules = NULL;
    rules = (struct policy){.name = "out"};
    memory = mapping_make(witness_memory_size());
    witness = witness_create(&(struct witness_options){&config, memory, 1});
    ck_assert_ptr_nonnull(witness);
}

static void end(void)
{
    witness_destroy(&witness);
}

static void hear(const char *fields)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "time=2026-11-28T06:00:00.000Z level=info event=%s",
                   fields); /* fits */
    witness_hear(witness, span_of(line));
}

static json_t *ask(const char *by, int last)
{
    struct error why = {.text = ""};
    json_t *request = json_pack("{s:s, s:i}", "by", by, "last", last);
    json_t *answer = witness_top(witness, request, &why);
    ck_assert_msg(answer != NULL, "%s", why.text);
    json_decref(request);
    return answer;
}

/* Is there a row "NAME messages recipients refused"? */
static void says(const char *by, const char *wanted)
{
    json_t *answer = ask(by, 600), *row;
    char got[1000] = "", text[300];
    size_t i;
    json_array_foreach(json_object_get(answer, "senders"), i, row)
    {
        long long numbers[3];
        static const char *const keys[] = {"messages", "recipients", "refused"};
        for (size_t k = 0; k < 3; k++)
            numbers[k] = json_integer_value(json_object_get(row, keys[k]));
        (void)snprintf(text, sizeof text, "%s %lld %lld %lld;",
                       json_string_value(json_object_get(row, "name")), numbers[0], numbers[1],
                       numbers[2]); /* fits */
        strcat(got, text);
    }
    ck_assert_str_eq(got, wanted);
    json_decref(answer);
}

#define ANA "session=s listener=submission client=192.0.2.7:4711 account=ana@example.com "

START_TEST(a_message_counts_for_all_whom_it_is_of)
{
    hear("message_accepted " ANA "login=web@example.com message=m sender=Ana@Example.COM "
         "recipients=3 code=250 bytes=100 script=33:mailer.php");
    says("account", "ana@example.com 1 3 0;");
    says("login", "web@example.com 1 3 0;");
    says("ip", "192.0.2.7 1 3 0;");
    says("sender_domain", "example.com 1 3 0;");
    says("script", "33:mailer.php 1 3 0;");
}
END_TEST

START_TEST(a_line_of_json_counts_as_one_of_text)
{
    static const char line[] =
        "{\"time\":\"2026-11-28T06:00:00.000Z\",\"level\":\"info\",\"event\":\"message_accepted\","
        "\"client\":\"192.0.2.7:4711\",\"account\":\"ana\",\"sender\":\"<>\",\"recipients\":3}";
    witness_hear(witness, span_of(line));
    says("account", "ana 1 3 0;");
    says("login", "ana 1 3 0;");
    says("sender_domain", "<> 1 3 0;");
    says("script", "");
}
END_TEST

START_TEST(an_address_of_ipv6_counts_as_its_64)
{
    hear("message_accepted client=[2001:db8::1]:465 recipients=1");
    hear("message_accepted client=[2001:db8::ffff:2]:465 recipients=1");
    hear("message_accepted client=[2001:db8::1 recipients=1");
    hear("message_accepted client=[nobody]:465 recipients=1");
    says("ip", "2001:db8::/64 2 2 0;");
}
END_TEST

/* Each refusal once. */
static const struct {
    const char *fields;
    bool counts;
} refusals[] = {
    {"recipient_refused " ANA "recipient=x@dest.example code=550", true},
    {"message_refused " ANA "recipients=2 code=554 reply=no", true},
    {"message_refused " ANA "recipients=2 code=451 reason=policy", false}, /* the decision does */
    {"decision " ANA "verdict=defer", true},
    {"decision " ANA "verdict=reject", true},
    {"decision " ANA "verdict=delay", false},
    {"decision " ANA "verdict=monitor", false},
    {"decision_passed " ANA "verdict=pass", false},
    {"command_refused " ANA "command=MAIL code=501", true},
    {"command_refused " ANA "command=RCPT code=501", true},
    {"command_refused " ANA "command=FOO code=500", false},
    {"message_abandoned " ANA "bytes=7", false},
    {"login " ANA "mechanism=PLAIN", false},
};

START_TEST(what_was_refused_counts_once)
{
    hear(refusals[_i].fields);
    says("account", refusals[_i].counts ? "ana@example.com 0 0 1;" : "");
}
END_TEST

START_TEST(what_is_no_line_is_passed_over)
{
    witness_hear(witness, span_of("event=message_accepted account=ana"));
    witness_hear(witness, span_make("", 0));
    hear("message_accepted " ANA "recipients=99999999999999999999");
    says("account", "ana@example.com 1 0 0;");
}
END_TEST

START_TEST(the_answer_names_its_minute_and_what_it_covers)
{
    json_t *answer = ask("account", 600);
    const char *since = json_string_value(json_object_get(answer, "since"));
    ck_assert_uint_eq(strlen(since), strlen("2026-11-28T06:00:00.000Z"));
    ck_assert_int_le(json_integer_value(json_object_get(answer, "covers")), 600);
    ck_assert_str_eq(json_string_value(json_object_get(answer, "by")), "account");
    json_decref(answer);
}
END_TEST

START_TEST(scripts_are_told_where_a_rule_goes_by_a_header)
{
    json_t *answer = ask("script", 600);
    ck_assert(json_is_false(json_object_get(answer, "is_told")));
    json_decref(answer);
    listener.policy_rules = &rules;
    rules.headers.count = 1;
    answer = ask("script", 600);
    ck_assert(json_is_true(json_object_get(answer, "is_told")));
    json_decref(answer);
}
END_TEST

static const struct {
    const char *request, *why;
} wrong[] = {
    {"{}", "by is"},
    {"{\"by\": 7, \"last\": 600}", "by is"},
    {"{\"by\": \"mood\", \"last\": 600}", "by is"},
    {"{\"by\": \"ip\"}", "last is"},
    {"{\"by\": \"ip\", \"last\": 59}", "last is"},
    {"{\"by\": \"ip\", \"last\": 3601}", "last is"},
};

START_TEST(what_can_not_be_told_is_refused)
{
    struct error why;
    json_t *request = json_loads(wrong[_i].request, 0, NULL);
    ck_assert_ptr_null(witness_top(witness, request, &why));
    ck_assert_msg(strncmp(why.text, wrong[_i].why, strlen(wrong[_i].why)) == 0, "%s", why.text);
    json_decref(request);
}
END_TEST

START_TEST(what_was_heard_outlives_the_process_that_has_heard_it)
{
    hear("message_accepted " ANA "recipients=3");
    struct witness *next = witness_create(&(struct witness_options){&config, memory, 2});
    hear("message_accepted " ANA "recipients=1");
    witness_destroy(&witness);
    witness = next;
    hear("message_accepted " ANA "recipients=1");
    says("account", "ana@example.com 3 5 0;");
}
END_TEST

START_TEST(one_that_was_killed_keeps_nobody_from_it)
{
    struct error why;
    struct shared_lock *lock = (struct shared_lock *)memory; /* it lies at the front */
    json_t *request = json_pack("{s:s, s:i}", "by", "account", "last", 600);
    ck_assert(shared_lock_try(lock, 7));
    hear("message_accepted " ANA "recipients=3");
    ck_assert_ptr_null(witness_take_history(witness));
    ck_assert_ptr_null(witness_top(witness, request, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "busy"));
    witness_memory_release(memory, 6); /* another one */
    ck_assert_ptr_null(witness_take_history(witness));
    witness_memory_release(memory, 7);
    says("account", "");
    hear("message_accepted " ANA "recipients=1");
    says("account", "ana@example.com 1 1 0;");
    json_decref(request);
}
END_TEST

static void create_and_destroy(void)
{
    struct witness *w = witness_create(&(struct witness_options){&config, memory, 1});
    witness_destroy(&w);
}

START_TEST(without_memory_there_is_none)
{
    WITH_EACH_ALLOCATION_FAILING(create_and_destroy());
}
END_TEST

SUITE(witness)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_message_counts_for_all_whom_it_is_of);
    TEST(a_line_of_json_counts_as_one_of_text);
    TEST(an_address_of_ipv6_counts_as_its_64);
    LOOP_TEST(what_was_refused_counts_once, refusals);
    TEST(what_is_no_line_is_passed_over);
    TEST(the_answer_names_its_minute_and_what_it_covers);
    TEST(scripts_are_told_where_a_rule_goes_by_a_header);
    LOOP_TEST(what_can_not_be_told_is_refused, wrong);
    TEST(what_was_heard_outlives_the_process_that_has_heard_it);
    TEST(one_that_was_killed_keeps_nobody_from_it);
    TEST(without_memory_there_is_none);
}
