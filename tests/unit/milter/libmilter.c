/* libmilter itself as the other side, in a child: what its engine takes, and what it passes over
 * without a word, is what connections that are used again stand on. */
#include "filters.h"

#include <libmilter/mfapi.h>
#include <sys/wait.h>

/* What the filter has been told, as it says it over a pipe: "connect;helo;mail a;". */
static int said[2];
static pid_t child;
static char verdict; /* the first letter of the sender */

static void say(const char *what, const char *more)
{
    char line[256];
    int size = snprintf(line, sizeof line, "%s%s%s;", what, more[0] == '\0' ? "" : " ", more);
    if (write(said[1], line, (size_t)size) != size)
        _exit(1);
}

/* What libmilter keeps of a connection it keeps over QUIT_NC. */
static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
    (void)address;
    say(smfi_getpriv(ctx) == NULL ? "connect" : "again", host);
    return smfi_setpriv(ctx, &verdict) == MI_SUCCESS ? SMFIS_CONTINUE : SMFIS_TEMPFAIL;
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
    (void)ctx, (void)name;
    say("helo", "");
    return SMFIS_CONTINUE;
}

static sfsistat on_mail(SMFICTX *ctx, char **arguments)
{
    (void)ctx;
    verdict = arguments[0][1];
    say("mail", arguments[0]);
    return verdict == 'm' ? SMFIS_REJECT : SMFIS_CONTINUE;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **arguments)
{
    (void)ctx, (void)arguments;
    return verdict == 'r' ? SMFIS_ACCEPT : SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
    (void)ctx, (void)name, (void)value;
    return verdict == 'h' ? SMFIS_TEMPFAIL : SMFIS_CONTINUE;
}

static sfsistat on_eom(SMFICTX *ctx)
{
    char name[] = "X-Seen", value[] = "yes";
    say("eom", "");
    if (smfi_addheader(ctx, name, value) != MI_SUCCESS)
        _exit(1);
    return verdict == 'a' ? SMFIS_ACCEPT : SMFIS_CONTINUE;
}

static sfsistat on_abort(SMFICTX *ctx)
{
    (void)ctx;
    say("abort", "");
    return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
    (void)ctx; /* "private data not NULL" is said of it, and is meant */
    say("close", "");
    return SMFIS_CONTINUE;
}

/* The child's; libmilter binds the port anew. */
static void serve(uint16_t port)
{
    char name[] = "test", where[64];
    struct smfiDesc filter = {.xxfi_name = name,
                              .xxfi_version = SMFI_VERSION,
                              .xxfi_flags = SMFIF_ADDHDRS,
                              .xxfi_connect = on_connect,
                              .xxfi_helo = on_helo,
                              .xxfi_envfrom = on_mail,
                              .xxfi_envrcpt = on_rcpt,
                              .xxfi_header = on_header,
                              .xxfi_eom = on_eom,
                              .xxfi_abort = on_abort,
                              .xxfi_close = on_close};
    (void)snprintf(where, sizeof where, "inet:%u@127.0.0.1", port); /* fits */
    for (int fd = STDERR_FILENO + 1; fd < 1000; fd++)
        if (fd != said[1])
            (void)close(fd); /* the parent has it still */
    if (smfi_setconn(where) == MI_SUCCESS && smfi_register(filter) == MI_SUCCESS)
        (void)smfi_main();
    _exit(1);
}

static bool is_there(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is = connect(fd, (const struct sockaddr *)&room.at[0], sizeof room.at[0]) == 0;
    ck_assert_int_eq(close(fd), 0);
    return is;
}

/* All that it has said since is this. */
static void has_said(const char *expected)
{
    static char line[4096];
    size_t used = 0;
    ssize_t got;
    turns_wait_for(expected, __FILE__, __LINE__);
    while (used < strlen(expected)) {
        got = read(said[0], line + used, sizeof line - used - 1);
        used += got > 0 ? (size_t)got : 0;
        turns_look();
    }
    (void)turns_were_enough();
    turns_for(3);
    got = read(said[0], line + used, sizeof line - used - 1);
    line[used + (got > 0 ? (size_t)got : 0)] = '\0';
    ck_assert_str_eq(line, expected);
}

static void begin_real(void)
{
    begin(1, "");
    ck_assert_int_eq(close(room.listening[0]), 0);
    ck_assert_int_eq(pipe2(said, O_CLOEXEC | O_NONBLOCK), 0);
    child = fork();
    if (child == 0)
        serve(ntohs(room.at[0].sin_port));
    UNTIL(is_there());
    has_said("close;");
}

static void end_real(void)
{
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    (void)close(said[0]);
    (void)close(said[1]);
    end();
}

static void pass(const char *sender)
{
    mail(sender);
    rcpt("b@example.com");
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    milter_chain_data(room.chain);
    hears_answers("DATA pass\n");
    text("X: 1\r\n", "hello\r\n");
    hears_answers("END pass\n");
    fields_are(sender[0] == 'r' ? "X: 1\r\n" : "X: 1\r\nX-Seen: yes\r\n");
    milter_chain_abort(room.chain);
}

#define CLIENT "connect [192.0.2.1];helo;"

START_TEST(a_client_after_an_end_that_was_continued_comes_over_the_same_connection)
{
    begin_real();
    pass("c@example.com");
    pass("c@example.com");
    has_said(CLIENT "mail <c@example.com>;eom;mail <c@example.com>;eom;");
    milter_chain_destroy(&room.chain);
    has_said("close;");
    room.chain = new_chain();
    pass("c@example.com");
    has_said("again [192.0.2.1];helo;mail <c@example.com>;eom;");
    end_real();
}
END_TEST

START_TEST(a_client_after_an_end_that_was_accepted_is_told_of_over_another_one)
{
    begin_real();
    pass("a@example.com");
    pass("a@example.com");
    has_said(CLIENT "mail <a@example.com>;eom;mail <a@example.com>;eom;");
    milter_chain_destroy(&room.chain);
    has_said("close;");
    room.chain = new_chain();
    pass("c@example.com");
    has_said(CLIENT "mail <c@example.com>;eom;");
    end_real();
}
END_TEST

START_TEST(a_message_after_one_that_was_given_up_is_taken)
{
    begin_real();
    mail("c@example.com");
    hears_answers("MAIL pass\n");
    milter_chain_abort(room.chain);
    pass("c@example.com");
    has_said(CLIENT "mail <c@example.com>;abort;mail <c@example.com>;eom;");
    end_real();
}
END_TEST

START_TEST(what_was_told_behind_a_verdict_disturbs_no_later_message)
{
    begin_real();
    pass("r@example.com");
    mail("m@example.com");
    rcpt("b@example.com");
    hears_answers("MAIL refuse 550 m0\nRCPT b@example.com refuse 550 m0\n");
    milter_chain_abort(room.chain);
    mail("h@example.com");
    rcpt("b@example.com");
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    milter_chain_data(room.chain);
    hears_answers("DATA pass\n");
    text("X: 1\r\nY: 2\r\n", "hello\r\n");
    hears_answers("TEXT refuse 451 m0\n");
    milter_chain_abort(room.chain);
    pass("c@example.com");
    end_real();
}
END_TEST

SUITE(milter_libmilter)
{
    filters_use(tests);
    TEST(a_client_after_an_end_that_was_continued_comes_over_the_same_connection);
    TEST(a_client_after_an_end_that_was_accepted_is_told_of_over_another_one);
    TEST(a_message_after_one_that_was_given_up_is_taken);
    TEST(what_was_told_behind_a_verdict_disturbs_no_later_message);
}
