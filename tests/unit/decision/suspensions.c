#include "decision/ban_text.h"
#include "decision/bans.h"
#include "decision/exchange.h"

#include "base/clock.h"
#include "telemetry/mapping.h"

#include <stdio.h>

#define HOUR (3600 * CLOCK_SECOND)

enum { PROCESS = 3, ANA = 4711, BEA = 4712 };

static struct bans *bans, *there;
static int64_t now;

static void begin(void)
{
    bans = mapping_make(bans_size());
    there = mapping_make(bans_size());
    bans_begin(bans, 5);
    bans_begin(there, 7);
    now = clock_wall_ns();
}

/* What a person has ordered so many ns after the test has begun, for an hour; or a rule has made.
 */
static struct ban ordered(enum suspension scope, int64_t ns)
{
    struct ban b = {.account = ANA,
                    .kind = BAN_SUSPENSION,
                    .scope = scope,
                    .since_ns = now + ns,
                    .until_ns = now + HOUR,
                    .name = "ana@example.com",
                    .reason = "sends spam"};
    ck_assert_int_eq(network_parse("::/0", &b.network, NULL), 0);
    return b;
}

static struct ban made(enum suspension scope, int64_t ns)
{
    struct ban b = ordered(scope, ns);
    (void)snprintf(b.rule, sizeof b.rule, "list-washing"); /* fits */
    return b;
}

static void put(const struct ban b)
{
    struct error why;
    ck_assert_msg(bans_put(bans, PROCESS, &b, now, &why) == 0, "%s", why.text);
}

static enum suspension scope(void)
{
    return bans_suspension(bans, ANA, now, NULL);
}

static int64_t until(void)
{
    struct ban b;
    (void)bans_suspension(bans, ANA, now, &b); /* its end alone is asked for */
    return b.until_ns;
}

/* ---- of whom ---- */

START_TEST(a_suspension_is_of_its_account_and_of_no_address)
{
    static const char *const addresses[] = {"192.0.2.7", "2001:db8::1", "::", "::1"};
    struct ban_verdict verdict;
    struct address a;
    ck_assert_int_eq(scope(), SUSPENSION_LIFTED);
    ck_assert_int_eq(until(), 0);
    ck_assert(!bans_have_suspensions(bans));
    put(ordered(_i == 0 ? SUSPENSION_SENDING : SUSPENSION_ALL, 0));
    ck_assert_int_eq(scope(), _i == 0 ? SUSPENSION_SENDING : SUSPENSION_ALL);
    ck_assert(bans_have_suspensions(bans));
    ck_assert_int_eq(bans_suspension(bans, BEA, now, NULL), SUSPENSION_LIFTED);
    ck_assert_int_eq(bans_suspension(bans, ANA, now + HOUR, NULL), SUSPENSION_LIFTED);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        ck_assert_int_eq(address_make(addresses[i], 1, &a), 0);
        ck_assert(!bans_hold(bans, &a, 0, now, &verdict));
        ck_assert(!bans_hold(bans, &a, ANA, now, &verdict));
        ck_assert(!bans_exempt(bans, &a, now));
    }
}
END_TEST

START_TEST(a_ban_of_the_account_everywhere_stands_beside_it)
{
    struct ban b = ordered(SUSPENSION_LIFTED, 0);
    struct address a;
    struct ban_verdict verdict;
    ck_assert_int_eq(address_make("2001:db8::1", 1, &a), 0);
    b.kind = BAN_OF_CLIENT;
    put(b);
    ck_assert(!bans_have_suspensions(bans));
    ck_assert_int_eq(scope(), SUSPENSION_LIFTED);
    put(ordered(SUSPENSION_SENDING, 0));
    ck_assert_int_eq(scope(), SUSPENSION_SENDING);
    ck_assert(bans_hold(bans, &a, ANA, now, &verdict));
}
END_TEST

START_TEST(it_may_last_until_it_is_lifted_but_no_ban_may)
{
    struct error why;
    struct ban b = ordered(SUSPENSION_ALL, 0), found;
    b.until_ns = BAN_UNTIL_LIFTED;
    put(b);
    ck_assert_int_eq(bans_suspension(bans, ANA, now + 100 * BAN_MAX_NS, &found), SUSPENSION_ALL);
    ck_assert_str_eq(found.reason, "sends spam");
    b.until_ns--;
    ck_assert_int_eq(bans_put(bans, PROCESS, &b, now, &why), -1);
    b = (struct ban){.network = b.network, .since_ns = now, .until_ns = BAN_UNTIL_LIFTED};
    ck_assert_int_eq(bans_put(bans, PROCESS, &b, now, &why), -1);
}
END_TEST

