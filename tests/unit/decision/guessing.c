#include "decision/guessing.h"
#include "decision/offence.h"

#include "base/clock.h"
#include "telemetry/logged.h"
#include "telemetry/mapping.h"

#include <stdio.h>

enum { MAX = 3, SLOT = 7 };

static struct {
    struct auth_config config;
    struct event_log log;
    int log_end;
    struct logged lines;
    struct guessing guessing;
    const struct policy *policy;
} it;

static void begin(void)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    it.log = (struct event_log){.lines = log_create(ends[1], LOG_LEVEL_DEBUG), .process = ""};
    it.log_end = ends[0];
    const struct decider_options options = {
        .memory = memory_open(mapping_make(memory_size()), (const uint64_t[2]){3, 5}, 0, NULL)};
    it.config = (struct auth_config){
        .guessing = {
            .key = GUESSING_IP, .max = MAX, .window_ms = 600000, .ban_ms = 3600000, .slot = SLOT}};
    it.guessing = (struct guessing){.config = &it.config,
                                    .decider = decider_create(&options),
                                    .bans = mapping_make(bans_size()),
                                    .known = mapping_make(known_size()),
                                    .key = {7, 9},
                                    .log = &it.log};
    ck_assert_ptr_nonnull(it.guessing.decider);
}

static void end(void)
{
    decider_destroy(&it.guessing.decider);
    log_destroy(&it.log.lines);
}

static struct address host(const char *text)
{
    struct address a;
    ck_assert_msg(address_make(text, 4711, &a) == 0, "%s", text);
    return a;
}

static void guess_of(const char *from, const char *account, const char *password, bool is_shared)
{
    const struct address client = host(from);
    const struct guess guess = {.client = &client,
                                .account = account,
                                .password = span_of(password),
                                .is_shared = is_shared,
                                .policy = it.policy,
                                .listener = "submissions",
                                .session = "abc"};
    guessing_count(&it.guessing, &guess);
}

static void guess(const char *account, const char *password)
{
    guess_of("192.0.2.7", account, password, false);
}

static bool is_banned(const char *from, const char *account)
{
    const struct address client = host(from);
    struct ban_verdict verdict;
    uint64_t who = account == NULL ? 0 : guessing_account(it.guessing.key, account);
    return bans_hold(it.guessing.bans, &client, who, clock_wall_ns(), &verdict);
}

/* So many different ones. */
static void guesses(unsigned count, const char *from, bool is_shared)
{
    for (unsigned i = 0; i < count; i++) {
        char password[20];
        (void)snprintf(password, sizeof password, "guess %u", i); /* fits */
        guess_of(from, "ana@example.com", password, is_shared);
    }
}

static struct ban only(void)
{
    struct ban found = {.until_ns = 0}, b;
    size_t count = 0;
    for (size_t i = 0; i < BANS_MAX; i++)
        if (bans_read(it.guessing.bans, i, clock_wall_ns(), &b) == 0) {
            found = b;
            count++;
        }
    ck_assert_uint_eq(count, 1);
    return found;
}

START_TEST(one_more_than_max_is_a_ban_with_its_rule_and_tries)
{
    guesses(MAX, "192.0.2.7", false);
    ck_assert(!is_banned("192.0.2.7", NULL));
    guess("ana@example.com", "another");
    ck_assert(is_banned("192.0.2.7", NULL));
    ck_assert(!is_banned("192.0.2.8", NULL));
    const struct ban made = only();
    ck_assert_str_eq(made.rule, "auth.guessing");
    ck_assert_uint_eq(made.tries, MAX + 1);
    ck_assert_uint_eq(made.account, 0);
    ck_assert_int_eq(made.until_ns - made.since_ns, 3600 * CLOCK_SECOND);
    ck_assert_uint_eq(logged_with(&it.lines, it.log.lines, it.log_end,
                                  "event=banned network=192.0.2.7 rule=auth.guessing tries=4"),
                      1);
    ck_assert_ptr_null(strstr(it.lines.text, "another"));
}
END_TEST

START_TEST(accounts_count_together_and_the_same_credentials_once)
{
    for (int i = 0; i < 10; i++) {
        guess("ana@example.com", "x");
        guess("bea@example.com", "x");
        guess("ana@example.com", "y");
    }
    ck_assert(!is_banned("192.0.2.7", NULL));
    guess("bea@example.com", "y");
    ck_assert(is_banned("192.0.2.7", NULL));
}
END_TEST

