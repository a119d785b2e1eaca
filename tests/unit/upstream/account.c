#include "upstream/account.h"

#include "config/folder.h"

static struct accounts *accounts;

static void end(void)
{
    accounts_destroy(&accounts);
    findings_end();
}

/* "first" logs in nowhere, "second" with these settings, in line 3. */
static void prepare(const char *settings)
{
    char text[4096];
    (void)snprintf(text, sizeof text,
                   HOSTNAME
                   "listeners = { r = { bind = [\"127.0.0.1:2525\"] role = \"refuse\" } }\n"
                   "upstreams = { first = { servers = { a = { address = \"10.0.0.5:25\" } } }"
                   " second = { identity = \"auth\" password_file = \"%s/secret\" %s\n"
                   "servers = { a = { address = \"10.0.0.6:25\" } } } }\n",
                   folder, settings); /* fits */
    accounts_destroy(&accounts);
    (void)config_of(text);
    count_is(0, 0);
    accounts = accounts_prepare(config, findings);
}

static void write_secret(const char *text, unsigned mode)
{
    folder_write("secret", text);
    ck_assert_int_eq(chmod(folder_path("secret"), mode), 0);
}

START_TEST(the_account_of_an_upstream_is_its_own)
{
    write_secret("open sesame\n", 0600);
    prepare("username = \"gateway\"");
    count_is(0, 0);
    ck_assert_ptr_null(account_of(accounts, &config->upstreams[0]));
    const struct account *a = account_of(accounts, &config->upstreams[1]);
    ck_assert_ptr_nonnull(a);
    ck_assert_str_eq(a->credentials.user, "gateway");
    ck_assert_str_eq(a->credentials.secret, "open sesame");
    ck_assert_uint_eq(a->credentials.mechanisms, SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN);
}
END_TEST

START_TEST(a_master_user_is_an_account_too)
{
    write_secret("open sesame\n", 0600);
    (void)config_of(HOSTNAME
                    "listeners = { r = { bind = [\"127.0.0.1:2525\"] role = \"refuse\" } }\n"
                    "upstreams = { p = { protocol = \"pop3\" identity = \"master\" "
                    "master_user = \"gateway\" master_password_file = \"/nowhere\"\n"
                    "servers = { a = { address = \"10.0.0.6:110\" } } } }\n");
    count_is(0, 0);
    accounts = accounts_prepare(config, findings);
    error_is("porteiro.conf:3: upstreams.p.master_password_file: ", "/nowhere");
    ck_assert_ptr_null(accounts);
    count_is(1, 0);
    config->upstreams[0].master_password_file = folder_path("secret");
    accounts = accounts_prepare(config, findings);
    const struct account *a = account_of(accounts, &config->upstreams[0]);
    ck_assert_str_eq(a->credentials.user, "gateway");
    ck_assert_str_eq(a->credentials.secret, "open sesame");
}
END_TEST

START_TEST(a_mechanism_of_the_configuration_is_the_only_one)
{
    write_secret("open sesame", 0600);
    prepare("username = \"gateway\" mechanism = \"LOGIN\"");
    ck_assert_uint_eq(account_of(accounts, &config->upstreams[1])->credentials.mechanisms,
                      SMTP_AUTH_LOGIN);
    prepare("username = \"gateway\" mechanism = \"PLAIN\"");
    ck_assert_uint_eq(account_of(accounts, &config->upstreams[1])->credentials.mechanisms,
                      SMTP_AUTH_PLAIN);
}
END_TEST

START_TEST(a_file_without_a_password_is_an_error)
{
    write_secret("", 0600);
    prepare("username = \"gateway\"");
    error_is("porteiro.conf:3: upstreams.second.password_file: ", "empty");
    count_is(1, 0);
    ck_assert_ptr_null(accounts);
}
END_TEST

START_TEST(a_file_that_everybody_can_read_is_a_warning)
{
    write_secret("open sesame", 0644);
    prepare("username = \"gateway\"");
    warning_is("porteiro.conf:3: upstreams.second.password_file: ", "chmod 600");
    count_is(0, 1);
    ck_assert_ptr_nonnull(accounts);
}
END_TEST

START_TEST(an_account_with_a_command_waits_for_its_tokens)
{
    (void)config_of(
        HOSTNAME "listeners = { r = { bind = [\"127.0.0.1:2525\"] role = \"refuse\" } }\n"
                 "upstreams = { first = { servers = { a = { address = \"10.0.0.5:25\" } } }"
                 " second = { identity = \"auth\" username = \"gw\" token_command = \"/bin/true\""
                 " servers = { a = { address = \"10.0.0.6:25\" } } } }\n");
    accounts = accounts_prepare(config, findings);
    count_is(0, 0);
    const struct account *a = account_of(accounts, &config->upstreams[1]);
    ck_assert_ptr_nonnull(a);
    ck_assert_str_eq(a->credentials.secret, "");
    ck_assert_uint_eq(a->credentials.mechanisms, SMTP_AUTH_XOAUTH2);
    ck_assert_int_eq(accounts_take_token(accounts, 1, 7, span_of("first")), 0);
    ck_assert_int_eq(accounts_take_token(accounts, 1, 8, span_of("second one")), 0);
    ck_assert_str_eq(a->credentials.secret, "second one");
    ck_assert_uint_eq(a->version, 8);
}
END_TEST

START_TEST(a_token_that_is_none_or_for_nobody_changes_nothing)
{
    write_secret("open sesame", 0600);
    prepare("username = \"gateway\"");
    const struct span token = span_of("token");
    ck_assert_int_eq(accounts_take_token(accounts, 0, 1, token), -1); /* logs in nowhere */
    ck_assert_int_eq(accounts_take_token(accounts, 1, 1, token), -1); /* has a password */
    ck_assert_int_eq(accounts_take_token(accounts, 2, 1, token), -1);
    ck_assert_int_eq(accounts_take_token(accounts, SIZE_MAX, 1, token), -1);
    ck_assert_str_eq(account_of(accounts, &config->upstreams[1])->credentials.secret,
                     "open sesame");
}
END_TEST

START_TEST(who_has_forgotten_logs_in_nowhere)
{
    write_secret("open sesame", 0600);
    prepare("username = \"gateway\"");
    accounts_forget(accounts);
    ck_assert_ptr_null(account_of(accounts, &config->upstreams[1]));
}
END_TEST

SUITE(account)
{
    tcase_add_unchecked_fixture(tests, folder_make, folder_remove);
    tcase_add_checked_fixture(tests, findings_begin, end);
    TEST(the_account_of_an_upstream_is_its_own);
    TEST(a_master_user_is_an_account_too);
    TEST(a_mechanism_of_the_configuration_is_the_only_one);
    TEST(a_file_without_a_password_is_an_error);
    TEST(a_file_that_everybody_can_read_is_a_warning);
    TEST(an_account_with_a_command_waits_for_its_tokens);
    TEST(a_token_that_is_none_or_for_nobody_changes_nothing);
    TEST(who_has_forgotten_logs_in_nowhere);
}