static const struct {
    const char *network;
    uint64_t account;
    uint32_t kind, scope;
} malformed[] = {
    {"::/0", 0, BAN_SUSPENSION, SUSPENSION_ALL},
    {"::/1", ANA, BAN_SUSPENSION, SUSPENSION_ALL},
    {"0.0.0.0/0", ANA, BAN_SUSPENSION, SUSPENSION_ALL},
    {"::/0", ANA, BAN_SUSPENSION, SUSPENSION_COUNT},
    {"::/0", ANA, BAN_OF_CLIENT, SUSPENSION_ALL},
    {"::/0", ANA, BAN_SUSPENSION + 1, 0},
};

START_TEST(what_is_malformed_is_refused)
{
    struct error why;
    struct ban b = ordered(malformed[_i].scope, 0);
    b.account = malformed[_i].account;
    b.kind = malformed[_i].kind;
    ck_assert_int_eq(network_parse(malformed[_i].network, &b.network, NULL), 0);
    ck_assert_int_eq(bans_put(bans, PROCESS, &b, now, &why), -1);
}
END_TEST

/* ---- who may change whose ---- */

START_TEST(no_rule_changes_or_lifts_what_a_person_has_ordered)
{
    put(ordered(SUSPENSION_SENDING, 0));
    put(made(SUSPENSION_ALL, 5));
    ck_assert_int_eq(scope(), SUSPENSION_SENDING);
    put(made(SUSPENSION_LIFTED, 6));
    ck_assert_int_eq(scope(), SUSPENSION_SENDING);
    put(ordered(SUSPENSION_LIFTED, 7));
    ck_assert_int_eq(scope(), SUSPENSION_LIFTED);
    ck_assert_int_ne(until(), 0); /* it is remembered */
}
END_TEST

START_TEST(a_rule_makes_it_longer_or_wider_alone)
{
    struct ban shorter = made(SUSPENSION_SENDING, 1), wider = made(SUSPENSION_ALL, 2);
    put(made(SUSPENSION_SENDING, 0));
    shorter.until_ns -= HOUR / 2;
    put(shorter);
    ck_assert_int_eq(until(), now + HOUR);
    wider.until_ns += HOUR;
    put(wider);
    put(made(SUSPENSION_SENDING, 3));
    ck_assert_int_eq(scope(), SUSPENSION_ALL);
    ck_assert_int_eq(until(), now + 2 * HOUR);
}
END_TEST

START_TEST(who_was_let_go_can_be_suspended_anew)
{
    put(made(SUSPENSION_SENDING, 0));
    put(made(SUSPENSION_LIFTED, 1)); /* by a new password */
    ck_assert_int_eq(scope(), SUSPENSION_LIFTED);
    put(made(SUSPENSION_SENDING, 2));
    ck_assert_int_eq(scope(), SUSPENSION_SENDING);
    put(ordered(SUSPENSION_LIFTED, 3));
    ck_assert_int_eq(scope(), SUSPENSION_LIFTED);
    put(made(SUSPENSION_ALL, 2)); /* heard of late */
    ck_assert_int_eq(scope(), SUSPENSION_LIFTED);
}
END_TEST

/* Each two of them, by people and rules. */
enum { WHOLE = SUSPENSION_COUNT * 2 * 2 };

static struct ban numbered(int i)
{
    enum suspension scope = (enum suspension)(i / 4);
    int64_t ns = i % 2 == 0 ? 10 : 20;
    struct ban b = i / 2 % 2 == 0 ? ordered(scope, ns) : made(scope, ns);
    b.until_ns += i * CLOCK_SECOND;
    return b;
}

START_TEST(whichever_of_two_comes_first_the_same_one_holds)
{
    struct ban one, other;
    for (int i = 0; i < WHOLE; i++) {
        if (i == _i || numbered(i).since_ns == numbered(_i).since_ns)
            continue;
        begin();
        put(numbered(_i));
        put(numbered(i));
        (void)bans_suspension(bans, ANA, now, &one); /* all of it is compared */
        begin();
        put(numbered(i));
        put(numbered(_i));
        (void)bans_suspension(bans, ANA, now, &other); /* as above */
        ck_assert_int_eq(one.scope, other.scope);
        ck_assert_str_eq(one.rule, other.rule);
    }
}
END_TEST

/* ---- full ---- */

