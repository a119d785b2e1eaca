/* Limits that people set for somebody: limit set, unset and list. */
#include "console/listing.h"

#include "base/setting.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

static const char default_time[] = "1d";

/* A person, by name where that is known here. */
static const char *who(const json_t *line, char out[CELL_SIZE])
{
    long long uid = json_integer_value(json_object_get(line, "uid"));
    const struct passwd *user = getpwuid((uid_t)uid);
    (void)snprintf(out, CELL_SIZE, "%lld", uid); /* fits */
    return user == NULL ? out : user->pw_name;
}

static void add_limit(struct table *t, const json_t *line)
{
    char by[CELL_SIZE], left[CELL_SIZE];
    bool is_good = json_is_null(json_object_get(line, "left"));
    const char *const cells[] = {cell_text(line, "name"),
                                 cell_text(line, "limit"),
                                 cell_text(line, "figure"),
                                 who(line, by),
                                 is_good ? "for good" : cell_age(line, "left", left),
                                 cell_text(line, "reason")};
    table_add(t, cells);
}

static int list(const struct console *c)
{
    static const char *const heads[] = {"for", "limit", "is", "by", ">left", "reason"};
    static const struct listing limits = {"limit-list", heads, 6, add_limit};
    return listing_print(c, &limits);
}

/* What stands behind `limit set`. */
struct order {
    const char *words[3]; /* ACCOUNT LIMIT RATE */
    size_t count;
    const char *burst, *time, *reason;
    bool is_permanent;
};

/* Returns 0, or -1: it is none. */
static int take_words(const struct console *c, struct order *o)
{
    for (int i = 0; i < c->argc; i++) {
        const char *word = c->argv[i];
        bool has_next = i + 1 < c->argc;
        if (strcmp(word, "--burst") == 0 && has_next)
            o->burst = c->argv[++i];
        else if (strcmp(word, "--for") == 0 && has_next)
            o->time = c->argv[++i];
        else if (strcmp(word, "--reason") == 0 && has_next)
            o->reason = c->argv[++i];
        else if (strcmp(word, "--permanent") == 0)
            o->is_permanent = true;
        else if (word[0] != '-' && o->count < 3)
            o->words[o->count++] = word;
        else
            return -1;
    }
    return o->count == 3 && (o->time == NULL || !o->is_permanent) ? 0 : -1;
}

static int set(const struct console *c)
{
    struct order o = {.burst = "", .reason = ""};
    int64_t ms = 0;
    struct error why;
    if (take_words(c, &o) < 0)
        return console_wrong("limit set takes an account or @DOMAIN, a limit and a rate, --burst "
                             "N, --for TIME or --permanent, and --reason TEXT");
    if (!o.is_permanent &&
        setting_parse_duration(o.time == NULL ? default_time : o.time, &ms, &why) < 0)
        return console_wrong(why.text);
    if (!o.is_permanent && ms < 1000)
        return console_wrong("a limit is set for a second at least");
    return console_order(c, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s}", "command", "limit-set",
                                      "name", o.words[0], "limit", o.words[1], "figure", o.words[2],
                                      "burst", o.burst, "seconds", (json_int_t)(ms / 1000),
                                      "reason", o.reason));
}

static int unset(const struct console *c)
{
    if (c->argc != 2 || c->argv[0][0] == '-' || c->argv[1][0] == '-')
        return console_wrong("limit unset takes an account or @DOMAIN, and a limit");
    return console_order(c, json_pack("{s:s, s:s, s:s}", "command", "limit-unset", "name",
                                      c->argv[0], "limit", c->argv[1]));
}

int command_limit(const struct console *c)
{
    static const struct {
        const char *name;
        int (*run)(const struct console *c);
    } orders[] = {{"set", set}, {"unset", unset}, {"list", list}};
    struct console rest = *c;
    rest.argc--;
    rest.argv++;
    for (size_t i = 0; c->argc > 0 && i < sizeof orders / sizeof *orders; i++)
        if (strcmp(c->argv[0], orders[i].name) == 0)
            return orders[i].run(&rest);
    return console_wrong("limit takes set, unset or list");
}
