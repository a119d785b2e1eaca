#include "folder.h"

#define LISTENERS(milters)                                                                     \
    "listeners = { submissions = { bind = [\"*:465\"] upstream = \"smtp\" milters = [" milters \
    "] } }\n"
#define GATEWAY(names, milters) \
    HOSTNAME TLS UPSTREAMS LISTENERS(names) "milters = {\n" milters "\n}\n"

START_TEST(a_listener_has_its_milters_in_the_order_of_its_list)
{
    const struct config *c =
        config_of(GATEWAY("\"b\", \"a\"", "a = { address = \"inet:127.0.0.1:11332\" }\n"
                                          "b = { address = \"unix:/run/b.sock\" on_failure = "
                                          "\"accept\" quarantine = \"tempfail\" }"));
    char at[ADDRESS_TEXT_SIZE];
    count_is(0, 0);
    const struct listener_config *l = &c->listeners[0];
    ck_assert_uint_eq(l->milter_count, 2);
    ck_assert_str_eq(l->milters[0]->name, "b");
    ck_assert_str_eq(l->milters[0]->at.path, "/run/b.sock");
    ck_assert_ptr_null(l->milters[1]->at.path);
    ck_assert_int_eq(l->milters[0]->on_failure, MILTER_FAILURE_ACCEPT);
    ck_assert_int_eq(l->milters[0]->quarantine, MILTER_QUARANTINE_TEMPFAIL);
    address_format(&l->milters[1]->at.to, at);
    ck_assert_str_eq(at, "127.0.0.1:11332");
    ck_assert_int_eq(l->milters[1]->on_failure, MILTER_FAILURE_TEMPFAIL);
    ck_assert_int_eq(l->milters[1]->reply_timeout_ms, 30 * 1000);
}
END_TEST

START_TEST(when_and_except_are_those_of_rules)
{
    const struct config *c =
        config_of("groups = { vip = { accounts = [\"ana@example.com\"] } }\n" GATEWAY(
            "\"a\"", "a = { address = \"inet:127.0.0.1:1\" when = { networks = [\"192.0.2.0/24\"] "
                     "} except = { accounts = [\"group:vip\"] hours = [\"Sun 08:00-18:00\"] } }"));
    count_is(0, 0);
    const struct milter_config *m = c->listeners[0].milters[0];
    ck_assert_uint_eq(m->when.network_list.count, 1);
    ck_assert_uint_eq(m->except.group_count, 1);
    ck_assert_ptr_eq(m->except.zone, &c->zone);
    ck_assert_uint_eq(c->watched_count, access("/etc/localtime", F_OK) == 0);
}
END_TEST

START_TEST(what_is_wrong_is_told_where_it_stands)
{
    static const struct {
        const char *text, *start, *part;
    } cases[] = {
        {GATEWAY("\"a\", \"c\"", "a = { address = \"inet:127.0.0.1:1\" }"),
         "porteiro.conf:4: listeners.submissions.milters: ", "\"c\" isn't one of milters"},
        {HOSTNAME TLS UPSTREAMS LISTENERS("\"a\""),
         "porteiro.conf:4: listeners.submissions.milters: ", "there are none"},
        {GATEWAY("\"a\", \"a\"", "a = { address = \"inet:127.0.0.1:1\" }"),
         "porteiro.conf:4: listeners.submissions.milters: ", "\"a\" stands there twice"},
        {GATEWAY("\"a\"", "a = { }"), "porteiro.conf:6: milters.a.address: ",
         "is missing; write it as address = \"inet:127.0.0.1:11332\""},
        {GATEWAY("\"a\"", "a = { address = \"127.0.0.1:1\" }"), "porteiro.conf:6: milters.a.addr",
         "must be inet:HOST:PORT or unix:/PATH"},
        {GATEWAY("\"a\"", "a = { address = \"inet:127.0.0.1\" }"),
         "porteiro.conf:6: milters.a.address: ", "127.0.0.1"},
        {GATEWAY("\"a\"", "a = { address = \"unix:run/a\" }"),
         "porteiro.conf:6: milters.a.address: ", "no absolute path"},
        {GATEWAY("\"a\"", "a = { address = \"inet:127.0.0.1:1\" on_failure = \"shrug\" }"),
         "porteiro.conf:6: milters.a.on_failure: ", "tempfail"},
        {GATEWAY("\"a\"",
                 "a = { address = \"inet:127.0.0.1:1\" when = { accounts = [\"group:x\"] } }"),
         "porteiro.conf:6: milters.a.when.accounts: ", "there are no groups"},
        {GATEWAY("\"a\"", "a = { address = \"inet:127.0.0.1:1\" adress = \"\" }"),
         "porteiro.conf:6: milters.a.adress: ", "did you mean address?"},
        {HOSTNAME TLS "upstreams = { pop3 = { protocol = \"pop3\" servers = { l = { address = "
                      "\"192.0.2.5:110\" } } } }\nlisteners = { p = { bind = [\"*:995\"] role = "
                      "\"pop3\" upstream = \"pop3\" milters = [] } }\n",
         "porteiro.conf:4: listeners.p.milters: ", "means nothing for role \"pop3\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)config_of(cases[i].text);
        error_is(cases[i].start, cases[i].part);
        ck_assert_uint_eq(errors_count(findings), 1);
    }
}
END_TEST

START_TEST(a_milter_that_no_listener_uses_is_warned_of)
{
    (void)config_of(GATEWAY("", "a = { address = \"inet:127.0.0.1:1\" }"));
    warning_is("porteiro.conf:6: milters.a: ", "write milters = [\"a\"] there");
    count_is(0, 1);
}
END_TEST

SUITE(config_milters)
{
    folder_use(tests);
    TEST(a_listener_has_its_milters_in_the_order_of_its_list);
    TEST(when_and_except_are_those_of_rules);
    TEST(what_is_wrong_is_told_where_it_stands);
    TEST(a_milter_that_no_listener_uses_is_warned_of);
}