START_TEST(full_of_bans_a_suspension_finds_room_and_stays)
{
    char text[NETWORK_TEXT_SIZE];
    for (uint32_t i = 0; i < 4 * BANS_MAX; i++) {
        struct ban b = made(SUSPENSION_LIFTED, 0);
        b.kind = BAN_OF_CLIENT;
        b.account = 0;
        (void)snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 0xff,
                       i & 0xff); /* fits */
        ck_assert_int_eq(network_parse(text, &b.network, NULL), 0);
        if (i == 2 * BANS_MAX)
            put(made(SUSPENSION_SENDING, 0));
        put(b);
    }
    ck_assert_int_eq(scope(), SUSPENSION_SENDING);
}
END_TEST

/* ---- told ---- */

static int told(struct bans *to, const struct ban *b)
{
    char name[BAN_NAME_SIZE], value[BAN_VALUE_SIZE];
    ban_text_write(b, name, value);
    return exchange_bans.take(to, PROCESS, span_of(name), span_of(value));
}

START_TEST(what_is_told_is_read_as_it_was)
{
    struct ban b = _i == 0 ? ordered(SUSPENSION_ALL, 0) : made(SUSPENSION_SENDING, 0), found;
    memset(b.name, 'n', sizeof b.name - 1);
    memset(b.reason, 'r', sizeof b.reason - 1);
    b.until_ns = BAN_UNTIL_LIFTED;
    b.tries = b.uid = UINT32_MAX;
    for (size_t i = 0; i < BAN_CREDENTIALS_MAX; i++)
        b.credentials[i] = UINT64_MAX - i;
    ck_assert_int_ge(told(there, &b), 0);
    (void)bans_suspension(there, ANA, now, &found); /* all of it is compared */
    b.origin = BAN_OF_STORE;
    ck_assert_int_eq(memcmp(&found, &b, sizeof b), 0);
}
END_TEST

START_TEST(a_gateway_tells_all_that_it_knows_and_forgets_nothing)
{
    const struct ban b = made(SUSPENSION_SENDING, 0), lifted = ordered(SUSPENSION_LIFTED, 1);
    struct exchange_row row;
    int place = told(there, &b);
    exchange_bans.forget(there, PROCESS);
    ck_assert(exchange_bans.read(there, (size_t)place, now, &row));
    ck_assert_int_eq(told(there, &lifted), place);
    ck_assert_int_eq(bans_suspension(there, ANA, now, NULL), SUSPENSION_LIFTED);
    ck_assert_int_eq(told(there, &b), place); /* whose row is told in its stead */
    ck_assert_int_eq(bans_suspension(there, ANA, now, NULL), SUSPENSION_LIFTED);
    ck_assert(exchange_bans.read(there, (size_t)place, now, &row));
    ck_assert_ptr_nonnull(strstr(row.name, " suspension"));
}
END_TEST

static const char *const wrong[] = {"1 9223372036854775807 0 0 1\n\n\n",
                                    "1 9223372036854775807 0 0 1\n\n\n\n1 2 3",
                                    "1 9223372036854775807 0 0 3\n\n\n\n0 0 0 0 0 0 0 0",
                                    "1 9223372036854775807 0 0 1\n\n\n\n0 0 0 0 0 0 0 x"};

START_TEST(what_is_none_is_not_taken)
{
    struct ban b;
    ck_assert_int_eq(ban_text_read(span_of("::/0 5 suspension"), span_of(wrong[_i]), &b), -1);
}
END_TEST

SUITE(suspensions)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, a_suspension_is_of_its_account_and_of_no_address, 0, 2);
    TEST(a_ban_of_the_account_everywhere_stands_beside_it);
    TEST(it_may_last_until_it_is_lifted_but_no_ban_may);
    LOOP_TEST(what_is_malformed_is_refused, malformed);
    TEST(no_rule_changes_or_lifts_what_a_person_has_ordered);
    TEST(a_rule_makes_it_longer_or_wider_alone);
    TEST(who_was_let_go_can_be_suspended_anew);
    tcase_add_loop_test(tests, whichever_of_two_comes_first_the_same_one_holds, 0, WHOLE);
    TEST(full_of_bans_a_suspension_finds_room_and_stays);
    tcase_add_loop_test(tests, what_is_told_is_read_as_it_was, 0, 2);
    TEST(a_gateway_tells_all_that_it_knows_and_forgets_nothing);
    LOOP_TEST(what_is_none_is_not_taken, wrong);
}
