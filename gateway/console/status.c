/* What the gateway is doing: status, sessions. */
#include "console/client.h"
#include "console/commands.h"
#include "console/table.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_SIZE = 160 };

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

static const char *number_of(const json_t *o, const char *key, char out[CELL_SIZE])
{
    (void)snprintf(out, CELL_SIZE, "%lld",
                   (long long)json_integer_value(json_object_get(o, key))); /* fits */
    return out;
}

static const char *age_of(const json_t *o, const char *key, char out[CELL_SIZE])
{
    double seconds = json_number_value(json_object_get(o, key));
    clock_format_duration((int64_t)(seconds * 1e9), out);
    return out;
}

static const char *bytes_of(const json_t *o, const char *key, char out[CELL_SIZE])
{
    double bytes = json_number_value(json_object_get(o, key));
    static const char *const units[] = {"B", "K", "M", "G", "T"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    (void)snprintf(out, CELL_SIZE, unit == 0 || bytes >= 100 ? "%.0f%s" : "%.1f%s", bytes,
                   units[unit]); /* fits */
    return out;
}

static void print_processes(const json_t *all)
{
    static const char *const heads[] = {"process", ">pid",    ">generation",
                                        "state",   ">uptime", ">sessions"};
    struct table *t = table_create(heads, 6);
    size_t i;
    json_t *p;
    json_array_foreach(all, i, p)
    {
        char pid[CELL_SIZE], name[CELL_SIZE], generation[CELL_SIZE], up[CELL_SIZE], n[CELL_SIZE];
        const char *role = text_of(p, "role");
        long long index = json_integer_value(json_object_get(p, "index"));
        bool is_many = strcmp(role, "worker") == 0 || strcmp(role, "auth") == 0;
        (void)snprintf(name, sizeof name, is_many ? "%s %lld" : "%s", role, index); /* fits */
        const char *const cells[] = {name,
                                     number_of(p, "pid", pid),
                                     number_of(p, "generation", generation),
                                     text_of(p, "state"),
                                     age_of(p, "uptime", up),
                                     strcmp(role, "worker") == 0 ? number_of(p, "sessions", n)
                                                                 : ""};
        table_add(t, cells);
    }
    table_print(t);
    table_destroy(&t);
}

static void print_listeners(const json_t *all)
{
    static const char *const heads[] = {"listener", ">clients", ">refused",   ">logins", ">failed",
                                        ">mails",   ">refused", ">mailboxes", ">bytes"};
    struct table *t = table_create(heads, 9);
    size_t i;
    json_t *l;
    json_array_foreach(all, i, l)
    {
        char c[7][CELL_SIZE], bytes[CELL_SIZE];
        json_t *both = json_real(json_number_value(json_object_get(l, "message_bytes")) +
                                 json_number_value(json_object_get(l, "mailbox_bytes")));
        (void)json_object_set_new(l, "bytes", both);
        const char *const cells[] = {text_of(l, "name"),
                                     number_of(l, "connections", c[0]),
                                     number_of(l, "connections_refused", c[1]),
                                     number_of(l, "logins", c[2]),
                                     number_of(l, "login_failures", c[3]),
                                     number_of(l, "messages", c[4]),
                                     number_of(l, "messages_refused", c[5]),
                                     number_of(l, "mailboxes", c[6]),
                                     bytes_of(l, "bytes", bytes)};
        table_add(t, cells);
    }
    table_print(t);
    table_destroy(&t);
}

static void print_servers(const json_t *all)
{
    static const char *const heads[] = {"server behind", "state",     ">connections",
                                        ">made",         ">failures", ">messages"};
    struct table *t = table_create(heads, 6);
    size_t i;
    json_t *s;
    json_array_foreach(all, i, s)
    {
        char c[4][CELL_SIZE];
        const char *const cells[] = {text_of(s, "name"),
                                     text_of(s, "state"),
                                     number_of(s, "connections", c[0]),
                                     number_of(s, "upstream_connections", c[1]),
                                     number_of(s, "upstream_failures", c[2]),
                                     number_of(s, "upstream_messages", c[3])};
        table_add(t, cells);
    }
    table_print(t);
    table_destroy(&t);
}

static void print_status(const json_t *status)
{
    char up[CELL_SIZE], sessions[CELL_SIZE], max[CELL_SIZE], dropped[CELL_SIZE];
    const json_t *counters = json_object_get(status, "counters");
    printf("porteirod %s on %s: %s, up %s, %s of %s sessions\n\n", text_of(status, "version"),
           text_of(status, "hostname"), text_of(status, "state"), age_of(status, "uptime", up),
           number_of(status, "sessions", sessions), number_of(status, "max_connections", max));
    print_processes(json_object_get(status, "processes"));
    putchar('\n');
    print_listeners(json_object_get(status, "listeners"));
    putchar('\n');
    print_servers(json_object_get(status, "servers"));
    if (json_integer_value(json_object_get(counters, "log_lines_dropped")) > 0)
        printf("\n%s log lines found no room\n", number_of(counters, "log_lines_dropped", dropped));
}

static void take_status(void *owner, json_t *line)
{
    const struct console *c = owner;
    if (c->is_json)
        (void)json_dumpf(line, stdout, JSON_INDENT(2)); /* a terminal that is gone needs none */
    else
        print_status(line);
    if (c->is_json)
        putchar('\n');
}

/* Asks with a command that has no arguments. */
static int ask(const struct console *c, const char *command,
               void (*take)(void *owner, json_t *line), void *owner)
{
    struct error why;
    char *text = NULL;
    if (c->argc > 0)
        return console_wrong("the command takes no argument");
    json_t *request = json_pack("{s:s}", "command", command);
    int failed = console_ask(c->socket, request, take, owner, &text, &why) < 0;
    json_decref(request);
    free(text);
    return failed ? console_fail(why.text) : CONSOLE_DONE;
}

int command_status(const struct console *c)
{
    struct console copy = *c;
    return ask(c, "status", take_status, &copy);
}

struct sessions {
    bool is_json, is_first;
    struct table *table;
};

static void take_session(void *owner, json_t *line)
{
    struct sessions *s = owner;
    char age[CELL_SIZE], messages[CELL_SIZE], deleted[CELL_SIZE];
    if (s->is_json) {
        fputs(s->is_first ? "[\n  " : ",\n  ", stdout);
        s->is_first = false;
        (void)json_dumpf(line, stdout, 0); /* as above */
        return;
    }
    const char *const cells[] = {text_of(line, "session"),
                                 text_of(line, "listener"),
                                 text_of(line, "client"),
                                 text_of(line, "account"),
                                 text_of(line, "state"),
                                 age_of(line, "age", age),
                                 number_of(line, "messages", messages),
                                 number_of(line, "deleted", deleted)};
    table_add(s->table, cells);
}

int command_sessions(const struct console *c)
{
    static const char *const heads[] = {"session", "listener", "client",    "account",
                                        "state",   ">age",     ">messages", ">deleted"};
    struct sessions s = {.is_json = c->is_json, .is_first = true};
    s.table = table_create(heads, 8);
    int outcome = ask(c, "sessions", take_session, &s);
    if (outcome == CONSOLE_DONE && c->is_json)
        puts(s.is_first ? "[\n]" : "\n]");
    else if (outcome == CONSOLE_DONE)
        table_print(s.table);
    table_destroy(&s.table);
    return outcome;
}
