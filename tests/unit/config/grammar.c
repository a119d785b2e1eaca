#include "config/grammar.h"

#include "support/test.h"

#include <syslog.h>

static const struct section *const sections[] = {
    &section_top,  &section_log,      &section_tls,   &section_listener,
    &section_auth, &section_upstream, &section_server};

enum { SECTIONS = sizeof sections / sizeof *sections };

START_TEST(every_key_has_its_own_name_and_a_line_of_help)
{
    for (size_t i = 0; i < SECTIONS; i++)
        for (const struct setting *key = sections[i]->settings; key->name != NULL; key++) {
            ck_assert_msg(key->help != NULL && key->help[0] != '\0', "%s", key->name);
            ck_assert_msg(strchr(key->help, '\n') == NULL, "%s", key->name);
            for (const struct setting *other = sections[i]->settings; other < key; other++)
                ck_assert_str_ne(other->name, key->name);
        }
}
END_TEST

/* A second key in the same place would overwrite the first. */
START_TEST(every_key_has_its_own_place)
{
    for (size_t i = 0; i < SECTIONS; i++)
        for (const struct setting *key = sections[i]->settings; key->name != NULL; key++)
            for (const struct setting *other = sections[i]->settings; other < key; other++)
                ck_assert_msg(other->offset != key->offset, "%s and %s", other->name, key->name);
}
END_TEST

/* Room for any of the structs that a section fills. */
union any {
    struct config config;
    struct log_config log;
    struct tls_config tls;
    struct listener_config listener;
    struct auth_config auth;
    struct upstream_config upstream;
    struct server_config server;
};

START_TEST(every_default_is_a_value_that_the_key_takes)
{
    for (size_t i = 0; i < SECTIONS; i++)
        for (const struct setting *key = sections[i]->settings; key->name != NULL; key++) {
            static union any base;
            struct arena *a = arena_create(100000);
            struct value v = {.type = VALUE_TEXT, .text = key->preset};
            struct error why = {.text = ""};
            uint64_t number = 0;
            setting_store_preset(key, &base, a);
            if (key->kind == SETTING_BOOLEAN)
                v = (struct value){.type = VALUE_BOOLEAN,
                                   .number = strcmp(key->preset, "true") == 0};
            else if (key->kind == SETTING_INTEGER) {
                ck_assert_int_eq(span_number(span_of(key->preset), INT32_MAX, &number), 0);
                v = (struct value){.type = VALUE_NUMBER, .number = (int64_t)number};
            }
            if (key->kind != SETTING_TEXT_LIST && !key->is_required)
                ck_assert_msg(setting_store(key, &v, &base, a, &why) == 0, "%s: %s", key->name,
                              why.text);
            arena_destroy(&a);
        }
}
END_TEST

START_TEST(a_key_without_a_default_has_an_example)
{
    for (size_t i = 0; i < SECTIONS; i++)
        for (const struct setting *key = sections[i]->settings; key->name != NULL; key++)
            ck_assert_msg(!key->is_required || key->example != NULL, "%s", key->name);
}
END_TEST

START_TEST(choices_are_found_in_the_help)
{
    for (size_t i = 0; i < SECTIONS; i++)
        for (const struct setting *key = sections[i]->settings; key->name != NULL; key++)
            for (size_t n = 0; key->kind == SETTING_CHOICE && key->choices[n] != NULL; n++)
                ck_assert_msg(strstr(key->help, key->choices[n]) != NULL ||
                                  strncmp(key->choices[n], "local", 5) == 0,
                              "%s: %s", key->name, key->choices[n]);
}
END_TEST

START_TEST(a_key_is_found_by_its_whole_name)
{
    const struct setting *key = section_find(&section_top, span_of("workers"));
    ck_assert_ptr_nonnull(key);
    ck_assert_str_eq(key->name, "workers");
    ck_assert_ptr_null(section_find(&section_top, span_of("worker")));
    ck_assert_ptr_null(section_find(&section_top, span_of("workerss")));
    ck_assert_ptr_null(section_find(&section_top, span_of("Workers")));
    ck_assert_ptr_null(section_find(&section_top, span_of("")));
    ck_assert_ptr_null(section_find(&section_top, span_of("bind")));
}
END_TEST

