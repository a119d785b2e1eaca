#include "auth/overrides.h"

#include "base/lookup.h"
#include "config/watched.h"
#include "policy/policy.h"

#define PATH "/etc/porteiro/overrides"

static struct sealed list;

/* Three policies: two have the file, the third has none. */
static void configure(void)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS
                    "auth = { realm = \"example.com\" }\n"
                    "listeners = { submissions = { bind = [\"*:465\"] upstream = \"smtp\" policy = "
                    "\"out\" } pop3s = { bind = [\"*:995\"] upstream = \"smtp\" policy = \"box\" } "
                    "smtps = { bind = [\"*:466\"] upstream = \"smtp\" policy = \"other\" } }\n"
                    "policies = { out = { overrides = \"" PATH "\" limits = { "
                    "hour = { key = [\"account\"] rate = \"600/1h\" } "
                    "day = { key = [\"login\"] rate = \"2000/1d\" } "
                    "gone = { key = [\"ip\"] rate = \"1/s\" enabled = false } "
                    "address = { key = [\"ip\"] rate = \"9/1s\" } } }\n"
                    "box = { overrides = \"" PATH "\" limits = { "
                    "open = { key = [\"account\"] count = \"sessions\" max = 4 } } }\n"
                    "other = { limits = { more = { key = [\"account\"] rate = \"1/s\" } } } }\n");
    ck_assert_uint_eq(errors_count(findings), 0);
}

static int make(int file, const char *path, size_t *count)
{
    (void)path; /* it stands in the configuration */
    return overrides_build(config, file, PATH, count, findings);
}

/* Of a file with this text, for the configuration that was read; how many there are, or -1. */
static int build_now(const char *text)
{
    return watched_list("over", text, make, &list);
}

static int build(const char *text)
{
    configure();
    return build_now(text);
}

static int build_for(const char *settings, const char *text)
{
    (void)config_of(settings);
    return build_now(text);
}

/* "COUNT/SECONDS BURST" as a rule finds it; "": none. */
static const char *in_force(size_t policy, size_t limit, const char *account)
{
    static char text[80];
    const struct policy_facts facts = {.account = account, .login = account};
    struct limit_rule r = config->policies[policy].limits[limit];
    const struct override_file file = {PATH, &list};
    struct override o;
    r.overrides = &file;
    text[0] = '\0';
    if (override_find(&r, &facts, &o))
        (void)snprintf(text, sizeof text, "%ld/%ld %ld", (long)o.figure.count,
                       (long)(o.figure.period_us / 1000000), (long)o.figure.burst); /* fits */
    return text;
}

static void end(void)
{
    sealed_unmap(&list);
}

START_TEST(an_account_has_several_on_a_line_and_on_several_lines)
{
    ck_assert_int_eq(build("# plans\n"
                           "Ana@Example.COM: hour 1000/1h 200 day 9000/1d open 20\n"
                           "rui: hour 5/1m # slow\n"
                           "@B\xc3\xbc"
                           "cher.example: hour 7/1h\tday 8/1d 1K\r\n"
                           "rui: day 50/1d\n"),
                     7);
    ck_assert_str_eq(in_force(0, 0, "ana@example.com"), "1000/3600 200");
    ck_assert_str_eq(in_force(0, 1, "ana@example.com"), "9000/86400 9000");
    ck_assert_str_eq(in_force(1, 0, "ana@example.com"), "20/0 0");
    ck_assert_str_eq(in_force(0, 0, "rui@example.com"), "5/60 5");
    ck_assert_str_eq(in_force(0, 1, "rui@example.com"), "50/86400 50");
    ck_assert_str_eq(in_force(0, 1, "x@xn--bcher-kva.example"), "8/86400 1024");
    ck_assert_str_eq(in_force(0, 1, "eva@example.com"), "");
}
END_TEST

START_TEST(a_file_may_be_empty)
{
    ck_assert_int_eq(build("# nobody yet\n"), 0);
    ck_assert_str_eq(in_force(0, 0, "ana@example.com"), "");
}
END_TEST

