#include "sasl/saslauthd.h"

#include "net/turns.h"

#include "config/folder.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { QUESTIONS = 100 };

static struct saslauthd *client;
static int listening, accepted;

static struct asked {
    struct saslauthd_question *question;
    unsigned answers;
    enum auth_outcome outcome;
    char why[300];
} asked[QUESTIONS];

static void on_answer(void *owner, enum auth_outcome outcome, const char *why)
{
    struct asked *a = owner;
    a->answers++;
    a->outcome = outcome;
    a->question = NULL;
    (void)snprintf(a->why, sizeof a->why, "%s", why); /* cut to fit */
}

static void listen_with(int backlog)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", folder_path("mux")); /* fits */
    (void)unlink(at.sun_path);                                                 /* may be there */
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listening, (const struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(listening, backlog), 0);
}

static void begin(void)
{
    static char path[512];
    turns_begin();
    (void)snprintf(path, sizeof path, "%s", folder_path("mux")); /* fits */
    listening = accepted = -1;
    client = saslauthd_create(turns.loop, path);
    ck_assert_ptr_nonnull(client);
}

static void end(void)
{
    saslauthd_destroy(&client);
    turns_end();
    if (listening >= 0)
        (void)close(listening); /* nothing was written */
    if (accepted >= 0)
        (void)close(accepted);        /* likewise */
    (void)unlink(folder_path("mux")); /* may not be there */
}

static void ask_for(struct asked *a, const char *user, struct span password)
{
    const struct saslauthd_login login = {
        .user = user, .service = "smtp", .realm = "r.example", .password = password};
    a->question = saslauthd_ask(client, &login, on_answer, a);
    ck_assert_ptr_nonnull(a->question);
}

static void ask(struct asked *a)
{
    ask_for(a, "ana", span_of("secret"));
}

static bool is_accepted(void)
{
    accepted = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return accepted >= 0;
}

/* Hears the question, and says these octets. */
static void serve(const char *bytes, size_t size)
{
    char heard[5000];
    UNTIL(is_accepted());
    UNTIL(recv(accepted, heard, sizeof heard, MSG_PEEK) > 0);
    ck_assert_int_eq(write(accepted, bytes, size), (ssize_t)size);
}

static void is_answered(const struct asked *a, enum auth_outcome outcome)
{
    UNTIL(a->answers == 1);
    ck_assert_uint_eq(a->outcome, outcome);
    ck_assert_int_eq(a->why[0] != '\0', outcome == AUTH_UNAVAILABLE);
}

START_TEST(four_strings_are_said_each_with_its_length)
{
    static const char said[] = "\0\3ana\0\6secret\0\4smtp\0\11r.example";
    char heard[100];
    ssize_t size;
    listen_with(8);
    ask(&asked[0]);
    UNTIL(is_accepted());
    UNTIL((size = recv(accepted, heard, sizeof heard, 0)) > 0);
    ck_assert_int_eq(size, sizeof said - 1);
    ck_assert_mem_eq(heard, said, sizeof said - 1);
}
END_TEST

#define SAID(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t size;
    enum auth_outcome outcome;
} answers[] = {
    {SAID("\0\2OK"), AUTH_GOOD},
    {SAID("\0\43OK remote authentication successful"), AUTH_GOOD},
    {SAID("\0\2NO"), AUTH_WRONG},
    {SAID("\0\21NO PAM auth error"), AUTH_WRONG},
    {SAID("\0\27NO saslauthd internal e"), AUTH_UNAVAILABLE},
    {SAID("\0\40NO [ALERT] saslauthd internal er"), AUTH_UNAVAILABLE},
    {SAID("\0\0"), AUTH_UNAVAILABLE},
    {SAID("\0\1O"), AUTH_UNAVAILABLE},
    {SAID("\0\2ok"), AUTH_UNAVAILABLE},
    {SAID("\377\377OK"), AUTH_UNAVAILABLE},
};

START_TEST(its_answer_counts_whole_or_octet_by_octet)
{
    listen_with(8);
    ask(&asked[0]);
    serve(answers[_i].bytes, answers[_i].size);
    is_answered(&asked[0], answers[_i].outcome);
    (void)close(accepted); /* nothing more is said */
    ask(&asked[1]);
    serve(answers[_i].bytes, 1);
    for (size_t i = 1; i < answers[_i].size; i++) {
        turns_look();
        ck_assert_uint_eq(asked[1].answers, 0);
        ck_assert_int_eq(write(accepted, answers[_i].bytes + i, 1), 1);
        if (answers[_i].bytes[0] != '\0')
            break; /* too long is known by its length */
    }
    is_answered(&asked[1], answers[_i].outcome);
}
END_TEST

START_TEST(without_a_socket_it_is_unavailable)
{
    ask(&asked[0]);
    is_answered(&asked[0], AUTH_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(asked[0].why, "mux: No such file"));
}
END_TEST

START_TEST(a_connection_that_ends_without_an_answer_is_unavailable)
{
    listen_with(8);
    ask(&asked[0]);
    serve("\0\2O", 3);
    ck_assert_int_eq(close(accepted), 0);
    accepted = -1;
    is_answered(&asked[0], AUTH_UNAVAILABLE);
}
END_TEST

START_TEST(those_that_find_no_room_are_asked_in_their_turn)
{
    listen_with(1);
    for (int i = 0; i < QUESTIONS; i++)
        ask(&asked[i]);
    for (int i = 0; i < QUESTIONS; i++) {
        serve("\0\2OK", 4);
        UNTIL(asked[i].answers == 1);
        ck_assert_int_eq(close(accepted), 0);
        accepted = -1;
    }
}
END_TEST

START_TEST(a_question_that_is_cancelled_is_not_answered)
{
    listen_with(8);
    ask(&asked[0]);
    ask(&asked[1]);
    saslauthd_cancel(&asked[0].question); /* before it is asked */
    serve("\0\2NO", 4);
    is_answered(&asked[1], AUTH_WRONG);
    (void)close(accepted); /* nothing more is said */
    ask(&asked[2]);
    UNTIL(is_accepted());
    saslauthd_cancel(&asked[2].question); /* after */
    turns_for(5);
    ck_assert_uint_eq(asked[0].answers + asked[2].answers, 0);
}
END_TEST

START_TEST(what_is_too_long_is_not_asked)
{
    static char password[8192];
    const struct saslauthd_login login = {.user = "ana",
                                          .service = "",
                                          .realm = "",
                                          .password = span_make(password, sizeof password)};
    ck_assert_ptr_null(saslauthd_ask(client, &login, on_answer, &asked[0]));
}
END_TEST

SUITE(saslauthd)
{
    folder_use(tests);
    tcase_add_checked_fixture(tests, begin, end);
    TEST(four_strings_are_said_each_with_its_length);
    LOOP_TEST(its_answer_counts_whole_or_octet_by_octet, answers);
    TEST(without_a_socket_it_is_unavailable);
    TEST(a_connection_that_ends_without_an_answer_is_unavailable);
    TEST(those_that_find_no_room_are_asked_in_their_turn);
    TEST(a_question_that_is_cancelled_is_not_answered);
    TEST(what_is_too_long_is_not_asked);
}
