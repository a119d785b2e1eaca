#include "redis/redis.h"

#include "redis/calls.h"

START_TEST(who_asks_before_the_first_connection_stands_is_answered)
{
    start("");
    ck_assert_int_eq(ask(), 0);
    ck_assert_int_eq(ask(), 0);
    UNTIL(heard.answers == 2);
    ck_assert_uint_eq(lines_with("event=redis_"), 0);
    server_end();
}
END_TEST

START_TEST(many_calls_are_under_way_at_once)
{
    start("");
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(ask(), 0);
    UNTIL(heard.answers == 500);
    ck_assert_int_eq(heard.status, 2); /* three have passed */
    server_end();
}
END_TEST

START_TEST(a_script_that_was_flushed_is_brought_again)
{
    start("");
    is_answered();
    (void)redis_cli("SCRIPT FLUSH");
    is_answered();
    is_answered();
    ck_assert_uint_eq(heard.losses, 0);
    ck_assert_uint_eq(lines_with("event=redis_lost"), 0);
    server_end();
}
END_TEST

START_TEST(a_server_that_dies_is_told_once_and_used_again_when_it_is_back)
{
    start("");
    is_answered();
    server_kill();
    is_lost_for("it has closed the connection");
    turns_for(200); /* it is tried some times */
    ck_assert_uint_eq(lines_with("event=redis_lost"), 1);
    server_run("");
    is_trusted_again();
    ck_assert_uint_eq(lines_with("event=redis_back"), 1);
    server_end();
}
END_TEST

START_TEST(a_server_that_hangs_keeps_nobody_waiting_past_the_timeout)
{
    start("");
    is_answered();
    behind.config.timeout_ms = 100;
    ck_assert_int_eq(kill(behind.pid, SIGSTOP), 0);
    ck_assert_int_eq(ask(), 0);
    ck_assert_int_eq(ask(), 0);
    UNTIL(heard.losses == 2);
    is_lost_for("no answer in time");
    behind.config.timeout_ms = 2000;
    ck_assert_int_eq(kill(behind.pid, SIGCONT), 0);
    is_trusted_again();
    ck_assert_uint_eq(heard.losses, 2);
    server_end();
}
END_TEST

/* Settings with which a server answers PING and can't count. */
static const struct {
    const char *setting, *reason;
} useless[] = {
    {"replicaof 127.0.0.1 1", "READONLY"},
    {"maxmemory 1", "OOM"},
    {"requirepass secret", "NOAUTH"},
};

START_TEST(a_server_that_can_not_count_is_not_trusted)
{
    start(useless[_i].setting);
    ck_assert_int_eq(ask(), 0);
    UNTIL(heard.losses == 1);
    is_lost_for(useless[_i].reason);
    turns_for(200);
    ck_assert(!redis_is_trusted(behind.redis));
    ck_assert_uint_eq(lines_with("event=redis_back"), 0);
    server_end();
}
END_TEST

START_TEST(a_server_that_runs_out_of_memory_later_is_trusted_when_it_has_some)
{
    start("");
    is_answered();
    (void)redis_cli("CONFIG SET maxmemory 1");
    ck_assert_int_eq(ask(), 0);
    is_lost_for("OOM");
    (void)redis_cli("CONFIG SET maxmemory 0");
    is_trusted_again();
    server_end();
}
END_TEST

START_TEST(the_password_is_given)
{
    server_start("requirepass secret");
    behind.options.password = "secret";
    redis_open();
    is_answered();
    server_end();
}
END_TEST

START_TEST(a_wrong_password_is_told_and_not_shown)
{
    server_start("requirepass secret");
    behind.options.password = "guessed";
    redis_open();
    is_lost_for("WRONGPASS");
    ck_assert_uint_eq(lines_with("guessed"), 0);
    server_end();
}
END_TEST

/* As old versions and some proxies, which don't know it with these arguments. */
START_TEST(a_password_that_the_server_repeats_is_not_shown)
{
    server_start("rename-command AUTH \"\"");
    behind.options.password = "open-sesame";
    redis_open();
    is_lost_for("args beginning with: ");
    ck_assert_uint_ge(lines_with("***"), 1);
    ck_assert_uint_eq(lines_with("sesame"), 0);
    server_end();
}
END_TEST