START_TEST(where_no_password_was_said_an_account_counts_once)
{
    for (int i = 0; i < 10; i++)
        guess("ana@example.com", "");
    guess("bea@example.com", "");
    guess("eva@example.com", "");
    ck_assert(!is_banned("192.0.2.7", NULL));
    guess("ida@example.com", "");
    ck_assert(is_banned("192.0.2.7", NULL));
}
END_TEST

START_TEST(name_and_password_are_not_mixed_up)
{
    guess("ana", "b");
    guess("an", "ab");
    guess("anab", "");
    guess("a", "nab");
    ck_assert(is_banned("192.0.2.7", NULL));
}
END_TEST

START_TEST(an_ipv6_client_is_its_64)
{
    for (unsigned i = 0; i <= MAX; i++) {
        char from[40], password[20];
        (void)snprintf(from, sizeof from, "2001:db8:1:2::%u", i); /* fits */
        (void)snprintf(password, sizeof password, "%u", i);       /* fits */
        guess_of(from, "ana@example.com", password, false);
    }
    ck_assert(is_banned("2001:db8:1:2:ffff::1", NULL));
    ck_assert(!is_banned("2001:db8:1:3::1", NULL));
}
END_TEST

START_TEST(a_network_is_counted_and_banned_as_a_whole)
{
    it.config.guessing.key = GUESSING_NETWORK;
    guesses(MAX, "192.0.2.7", false);
    guess_of("192.0.2.200", "ana@example.com", "another", false);
    ck_assert(is_banned("192.0.2.99", NULL));
    ck_assert(!is_banned("192.0.3.1", NULL));
}
END_TEST

static const struct {
    int key;
    bool is_shared;
} pairs[] = {{GUESSING_IP_ACCOUNT, false}, {GUESSING_IP, true}, {GUESSING_NETWORK, true}};

START_TEST(where_many_people_are_or_the_key_says_so_the_account_is_banned_there)
{
    it.config.guessing.key = pairs[_i].key;
    guess_of("192.0.2.7", "bea@example.com", "hers", pairs[_i].is_shared);
    guesses(MAX, "192.0.2.7", pairs[_i].is_shared);
    ck_assert(!is_banned("192.0.2.7", "ana@example.com"));
    guess_of("192.0.2.7", "ana@example.com", "another", pairs[_i].is_shared);
    ck_assert(is_banned("192.0.2.7", "ana@example.com"));
    ck_assert(!is_banned("192.0.2.7", "bea@example.com"));
    ck_assert(!is_banned("192.0.2.8", "ana@example.com"));
    ck_assert(!is_banned("192.0.2.7", NULL));
    ck_assert_str_eq(only().name, "ana@example.com");
}
END_TEST

START_TEST(after_a_ban_counting_begins_anew)
{
    struct ban made;
    guesses(MAX + 1, "192.0.2.7", false);
    made = only();
    for (size_t i = 0; i < BANS_MAX; i++)
        ck_assert_int_eq(bans_lift(it.guessing.bans, 0, i, &made), 0);
    guesses(MAX, "192.0.2.7", false);
    ck_assert(!is_banned("192.0.2.7", NULL));
}
END_TEST

START_TEST(who_is_exempt_is_not_counted)
{
    int64_t now = clock_wall_ns();
    struct ban exempt = {
        .since_ns = now, .until_ns = now + CLOCK_SECOND * 60, .kind = BAN_EXEMPTION};
    ck_assert_int_eq(network_parse("192.0.2.0/24", &exempt.network, NULL), 0);
    ck_assert_int_eq(bans_put(it.guessing.bans, 0, &exempt, now, NULL), 0);
    guesses(MAX + 5, "192.0.2.7", false);
    (void)only(); /* the exemption */
}
END_TEST

START_TEST(max_0_counts_nobody)
{
    it.config.guessing.max = 0;
    guesses(100, "192.0.2.7", false);
    ck_assert(!is_banned("192.0.2.7", NULL));
}
END_TEST

/* ---- rules of a policy ---- */

static struct limit_rule own = {.name = "mine",
                                .keys = {LIMIT_KEY_IP},
                                .key_count = 1,
                                .count = LIMIT_AUTH_FAILURES,
                                .kind = COUNTER_RATE,
                                .rate = {2, INT64_C(3600) * 1000000, 2},
                                .action = LIMIT_BAN,
                                .duration_ms = 60000,
                                .stage = STAGE_FAILURE,
                                .slot = SLOT + 1,
                                .enabled = true};
static struct policy policy = {
    .name = "p", .limits = &own, .limit_count = 1, .stages = 1u << STAGE_FAILURE};

