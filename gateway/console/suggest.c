/* What accounts send, for who chooses a limit: suggest. Reads logs itself. */
#include "policy/suggest.h"
#include "base/arena.h"
#include "console/listing.h"
#include "console/log_file.h"
#include "policy/rules/limit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)4 * 1024 * 1024 * 1024)

static const char *const counts[] = {
    [SUGGEST_RECIPIENTS] = "recipients", [SUGGEST_MESSAGES] = "messages", NULL};
static const char *const periods[] = {[SUGGEST_HOUR] = "hour", [SUGGEST_DAY] = "day", NULL};

struct question {
    int count, period;
    const char *limit_text, *burst_text;
    struct rate limit; /* of count 0: none is tried */
    const char **files;
    size_t file_count;
};

static int number_of(const char *const *names, const char *word)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    return -1;
}

/* An option with its value. Returns 0, or -1: it is none. */
static int take_option(struct question *q, const char *option, const char *value)
{
    if (strcmp(option, "--count") == 0)
        return (q->count = number_of(counts, value)) < 0 ? -1 : 0;
    if (strcmp(option, "--per") == 0)
        return (q->period = number_of(periods, value)) < 0 ? -1 : 0;
    if (strcmp(option, "--limit") == 0)
        q->limit_text = value;
    else if (strcmp(option, "--burst") == 0)
        q->burst_text = value;
    else
        return -1;
    return 0;
}

static int take_limit(struct question *q, struct error *why)
{
    if (q->limit_text == NULL)
        return q->burst_text == NULL ? 0 : error_set(why, "--burst is for --limit 600/1h");
    if (limit_parse_rate(q->limit_text, &q->limit, why) < 0)
        return -1;
    q->limit.burst = q->limit.count;
    if (q->burst_text == NULL)
        return 0;
    return setting_parse_size(q->burst_text, &q->limit.burst, why) < 0 || q->limit.burst < 1 ||
                   q->limit.burst > RATE_COUNT_MAX
               ? error_set(why, "\"%s\" is no burst; write how many pass at once", q->burst_text)
               : 0;
}

/* ---- telling ---- */

static json_t *spread_json(const struct suggest_spread *s)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "p50", (json_int_t)s->p50, "p95", (json_int_t)s->p95,
                     "p99", (json_int_t)s->p99, "max", (json_int_t)s->most);
}

static json_t *account_json(const struct suggest_account *a)
{
    json_t *row = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "account", a->name, "messages",
                            (json_int_t)a->messages, "recipients", (json_int_t)a->recipients,
                            "hours", (json_int_t)a->periods[SUGGEST_HOUR], "days",
                            (json_int_t)a->periods[SUGGEST_DAY], "refused", (json_int_t)a->refused);
    for (int count = 0; count < SUGGEST_COUNTS; count++)
        for (int period = 0; period < SUGGEST_PERIODS; period++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%s_%s", counts[count], periods[period]); /* fits */
            (void)json_object_set_new(row, name, spread_json(&a->spread[count][period]));
        }
    return row;
}

static void print_json(const struct suggest_account *all, size_t count)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(rows, account_json(&all[i])); /* a command line's memory */
    (void)json_dumpf(rows, stdout, JSON_INDENT(2)); /* a terminal that is gone needs none */
    putchar('\n');
    json_decref(rows);
}

static void print_table(const struct question *q, const struct suggest_account *all, size_t count)
{
    const char *const heads[] = {
        "account", q->period == SUGGEST_HOUR ? ">hours" : ">days", ">p50", ">p95", ">p99", ">max",
        ">refused"};
    struct table *t = table_create(heads, q->limit.count > 0 ? 7 : 6);
    for (size_t i = 0; i < count; i++) {
        const struct suggest_spread *s = &all[i].spread[q->count][q->period];
        const uint64_t numbers[] = {
            all[i].periods[q->period], s->p50, s->p95, s->p99, s->most, all[i].refused};
        char texts[6][CELL_SIZE];
        for (size_t n = 0; n < 6; n++)
            (void)snprintf(texts[n], CELL_SIZE, "%" PRIu64, numbers[n]); /* fits */
        const char *const cells[] = {all[i].name, texts[0], texts[1], texts[2],
                                     texts[3],    texts[4], texts[5]};
        table_add(t, cells);
    }
    table_print(t);
    table_destroy(&t);
}

static void print_totals(const struct question *q, const struct suggest_account *all, size_t count,
                         const struct log_totals *totals)
{
    size_t touched = 0;
    for (size_t i = 0; i < count; i++)
        touched += all[i].refused > 0;
    printf("%s in each %s of %zu account%s", counts[q->count], periods[q->period], count,
           count == 1 ? "" : "s");
    if (q->limit.count > 0)
        printf("; %s, %" PRId64 " at once, would have refused something to %zu of them",
               q->limit_text, q->limit.burst, touched);
    printf(totals->unread > 0 ? "; %zu of %zu lines are none of the gateway's\n" : "\n",
           totals->unread, totals->lines);
}

/* ---- reading ---- */

static int hear(void *owner, const struct record_line *line)
{
    return suggest_hear(owner, line);
}

static int answer(const struct console *c, const struct question *q, struct arena *a)
{
    struct suggest *s = suggest_create(a, &q->limit, (enum suggest_count)q->count);
    struct suggest_account *all;
    struct log_totals totals = {.lines = 0};
    for (size_t i = 0; s != NULL && i < q->file_count; i++)
        if (log_file_read(q->files[i], hear, s, &totals) < 0)
            return CONSOLE_FAILED;
    size_t count = s == NULL ? SIZE_MAX : suggest_accounts(s, &all);
    if (count == SIZE_MAX)
        return console_fail("out of memory");
    if (c->is_json) {
        print_json(all, count);
        return CONSOLE_DONE;
    }
    if (count > 0)
        print_table(q, all, count);
    print_totals(q, all, count, &totals);
    return CONSOLE_DONE;
}

int command_suggest(const struct console *c)
{
    struct question q = {.count = SUGGEST_RECIPIENTS, .period = SUGGEST_HOUR};
    struct error why;
    int failed = 0;
    q.files = calloc((size_t)c->argc + 1, sizeof *q.files);
    struct arena *a = arena_create(MEMORY_MAX);
    if (q.files == NULL || a == NULL)
        abort(); /* a command line's memory */
    for (int i = 0; i < c->argc && failed == 0; i++) {
        bool is_option = strncmp(c->argv[i], "--", 2) == 0;
        if (!is_option)
            q.files[q.file_count++] = c->argv[i];
        else if (i + 1 < c->argc)
            failed = take_option(&q, c->argv[i], c->argv[i + 1]);
        else
            failed = -1;
        i += is_option;
    }
    int status;
    if (failed || q.file_count == 0)
        status = console_wrong("suggest takes logs (- is standard input), --per hour|day, --count "
                               "recipients|messages, --limit 600/1h and --burst N");
    else if (take_limit(&q, &why) < 0)
        status = console_wrong(why.text);
    else
        status = answer(c, &q, a);
    arena_destroy(&a);
    free(q.files);
    return status;
}
