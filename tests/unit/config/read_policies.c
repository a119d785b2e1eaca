#include "config/folder.h"

#define LISTENERS(policy)                                                                     \
    "listeners = { submissions = { bind = [\"*:465\"] upstream = \"smtp\" policy = \"" policy \
    "\" } }\n"
#define GATEWAY(policy, policies) \
    HOSTNAME TLS UPSTREAMS LISTENERS(policy) "policies = {\n" policies "\n}\n"

static const struct limit_rule *rule(const char *policy, const char *name)
{
    const struct policy *p = config_find_policy(config, policy);
    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < p->limit_count; i++)
        if (strcmp(p->limits[i].name, name) == 0)
            return &p->limits[i];
    ck_abort_msg("no rule %s in %s", name, policy);
}

START_TEST(a_listener_has_the_rules_of_its_policy)
{
    const struct config *c = config_of(GATEWAY(
        "outbound", "outbound = { limits = { hour = { key = [\"account\"] rate = \"600/1h\" "
                    "burst = 100 when = { accounts = [\"@example.com\"] } } } }"));
    ck_assert_uint_eq(errors_count(findings), 0);
    ck_assert_ptr_eq(c->listeners[0].policy_rules, config_find_policy(c, "outbound"));
    const struct limit_rule *r = rule("outbound", "hour");
    ck_assert_int_eq(r->rate.count, 600);
    ck_assert_int_eq(r->rate.burst, 100);
    ck_assert_int_eq(r->rate.period_us, INT64_C(3600) * 1000000);
    ck_assert_int_eq(r->stage, STAGE_RCPT);
    ck_assert_uint_eq(r->when.accounts.count, 1);
    ck_assert_uint_eq(c->policies[0].stages, 1u << STAGE_RCPT);
}
END_TEST

START_TEST(base_is_taken_key_by_key)
{
    (void)config_of(GATEWAY(
        "strict",
        "easy = { limits = { hour = { key = [\"account\"] rate = \"600/1h\" burst = 100 action = "
        "\"reject\" }\n day = { key = [\"account\"] rate = \"2000/1d\" } } }\n"
        "strict = { base = \"easy\" limits = { hour = { rate = \"60/1h\" } day = { enabled = false "
        "} more = { key = [\"ip\"] rate = \"1/s\" } } }"));
    ck_assert_uint_eq(errors_count(findings), 0);
    ck_assert_int_eq(rule("strict", "hour")->rate.count, 60);
    ck_assert_int_eq(rule("strict", "hour")->rate.burst, 100);
    ck_assert_int_eq(rule("strict", "hour")->action, LIMIT_REJECT);
    ck_assert(!rule("strict", "day")->enabled);
    ck_assert(rule("easy", "day")->enabled);
    ck_assert_int_eq(rule("easy", "hour")->rate.count, 600);
    ck_assert_uint_eq(config_find_policy(config, "strict")->limit_count, 3);
    ck_assert_uint_eq(config_find_policy(config, "easy")->limit_count, 2);
}
END_TEST

START_TEST(who_may_send_as_whom_is_taken_key_by_key_too)
{
    const struct config *c = config_of(
        GATEWAY("b", "a = { sender = { envelope = \"own\" header = \"own\" addresses = \"/a\" "
                     "except = { accounts = [\"@example.net\"] } } }\n"
                     "b = { base = \"a\" sender = { mode = \"monitor\" } }\n"
                     "c = { sender = { header = \"own\" addresses = \"/c\" } } d = { }"));
    ck_assert_uint_eq(errors_count(findings), 0);
    const struct policy *a = config_find_policy(c, "a"), *b = config_find_policy(c, "b");
    ck_assert_int_eq(b->sender.envelope, SENDER_OWN);
    ck_assert_int_eq(b->sender.header, SENDER_OWN);
    ck_assert_uint_eq(b->sender.except.accounts.count, 1);
    ck_assert(policy_sender_is_monitored(b) && !policy_sender_is_monitored(a));
    ck_assert_ptr_eq(a->sender.file, b->sender.file); /* which is watched once */
    ck_assert_ptr_null(config_find_policy(c, "d")->sender.file);
    ck_assert_int_eq(config_find_policy(c, "d")->sender.header, SENDER_ANY);
    ck_assert_uint_eq(c->watched_count, 2);
    ck_assert_str_eq(c->watched[0].key, "policies.a.sender.addresses");
    ck_assert_str_eq(c->watched[1].path, "/c");
}
END_TEST