/* It and auth.guessing, which is the laxer one here. */
static void begin_with_rule(void)
{
    begin();
    it.config.guessing.max = 100;
    it.policy = &policy;
}

static unsigned lines_with(const char *part)
{
    return logged_with(&it.lines, it.log.lines, it.log_end, part);
}

START_TEST(a_rule_of_a_policy_counts_failed_logins_and_bans)
{
    for (int i = 0; i < 2; i++)
        guess("ana@example.com", "the same");
    ck_assert(!is_banned("192.0.2.7", NULL));
    guess_of("192.0.2.8", "ana@example.com", "the same", false);
    guess("ana@example.com", "the same");
    const struct ban made = only();
    ck_assert_str_eq(made.rule, "mine");
    ck_assert_uint_eq(made.tries, 3);
    ck_assert_int_eq(made.until_ns - made.since_ns, 60 * CLOCK_SECOND);
    ck_assert(is_banned("192.0.2.7", NULL));
    ck_assert_uint_eq(lines_with("event=banned network=192.0.2.7 rule=mine tries=3"), 1);
    guess("ana@example.com", "the same"); /* counting has begun anew */
    ck_assert_uint_eq(lines_with("event=banned"), 1);
}
END_TEST

/* ---- suspensions ---- */

static struct limit_rule washing = {.name = "washing",
                                    .keys = {LIMIT_KEY_ACCOUNT},
                                    .key_count = 1,
                                    .count = LIMIT_REJECTED_RECIPIENTS,
                                    .kind = COUNTER_RATIO,
                                    .ratio = 25,
                                    .min = 20,
                                    .window_ms = 3600000,
                                    .action = LIMIT_SUSPEND,
                                    .duration_ms = 60000};
static const struct rate most = {.count = 2, .period_us = INT64_C(600) * 1000000};

static bool suspends(const char *account)
{
    const struct policy_facts facts = {.account = account};
    const struct verdict v = {.kind = VERDICT_DEFER, .rule = &washing, .tries = 7};
    return offence_suspend(&it.guessing, &v, &facts, &most);
}

static enum suspension suspension_of(const char *account, struct ban *out)
{
    return bans_suspension(it.guessing.bans, guessing_account(it.guessing.key, account),
                           clock_wall_ns(), out);
}

START_TEST(a_rule_suspends_an_account_once_and_says_why)
{
    struct ban made;
    ck_assert(suspends("ana@example.com"));
    ck_assert_int_eq(suspension_of("ana@example.com", &made), SUSPENSION_SENDING);
    ck_assert_int_eq(suspension_of("bea@example.com", NULL), SUSPENSION_LIFTED);
    ck_assert_int_eq(made.until_ns - made.since_ns, 60 * CLOCK_SECOND);
    ck_assert_uint_eq(made.tries, 7);
    ck_assert_str_eq(made.reason, "at most 25% of recipients refused in 60 minutes, of 20 or more");
    ck_assert(suspends("ana@example.com"));
    ck_assert_uint_eq(lines_with("event=suspended account=ana@example.com"), 1);
    washing.scope = LIMIT_ALL;
    ck_assert(suspends("ana@example.com")); /* from more now */
    washing.scope = LIMIT_SENDING;
    ck_assert_int_eq(suspension_of("ana@example.com", NULL), SUSPENSION_ALL);
}
END_TEST

START_TEST(a_rule_that_would_suspend_too_many_does_not_and_says_so_once)
{
    ck_assert(suspends("ana@example.com") && suspends("bea@example.com"));
    ck_assert(!suspends("eva@example.com") && !suspends("ida@example.com"));
    ck_assert(suspends("ana@example.com")); /* as it is */
    ck_assert_int_eq(suspension_of("eva@example.com", NULL), SUSPENSION_LIFTED);
    ck_assert_uint_eq(lines_with("event=suspensions_stopped"), 1);
    washing.name = "another";
    ck_assert(suspends("eva@example.com"));
    washing.name = "washing";
}
END_TEST