static const struct {
    const char *line, *said;
} wrong[] = {
    {"ana@example.com", "write it as \"KEY: value\", with a blank behind the colon"},
    {"a b: hour 5/1h", "\"a b\" is no account; write one as ana@example.com, or @example.com for "
                       "all of a domain"},
    {"ana: huor 5/1h",
     "\"huor\" is none of the limits of policies with this file: hour, day, gone, address, "
     "open"},
    {"ana: more 5/1h",
     "\"more\" is none of the limits of policies with this file: hour, day, gone, address, "
     "open"},
    {"ana: hour", "\"\" is no rate, as \"600/1h\", and no max, from 1 to 1000000"},
    {"ana: hour 5/1x", "\"5/1x\" is no rate; write it as \"600/1h\" or \"10/s\""},
    {"ana: hour 5/1h 0", "\"0\" is no burst; write how many pass at once, from 1 to 1099511627776"},
    {"ana: hour 5/1h 2 3",
     "\"3\" is none of the limits of policies with this file: hour, day, gone, "
     "address, open"},
    {"ana: hour 5", "hour is limited by a rate; write it as \"600/1h\""},
    {"ana: open 5/1h", "open is limited by max; write a number alone"},
    {"ana: address 5/1h", "address goes by neither account, login nor account_domain"},
    {"rui@example.com: hour 5/1h", "the name is that of line 1 already"},
};

START_TEST(a_wrong_line_is_told_with_its_place_and_the_file_is_not_taken)
{
    char lines[200];
    (void)snprintf(lines, sizeof lines, "rui: hour 5/1h\n\n%s\n", wrong[_i].line); /* fits */
    ck_assert_int_eq(build(lines), -1);
    error_is(PATH ":3: ", wrong[_i].said);
    count_is(1, 0);
}
END_TEST

static const char whole[] = HOSTNAME TLS UPSTREAMS
    "auth = { realm = \"example.com\" }\n"
    "listeners = { submissions = { bind = [\"*:465\"] upstream = \"smtp\" policy = \"out\" } }\n"
    "policies = { out = { overrides = \"" PATH "\" limits = { "
    "mail = { key = [\"account\"] rate = \"600/1h\" at = \"message\" } "
    "size = { key = [\"account\"] rate = \"1G/1d\" count = \"bytes\" } "
    "each = { key = [\"account\"] rate = \"600/1h\" } } } }\n";

START_TEST(one_that_a_message_can_never_pass_gets_a_warning)
{
    ck_assert_int_eq(build_for(whole, "ana: mail 600/1h 50 size 1G/1d 1M each 600/1h 5\n"
                                      "@example.com: mail 20/1h\n"
                                      "rui@example.com: mail 1/1h 100 size 1G/1d\n"),
                     6);
    ck_assert_uint_eq(errors_count(findings), 0);
    warning_is(PATH ":1: ana@example.com: mail: ",
               "more than 50 recipients never passes, and listeners.submissions.max_recipients");
    warning_is(PATH ":1: ana@example.com: size: ", "more than 1048576 bytes never passes");
    warning_is(PATH ":2: @example.com: mail: ", "more than 20 recipients never passes");
    ck_assert_uint_eq(told(FINDING_WARNING, PATH, ""), 3);
}
END_TEST

START_TEST(of_many_such_lines_the_first_are_told)
{
    static char text[100000];
    size_t used = 0;
    for (int i = 0; i < 1000; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "a%d: mail 1/1h\n", i); /* fits */
    ck_assert_int_eq(build_for(whole, text), 1000);
    ck_assert_uint_eq(told(FINDING_WARNING, PATH, ""), 10);
}
END_TEST

SUITE(override_files)
{
    TEST(one_that_a_message_can_never_pass_gets_a_warning);
    TEST(of_many_such_lines_the_first_are_told);
    folder_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(an_account_has_several_on_a_line_and_on_several_lines);
    TEST(a_file_may_be_empty);
    LOOP_TEST(a_wrong_line_is_told_with_its_place_and_the_file_is_not_taken, wrong);
}