START_TEST(what_is_wrong_is_told_where_it_stands)
{
    static const struct {
        const char *policies, *line;
    } cases[] = {
        {"p = { limits = { a = { rate = \"1/s\" } } }", "key: is missing; write it as key = "},
        {"p = { limits = { a = { key = [\"acount\"] rate = \"1/s\" } } }",
         "\"acount\" must be account, login"},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"many\" } } }", "\"many\" is no rate"},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"0/s\" } } }", "the count is from 1"},
        {"p = { limits = { a = { key = [\"ip\"] } } }", "recipients are limited by rate = "},
        {"p = { limits = { a = { key = [\"ip\"] max = 4 rate = \"1/s\" } } }",
         "recipients are limited by rate = "},
        {"p = { limits = { a = { key = [\"ip\"] max = 4 } } }",
         "recipients are limited by rate = "},
        {"p = { limits = { a = { key = [\"ip\"] count = \"sessions\" } } }",
         "sessions are limited by rate = \"600/1h\" or max = 4"},
        {"p = { limits = { a = { key = [\"ip\"] count = \"distinct_recipients\" max = 4 } } }",
         "distinct_recipients are limited by max = 100 window = \"1h\""},
        {"p = { limits = { a = { key = [\"account\"] count = \"distinct_countries\" rate = \"1/s\" "
         "} } }",
         "distinct_countries are limited by max = 3 window = \"1h\""},
        {"p = { limits = { a = { key = [\"ip\"] count = \"rejected_recipients\" ratio = 4 } } }",
         "rejected_recipients are limited by ratio = 25 window = \"1h\""},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"1/s\" window = \"1h\" } } }",
         "recipients are limited by rate = "},
        {"p = { limits = { a = { key = [\"header:\"] rate = \"1/s\" } } }",
         "\"header:\" must be account"},
        {"p = { limits = { a = { key = [\"header:X-Script\"] at = \"rcpt\" rate = \"1/s\" } } }",
         "a header is known at the end of a message"},
        {"p = { limits = { a = { key = [\"ip\"] missing = \"skip\" rate = \"1/s\" } } }",
         "missing: means nothing without a header key"},
        {"p = { limits = { a = { key = [\"account\"] count = \"connections\" rate = \"1/s\" } } }",
         "account isn't known when connections are counted"},
        {"p = { limits = { a = { key = [\"recipient\"] at = \"message\" rate = \"1/s\" } } }",
         "recipient isn't known when recipients are counted; take at = \"rcpt\""},
        {"p = { limits = { a = { key = [\"ip\"] count = \"messages\" at = \"rcpt\" rate = \"1/s\" "
         "} } }",
         "at: is for count = \"recipients\""},
        {"p = { limits = { a = { key = [\"ip\", \"global\"] rate = \"1/s\" } } }",
         "global stands alone"},
        {"p = { limits = { a = { key = [\"ip\"] count = \"connections\" rate = \"1/s\" action = "
         "\"delay\" } } }",
         "delay is for a rate of"},
        {"p = { limits = { a = { key = [\"account\"] rate = \"1/s\" action = \"ban\" duration = "
         "\"1h\" } } }",
         "action: a ban is of an address or network"},
        {"p = { limits = { a = { key = [\"ip\", \"listener\"] rate = \"1/s\" action = \"ban\" "
         "duration = \"1h\" } } }",
         "action: a ban is of an address or network"},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"1/s\" action = \"ban\" } } }",
         "duration: no ban is for ever; write \"1h\""},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"1/s\" duration = \"1h\" } } }",
         "duration: is for action = \"ban\" or \"suspend\", or for \"defer\" or \"reject\" by max "
         "or ratio"},
        {"p = { limits = { a = { key = [\"ip\"] count = \"connections\" max = 3 action = \"log\" "
         "duration = \"1h\" } } }",
         "duration: is for action = \"ban\" or \"suspend\", or for \"defer\" or \"reject\" by max "
         "or ratio"},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"1/s\" action = \"suspend\" duration = "
         "\"1h\" } } }",
         "action: an account is suspended, and none of the keys is one; write key = [\"account\"]"},
        {"p = { limits = { a = { key = [\"account\"] rate = \"1/s\" action = \"suspend\" } } }",
         "duration: no rule suspends for ever; write \"1d\""},
        {"p = { limits = { a = { key = [\"account\"] rate = \"1/s\" scope = \"all\" } } }",
         "scope: is for action = \"suspend\""},
        {"p = { limits = { a = { key = [\"account\"] count = \"auth_failures\" rate = \"1/s\" "
         "action = \"suspend\" duration = \"1d\" } } }",
         "action: a login that has failed can't be refused any more"},
        {"p = { max_suspensions = \"10\" }", "max_suspensions: \"10\" is no rate"},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"1/s\" warn_at = 100 } } }", "warn_at: "},
        {"p = { limits = { a = { key = [\"ip\"] count = \"auth_failures\" rate = \"1/s\" } } }",
         "action: a login that has failed can't be refused any more; write \"ban\" or \"log\""},
        {"p = { limits = { a = { key = [\"ip\"] count = \"auth_failures\" max = 3 window = \"1h\" "
         "action = \"log\" } } }",
         "auth_failures are limited by rate = \"60/1h\""},
        {"p = { limits = { a = { key = [\"ip\"] count = \"distinct_credentials\" rate = \"1/s\" "
         "action = \"log\" } } }",
         "distinct_credentials are limited by max = 10 window = \"10min\""},
        {"p = { limits = { a = { key = [\"login\"] count = \"auth_failures\" rate = \"1/s\" "
         "action = \"log\" } } }",
         "login isn't known when auth_failures are counted"},
        {"p = { limits = { a = { key = [\"sender\"] count = \"auth_failures\" rate = \"1/s\" "
         "action = \"log\" } } }",
         "sender isn't known when auth_failures are counted"},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"1/s\" when = { accounts = [] } } } }",
         "must not be empty"},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"1/s\" except = { networks = [\"x\"] } } } "
         "}",
         "networks: "},
        {"p = { limits = { a = { key = [\"ip\"] rate = \"1/s\" when = { accounts = [\"ana\"] } } } "
         "}",
         "\"ana\" is no account"},
        {"p = { base = \"q\" }", "names a policy that isn't there"},
        {"p = { base = \"q\" } q = { base = \"p\" }", "leads back to where it came from"},
        {"p = { limit = { } }", "unknown key; did you mean limits?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[2048];
        (void)snprintf(text, sizeof text,
                       HOSTNAME TLS UPSTREAMS LISTENERS("p") "policies = {\n%s\n}\n",
                       cases[i].policies); /* fits */
        (void)config_of(text);
        ck_assert_msg(errors_count(findings) > 0, "%s", cases[i].policies);
        ck_assert_msg(told(FINDING_ERROR, "porteiro.conf:6: policies.", cases[i].line) > 0,
                      "%s: no \"%s\"", cases[i].policies, cases[i].line);
    }
}
END_TEST

