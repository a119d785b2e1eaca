/* Who is logged in as an account, and who has tried it lately: logins. */
#include "console/listing.h"

#include "base/span.h"

#include <stdio.h>

/* Without its port. */
static const char *host_of(const json_t *line, char out[CELL_SIZE])
{
    const char *client = cell_text(line, "client"), *port = strrchr(client, ':');
    size_t size = port == NULL ? strlen(client) : (size_t)(port - client);
    (void)span_copy(span_make(client, size), out, CELL_SIZE); /* fits */
    return out;
}

static const char *outcome_of(const json_t *line)
{
    static const char *const outcomes[][2] = {{"login", "in"},
                                              {"login_failed", "wrong"},
                                              {"login_refused", "refused"},
                                              {"login_unavailable", "unavailable"}};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (strcmp(cell_text(line, "event"), outcomes[i][0]) == 0)
            return outcomes[i][1];
    return "";
}

static void add_login(struct table *t, const json_t *line)
{
    char moment[CELL_MOMENT_SIZE], host[CELL_SIZE];
    const char *const cells[] = {cell_moment(line, "time", moment), outcome_of(line),
                                 cell_text(line, "listener"),       host_of(line, host),
                                 cell_text(line, "country"),        cell_text(line, "mechanism"),
                                 cell_text(line, "session")};
    table_add(t, cells);
}

static const char *const logins_heads[] = {"when",    "outcome",   "listener", "client",
                                           "country", "mechanism", "session"};
static const struct listing listing_logins = {"logins", logins_heads, 7, add_login};

static int print(const struct console *c, const json_t *answer)
{
    const json_t *lines = json_object_get(answer, "lines");
    const json_t *sessions = json_object_get(answer, "sessions");
    char moment[CELL_MOMENT_SIZE];
    if (c->is_json) {
        (void)json_dumpf(answer, stdout, JSON_INDENT(2)); /* a terminal that is gone needs none */
        putchar('\n');
    }
    if (json_array_size(lines) == 0 && json_array_size(sessions) == 0) {
        fprintf(stderr, "porteiroctl: nobody has tried %s since %s; what is older isn't kept\n",
                c->argv[0], cell_moment(answer, "since", moment));
        return CONSOLE_UNKNOWN;
    }
    if (c->is_json)
        return CONSOLE_DONE;
    printf("%s: %zu sessions, %lld logins since %s\n", cell_text(answer, "account"),
           json_array_size(sessions),
           (long long)json_integer_value(json_object_get(answer, "count")),
           cell_moment(answer, "since", moment));
    listing_print_rows(&listing_sessions, sessions);
    listing_print_rows(&listing_logins, lines);
    return CONSOLE_DONE;
}

int command_logins(const struct console *c)
{
    json_t *answer;
    if (c->argc != 1 || c->argv[0][0] == '-' || c->argv[0][0] == '\0')
        return console_wrong("logins takes an account");
    int outcome =
        console_answer(c, json_pack("{s:s, s:s}", "command", "logins", "who", c->argv[0]), &answer);
    if (outcome == CONSOLE_DONE)
        outcome = print(c, answer);
    json_decref(answer);
    return outcome;
}