START_TEST(the_key_that_was_meant_is_suggested)
{
    static const char *const groups[] = {"listeners", "upstreams", NULL};
    static const struct {
        const struct section *section;
        const char *const *extra;
        const char *name, *meant;
    } cases[] = {
        {&section_top, groups, "hostnam", "hostname"},
        {&section_top, groups, "host_name", "hostname"},
        {&section_top, groups, "worker", "workers"},
        {&section_top, groups, "wrokers", "workers"},
        {&section_top, groups, "max_conections", "max_connections"},
        {&section_top, groups, "upstream", "upstreams"},
        {&section_top, groups, "listener", "listeners"},
        {&section_top, groups, "Listeners", "listeners"},
        {&section_top, NULL, "listener", NULL},
        {&section_listener, NULL, "max_recipient", "max_recipients"},
        {&section_listener, NULL, "bnid", "bind"},
        {&section_listener, NULL, "idle-timeout", "idle_timeout"},
        {&section_upstream, NULL, "connect_timout", "connect_timeout"},
        {&section_top, groups, "sentinel_password_file", NULL},
        {&section_top, groups, "xyz", NULL},
        {&section_top, groups, "", NULL},
        {&section_top, groups, "a_name_that_is_longer_than_any_key_that_there_will_ever_be", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *meant = section_suggest(cases[i].section, cases[i].extra, cases[i].name);
        if (cases[i].meant == NULL)
            ck_assert_msg(meant == NULL, "%s for \"%s\"", meant, cases[i].name);
        else
            ck_assert_msg(meant != NULL && strcmp(meant, cases[i].meant) == 0, "%s for \"%s\"",
                          meant == NULL ? "nothing" : meant, cases[i].name);
    }
}
END_TEST

/* What a port that refuses everybody has, and what POP3 has no use for. */
START_TEST(a_listeners_keys_are_for_the_roles_that_use_them)
{
    enum { SUBMISSION = 1 << ROLE_SUBMISSION, POP3 = 1 << ROLE_POP3, REFUSE = 1 << ROLE_REFUSE };
    static const struct {
        const char *key;
        unsigned roles;
    } cases[] = {
        {"bind", SUBMISSION | POP3 | REFUSE}, {"role", SUBMISSION | POP3 | REFUSE},
        {"tls", SUBMISSION | POP3 | REFUSE},  {"certificate", SUBMISSION | POP3},
        {"upstream", SUBMISSION | POP3},      {"client_certificate", SUBMISSION | POP3},
        {"client_ca", SUBMISSION | POP3},     {"client_crl", SUBMISSION | POP3},
        {"max_message_size", SUBMISSION},     {"max_recipients", SUBMISSION},
        {"idle_timeout", SUBMISSION | POP3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(listener_key_roles(cases[i].key) == cases[i].roles, "%s", cases[i].key);
}
END_TEST

START_TEST(names_are_those_of_the_file)
{
    ck_assert_str_eq(listener_role_name(ROLE_SUBMISSION), "submission");
    ck_assert_str_eq(listener_role_name(ROLE_POP3), "pop3");
    ck_assert_str_eq(listener_role_name(ROLE_REFUSE), "refuse");
    ck_assert_str_eq(upstream_tls_name(UPSTREAM_TLS_NONE), "none");
    ck_assert_str_eq(upstream_tls_name(UPSTREAM_TLS_OPPORTUNISTIC), "opportunistic");
    ck_assert_str_eq(upstream_tls_name(UPSTREAM_TLS_REQUIRE), "require");
    ck_assert_str_eq(upstream_tls_name(UPSTREAM_TLS_IMPLICIT), "implicit");
    ck_assert_str_eq(control_role_names[CONTROL_READ], "read");
    ck_assert_str_eq(control_role_names[CONTROL_SUPPORT], "support");
    ck_assert_str_eq(control_role_names[CONTROL_ADMIN], "admin");
    ck_assert_ptr_null(control_role_names[CONTROL_ADMIN + 1]);
}
END_TEST

START_TEST(a_facility_has_the_number_of_its_name)
{
    static const struct {
        const char *name;
        int number;
    } cases[] = {
        {"mail", LOG_MAIL},     {"daemon", LOG_DAEMON}, {"user", LOG_USER},
        {"local0", LOG_LOCAL0}, {"local3", LOG_LOCAL3}, {"local7", LOG_LOCAL7},
    };
    const struct setting *key = section_find(&section_log, span_of("facility"));
    ck_assert_ptr_nonnull(key);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log_config log;
        struct value v = {.type = VALUE_TEXT, .text = cases[i].name};
        ck_assert_int_eq(setting_store(key, &v, &log, NULL, NULL), 0);
        ck_assert_int_eq(log_facility(&log), cases[i].number);
    }
}
END_TEST

static int check_of(const struct section *s, const char *key, const char *text)
{
    struct error why = {.text = ""};
    int outcome = section_find(s, span_of(key))->check(text, &why);
    ck_assert(outcome == 0 || strstr(why.text, text) != NULL);
    return outcome;
}

#define LABEL63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* RFC 1123 section 2.1, RFC 1035 section 2.3.4. */
START_TEST(a_host_name_is_labels_of_letters_digits_and_hyphens)
{
    static const char *const good[] = {"mail.example.com",
                                       "localhost",
                                       "a",
                                       "a.b",
                                       "3com.example",
                                       "x-y.example",
                                       "MAIL.Example",
                                       "1.2",
                                       LABEL63 ".example",
                                       LABEL63 "." LABEL63 "." LABEL63 ".xxxxxxxxxxxxxxxxxxxxxxxxx"
                                               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    static const char *const bad[] = {".",
                                      "a.",
                                      ".a",
                                      "a..b",
                                      "-a",
                                      "a-",
                                      "a.-b",
                                      "a-.b",
                                      "a b",
                                      "a_b",
                                      "a/b",
                                      "a:25",
                                      "b\xc3\xbc"
                                      "cher.example",
                                      "*.example",
                                      "[192.0.2.1]",
                                      "a\n",
                                      LABEL63 "x.example",
                                      LABEL63 "." LABEL63 "." LABEL63 "." LABEL63};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(check_of(&section_top, "hostname", good[i]) == 0, "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(check_of(&section_top, "hostname", bad[i]) < 0, "%s", bad[i]);
}
END_TEST

START_TEST(a_log_goes_to_stderr_syslog_or_an_absolute_path)
{
    ck_assert_int_eq(check_of(&section_log, "target", "stderr"), 0);
    ck_assert_int_eq(check_of(&section_log, "target", "syslog"), 0);
    ck_assert_int_eq(check_of(&section_log, "target", "/var/log/porteiro.log"), 0);
    ck_assert_int_eq(check_of(&section_log, "target", "stdout"), -1);
    ck_assert_int_eq(check_of(&section_log, "target", "porteiro.log"), -1);
}
END_TEST

SUITE(grammar)
{
    TEST(every_key_has_its_own_name_and_a_line_of_help);
    TEST(every_key_has_its_own_place);
    TEST(every_default_is_a_value_that_the_key_takes);
    TEST(a_key_without_a_default_has_an_example);
    TEST(choices_are_found_in_the_help);
    TEST(a_key_is_found_by_its_whole_name);
    TEST(the_key_that_was_meant_is_suggested);
    TEST(a_listeners_keys_are_for_the_roles_that_use_them);
    TEST(names_are_those_of_the_file);
    TEST(a_facility_has_the_number_of_its_name);
    TEST(a_host_name_is_labels_of_letters_digits_and_hyphens);
    TEST(a_log_goes_to_stderr_syslog_or_an_absolute_path);
}