START_TEST(a_ban_is_of_an_address_or_network_or_of_an_account_there)
{
    (void)config_of(GATEWAY(
        "p", "p = { limits = {\n"
             "a = { key = [\"ip\"] count = \"auth_failures\" rate = \"9/h\" action = \"ban\" "
             "duration = \"2d\" }\n"
             "b = { key = [\"network\"] count = \"connections\" rate = \"9/h\" action = \"ban\" "
             "duration = \"1h\" }\n"
             "c = { key = [\"account\", \"ip\"] count = \"distinct_credentials\" max = 3 window = "
             "\"1h\" action = \"ban\" duration = \"1h\" }\n"
             "d = { key = [\"global\"] count = \"auth_failures\" rate = \"9/h\" action = \"log\" "
             "} } }"));
    count_is(0, 0);
    const struct limit_rule *r = rule("p", "a");
    ck_assert_int_eq(r->action, LIMIT_BAN);
    ck_assert_int_eq(r->stage, STAGE_FAILURE);
    ck_assert_int_eq(r->duration_ms, 2 * 86400000);
    ck_assert_int_eq(rule("p", "b")->stage, STAGE_CONNECT);
}
END_TEST

START_TEST(a_rule_suspends_the_account_from_sending_or_from_all)
{
    const struct config *c = config_of(GATEWAY(
        "p", "p = { max_suspensions = \"3/1h\" limits = {\n"
             "a = { key = [\"account\"] count = \"rejected_recipients\" ratio = 25 window = "
             "\"1h\" action = \"suspend\" duration = \"1d\" }\n"
             "b = { key = [\"account\", \"ip\"] rate = \"9/h\" action = \"suspend\" scope = "
             "\"all\" duration = \"1h\" } } }"));
    count_is(0, 0);
    ck_assert_int_eq(rule("p", "a")->action, LIMIT_SUSPEND);
    ck_assert_int_eq(rule("p", "a")->scope, LIMIT_SENDING);
    ck_assert_int_eq(rule("p", "b")->scope, LIMIT_ALL);
    ck_assert_int_eq(c->policies[0].max_suspensions.count, 3);
    ck_assert_int_eq(c->policies[0].max_suspensions.period_us, INT64_C(3600) * 1000000);
}
END_TEST

