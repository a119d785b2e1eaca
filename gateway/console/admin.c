/* What changes how the gateway runs: reload, drain, undrain. */
#include "console/client.h"
#include "console/commands.h"

#include "base/clock.h"
#include "base/setting.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void ignore(void *owner, json_t *line)
{
    (void)owner, (void)line;
}

static void print_json(const char *text)
{
    json_t *said = json_pack("{s:b, s:s}", "ok", 1, "text", text);
    (void)json_dumpf(said, stdout, 0); /* a terminal that is gone needs none */
    putchar('\n');
    json_decref(said);
}

/* Gives a command, which is freed, and says how it went. */
static int give(const struct console *c, json_t *request, bool is_told)
{
    const char *command = json_string_value(json_object_get(request, "command"));
    struct error why;
    char *text = NULL;
    int failed = console_ask(c->socket, request, ignore, NULL, &text, &why) < 0;
    if (failed) {
        const char *reason = text == NULL ? why.text : text;
        bool has_end = reason[0] != '\0' && reason[strlen(reason) - 1] == '\n';
        fprintf(stderr, "porteiroctl: %s: %s%s", command, reason, has_end ? "" : "\n");
    } else if (c->is_json) {
        print_json(text == NULL ? "" : text);
    } else if (is_told) {
        printf("%s\n", text == NULL ? "done" : text);
    }
    json_decref(request);
    free(text);
    return failed ? CONSOLE_FAILED : CONSOLE_DONE;
}

static json_t *plain(const char *command)
{
    return json_pack("{s:s}", "command", command);
}

int command_reload(const struct console *c)
{
    bool is_files = c->argc == 1 && strcmp(c->argv[0], "--files") == 0;
    if (c->argc > 0 && !is_files)
        return console_wrong("reload takes --files alone");
    return give(
        c, is_files ? json_pack("{s:s, s:b}", "command", "reload", "files", 1) : plain("reload"),
        true);
}

int command_undrain(const struct console *c)
{
    return c->argc > 0 ? console_wrong("undrain takes no argument")
                       : give(c, plain("undrain"), true);
}

static void take_count(void *owner, json_t *line)
{
    *(long long *)owner = json_integer_value(json_object_get(line, "sessions"));
}

/* Waits until no session is left. */
static int wait_for_end(const struct console *c, int64_t ms)
{
    int64_t end = clock_monotonic_ns() + ms * CLOCK_MS;
    const struct timespec pause = {.tv_nsec = 200 * CLOCK_MS};
    for (;;) {
        long long sessions = -1;
        struct error why;
        char *text = NULL;
        json_t *request = plain("status");
        int failed = console_ask(c->socket, request, take_count, &sessions, &text, &why) < 0;
        json_decref(request);
        free(text);
        if (failed)
            return console_fail(why.text);
        if (sessions == 0)
            return CONSOLE_DONE;
        if (clock_monotonic_ns() >= end) {
            char left[80];
            (void)snprintf(left, sizeof left, "%lld sessions are left", sessions); /* fits */
            return console_fail(left);
        }
        (void)nanosleep(&pause, NULL); /* a person at a terminal waits */
    }
}

int command_drain(const struct console *c)
{
    int64_t wait_ms = -1;
    struct error why;
    if (c->argc == 2 && strcmp(c->argv[0], "--wait") == 0) {
        if (setting_parse_duration(c->argv[1], &wait_ms, &why) < 0)
            return console_wrong(why.text);
    } else if (c->argc > 0) {
        return console_wrong("drain takes --wait TIME alone");
    }
    int outcome = give(c, plain("drain"), true);
    return outcome == CONSOLE_DONE && wait_ms >= 0 ? wait_for_end(c, wait_ms) : outcome;
}
