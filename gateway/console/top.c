/* Who sends most: top. */
#include "console/listing.h"

#include "base/setting.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* "10:31", where whoever asks is. */
static const char *clock_of(const json_t *answer, char out[16])
{
    time_t then = time(NULL) - (time_t)json_integer_value(json_object_get(answer, "covers"));
    struct tm t;
    (void)localtime_r(&then, &t);         /* fails only for years that do not fit an int */
    (void)strftime(out, 16, "%H:%M", &t); /* fits */
    return out;
}

static void print_senders(const json_t *answer)
{
    const char *const heads[] = {cell_text(answer, "by"), ">messages", ">recipients", ">refused"};
    struct table *t = table_create(heads, 4);
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(answer, "senders"), i, s)
    {
        char messages[CELL_SIZE], recipients[CELL_SIZE], refused[CELL_SIZE];
        const char *const cells[] = {cell_text(s, "name"), cell_number(s, "messages", messages),
                                     cell_number(s, "recipients", recipients),
                                     cell_number(s, "refused", refused)};
        table_add(t, cells);
    }
    table_print(t);
    table_destroy(&t);
}

static void take_answer(void *owner, json_t *answer)
{
    const struct console *c = owner;
    char since[16], hidden[CELL_SIZE];
    if (c->is_json) {
        (void)json_dumpf(answer, stdout, JSON_INDENT(2)); /* a terminal that is gone needs none */
        putchar('\n');
        return;
    }
    (void)clock_of(answer, since);
    bool is_empty = json_array_size(json_object_get(answer, "senders")) == 0;
    if (!is_empty)
        print_senders(answer);
    printf("%ssince %s\n", is_empty ? "nothing was sent, or refused, " : "", since);
    if (json_is_false(json_object_get(answer, "is_told")))
        puts("no rule goes by a header: scripts are not told apart (key = [\"header:...\"])");
    if (json_integer_value(json_object_get(answer, "hidden")) > 0)
        printf("more have sent than are kept: some with up to %s in the hour may be missing\n",
               cell_number(answer, "hidden", hidden));
}

int command_top(const struct console *c)
{
    const char *by = "account", *last = "10min";
    int64_t ms;
    struct error why;
    struct console copy = *c;
    for (int i = 0; i < c->argc; i++) {
        bool has_next = i + 1 < c->argc;
        if (strcmp(c->argv[i], "--by") == 0 && has_next)
            by = c->argv[++i];
        else if (strcmp(c->argv[i], "--last") == 0 && has_next)
            last = c->argv[++i];
        else
            return console_wrong("top takes --by account|login|script|ip|sender_domain and "
                                 "--last TIME");
    }
    if (setting_parse_duration(last, &ms, &why) < 0)
        return console_wrong(why.text);
    return console_told(
        &copy,
        json_pack("{s:s, s:s, s:I}", "command", "top", "by", by, "last", (json_int_t)(ms / 1000)),
        take_answer, &copy);
}
