/* Who is sent away before anything else: bans, ban, unban. */
#include "console/listing.h"

#include "base/setting.h"

#include <string.h>

static const char default_time[] = "1d";

static void add_ban(struct table *t, const json_t *line)
{
    char by[CELL_SIZE], tries[CELL_SIZE], left[CELL_SIZE];
    const char *const cells[] = {
        cell_text(line, "network"),
        json_is_true(json_object_get(line, "exempt")) ? "exempt" : "banned",
        cell_text(line, "account"),
        cell_by(line, by),
        json_integer_value(json_object_get(line, "tries")) == 0 ? ""
                                                                : cell_number(line, "tries", tries),
        cell_age(line, "left", left),
        cell_text(line, "reason")};
    table_add(t, cells);
}

static const char *const bans_heads[] = {"network", "is",    "account", "by",
                                         ">tries",  ">left", "reason"};

const struct listing listing_bans = {"bans", bans_heads, 7, add_ban};

int command_bans(const struct console *c)
{
    return listing_print(c, &listing_bans);
}

int command_ban(const struct console *c)
{
    const char *network = NULL, *time = default_time, *reason = "";
    int64_t ms;
    struct error why;
    for (int i = 0; i < c->argc; i++) {
        const char *word = c->argv[i];
        bool has_next = i + 1 < c->argc;
        if (strcmp(word, "--for") == 0 && has_next)
            time = c->argv[++i];
        else if (strcmp(word, "--reason") == 0 && has_next)
            reason = c->argv[++i];
        else if (network == NULL && word[0] != '-')
            network = word;
        else
            return console_wrong("ban takes an address or network, --for TIME and --reason TEXT");
    }
    if (network == NULL)
        return console_wrong("ban takes an address or network");
    if (setting_parse_duration(time, &ms, &why) < 0)
        return console_wrong(why.text);
    return console_order(c, json_pack("{s:s, s:s, s:I, s:s}", "command", "ban", "network", network,
                                      "seconds", (json_int_t)(ms / 1000), "reason", reason));
}

int command_unban(const struct console *c)
{
    if (c->argc != 1)
        return console_wrong("unban takes an address");
    return console_order(c, json_pack("{s:s, s:s}", "command", "unban", "network", c->argv[0]));
}
