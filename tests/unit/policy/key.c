#include "policy/key.h"

#include "policy/policy.h"
#include "support/test.h"

#include <string.h>

static struct limit_rule rule;
static struct address client;
static struct policy_facts facts;

static void begin(void)
{
    rule = (struct limit_rule){.name = "r", .enabled = true, .key_count = 1};
    ck_assert_int_eq(address_make("192.0.2.7", 25, &client), 0);
    facts = (struct policy_facts){.account = "ana@example.com",
                                  .listener = "submission",
                                  .recipient = "bob@example.net",
                                  .client = &client};
}

static const struct {
    enum limit_key key;
    const char *client, *sender, *text;
} keys[] = {
    {LIMIT_KEY_ACCOUNT, "192.0.2.7", "", "r ana@example.com"},
    {LIMIT_KEY_ACCOUNT_DOMAIN, "192.0.2.7", "", "r example.com"},
    {LIMIT_KEY_IP, "192.0.2.7", "", "r 192.0.2.7"},
    {LIMIT_KEY_IP, "2001:db8:1:2:3:4:5:6", "", "r 2001:db8:1:2::/64"},
    {LIMIT_KEY_NETWORK, "192.0.2.7", "", "r 192.0.2.0/24"},
    {LIMIT_KEY_NETWORK, "2001:db8:1:2:3:4:5:6", "", "r 2001:db8:1::/48"},
    {LIMIT_KEY_SENDER, "192.0.2.7", "Ana@EXAMPLE.com", "r ana@example.com"},
    {LIMIT_KEY_SENDER, "192.0.2.7", "", "r -"},
    {LIMIT_KEY_SENDER, "192.0.2.7", "\"a b%c\"@example.com", "r \"a%20b%25c\"@example.com"},
    {LIMIT_KEY_SENDER_DOMAIN, "192.0.2.7", "Ana@EXAMPLE.com", "r example.com"},
    {LIMIT_KEY_RECIPIENT, "192.0.2.7", "", "r bob@example.net"},
    {LIMIT_KEY_LISTENER, "192.0.2.7", "", "r submission"},
    {LIMIT_KEY_GLOBAL, "192.0.2.7", "", "r all"},
};

START_TEST(a_key_names_its_counter)
{
    char text[STORE_KEY_MAX];
    rule.keys[0] = keys[_i].key;
    ck_assert_int_eq(address_make(keys[_i].client, 25, &client), 0);
    facts.sender = keys[_i].sender;
    size_t size = limit_key_text(&rule, &facts, text);
    ck_assert_msg(span_equals(span_make(text, size), keys[_i].text), "%.*s", (int)size, text);
}
END_TEST

START_TEST(keys_of_any_length_fit_and_differ)
{
    static char senders[2][700];
    char texts[2][STORE_KEY_MAX];
    size_t sizes[2];
    rule.keys[0] = LIMIT_KEY_SENDER;
    for (int i = 0; i < 2; i++) {
        memset(senders[i], 'a', sizeof senders[i] - 1);
        senders[i][690] = (char)('b' + i);
        facts.sender = senders[i];
        sizes[i] = limit_key_text(&rule, &facts, texts[i]);
        ck_assert_uint_gt(sizes[i], 400);
        ck_assert_uint_le(sizes[i], STORE_KEY_MAX);
    }
    ck_assert(sizes[0] != sizes[1] || memcmp(texts[0], texts[1], sizes[0]) != 0);
}
END_TEST

START_TEST(a_key_without_a_value_names_nothing)
{
    char text[STORE_KEY_MAX];
    rule.keys[0] = LIMIT_KEY_LOGIN;
    ck_assert_uint_eq(limit_key_text(&rule, &facts, text), 0);
    facts.login = "relay";
    ck_assert_uint_eq(limit_key_text(&rule, &facts, text), 7);
}
END_TEST

SUITE(key)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    LOOP_TEST(a_key_names_its_counter, keys);
    TEST(keys_of_any_length_fit_and_differ);
    TEST(a_key_without_a_value_names_nothing);
}
