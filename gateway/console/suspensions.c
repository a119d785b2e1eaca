/* Accounts that may not send, or not log in either: suspend, resume, suspended. */
#include "console/listing.h"

#include "base/setting.h"

#include <string.h>

static const char default_time[] = "1d";

static void add_suspension(struct table *t, const json_t *line)
{
    char by[CELL_SIZE], left[CELL_SIZE];
    bool has_end = !json_is_null(json_object_get(line, "left"));
    const char *const cells[] = {
        cell_text(line, "account"), cell_text(line, "scope"), cell_by(line, by),
        has_end ? cell_age(line, "left", left) : "until resumed", cell_text(line, "reason")};
    table_add(t, cells);
}

static const char *const heads[] = {"account", "scope", "by", ">left", "reason"};

const struct listing listing_suspended = {"suspended", heads, 5, add_suspension};

int command_suspended(const struct console *c)
{
    return listing_print(c, &listing_suspended);
}

/* What stands behind `suspend`. */
struct order {
    const char *account, *scope, *time, *reason;
    bool has_no_end;
};

/* Returns 0, or -1: it is none. */
static int take_words(const struct console *c, struct order *o)
{
    for (int i = 0; i < c->argc; i++) {
        const char *word = c->argv[i];
        bool has_next = i + 1 < c->argc;
        if (strcmp(word, "--scope") == 0 && has_next)
            o->scope = c->argv[++i];
        else if (strcmp(word, "--for") == 0 && has_next)
            o->time = c->argv[++i];
        else if (strcmp(word, "--reason") == 0 && has_next)
            o->reason = c->argv[++i];
        else if (strcmp(word, "--until-resumed") == 0)
            o->has_no_end = true;
        else if (word[0] != '-' && o->account == NULL)
            o->account = word;
        else
            return -1;
    }
    return o->account != NULL && (o->time == NULL || !o->has_no_end) ? 0 : -1;
}

int command_suspend(const struct console *c)
{
    struct order o = {.scope = "sending", .reason = ""};
    int64_t ms = 0;
    struct error why;
    if (take_words(c, &o) < 0)
        return console_wrong("suspend takes an account, --scope sending or all, --for TIME or "
                             "--until-resumed, and --reason TEXT");
    if (!o.has_no_end &&
        setting_parse_duration(o.time == NULL ? default_time : o.time, &ms, &why) < 0)
        return console_wrong(why.text);
    if (!o.has_no_end && ms < 1000)
        return console_wrong("an account is suspended for a second at least");
    return console_order(c, json_pack("{s:s, s:s, s:s, s:I, s:s}", "command", "suspend", "account",
                                      o.account, "scope", o.scope, "seconds",
                                      (json_int_t)(ms / 1000), "reason", o.reason));
}

int command_resume(const struct console *c)
{
    if (c->argc != 1 || c->argv[0][0] == '-')
        return console_wrong("resume takes an account");
    return console_order(c, json_pack("{s:s, s:s}", "command", "resume", "account", c->argv[0]));
}
