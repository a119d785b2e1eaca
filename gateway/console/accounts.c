/* What concerns one account: forget, kick, login-test. */
#include "console/client.h"
#include "console/commands.h"
#include "console/listing.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MAX = 1024 };

/* What comes from elsewhere moves no cursor. */
static void print_step(const char *head, const char *text)
{
    printf("%-12s ", head);
    for (const char *c = text; *c != '\0'; c++)
        putchar((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
    putchar('\n');
}

static void print_json(const json_t *line)
{
    (void)json_dumpf(line, stdout, 0); /* a terminal that is gone needs none */
    putchar('\n');
}

int command_forget(const struct console *c)
{
    if (c->argc != 1)
        return console_wrong("forget takes an account");
    return console_order(c, json_pack("{s:s, s:s}", "command", "forget", "account", c->argv[0]));
}

int command_kick(const struct console *c)
{
    const char *who = NULL, *reason = "";
    for (int i = 0; i < c->argc; i++) {
        const char *word = c->argv[i];
        if (strcmp(word, "--reason") == 0 && i + 1 < c->argc)
            reason = c->argv[++i];
        else if (who == NULL && word[0] != '-')
            who = word;
        else
            return console_wrong("kick takes an account, a session's id or an address, and "
                                 "--reason TEXT");
    }
    if (who == NULL)
        return console_wrong("kick takes an account, a session's id or an address");
    return console_order(
        c, json_pack("{s:s, s:s, s:s}", "command", "kick", "who", who, "reason", reason));
}

/* ---- login-test ---- */

/* A line from standard input; from a terminal without echo, where Ctrl-C is an octet as any other,
 * so that nothing ends us before the echo is on again. Returns 0, or -1: none. */
static int read_password(char out[PASSWORD_MAX])
{
    struct termios before, silent;
    bool is_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (is_terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
        silent.c_lflag |= ECHONL;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent); /* else it is shown */
        fputs("Password: ", stderr);
    }
    const char *line = fgets(out, PASSWORD_MAX, stdin);
    if (is_terminal)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before); /* as above */
    if (line == NULL || strchr(out, '\x03') != NULL)
        return -1;
    out[strcspn(out, "\r\n")] = '\0';
    return 0;
}

static void take_steps(void *owner, json_t *line)
{
    const struct console *c = owner;
    char took[CLOCK_SPAN_SIZE];
    bool is_alias = json_is_true(json_object_get(line, "is_alias"));
    if (c->is_json) {
        print_json(line);
        return;
    }
    clock_format_duration(
        (int64_t)(json_number_value(json_object_get(line, "duration")) * (double)CLOCK_SECOND),
        took);
    print_step("name", cell_text(line, "name"));
    print_step("alias", is_alias ? "yes" : "none");
    print_step("account", cell_text(line, "account"));
    print_step("backend", cell_text(line, "backend"));
    print_step("is told", cell_text(line, "login_name"));
    print_step("outcome", cell_text(line, "outcome"));
    print_step("took", took);
}

int command_login_test(const struct console *c)
{
    struct console copy = *c;
    char password[PASSWORD_MAX];
    struct error why;
    char *text = NULL;
    if (c->argc != 1)
        return console_wrong("login-test takes an account, and asks for the password itself");
    if (read_password(password) < 0)
        return console_wrong("login-test needs a password, on standard input");
    json_t *request = json_pack("{s:s, s:s, s:s}", "command", "login-test", "account", c->argv[0],
                                "password", password);
    explicit_bzero(password, sizeof password);
    if (request == NULL)
        return console_wrong("account or password is not in UTF-8");
    int failed = console_ask(c->socket, request, take_steps, &copy, &text, &why) < 0;
    json_decref(request);
    free(text);
    return failed ? console_fail(why.text) : CONSOLE_DONE;
}