START_TEST(a_group_of_accounts_is_found_by_its_name)
{
    const struct config *c = config_of(GATEWAY("p", "p = { limits = { hour = { key = [\"account\"] "
                                                    "rate = \"9/h\" when = { "
                                                    "accounts = [\"@example.com\", \"group:shop\"] "
                                                    "} } } }") "groups = { directors = { accounts "
                                                               "= [\"ana@example.com\"] }\n"
                                                               "shop = { file = \"/etc/shop\" } }");
    count_is(0, 0);
    const struct match *when = &rule("p", "hour")->when;
    ck_assert_uint_eq(when->group_count, 1);
    ck_assert_ptr_eq(when->groups[0], &c->groups.items[1]);
    ck_assert_uint_eq(c->watched_count, 1);
    ck_assert_int_eq(c->watched[0].kind, WATCHED_GROUP);
    ck_assert_str_eq(c->watched[0].path, "/etc/shop");
    ck_assert_ptr_eq(c->watched[0].list, &c->groups.items[1].list);
}
END_TEST

START_TEST(a_group_that_is_not_there_or_not_filled_is_told)
{
    (void)config_of(
        GATEWAY("p", "p = { limits = { hour = { key = [\"account\"] rate = \"9/h\"\nexcept = {\n"
                     "accounts = [\"group:shp\"] } } } }") "groups = { shop = { accounts = "
                                                           "[\"group:all\"] }\nall = { }\n"
                                                           "far = { file = \"shop\" } }");
    error_is("porteiro.conf:8: policies.p.limits.hour.except.accounts: ",
             "\"group:shp\" is none of groups: shop, all, far");
    error_is("porteiro.conf:10: groups.shop.accounts: ", "\"group:all\" is no account");
    error_is("porteiro.conf:11: groups.all: ", "is empty");
    error_is("porteiro.conf:12: groups.far.file: ", "no absolute path");
}
END_TEST

#define HOURS(keys)                                                                             \
    GATEWAY("p", "p = { limits = { night = { key = [\"account\"] rate = \"9/h\" when = { " keys \
                 " } } } }")

START_TEST(hours_are_told_in_the_zone_that_is_named_or_the_hosts)
{
    const struct config *c =
        config_of(HOURS("hours = [\"Mon-Fri 08:00-18:00\"]") "timezone = \"America/Sao_Paulo\"");
    count_is(0, 0);
    const struct match *when = &rule("p", "night")->when;
    ck_assert_uint_eq(when->hours_list.count, 1);
    ck_assert_int_eq(when->hours_list.items[0].from, 8 * 60);
    ck_assert_ptr_eq(when->zone, &c->zone);
    ck_assert_uint_eq(c->watched_count, 1);
    ck_assert_int_eq(c->watched[0].kind, WATCHED_ZONE);
    ck_assert_str_eq(c->watched[0].path, "/usr/share/zoneinfo/America/Sao_Paulo");
    ck_assert_ptr_eq(c->watched[0].list, &c->zone.file);
    c = config_of(HOURS("hours = [\"Mon-Fri 08:00-18:00\"]"));
    count_is(0, 0);
    ck_assert_uint_eq(c->watched_count, access("/etc/localtime", F_OK) == 0);
    if (c->watched_count > 0)
        ck_assert_str_eq(c->watched[0].path, "/etc/localtime");
    c = config_of(HOURS("listeners = [\"submissions\"]"));
    ck_assert_uint_eq(c->watched_count, 0);
}
END_TEST

