#include "console/listing.h"

#include "base/clock.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char *cell_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

const char *cell_number(const json_t *o, const char *key, char out[CELL_SIZE])
{
    (void)snprintf(out, CELL_SIZE, "%lld",
                   (long long)json_integer_value(json_object_get(o, key))); /* fits */
    return out;
}

const char *cell_age(const json_t *o, const char *key, char out[CELL_SIZE])
{
    double seconds = json_number_value(json_object_get(o, key));
    clock_format_duration((int64_t)(seconds * 1e9), out);
    return out;
}

const char *cell_by(const json_t *o, char out[CELL_SIZE])
{
    const char *by = cell_text(o, "by");
    unsigned uid;
    const struct passwd *user = sscanf(by, "uid %u", &uid) == 1 ? getpwuid(uid) : NULL;
    (void)snprintf(out, CELL_SIZE, "%s", user == NULL ? by : user->pw_name); /* cut to fit */
    return out;
}

const char *cell_moment(const json_t *o, const char *key, char out[CELL_MOMENT_SIZE])
{
    struct tm utc = {.tm_year = 0}, local;
    out[0] = '\0';
    if (strptime(cell_text(o, key), "%Y-%m-%dT%H:%M:%S", &utc) == NULL)
        return out;
    time_t then = timegm(&utc);
    (void)localtime_r(&then, &local); /* fails only for years that do not fit an int */
    (void)strftime(out, CELL_MOMENT_SIZE, "%b %e %T", &local); /* fits */
    return out;
}

void listing_print_rows(const struct listing *l, const json_t *rows)
{
    size_t i;
    json_t *row;
    if (json_array_size(rows) == 0)
        return;
    struct table *t = table_create(l->heads, l->columns);
    json_array_foreach(rows, i, row) l->add(t, row);
    putchar('\n');
    table_print(t);
    table_destroy(&t);
}

static void keep_answer(void *owner, json_t *line)
{
    json_t **answer = owner;
    if (*answer == NULL)
        *answer = json_incref(line);
}

int console_answer(const struct console *c, json_t *request, json_t **answer)
{
    *answer = NULL;
    int outcome = console_told(c, request, keep_answer, answer);
    return outcome == CONSOLE_DONE && *answer == NULL ? console_fail("no answer that makes sense")
                                                      : outcome;
}

int console_told(const struct console *c, json_t *request, void (*take)(void *owner, json_t *line),
                 void *owner)
{
    struct error why;
    char *text = NULL;
    if (request == NULL)
        return console_wrong("an argument is not in UTF-8");
    int failed = console_ask(c->socket, request, take, owner, &text, &why) < 0;
    json_decref(request);
    free(text);
    return failed ? console_fail(why.text) : CONSOLE_DONE;
}

int console_question(const struct console *c, const char *command,
                     void (*take)(void *owner, json_t *line), void *owner)
{
    if (c->argc > 0)
        return console_wrong("the command takes no argument");
    return console_told(c, json_pack("{s:s}", "command", command), take, owner);
}

struct rows {
    const struct listing *listing;
    bool is_json, is_first;
    struct table *table;
};

static void take_row(void *owner, json_t *line)
{
    struct rows *r = owner;
    if (!r->is_json) {
        r->listing->add(r->table, line);
        return;
    }
    fputs(r->is_first ? "[\n  " : ",\n  ", stdout);
    r->is_first = false;
    (void)json_dumpf(line, stdout, 0); /* a terminal that is gone needs none */
}

int listing_answer(const struct console *c, const struct listing *l, json_t *request)
{
    struct rows r = {.listing = l, .is_json = c->is_json, .is_first = true};
    struct error why;
    char *text = NULL;
    if (request == NULL)
        return console_wrong("an argument is not in UTF-8");
    r.table = table_create(l->heads, l->columns);
    int failed = console_ask(c->socket, request, take_row, &r, &text, &why) < 0;
    json_decref(request);
    if (!failed && c->is_json)
        puts(r.is_first ? "[\n]" : "\n]");
    else if (!failed)
        table_print(r.table);
    if (!failed && !c->is_json && text != NULL && text[0] != '\0')
        puts(text);
    table_destroy(&r.table);
    free(text);
    return failed ? console_fail(why.text) : CONSOLE_DONE;
}

int listing_print(const struct console *c, const struct listing *l)
{
    if (c->argc > 0)
        return console_wrong("the command takes no argument");
    return listing_answer(c, l, json_pack("{s:s}", "command", l->command));
}

static void ignore(void *owner, json_t *line)
{
    (void)owner, (void)line;
}

int console_order(const struct console *c, json_t *request)
{
    struct error why;
    char *text = NULL;
    if (request == NULL)
        return console_wrong("an argument is not in UTF-8");
    int failed = console_ask(c->socket, request, ignore, NULL, &text, &why) < 0;
    json_decref(request);
    if (!failed && c->is_json) {
        json_t *said = json_pack("{s:b, s:s}", "ok", 1, "text", text == NULL ? "" : text);
        (void)json_dumpf(said, stdout, 0); /* a terminal that is gone needs none */
        putchar('\n');
        json_decref(said);
    } else if (!failed) {
        printf("%s\n", text == NULL ? "done" : text);
    }
    free(text);
    return failed ? console_fail(why.text) : CONSOLE_DONE;
}
