#include "console/commands.h"

#include "gateway.h"

#include <fcntl.h>
#include <sys/mman.h>

/* What stands on standard input. */
static void type(const char *text)
{
    int fd = memfd_create("typed", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    ck_assert_int_ge(dup2(fd, STDIN_FILENO), 0);
    ck_assert_int_eq(close(fd), 0);
    (void)fseek(stdin, 0, SEEK_SET); /* nothing of before is left in its buffer */
}

START_TEST(forget_names_the_account_and_tells_what_was_done)
{
    GATEWAY_SAYS("{\"ok\": true, \"text\": \"ana@example.com: nothing was known\"}\n");
    ck_assert_int_eq(gives(command_forget, false, "ana", NULL), CONSOLE_DONE);
    ck_assert_str_eq(gateway.out, "ana@example.com: nothing was known\n");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"forget\",\"account\":\"ana\"}\n");
}
END_TEST

START_TEST(what_forget_is_refused_is_told)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"\\\"a%b\\\" is nobody's name\"}\n");
    ck_assert_int_eq(gives(command_forget, false, "a%b", NULL), CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, "nobody's name"));
    gateway_is_done();
}
END_TEST

START_TEST(kick_names_whose_sessions_and_why)
{
    char words[][16] = {"--reason", "ticket 4711", "ana"};
    char *argv[] = {words[0], words[1], words[2], NULL};
    const struct console c = {.socket = gateway.path, .argc = 3, .argv = argv};
    GATEWAY_SAYS("{\"ok\": true, \"text\": \"ana@example.com: sessions that end: 2\"}\n");
    ck_assert_int_eq(command_kick(&c), CONSOLE_DONE);
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"kick\",\"who\":\"ana\",\"reason\":\"ticket 4711\"}\n");
}
END_TEST

#define STEPS(outcome)                                                                    \
    "{\"name\": \"a\\u001bna\", \"is_alias\": true, \"account\": \"ana@example.com\","    \
    " \"backend\": \"saslauthd\", \"login_name\": \"ana\", \"outcome\": \"" outcome "\"," \
    " \"duration\": 0.25}\n"

START_TEST(login_test_sends_the_line_that_was_typed_and_tells_the_steps)
{
    type("se cret\r\nmore\n");
    GATEWAY_SAYS(STEPS("good") "{\"ok\": true, \"text\": \"the password is right\"}\n");
    ck_assert_int_eq(gives(command_login_test, false, "ana", NULL), CONSOLE_DONE);
    says_line("name a?na");
    says_line("alias yes");
    says_line("account ana@example.com");
    says_line("backend saslauthd");
    says_line("is told ana");
    says_line("outcome good");
    says_line("took 250ms");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"login-test\",\"account\":\"ana\",\"password\":\"se cret\"}\n");
}
END_TEST

START_TEST(login_test_fails_when_the_password_is_wrong)
{
    type("x\n");
    GATEWAY_SAYS(STEPS("wrong") "{\"ok\": false, \"error\": \"the password is wrong\"}\n");
    ck_assert_int_eq(gives(command_login_test, false, "ana", NULL), CONSOLE_FAILED);
    says_line("outcome wrong");
    ck_assert_ptr_nonnull(strstr(gateway.err, "the password is wrong"));
    gateway_is_done();
}
END_TEST

START_TEST(wrong_arguments_are_told_and_nothing_is_asked)
{
    ck_assert_int_eq(gives(command_forget, false, NULL, NULL), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_forget, false, "a", "b"), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_forget, false, "\xff", NULL), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_kick, false, NULL, NULL), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_kick, false, "a", "b"), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_kick, false, "a", "--reason"), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_login_test, false, NULL, NULL), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_login_test, false, "ana", "secret"), CONSOLE_USAGE);
}
END_TEST

START_TEST(without_a_password_nothing_is_asked)
{
    type("");
    ck_assert_int_eq(gives(command_login_test, false, "ana", NULL), CONSOLE_USAGE);
}
END_TEST

SUITE(accounts)
{
    gateway_use(tests);
    TEST(forget_names_the_account_and_tells_what_was_done);
    TEST(what_forget_is_refused_is_told);
    TEST(kick_names_whose_sessions_and_why);
    TEST(login_test_sends_the_line_that_was_typed_and_tells_the_steps);
    TEST(login_test_fails_when_the_password_is_wrong);
    TEST(wrong_arguments_are_told_and_nothing_is_asked);
    TEST(without_a_password_nothing_is_asked);
}