#define GEOIP "geoip = \"/var/lib/GeoIP/GeoLite2-Country.mmdb\""

START_TEST(a_file_of_countries_is_watched_and_those_of_rules_are_looked_for)
{
    const struct config *c = config_of(HOURS("countries = [\"BR\", \"pt\"]") GEOIP);
    count_is(0, 0);
    ck_assert_uint_eq(rule("p", "night")->when.countries.count, 2);
    ck_assert_uint_eq(c->watched_count, 1);
    ck_assert_int_eq(c->watched[0].kind, WATCHED_COUNTRIES);
    ck_assert_str_eq(c->watched[0].path, "/var/lib/GeoIP/GeoLite2-Country.mmdb");
}
END_TEST

START_TEST(countries_that_are_none_or_without_a_file_of_them_are_told)
{
    (void)config_of(HOURS("countries = [\"BR\", \"UK\"]") GEOIP);
    error_is("porteiro.conf:6: policies.p.limits.night.when.countries: ", "write \"GB\"");
    (void)config_of(HOURS("countries = []") GEOIP);
    error_is("porteiro.conf:6: policies.p.limits.night.when.countries: ", "must not be empty");
    (void)config_of(HOURS("listeners = [\"submissions\"]") "geoip = \"GeoIP.mmdb\"");
    error_is("porteiro.conf:8: geoip: ", "no absolute path");
    (void)config_of(HOURS("countries = [\"BR\"]"));
    error_is("porteiro.conf:6: policies.p.limits.night.when.countries: ",
             "needs a file of countries; write geoip = ");
}
END_TEST

START_TEST(a_rule_that_goes_by_countries_without_a_file_of_them_gets_a_warning)
{
    (void)config_of(GATEWAY("p", "p = { limits = {\n"
                                 "a = { key = [\"country\"] rate = \"9/h\" }\n"
                                 "b = { key = [\"account\"] rate = \"9/h\" }\n"
                                 "c = { key = [\"account\"] count = \"distinct_countries\" "
                                 "max = 3 window = \"1h\" } } }"));
    warning_is("porteiro.conf:7: policies.p.limits.a: ", "without geoip");
    warning_is("porteiro.conf:9: policies.p.limits.c: ", "without geoip");
    ck_assert_uint_eq(told(FINDING_WARNING, "", "without geoip"), 2);
}
END_TEST

START_TEST(wrong_hours_and_zones_are_told)
{
    static const char *const zones[] = {"../passwd", "/etc/localtime", "Europe/../x", "a b", "."};
    (void)config_of(HOURS("hours = [\"Mon-Fri 8-18\"]"));
    error_is("porteiro.conf:6: policies.p.limits.night.when.hours: ",
             "write them as \"Mon-Fri 08:00-18:00\"");
    (void)config_of(HOURS("hours = []"));
    error_is("porteiro.conf:6: policies.p.limits.night.when.hours: ", "must not be empty");
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        char text[2048];
        (void)snprintf(text, sizeof text, HOURS("hours = [\"12:00-13:00\"]") "timezone = \"%s\"",
                       zones[i]); /* fits */
        (void)config_of(text);
        error_is("porteiro.conf:8: timezone: ", "write one as America/Sao_Paulo");
    }
}
END_TEST

/* ---- access ---- */

#define ACCESS(rules) GATEWAY("p", "p = { access = {\n" rules "\n} }")

static const struct access_rule *access_of(const char *policy, const char *name)
{
    const struct policy *p = config_find_policy(config, policy);
    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < p->access_count; i++)
        if (strcmp(p->access[i].name, name) == 0)
            return &p->access[i];
    ck_abort_msg("no rule %s in %s", name, policy);
}

