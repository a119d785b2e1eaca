#include "filter/mail.h"

#include "base/clock.h"

#include "filter/engine.h"

static struct mail_client client;
static struct mail_answer answer;
static struct mail *mail;

static void on_answer(void *owner, const struct mail_answer *a)
{
    ck_assert_ptr_eq(owner, &client);
    answer = *a;
}

static void begin(const char *login, const char *sender)
{
    struct address address;
    ck_assert_int_eq(address_parse("192.0.2.9:4711", &address, NULL), 0);
    mail_destroy(&mail);
    mail_client_begin(&engine, &address, &client);
    mail = mail_create(&engine, &client, span_of(login), span_of(sender));
    ck_assert_ptr_nonnull(mail);
}

static int sender(const char *login, const char *address)
{
    begin(login, address);
    mail_ask_sender(mail, on_answer, &client);
    return answer.code;
}

static int recipient(const char *address)
{
    mail_ask_recipient(mail, span_of(address), on_answer, &client);
    return answer.code;
}

static int headers(const char *text)
{
    mail_ask_headers(mail, span_of(text), on_answer, &client);
    return answer.code;
}

static int end(uint64_t bytes)
{
    mail_ask_end(mail, bytes, on_answer, &client);
    return answer.code;
}

static void clear(void)
{
    mail_destroy(&mail);
    engine_end();
}

START_TEST(of_recipients_as_many_pass_as_there_is_room_for)
{
    engine_begin(RATE("recipients", "2/1h"));
    ck_assert_int_eq(sender("Ana@example.com", "ana@example.com"), 0);
    ck_assert_int_eq(recipient("a@dest.example"), 0);
    ck_assert_int_eq(recipient("b@dest.example"), 0);
    ck_assert_int_eq(recipient("c@dest.example"), 451);
    ck_assert_str_eq(answer.enhanced, "4.7.1");
    ck_assert_ptr_nonnull(strstr(answer.text, "l: at most 2 recipients in 1h"));
    ck_assert_ptr_nonnull(strstr(answer.text, client.session));
    clear();
}
END_TEST

START_TEST(what_comes_to_nothing_is_given_back_and_what_is_kept_is_not)
{
    engine_begin(RATE("recipients", "1/1h"));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(sender("ana@example.com", "ana@example.com"), 0);
        ck_assert_int_eq(recipient("a@dest.example"), 0);
    }
    mail_keep(mail, "4Xy");
    ck_assert_int_eq(sender("ana@example.com", "ana@example.com"), 0);
    ck_assert_int_eq(recipient("a@dest.example"), 451);
    clear();
}
END_TEST

START_TEST(what_nobody_has_heard_is_given_back_alone)
{
    engine_begin(RATE("recipients", "2/1h"));
    ck_assert_int_eq(sender("ana@example.com", "ana@example.com"), 0);
    ck_assert_int_eq(recipient("a@dest.example"), 0);
    ck_assert_int_eq(recipient("b@dest.example"), 0);
    mail_undo(mail);
    ck_assert_int_eq(recipient("c@dest.example"), 0);
    ck_assert_int_eq(recipient("d@dest.example"), 451);
    clear();
}
END_TEST

START_TEST(without_a_login_nothing_goes_by_the_account)
{
    engine_begin(RATE("messages", "1/1h") "sender = { envelope = \"own\" header = \"own\" }");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(sender("", "anybody@dest.example"), 0);
        ck_assert_int_eq(headers("From: boss@bank.example\r\n"), 0);
        ck_assert_int_eq(end(0), 0);
        mail_keep(mail, "");
    }
    clear();
}
END_TEST

START_TEST(a_login_that_can_be_no_account_is_refused)
{
    engine_begin("");
    ck_assert_int_eq(sender("two words", "ana@example.com"), 550);
    ck_assert_int_eq(sender("ana", "ana@example.com"), 0); /* auth.realm is appended */
    clear();
}
END_TEST

static void ban(const char *network, const char *account, bool spares_nobody)
{
    struct error why;
    struct ban b = {.since_ns = clock_wall_ns(),
                    .until_ns = clock_wall_ns() + 60 * CLOCK_SECOND,
                    .account =
                        account[0] == '\0' ? 0 : guessing_account(engine.guessing.key, account),
                    .rule = "guessing",
                    .spares_nobody = spares_nobody};
    ck_assert_int_eq(network_parse(network, &b.network, NULL), 0);
    ck_assert_msg(bans_put(engine.guessing.bans, 0, &b, b.since_ns, &why) == 0, "%s", why.text);
}

