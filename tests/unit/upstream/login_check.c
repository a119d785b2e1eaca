#include "upstream/login_check.h"

#include "behind.h"

static struct servers *servers;
static struct pool *pool;

static struct heard {
    struct login_check *check;
    unsigned count;
    enum login_check_result result;
    char reason[400];
} heard;

static void on_checked(void *owner, enum login_check_result result, const char *reason)
{
    ck_assert_ptr_eq(owner, &heard);
    ck_assert_uint_eq(heard.count++, 0); /* once alone */
    heard.result = result;
    (void)snprintf(heard.reason, sizeof heard.reason, "%s", reason); /* cut to fit */
    login_check_end(&heard.check);
}

static void begin(const char *settings)
{
    char all[300];
    (void)snprintf(all, sizeof all, "tls = \"none\" %s", settings); /* fits */
    behind_begin(1, all);
    servers = servers_create(&behind.context);
    pool = pool_create(servers, NULL);
    ck_assert_ptr_nonnull(pool);
}

static void end(void)
{
    login_check_end(&heard.check);
    turns_for(2);
    pool_destroy(&pool);
    servers_destroy(&servers);
    behind_end();
}

static void ask(const char *user, struct span password)
{
    const struct login_check_options o = {.servers = servers,
                                          .pool = pool,
                                          .upstream = upstream(),
                                          .user = user,
                                          .password = password};
    heard.check = login_check_begin(&o, on_checked, &heard);
    ck_assert_ptr_nonnull(heard.check);
    ck_assert_uint_eq(heard.count, 0); /* it is told by the loop */
}

static void is_told(enum login_check_result result, const char *reason)
{
    UNTIL(heard.count == 1);
    ck_assert_uint_eq(heard.result, result);
    ck_assert_msg(strstr(heard.reason, reason) != NULL, "%s", heard.reason);
    ck_assert_ptr_null(heard.check);
}

#define POP3 "protocol = \"pop3\" identity = \"password\" "

static const struct {
    const char *reply;
    enum login_check_result result;
} pop3_replies[] = {
    {"+OK 3 messages\r\n", LOGIN_CHECK_GOOD},
    {"-ERR [AUTH] no\r\n", LOGIN_CHECK_WRONG},
    {"-ERR no\r\n", LOGIN_CHECK_WRONG}, /* older than RFC 3206 */
    {"-ERR [SYS/TEMP] no\r\n", LOGIN_CHECK_UNAVAILABLE},
    {"-ERR [SYS/PERM] no\r\n", LOGIN_CHECK_UNAVAILABLE},
    {"-ERR [IN-USE] no\r\n", LOGIN_CHECK_UNAVAILABLE},
    {"-ERR [LOGIN-DELAY] no\r\n", LOGIN_CHECK_UNAVAILABLE},
};

START_TEST(mailboxes_are_asked_by_user_and_pass_and_left_with_quit)
{
    begin(POP3);
    ask("ana", span_of("secret"));
    struct peer *p = next_client(0);
    peer_say(p, "+OK behind\r\n");
    hears(p, "USER ana\r\n");
    peer_say(p, "+OK\r\n");
    hears(p, "PASS secret\r\n");
    peer_say(p, pop3_replies[_i].reply);
    is_told(pop3_replies[_i].result, "");
    hears(p, "QUIT\r\n");
    sees_the_end(p);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

static const struct {
    const char *reply;
    enum login_check_result result;
} smtp_replies[] = {
    {"235 2.7.0 welcome\r\n", LOGIN_CHECK_GOOD},
    {"535 5.7.8 no\r\n", LOGIN_CHECK_WRONG},
    {"454 4.7.0 later\r\n", LOGIN_CHECK_UNAVAILABLE},
    {"530 5.7.0 TLS first\r\n", LOGIN_CHECK_UNAVAILABLE},
};

START_TEST(a_submission_server_is_asked_by_auth)
{
    begin("max_connections = 1");
    ask("ana", span_of("pw"));
    struct peer *p = greets(0, "250 AUTH PLAIN\r\n");
    hears(p, "AUTH PLAIN AGFuYQBwdw==\r\n");
    peer_say(p, smtp_replies[_i].reply);
    is_told(smtp_replies[_i].result, "");
    turns_for(3);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(what_can_stand_in_no_login_is_wrong_and_asks_nobody)
{
    static const struct {
        const char *user;
        struct span password;
    } odd[] = {{"", {"x", 1}},
               {"ana", {"", 0}},
               {"a\r\nb", {"x", 1}},
               {"ana", {"x\r\nDELE 1", 9}},
               {"ana", {"x\0y", 3}}};
    begin(POP3);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        heard.count = 0;
        ask(odd[i].user, odd[i].password);
        is_told(LOGIN_CHECK_WRONG, "");
    }
    nobody_comes(0);
}
END_TEST

START_TEST(a_server_that_breaks_off_says_nothing_of_the_password)
{
    begin(POP3);
    ask("ana", span_of("secret"));
    struct peer *p = next_client(0);
    peer_say(p, "+OK behind\r\n");
    hears(p, "USER ana\r\n");
    peer_close(p);
    is_told(LOGIN_CHECK_UNAVAILABLE, "closed");
    ck_assert_uint_ne(state_of(0), SERVER_DOWN); /* a stranger's guess may have angered it */
}
END_TEST

START_TEST(waiting_for_a_connection_is_bounded)
{
    begin(POP3 "max_connections = 1 wait_timeout = \"50ms\"");
    size_t count;
    struct server *s = servers_of(servers, upstream(), &count);
    ck_assert_int_eq(server_permit(servers, s, 1), 0);
    ask("ana", span_of("secret"));
    is_told(LOGIN_CHECK_UNAVAILABLE, "in time");
    server_return(servers, s);
}
END_TEST

START_TEST(a_question_that_is_given_up_leaves_nothing_behind)
{
    begin(_i == 0 ? POP3 : "max_connections = 1"); /* else two more are made ready */
    ask("ana", span_of("secret"));
    struct peer *p = next_client(0);
    login_check_end(&heard.check);
    sees_the_end(p);
    turns_for(3);
    ck_assert_uint_eq(heard.count, 0);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

static void ask_and_end(void)
{
    const struct login_check_options o = {.servers = servers,
                                          .pool = pool,
                                          .upstream = upstream(),
                                          .user = "ana",
                                          .password = span_of("secret")};
    struct login_check *c = login_check_begin(&o, on_checked, &heard);
    login_check_end(&c);
}

START_TEST(without_memory_nothing_is_left_behind)
{
    begin(POP3);
    WITH_EACH_ALLOCATION_FAILING(ask_and_end());
    turns_for(3);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

SUITE(login_check)
{
    behind_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    LOOP_TEST(mailboxes_are_asked_by_user_and_pass_and_left_with_quit, pop3_replies);
    LOOP_TEST(a_submission_server_is_asked_by_auth, smtp_replies);
    TEST(what_can_stand_in_no_login_is_wrong_and_asks_nobody);
    TEST(a_server_that_breaks_off_says_nothing_of_the_password);
    TEST(waiting_for_a_connection_is_bounded);
    tcase_add_loop_test(tests, a_question_that_is_given_up_leaves_nothing_behind, 0, 2);
    TEST(without_memory_nothing_is_left_behind);
}