START_TEST(rules_of_access_are_read_with_their_zones_and_files)
{
    const struct config *c =
        config_of(ACCESS("office = { networks = [\"192.0.2.0/24\"] hours = [\"08:00-18:00\"] "
                         "timezone = \"Europe/Berlin\" closed = \"/etc/holidays\" certificate = "
                         "\"none\" when = { accounts = [\"@example.com\"] } }\n"
                         "nights = { hours = [\"20:00-22:00\"] timezone = \"Europe/Berlin\" "
                         "end_sessions = false mode = \"monitor\" }\n"
                         "days = { hours = [\"08:00-20:00\"] }") "timezone = \"Asia/Kolkata\"");
    count_is(0, 0);
    const struct access_rule *office = access_of("p", "office"), *nights = access_of("p", "nights");
    ck_assert_uint_eq(office->inside.network_list.count, 1);
    ck_assert_uint_eq(office->inside.hours_list.count, 1);
    ck_assert_uint_eq(office->when.accounts.count, 1);
    ck_assert(office->end_sessions && !office->deny && !nights->end_sessions);
    ck_assert_int_eq(nights->mode, RULE_MONITOR);
    ck_assert_str_eq(office->inside.zone->name, "Europe/Berlin");
    ck_assert_ptr_eq(office->inside.zone, nights->inside.zone);
    ck_assert_ptr_eq(office->when.zone, nights->inside.zone);
    ck_assert_ptr_eq(access_of("p", "days")->inside.zone, &c->zone);
    ck_assert_uint_eq(c->watched_count, 3); /* two zones, and the days */
    ck_assert_int_eq(c->watched[1].kind, WATCHED_CLOSED);
    ck_assert_ptr_eq(c->watched[1].list, &office->closed_days);
    ck_assert_str_eq(c->watched[2].key, "policies.p.access.office.timezone");
}
END_TEST

START_TEST(rules_of_access_are_taken_from_base_key_by_key)
{
    (void)config_of(GATEWAY(
        "strict", "easy = { access = { office = { networks = [\"192.0.2.0/24\"] } guests = { deny "
                  "= true when = { accounts = [\"guest@example.com\"] } } } }\n"
                  "strict = { base = \"easy\" access = { office = { hours = [\"08:00-18:00\"] } "
                  "guests = { enabled = false } } }"));
    count_is(0, 0);
    ck_assert_uint_eq(access_of("strict", "office")->inside.networks.count, 1);
    ck_assert_uint_eq(access_of("strict", "office")->inside.hours.count, 1);
    ck_assert_uint_eq(access_of("easy", "office")->inside.hours.count, 0);
    ck_assert(!access_of("strict", "guests")->enabled && access_of("easy", "guests")->enabled);
}
END_TEST

START_TEST(rules_of_access_that_make_no_sense_are_told_where_they_stand)
{
    static const struct {
        const char *text, *start, *part;
    } cases[] = {
        {ACCESS("a = { }"), "porteiro.conf:7: policies.p.access.a: ", "asks for nothing; write"},
        {ACCESS("a = { networks = [] }"), "porteiro.conf:7: policies.p.access.a.networks: ", ""},
        {ACCESS("a = { networks = [\"10.0.0.0/33\"] }"),
         "porteiro.conf:7: policies.p.access.a.networks: ", "10.0.0.0/33"},
        {ACCESS("a = { countries = [\"BR\"] }"),
         "porteiro.conf:7: policies.p.access.a.countries: ", "needs a file of countries"},
        {ACCESS("a = { hours = [\"8-18\"] }"),
         "porteiro.conf:7: policies.p.access.a.hours: ", "write them as"},
        {ACCESS("a = { hours = [\"08:00-18:00\"] timezone = \"../passwd\" }"),
         "porteiro.conf:7: policies.p.access.a.timezone: ", "write one as America/Sao_Paulo"},
        {ACCESS("a = { closed = \"holidays\" }"),
         "porteiro.conf:7: policies.p.access.a.closed: ", ""},
        {ACCESS("a = { certificate = \"mine\" }"),
         "porteiro.conf:7: policies.p.access.a.certificate: ", "own"},
        {ACCESS("a = { certificate = \"any\" }"),
         "porteiro.conf:7: policies.p.access.a.certificate: ",
         "listeners.submissions asks for none; write client_certificate = \"optional\""},
        {ACCESS("a = { deny = true networks = [\"192.0.2.0/24\"] }"),
         "porteiro.conf:7: policies.p.access.a.deny: ", "lets nobody in, whatever else"},
        {ACCESS("a = { deny = true when = { accounts = [\"group:x\"] } }"),
         "porteiro.conf:7: policies.p.access.a.when.accounts: ", "there are no groups"},
        {ACCESS("a = { deny = true when = { hours = [\"20:00-22:00\"] } netwroks = [] }"),
         "porteiro.conf:7: policies.p.access.a", "networks"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)config_of(cases[i].text);
        error_is(cases[i].start, cases[i].part);
    }
    (void)config_of(ACCESS("a = { certificate = \"any\" when = { listeners = [\"pop3s\"] } }"));
    count_is(0, 0);
    (void)config_of(ACCESS("a = { deny = true }"));
    warning_is("porteiro.conf:7: policies.p.access.a.deny: ", "lets nobody in at all");
}
END_TEST

