/* What would happen to a sender now, and why: explain. */
#define _XOPEN_SOURCE 700
#include "console/listing.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* "hour ana@example.com" is the counter of the rule "hour" for ana@example.com. */
static const char *counter_of(const json_t *line)
{
    const char *key = cell_text(line, "key"), *space = strchr(key, ' ');
    return space == NULL ? cell_text(line, "why") : space + 1;
}

static void add_row(struct table *t, const json_t *line)
{
    char verdict[CELL_SIZE], left[CELL_SIZE] = "", wait[CELL_SIZE];
    const json_t *left_now = json_object_get(line, "left");
    bool has_wait = json_number_value(json_object_get(line, "wait")) > 0;
    (void)snprintf(verdict, sizeof verdict, "%s%s%s%s", cell_text(line, "verdict"),
                   has_wait ? " " : "", has_wait ? cell_age(line, "wait", wait) : "",
                   json_is_true(json_object_get(line, "decides")) ? " <" : ""); /* cut to fit */
    const char *const cells[] = {cell_text(line, "rule"),
                                 cell_text(line, "stage"),
                                 counter_of(line),
                                 json_is_integer(left_now) ? cell_number(line, "left", left) : "",
                                 verdict,
                                 cell_text(line, "where")};
    table_add(t, cells);
}

/* "2026-11-28 18:30", or "18:30" of today, where whoever asks is. Returns seconds since 1970, or
 * -1. */
static int64_t parse_time(const char *text)
{
    static const char *const forms[] = {"%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%H:%M"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        time_t now = time(NULL);
        struct tm t;
        (void)localtime_r(&now, &t); /* fails only for years that do not fit an int */
        t.tm_sec = 0;
        t.tm_isdst = -1;
        const char *end = strptime(text, forms[i], &t);
        time_t then = end != NULL && *end == '\0' ? mktime(&t) : -1;
        if (then > 0)
            return then;
    }
    return -1;
}

/* A word and its value into the request. Returns 0, or -1: it is none. */
static int add_option(json_t *request, const char *word, const char *value)
{
    static const char *const names[] = {"account",  "ip",       "from",  "to",
                                        "protocol", "listener", "login", "certificate"};
    if (strcmp(word, "at") == 0 && parse_time(value) >= 0)
        return json_object_set_new(request, "at", json_integer(parse_time(value)));
    if (strcmp(word, "header") == 0) {
        if (json_object_get(request, "headers") == NULL)
            (void)json_object_set_new(request, "headers", json_array()); /* else the next fails */
        return json_array_append_new(json_object_get(request, "headers"), json_string(value));
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(word, names[i]) == 0)
            return json_object_set_new(request, word, json_string(value));
    return -1;
}

int command_explain(const struct console *c)
{
    static const char *const heads[] = {"rule", "at", "counter", ">left", "verdict", "where"};
    static const struct listing rows = {"explain", heads, 6, add_row};
    json_t *request = json_pack("{s:s}", "command", rows.command);
    bool is_good = request != NULL;
    for (int i = 0; i < c->argc && is_good; i += 2)
        is_good = strncmp(c->argv[i], "--", 2) == 0 && i + 1 < c->argc &&
                  add_option(request, c->argv[i] + 2, c->argv[i + 1]) == 0;
    if (is_good && json_object_get(request, "account") != NULL)
        return listing_answer(c, &rows, request);
    json_decref(request);
    return console_wrong("explain takes --account ACCOUNT, and --ip ADDRESS, --from ADDRESS, --to "
                         "ADDRESS, --header \"NAME: VALUE\", --login ACCOUNT, --certificate NAME, "
                         "--protocol smtp|pop3, --listener NAME, --at \"YYYY-MM-DD HH:MM\"");
}
