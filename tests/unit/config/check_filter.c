/* porteiro-milter's group: what it names, and what of a policy can't be there. */
#include "config/folder.h"

#define POLICY(rest)    HOSTNAME "policies = { out = { " rest " } }\n"
#define FILTER(rest)    "filter = { " rest " }\n"
#define MILTER          "listen = \"unix:/run/porteiro/milter.sock\" "
#define LIMIT(name, is) "limits = { " name " = { key = [\"account\"] " is " } }"

START_TEST(without_the_block_there_is_no_filter)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS);
    ck_assert_ptr_null(config->filter.place.file);
    ck_assert_str_eq(config->filter.listen, "");
    count_is(0, 0);
}
END_TEST

START_TEST(a_filter_needs_neither_listeners_nor_upstreams)
{
    (void)config_of(POLICY("") FILTER(MILTER "policy = \"out\""));
    count_is(0, 0);
    ck_assert_ptr_eq(config->filter.policy_rules, &config->policies[0]);
}
END_TEST

START_TEST(an_address_is_written_as_postfix_writes_it)
{
    (void)config_of(POLICY("") FILTER("listen = \"inet:127.0.0.1:8891\" policy_service = "
                                      "\"inet:[::1]:8892\" policy = \"out\""));
    count_is(0, 0);
    (void)config_of(POLICY("") FILTER("listen = \"127.0.0.1:8891\" policy = \"out\""));
    error_is("porteiro.conf:3: filter.listen: ", "inet:HOST:PORT");
    (void)config_of(POLICY("") FILTER("listen = \"inet:*:8891\" policy = \"out\""));
    error_is("porteiro.conf:3: filter.listen: ", "*:8891");
    (void)config_of(POLICY("") FILTER("policy_service = \"unix:milter.sock\" policy = \"out\""));
    error_is("porteiro.conf:3: filter.policy_service: ", "milter.sock");
}
END_TEST

START_TEST(what_is_listened_for_needs_a_policy_that_is_there)
{
    (void)config_of(POLICY("") FILTER(MILTER));
    error_is("porteiro.conf:3: filter.policy: ", "is missing");
    (void)config_of(POLICY("") FILTER(MILTER "policy = \"other\""));
    error_is("porteiro.conf:3: filter.policy: ", "\"other\" isn't one of policies");
}
END_TEST

START_TEST(one_address_speaks_one_protocol)
{
    (void)config_of(POLICY("") FILTER("listen = \"inet:127.0.0.1:1\" policy_service = "
                                      "\"inet:127.0.0.1:1\" policy = \"out\""));
    error_is("porteiro.conf:3: filter.policy_service: ", "is taken by listen");
}
END_TEST

START_TEST(rules_of_what_a_filter_never_hears_are_warned_of)
{
    (void)config_of(POLICY(LIMIT("often", "count = \"logins\" rate = \"9/1h\""))
                        FILTER(MILTER "policy = \"out\""));
    warning_is("porteiro.conf:2: policies.out.limits.often: ", "never applies in porteiro-milter");
    (void)config_of(POLICY(LIMIT("often", "rate = \"9/1h\"")) FILTER(MILTER "policy = \"out\""));
    count_is(0, 0);
}
END_TEST

START_TEST(a_rule_that_wants_a_certificate_is_told)
{
    (void)config_of(POLICY("access = { known = { certificate = \"any\" } }")
                        FILTER(MILTER "policy = \"out\""));
    error_is("porteiro.conf:2: policies.out.access.known.certificate: ", "is shown none");
}
END_TEST

SUITE(check_filter)
{
    folder_use(tests);
    TEST(without_the_block_there_is_no_filter);
    TEST(a_filter_needs_neither_listeners_nor_upstreams);
    TEST(an_address_is_written_as_postfix_writes_it);
    TEST(what_is_listened_for_needs_a_policy_that_is_there);
    TEST(one_address_speaks_one_protocol);
    TEST(rules_of_what_a_filter_never_hears_are_warned_of);
    TEST(a_rule_that_wants_a_certificate_is_told);
}
