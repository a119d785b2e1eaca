/* How much somebody may still do: limits. */
#include "console/listing.h"

#include <stdio.h>
#include <string.h>

/* The next one passes after it: "now", a time, or "?" where somebody else has to give way. */
static const char *wait_of(const json_t *line, char out[CELL_SIZE])
{
    const json_t *wait = json_object_get(line, "wait");
    if (json_is_null(wait))
        return "?";
    return json_number_value(wait) > 0 ? cell_age(line, "wait", out) : "now";
}

static void add_limit(struct table *t, const json_t *line)
{
    char used[CELL_SIZE], left[CELL_SIZE], wait[CELL_SIZE], rest[CELL_SIZE], policy[CELL_SIZE];
    const char *limit = cell_text(line, "limit");
    size_t front = strncmp(limit, "at most ", 8) == 0 ? 8 : 0; /* they all are */
    bool is_known = !json_is_null(json_object_get(line, "rest"));
    bool is_monitored = strcmp(cell_text(line, "mode"), "monitor") == 0;
    (void)snprintf(policy, sizeof policy, "%s%s", cell_text(line, "policy"),
                   is_monitored ? " (monitor)" : ""); /* cut to fit */
    const char *const cells[] = {cell_text(line, "rule"),
                                 limit + front,
                                 cell_number(line, "used", used),
                                 cell_number(line, "left", left),
                                 wait_of(line, wait),
                                 is_known ? cell_age(line, "rest", rest) : "?",
                                 policy};
    table_add(t, cells);
}

static const char *const limits_heads[] = {"rule",  "at most", ">used", ">left",
                                           ">next", ">rest",   "policy"};

const struct listing listing_limits = {"limits", limits_heads, 7, add_limit};

int command_limits(const struct console *c)
{
    json_t *keys = json_array();
    bool is_text = true;
    for (int i = 0; i < c->argc; i++)
        is_text = json_array_append_new(keys, json_string(c->argv[i])) == 0 && is_text;
    if (c->argc == 0 || c->argv[0][0] == '-' || c->argv[0][0] == '\0') {
        json_decref(keys);
        return console_wrong(
            "limits takes an account, an address, @DOMAIN, a listener, a country or global");
    }
    json_t *request = json_pack("{s:s, s:o}", "command", listing_limits.command, "keys", keys);
    if (!is_text)
        json_decref(request);
    return listing_answer(c, &listing_limits, is_text ? request : NULL);
}