START_TEST(a_policy_that_is_not_there_is_told)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS LISTENERS("strict"));
    error_is("porteiro.conf:4: listeners.submissions.policy: ",
             "\"strict\" isn't one of policies; there are none");
}
END_TEST

START_TEST(what_can_be_right_but_seldom_is_gets_a_warning)
{
    (void)config_of(GATEWAY("p", "p = { limits = { a = { key = [\"ip\"] rate = \"1/1h\" action = "
                                 "\"delay\" } } }\nunused = { }\n"
                                 "q = { sender = {\nenvelope = \"own\" } }\nr = { sender = {\n"
                                 "addresses = \"/r\" } }"));
    ck_assert_uint_eq(errors_count(findings), 0);
    warning_is("porteiro.conf:6: policies.p.limits.a.max_delay: ", "nothing would ever be delayed");
    warning_is("porteiro.conf:7: policies.unused: ", "no listener uses it");
    warning_is("porteiro.conf:8: policies.q.sender.header: ", "write header = \"own\"");
    warning_is("porteiro.conf:11: policies.r.sender.addresses: ", "nothing is checked");
}
END_TEST

START_TEST(a_limit_that_one_message_can_never_pass_gets_a_warning)
{
    (void)config_of(GATEWAY("p",
                            "p = { limits = {\n"
                            "a = { key = [\"ip\"] rate = \"50/1h\" at = \"message\" }\n"
                            "b = { key = [\"ip\"] rate = \"1M/1h\" count = \"bytes\" }\n"
                            "c = { key = [\"ip\"] rate = \"50/1h\" }\n"
                            "d = { key = [\"ip\"] rate = \"1000000/1h\" at = \"message\" } } }"));
    ck_assert_uint_eq(errors_count(findings), 0);
    warning_is("porteiro.conf:7: policies.p.limits.a.burst: ",
               "more than 50 recipients never passes");
    warning_is("porteiro.conf:8: policies.p.limits.b.burst: ",
               "more than 1048576 bytes never passes");
    ck_assert_uint_eq(told(FINDING_WARNING, "", ".burst: "), 2);
}
END_TEST

START_TEST(what_is_printed_is_read_as_the_same)
{
    static char first[65536];
    struct buffer out = {.limit = sizeof first - 1};
    (void)config_of(GATEWAY(
        "strict",
        "easy = { sender = { header = \"own\" when = { networks = [\"192.0.2.0/24\"] } } limits = "
        "{ hour "
        "= { key = [\"account\"] rate = \"600/h\" } day = { key "
        "= [\"ip\"] rate = \"9/1d\" except = { networks = [\"192.0.2.0/24\"] countries = [\"DE\"] "
        "} } } }\n"
        "strict = { base = \"easy\" access = { office = { hours = [\"08:00-18:00\"] countries = "
        "[\"BR\"] } } mode = \"monitor\" limits = { day = { enabled = "
        "false when = { accounts = [\"group:shop\"] } } } }") "groups = { shop = { file = "
                                                              "\"/etc/shop\" } boss = { accounts = "
                                                              "[\"ana@example.com\"] } }\n" GEOIP);
    ck_assert_int_eq(config_print(config, &out), 0);
    (void)span_copy(buffer_bytes(&out), first, sizeof first); /* fits */
    buffer_clear(&out);
    ck_assert_ptr_nonnull(strstr(first, "countries = [\"DE\"]"));
    (void)config_of(first);
    ck_assert_uint_eq(errors_count(findings), 0);
    ck_assert_int_eq(config_print(config, &out), 0);
    ck_assert(span_equals(buffer_bytes(&out), first));
    buffer_clear(&out);
}
END_TEST