START_TEST(who_is_banned_is_sent_away_unless_it_is_for_strangers)
{
    engine_begin("");
    ban("192.0.2.0/24", "", false);
    ck_assert_int_eq(sender("", "ana@example.com"), 421);
    ck_assert_int_eq(sender("ana@example.com", "ana@example.com"), 0);
    ban("192.0.2.9/32", "bia@example.com", false);
    ck_assert_int_eq(sender("bia@example.com", "bia@example.com"), 421);
    clear();
    engine_begin("");
    ban("192.0.2.9/32", "bia@example.com", false);
    ck_assert_int_eq(sender("bia@example.com", "bia@example.com"), 421);
    ck_assert_int_eq(sender("ana@example.com", "ana@example.com"), 0);
    ban("192.0.2.0/24", "", true);
    ck_assert_int_eq(sender("ana@example.com", "ana@example.com"), 421);
    ck_assert_int_eq(sender("", "ana@example.com"), 421);
    clear();
}
END_TEST

START_TEST(a_message_says_that_it_is_the_accounts)
{
    engine_begin("sender = { envelope = \"own\" header = \"own\" }");
    ck_assert_int_eq(sender("ana@example.com", "bia@example.com"), 553);
    ck_assert_int_eq(sender("ana@example.com", ""), 0);
    ck_assert_int_eq(headers("From: ana@example.com\r\nSender: bia@example.com\r\n"), 550);
    ck_assert_int_eq(headers("From: Ana <ana@example.com>\r\n"), 0);
    clear();
}
END_TEST

START_TEST(headers_are_keys_and_octets_are_counted)
{
    engine_begin("limits = { script = { key = [\"header:X-Script\"] count = \"messages\" rate = "
                 "\"1/1h\" } bytes = { key = [\"account\"] count = \"bytes\" rate = \"1K/1h\" "
                 "action = \"reject\" } }");
    static const struct {
        const char *script;
        uint64_t bytes;
        int code;
    } messages[] = {{"a", 600, 0}, {"a", 100, 451}, {"b", 300, 0}, {"c", 300, 550}};
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "X-Script: %s\r\n", messages[i].script); /* fits */
        ck_assert_int_eq(sender("ana@example.com", "ana@example.com"), 0);
        ck_assert_int_eq(headers(text), 0);
        ck_assert_int_eq(end(messages[i].bytes), messages[i].code);
        if (messages[i].code == 0)
            mail_keep(mail, "");
    }
    clear();
}
END_TEST

START_TEST(several_that_are_due_wait_once)
{
    engine_begin("limits = { l = { key = [\"account\"] count = \"recipients\" rate = \"1/1s\" "
                 "burst = 1 action = \"delay\" max_delay = \"10s\" } }");
    ck_assert_int_eq(sender("ana@example.com", "ana@example.com"), 0);
    ck_assert_int_eq(recipient("a@dest.example"), 0);
    ck_assert_int_eq(answer.wait_ns, 0);
    ck_assert_int_eq(recipient("b@dest.example"), 0);
    ck_assert_int_eq(recipient("c@dest.example"), 0);
    ck_assert_int_eq(end(0), 0);
    ck_assert_int_gt(answer.wait_ns,
                     1500000000); /* c is due in two seconds, not b and c in three */
    ck_assert_int_le(answer.wait_ns, 2000000000);
    clear();
}
END_TEST

START_TEST(the_fields_that_are_looked_at_are_those_of_the_policy)
{
    engine_begin("sender = { header = \"own\" } limits = { s = { key = [\"header:X-Script\"] "
                 "count = \"messages\" rate = \"1/1h\" } }");
    const struct policy *p = engine.config->filter.policy_rules;
    ck_assert(mail_wants_header(p, "x-script") && mail_wants_header(p, "FROM") &&
              mail_wants_header(p, "Resent-From") && !mail_wants_header(p, "To"));
    clear();
}
END_TEST

SUITE(mail)
{
    folder_use(tests);
    TEST(of_recipients_as_many_pass_as_there_is_room_for);
    TEST(what_comes_to_nothing_is_given_back_and_what_is_kept_is_not);
    TEST(what_nobody_has_heard_is_given_back_alone);
    TEST(without_a_login_nothing_goes_by_the_account);
    TEST(a_login_that_can_be_no_account_is_refused);
    TEST(who_is_banned_is_sent_away_unless_it_is_for_strangers);
    TEST(a_message_says_that_it_is_the_accounts);
    TEST(headers_are_keys_and_octets_are_counted);
    TEST(several_that_are_due_wait_once);
    TEST(the_fields_that_are_looked_at_are_those_of_the_policy);
}