START_TEST(who_is_suspended_by_a_person_is_so_as_that_one_has_ordered)
{
    struct ban b;
    ck_assert(suspends("ana@example.com"));
    (void)suspension_of("ana@example.com", &b); /* it is there */
    b.rule[0] = '\0';
    b.since_ns++;
    b.until_ns += 60 * CLOCK_SECOND;
    ck_assert_int_eq(bans_put(it.guessing.bans, 0, &b, clock_wall_ns(), NULL), 0);
    washing.scope = LIMIT_ALL;
    ck_assert(suspends("ana@example.com"));
    washing.scope = LIMIT_SENDING;
    ck_assert_int_eq(suspension_of("ana@example.com", &b), SUSPENSION_SENDING);
    ck_assert_str_eq(b.rule, "");
    b.scope = SUSPENSION_LIFTED;
    b.since_ns = clock_wall_ns() + 60 * CLOCK_SECOND; /* of another's clock */
    ck_assert_int_eq(bans_put(it.guessing.bans, 0, &b, clock_wall_ns(), NULL), 0);
    ck_assert(suspends("ana@example.com"));
    ck_assert_int_eq(suspension_of("ana@example.com", NULL), SUSPENSION_SENDING);
}
END_TEST

static uint32_t credential(const char *password)
{
    return guessing_credential(it.guessing.key, "ana@example.com", span_of(password));
}

/* As at each login that is right. */
static void logs_in(const char *password)
{
    offence_logged_in(&it.guessing, "ana@example.com", credential(password));
    known_note_credential(it.guessing.known, it.guessing.key, "ana@example.com",
                          credential(password), clock_wall_ns());
}

static void is_suspended_after(const char *password)
{
    const struct policy_facts facts = {.account = "ana@example.com",
                                       .credentials = credential(password)};
    const struct verdict v = {.kind = VERDICT_DEFER, .rule = &washing};
    it.config.lift_on_new_password = true;
    it.config.remember_networks_ms = INT64_C(30) * 86400000;
    logs_in(password);
    ck_assert(offence_suspend(&it.guessing, &v, &facts, &most));
}

static bool is_suspended(void)
{
    return suspension_of("ana@example.com", NULL) != SUSPENSION_LIFTED;
}

START_TEST(a_password_that_was_not_used_before_lifts_what_a_rule_made)
{
    logs_in("on the phone");
    is_suspended_after("stolen");
    logs_in("stolen");
    ck_assert(is_suspended());
    it.config.lift_on_new_password = false;
    logs_in("new");
    it.config.lift_on_new_password = true;
    logs_in("new"); /* which is known by now */
    ck_assert(is_suspended());
    logs_in("another");
    ck_assert(!is_suspended());
    ck_assert_uint_eq(lines_with("event=resumed account=ana@example.com rule=washing"), 1);
    is_suspended_after("another");
    logs_in("on the phone");
    ck_assert(is_suspended());
}
END_TEST

/* What is remembered here is lost, or was never known: another gateway has it. */
START_TEST(the_one_that_was_used_never_lifts_it_whatever_is_lost)
{
    struct ban b;
    is_suspended_after("stolen");
    it.guessing.known = mapping_make(known_size());
    logs_in("stolen");
    ck_assert(is_suspended());
    (void)suspension_of("ana@example.com", &b); /* it is there */
    memset(b.credentials, 0, sizeof b.credentials);
    b.until_ns++;
    ck_assert_int_eq(bans_put(it.guessing.bans, 0, &b, clock_wall_ns(), NULL), 0);
    logs_in("new");
    ck_assert(is_suspended());
}
END_TEST

static const char *const unsaid[][3] = {
    {"stolen", "", "new"}, {"", "stolen", "new"}, {"stolen", "stolen", ""}};

START_TEST(where_a_password_was_not_said_none_lifts_it)
{
    logs_in(unsaid[_i][0]);
    is_suspended_after(unsaid[_i][1]);
    logs_in(unsaid[_i][2]);
    ck_assert(is_suspended());
}
END_TEST

START_TEST(what_a_person_has_ordered_no_password_lifts)
{
    struct ban b;
    is_suspended_after("stolen");
    (void)suspension_of("ana@example.com", &b); /* it is there */
    b.rule[0] = '\0';
    b.since_ns++;
    ck_assert_int_eq(bans_put(it.guessing.bans, 0, &b, clock_wall_ns(), NULL), 0);
    logs_in("new");
    ck_assert(is_suspended());
}
END_TEST

START_TEST(who_names_nobody_has_failed_too)
{
    for (int i = 0; i < 3; i++)
        guess_of("192.0.2.7", NULL, "", false);
    ck_assert(is_banned("192.0.2.7", NULL));
}
END_TEST