START_TEST(rules_at_one_address_share_a_policy_server)
{
    const struct config *c = config_of(GATEWAY(
        "b", "a = { delegate = { quota = { address = \"inet:127.0.0.1:10031\" at = [\"rcpt\", "
             "\"eom\"] on_failure = \"accept\" } } }\n"
             "b = { base = \"a\" delegate = { quota = { timeout = \"3s\" } more = { address = "
             "\"unix:/run/p\" } off = { address = \"unix:/run/q\" enabled = false } } }"));
    ck_assert_uint_eq(errors_count(findings), 0);
    const struct policy *a = config_find_policy(c, "a"), *b = config_find_policy(c, "b");
    ck_assert_uint_eq(b->delegate_count, 3);
    ck_assert_int_eq(b->delegates[0].timeout_ms, 3000);
    ck_assert_int_eq(b->delegates[0].on_failure, DELEGATE_ACCEPT);
    ck_assert_int_eq(b->delegates[1].on_failure, DELEGATE_TEMPFAIL);
    ck_assert_uint_eq(c->policy_server_count, 2);
    ck_assert_uint_eq(a->delegates[0].server, b->delegates[0].server);
    ck_assert_str_eq(c->policy_servers[b->delegates[1].server].at.path, "/run/p");
    ck_assert_uint_eq(a->stages, 1u << STAGE_RCPT | 1u << STAGE_END);
}
END_TEST

static const struct {
    const char *rule, *message;
} wrong_delegates[] = {
    {"{ }", "policies.a.delegate.x.address: is missing"},
    {"{ address = \"127.0.0.1:1\" }", "must be inet:HOST:PORT or unix:/PATH"},
    {"{ address = \"inet:policy:1\" }", "names are not looked up"},
    {"{ address = \"unix:/p\" at = [\"ehlo\"] }", "policies.a.delegate.x.at: \"ehlo\""},
    {"{ address = \"unix:/p\" at = [] }", "policies.a.delegate.x.at"},
    {"{ address = \"unix:/p\" on_failure = \"dunno\" }", "policies.a.delegate.x.on_failure"},
};

START_TEST(a_delegation_that_can_not_be_is_refused)
{
    char text[2048];
    (void)snprintf(text, sizeof text, GATEWAY("a", "a = { delegate = { x = %s } }"),
                   wrong_delegates[_i].rule);
    (void)config_of(text);
    ck_assert_uint_eq(errors_count(findings), 1);
    error_is("porteiro.conf:", wrong_delegates[_i].message);
}
END_TEST

SUITE(read_policies)
{
    folder_use(tests);
    TEST(a_listener_has_the_rules_of_its_policy);
    TEST(base_is_taken_key_by_key);
    TEST(who_may_send_as_whom_is_taken_key_by_key_too);
    TEST(what_is_wrong_is_told_where_it_stands);
    TEST(a_ban_is_of_an_address_or_network_or_of_an_account_there);
    TEST(a_rule_suspends_the_account_from_sending_or_from_all);
    TEST(a_group_of_accounts_is_found_by_its_name);
    TEST(a_group_that_is_not_there_or_not_filled_is_told);
    TEST(hours_are_told_in_the_zone_that_is_named_or_the_hosts);
    TEST(a_file_of_countries_is_watched_and_those_of_rules_are_looked_for);
    TEST(countries_that_are_none_or_without_a_file_of_them_are_told);
    TEST(a_rule_that_goes_by_countries_without_a_file_of_them_gets_a_warning);
    TEST(wrong_hours_and_zones_are_told);
    TEST(rules_of_access_are_read_with_their_zones_and_files);
    TEST(rules_of_access_are_taken_from_base_key_by_key);
    TEST(rules_of_access_that_make_no_sense_are_told_where_they_stand);
    TEST(a_policy_that_is_not_there_is_told);
    TEST(what_can_be_right_but_seldom_is_gets_a_warning);
    TEST(a_limit_that_one_message_can_never_pass_gets_a_warning);
    TEST(what_is_printed_is_read_as_the_same);
    TEST(rules_at_one_address_share_a_policy_server);
    LOOP_TEST(a_delegation_that_can_not_be_is_refused, wrong_delegates);
}
