/* What the gateway is doing: status, sessions. */
#include "console/client.h"
#include "console/commands.h"
#include "console/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        const char *role = cell_text(p, "role");
        long long index = json_integer_value(json_object_get(p, "index"));
        bool is_many = strcmp(role, "worker") == 0 || strcmp(role, "auth") == 0;
        (void)snprintf(name, sizeof name, is_many ? "%s %lld" : "%s", role, index); /* fits */
        const char *const cells[] = {name,
                                     cell_number(p, "pid", pid),
                                     cell_number(p, "generation", generation),
                                     cell_text(p, "state"),
                                     cell_age(p, "uptime", up),
                                     strcmp(role, "worker") == 0 ? cell_number(p, "sessions", n)
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
        const char *const cells[] = {cell_text(l, "name"),
                                     cell_number(l, "connections", c[0]),
                                     cell_number(l, "connections_refused", c[1]),
                                     cell_number(l, "logins", c[2]),
                                     cell_number(l, "login_failures", c[3]),
                                     cell_number(l, "messages", c[4]),
                                     cell_number(l, "messages_refused", c[5]),
                                     cell_number(l, "mailboxes", c[6]),
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
        const char *const cells[] = {cell_text(s, "name"),
                                     cell_text(s, "state"),
                                     cell_number(s, "connections", c[0]),
                                     cell_number(s, "upstream_connections", c[1]),
                                     cell_number(s, "upstream_failures", c[2]),
                                     cell_number(s, "upstream_messages", c[3])};
        table_add(t, cells);
    }
    table_print(t);
    table_destroy(&t);
}

static void print_status(const json_t *status)
{
    char up[CELL_SIZE], sessions[CELL_SIZE], max[CELL_SIZE], dropped[CELL_SIZE];
    const json_t *counters = json_object_get(status, "counters");
    printf("porteirod %s on %s: %s, up %s, %s of %s sessions\n\n", cell_text(status, "version"),
           cell_text(status, "hostname"), cell_text(status, "state"),
           cell_age(status, "uptime", up), cell_number(status, "sessions", sessions),
           cell_number(status, "max_connections", max));
    print_processes(json_object_get(status, "processes"));
    putchar('\n');
    print_listeners(json_object_get(status, "listeners"));
    putchar('\n');
    print_servers(json_object_get(status, "servers"));
    if (json_integer_value(json_object_get(counters, "log_lines_dropped")) > 0)
        printf("\n%s log lines found no room\n",
               cell_number(counters, "log_lines_dropped", dropped));
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

int command_status(const struct console *c)
{
    struct console copy = *c;
    return console_question(c, "status", take_status, &copy);
}

static void add_session(struct table *t, const json_t *line)
{
    char age[CELL_SIZE], messages[CELL_SIZE], deleted[CELL_SIZE];
    const char *const cells[] = {cell_text(line, "session"),
                                 cell_text(line, "listener"),
                                 cell_text(line, "client"),
                                 cell_text(line, "account"),
                                 cell_text(line, "state"),
                                 cell_age(line, "age", age),
                                 cell_number(line, "messages", messages),
                                 cell_number(line, "deleted", deleted)};
    table_add(t, cells);
}

static const char *const sessions_heads[] = {"session", "listener", "client",    "account",
                                             "state",   ">age",     ">messages", ">deleted"};

const struct listing listing_sessions = {"sessions", sessions_heads, 8, add_session};

int command_sessions(const struct console *c)
{
    return listing_print(c, &listing_sessions);
}