START_TEST(different_wrong_credentials_count_by_any_key)
{
    const struct limit_rule was = own;
    own.keys[0] = LIMIT_KEY_ACCOUNT;
    own.count = LIMIT_DISTINCT_CREDENTIALS;
    own.kind = COUNTER_DISTINCT;
    own.max = 2;
    own.window_ms = 3600000;
    own.action = LIMIT_LOG;
    for (int i = 0; i < 2; i++) {
        guess_of("192.0.2.7", "ana@example.com", "x", false);
        guess_of("192.0.2.8", "ana@example.com", "y", false);
    }
    ck_assert_uint_eq(lines_with("event=decision"), 0);
    guess_of("192.0.2.9", "ana@example.com", "z", false);
    ck_assert_uint_eq(
        lines_with("event=decision session=abc listener=submissions "
                   "client=192.0.2.9:4711 account=ana@example.com rule=mine "
                   "verdict=monitor key=\"mine ana@example.com\" "
                   "limit=\"at most 2 different wrong credentials in 60 minutes\" used=2 "
                   "tries=3"),
        1);
    guess_of("192.0.2.9", "bea@example.com", "z", false);
    ck_assert_uint_eq(lines_with("event=decision"), 1);
    own = was;
}
END_TEST

START_TEST(a_rule_that_watches_bans_nobody)
{
    own.mode = RULE_MONITOR;
    for (int i = 0; i < 5; i++)
        guess("ana@example.com", "the same");
    ck_assert(!is_banned("192.0.2.7", NULL));
    ck_assert_uint_eq(lines_with("event=decision"), 3);
    ck_assert_uint_eq(lines_with("event=banned"), 0);
    own.mode = RULE_ENFORCE;
}
END_TEST

START_TEST(where_many_people_are_a_rule_bans_the_account_there)
{
    for (int i = 0; i < 2; i++) {
        guess_of("192.0.2.7", "ana@example.com", "x", true);
        guess_of("192.0.2.7", "bea@example.com", "x", true);
        guess_of("192.0.2.7", NULL, "", true);
    }
    ck_assert(!is_banned("192.0.2.7", "ana@example.com"));
    guess_of("192.0.2.7", "ana@example.com", "x", true);
    ck_assert(is_banned("192.0.2.7", "ana@example.com"));
    ck_assert(!is_banned("192.0.2.7", "bea@example.com"));
    ck_assert(!is_banned("192.0.2.7", NULL));
}
END_TEST

START_TEST(each_rule_counts_whatever_the_others_say)
{
    it.config.guessing.max = MAX;
    guesses(2, "192.0.2.7", false);
    guess("ana@example.com", "guess 0"); /* banned by its own */
    const struct ban made = only();
    for (size_t i = 0; i < BANS_MAX; i++)
        ck_assert_int_eq(bans_lift(it.guessing.bans, 0, i, &made), 0);
    guess("ana@example.com", "guess 2");
    guess("ana@example.com", "guess 3");
    ck_assert_str_eq(only().rule, "auth.guessing");
}
END_TEST

SUITE(guessing_by_rule)
{
    tcase_add_checked_fixture(tests, begin_with_rule, end);
    TEST(a_rule_of_a_policy_counts_failed_logins_and_bans);
    TEST(a_password_that_was_not_used_before_lifts_what_a_rule_made);
    TEST(the_one_that_was_used_never_lifts_it_whatever_is_lost);
    LOOP_TEST(where_a_password_was_not_said_none_lifts_it, unsaid);
    TEST(what_a_person_has_ordered_no_password_lifts);
    TEST(a_rule_suspends_an_account_once_and_says_why);
    TEST(a_rule_that_would_suspend_too_many_does_not_and_says_so_once);
    TEST(who_is_suspended_by_a_person_is_so_as_that_one_has_ordered);
    TEST(who_names_nobody_has_failed_too);
    TEST(different_wrong_credentials_count_by_any_key);
    TEST(a_rule_that_watches_bans_nobody);
    TEST(where_many_people_are_a_rule_bans_the_account_there);
    TEST(each_rule_counts_whatever_the_others_say);
}

SUITE(guessing)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(one_more_than_max_is_a_ban_with_its_rule_and_tries);
    TEST(accounts_count_together_and_the_same_credentials_once);
    TEST(where_no_password_was_said_an_account_counts_once);
    TEST(name_and_password_are_not_mixed_up);
    TEST(an_ipv6_client_is_its_64);
    TEST(a_network_is_counted_and_banned_as_a_whole);
    LOOP_TEST(where_many_people_are_or_the_key_says_so_the_account_is_banned_there, pairs);
    TEST(after_a_ban_counting_begins_anew);
    TEST(who_is_exempt_is_not_counted);
    TEST(max_0_counts_nobody);
}
