#include "upstream/tokens.h"

#include "behind.h"

#include "ipc/channel.h"

static struct servers *servers;
static struct tokens *tokens;

/* The helper's end, and what it has heard. */
static struct {
    struct channel *channel;
    unsigned refused;
    struct message_token last;
} helper;

static void on_worker(void *owner, const struct message *m)
{
    (void)owner;
    if (m == NULL) {
        channel_destroy(&helper.channel);
        return;
    }
    ck_assert_uint_eq(m->type, MESSAGE_TOKEN_REFUSED);
    helper.refused++;
    helper.last = *(const struct message_token *)m->payload;
}

static void begin(void)
{
    int ends[2];
    behind_begin(1, "identity = \"auth\" username = \"gw\" token_command = \"/bin/true\"");
    servers = servers_create(&behind.context);
    ck_assert_ptr_nonnull(servers);
    tokens = tokens_create(servers);
    ck_assert_ptr_nonnull(tokens);
    ck_assert_int_eq(channel_pair(ends, NULL), 0);
    tokens_add(tokens, ends[0]);
    helper.channel = channel_create(turns.loop, ends[1], on_worker, NULL);
    ck_assert_ptr_nonnull(helper.channel);
}

static void end(void)
{
    tokens_destroy(&tokens);
    servers_destroy(&servers);
    channel_destroy(&helper.channel);
    behind_end();
}

static void say_token(uint32_t of, uint32_t version, const char *token)
{
    const struct message_token m = {.upstream = of, .version = version};
    ck_assert_int_eq(channel_send(helper.channel, MESSAGE_TOKEN, &m, span_of(token), -1), 0);
}

static const struct account *account(void)
{
    return account_of(behind.accounts, upstream());
}

static unsigned woken;

static void on_wake(void *owner, bool is_late)
{
    (void)owner;
    ck_assert(!is_late);
    woken++;
}

START_TEST(a_token_reaches_the_account_and_wakes_who_waits_for_it)
{
    begin();
    struct waiter w = {.wake = on_wake, .upstream = upstream()};
    ck_assert_int_eq(waiter_wait(servers, &w), 0);
    say_token(0, 3, "first");
    UNTIL(woken == 1);
    ck_assert_str_eq(account()->credentials.secret, "first");
    ck_assert_uint_eq(account()->version, 3);
    waiter_stop(&w);
}
END_TEST

START_TEST(what_the_helper_says_of_other_upstreams_changes_nothing)
{
    begin();
    say_token(1, 3, "token");
    say_token(2, 3, "token");
    say_token(UINT32_MAX, 3, "token");
    say_token(0, 3, "");
    say_token(0, 4, "last");
    UNTIL(account()->version == 4);
    ck_assert_str_eq(account()->credentials.secret, "last");
}
END_TEST

START_TEST(the_helper_hears_which_token_was_refused)
{
    begin();
    say_token(0, 3, "first");
    UNTIL(account()->version == 3);
    tokens_refused(tokens, upstream());
    UNTIL(helper.refused == 1);
    ck_assert_uint_eq(helper.last.upstream, 0);
    ck_assert_uint_eq(helper.last.version, 3);
}
END_TEST

START_TEST(without_a_helper_the_last_token_stays)
{
    begin();
    say_token(0, 3, "first");
    UNTIL(account()->version == 3);
    channel_destroy(&helper.channel);
    turns_for(5);
    tokens_refused(tokens, upstream());
    ck_assert_str_eq(account()->credentials.secret, "first");
}
END_TEST

SUITE(tokens)
{
    behind_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(a_token_reaches_the_account_and_wakes_who_waits_for_it);
    TEST(what_the_helper_says_of_other_upstreams_changes_nothing);
    TEST(the_helper_hears_which_token_was_refused);
    TEST(without_a_helper_the_last_token_stays);
}