START_TEST(a_user_who_may_do_what_the_manual_says_is_enough)
{
    server_start(SERVER_USER "\nuser default off");
    behind.config.username = "porteiro";
    behind.options.password = "secret";
    redis_open();
    is_answered();
    server_end();
}
END_TEST

START_TEST(the_database_is_chosen)
{
    server_start("");
    behind.config.database = 3;
    redis_open();
    is_answered();
    ck_assert_str_eq(redis_cli("-n 0 EXISTS {porteiro}:x"), "0\n");
    ck_assert_str_eq(redis_cli("-n 3 EXISTS {porteiro}:x"), "1\n");
    server_end();
}
END_TEST

START_TEST(a_unix_socket_is_dialled_by_another)
{
    server_start("");
    behind.server.is_unix = true;
    redis_open();
    is_answered();
    server_kill();
    UNTIL(behind.dials > 2);
    server_run("");
    is_trusted_again();
    server_end();
}
END_TEST

START_TEST(whoever_waits_is_told_when_the_worker_ends)
{
    start("");
    ck_assert_int_eq(ask(), 0);
    redis_destroy(&behind.redis);
    ck_assert_uint_eq(heard.losses, 1);
    redis_open();
    is_answered();
    ck_assert_int_eq(kill(behind.pid, SIGSTOP), 0);
    ck_assert_int_eq(ask(), 0);
    turns_for(2);
    redis_destroy(&behind.redis);
    ck_assert_uint_eq(heard.losses, 2);
    server_end();
}
END_TEST

START_TEST(without_memory_there_is_no_answer_and_nothing_is_lost)
{
    unsigned asked = 1;
    start("");
    is_answered();
    WITH_EACH_ALLOCATION_FAILING(asked += ask() == 0);
    UNTIL(heard.answers == asked);
    ck_assert_uint_eq(asked, 2); /* the last run */
    ck_assert_uint_eq(heard.losses, 0);
    server_end();
}
END_TEST

/* ---- a server that isn't one ---- */

/* Takes what is sent until this has come. */
static void hears(struct peer *p, const char *text)
{
    UNTIL(peer_read(p) > 0 && memmem(p->in, p->size, text, strlen(text)) != NULL);
    p->size = 0;
}

static const char *const nonsense[] = {
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "*1000000000\r\n",
    "*4300\r\n",
    "$-7\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    ":1\r\n:1\r\n",
};

START_TEST(who_speaks_nonsense_is_not_trusted)
{
    static struct peer p;
    struct sockaddr_in at;
    turns_begin();
    int listening = peer_listen(&at, 0), fd = -1;
    behind.port = ntohs(at.sin_port);
    server_options();
    redis_open();
    UNTIL((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
    peer_init(&p, fd);
    hears(&p, "65535");
    peer_say(&p, nonsense[_i]);
    UNTIL(lines_with("event=redis_lost") == 1);
    peer_close(&p);
    ck_assert_int_eq(close(listening), 0);
    server_end();
}
END_TEST

SUITE(redis)
{
    folder_use(tests);
    TEST(who_asks_before_the_first_connection_stands_is_answered);
    TEST(many_calls_are_under_way_at_once);
    TEST(a_script_that_was_flushed_is_brought_again);
    TEST(a_server_that_dies_is_told_once_and_used_again_when_it_is_back);
    TEST(a_server_that_hangs_keeps_nobody_waiting_past_the_timeout);
    LOOP_TEST(a_server_that_can_not_count_is_not_trusted, useless);
    TEST(a_server_that_runs_out_of_memory_later_is_trusted_when_it_has_some);
    TEST(the_password_is_given);
    TEST(a_wrong_password_is_told_and_not_shown);
    TEST(a_password_that_the_server_repeats_is_not_shown);
    TEST(a_user_who_may_do_what_the_manual_says_is_enough);
    TEST(the_database_is_chosen);
    TEST(a_unix_socket_is_dialled_by_another);
    TEST(whoever_waits_is_told_when_the_worker_ends);
    TEST(without_memory_there_is_no_answer_and_nothing_is_lost);
    LOOP_TEST(who_speaks_nonsense_is_not_trusted, nonsense);
}
