/* Yesterday's log through another configuration: replay. Reads both itself. */
#include "policy/replay.h"
#include "base/arena.h"
#include "config/config.h"
#include "console/listing.h"
#include "console/log_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)4 * 1024 * 1024 * 1024)

static const char *const whats[] = {
    [REPLAY_REFUSED] = "refused", [REPLAY_DELAYED] = "delayed", [REPLAY_MONITORED] = "monitored"};

struct question {
    const char *file; /* the configuration */
    bool is_all;      /* what is the same too */
    const char **logs;
    size_t log_count;
};

/* ---- the configuration ---- */

static void print_finding(void *owner, enum finding kind, const char *text)
{
    (void)owner;
    if (kind == FINDING_ERROR)
        fprintf(stderr, "porteiroctl: %s\n", text);
}

/* Rules of one name count together. False: there are too many. */
static bool give_slots(struct config *c)
{
    const char *names[STORE_RULES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < c->policy_count; i++)
        for (size_t n = 0; n < c->policies[i].limit_count; n++) {
            struct limit_rule *r = &c->policies[i].limits[n];
            size_t slot = 0;
            while (slot < count && strcmp(names[slot], r->name) != 0)
                slot++;
            if (slot == STORE_RULES_MAX)
                return false;
            names[slot] = r->name;
            count += slot == count;
            r->slot = (uint16_t)slot;
        }
    return true;
}

/* What no log tells is dropped, and said so. */
static void drop_others(struct config *c)
{
    for (size_t i = 0; i < c->policy_count; i++)
        for (size_t n = 0; n < c->policies[i].limit_count; n++) {
            struct limit_rule *r = &c->policies[i].limits[n];
            if (!r->enabled || replay_knows(r))
                continue;
            r->enabled = false;
            fprintf(stderr, "porteiroctl: %s is left out: the log doesn't tell what it counts\n",
                    r->name);
        }
}

/* NULL, having said why. */
static struct config *load(const char *file)
{
    struct errors *errors = errors_create();
    struct config *c = config_load(file, errors);
    errors_each(errors, print_finding, NULL);
    if (errors_count(errors) > 0)
        config_free(&c);
    errors_destroy(&errors);
    if (c != NULL && !give_slots(c)) {
        config_free(&c);
        (void)console_fail("more rules than a gateway can have"); /* the caller's to return */
    }
    if (c != NULL)
        drop_others(c);
    return c;
}

static const struct policy *policy_of(const void *owner, struct span listener, const char **name)
{
    const struct config *c = owner;
    for (size_t i = 0; i < c->listener_count; i++)
        if (span_equals(listener, c->listeners[i].name)) {
            *name = c->listeners[i].name;
            return c->listeners[i].policy_rules;
        }
    return NULL;
}

/* ---- telling ---- */

static void print_json(const struct replay_row *rows, size_t count, bool is_all)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        for (int what = 0; what < REPLAY_WHATS; what++) {
            const struct replay_row *r = &rows[i];
            if (r->was[what] == r->is[what] && (!is_all || r->was[what] == 0))
                continue;
            (void)json_array_append_new(
                list, json_pack("{s:s, s:s, s:s, s:I, s:I}", "rule", r->rule, "account", r->account,
                                "what", whats[what], "was", (json_int_t)r->was[what], "is",
                                (json_int_t)r->is[what])); /* a command line's memory */
        }
    (void)json_dumpf(list, stdout, JSON_INDENT(2)); /* a terminal that is gone needs none */
    putchar('\n');
    json_decref(list);
}

static size_t print_table(const struct replay_row *rows, size_t count, bool is_all)
{
    static const char *const heads[] = {"rule", "account", "what", ">was", ">is"};
    struct table *t = table_create(heads, 5);
    size_t differing = 0, printed = 0;
    for (size_t i = 0; i < count; i++)
        for (int what = 0; what < REPLAY_WHATS; what++) {
            const struct replay_row *r = &rows[i];
            char was[CELL_SIZE], is[CELL_SIZE];
            differing += r->was[what] != r->is[what];
            if (r->was[what] == r->is[what] && (!is_all || r->was[what] == 0))
                continue;
            (void)snprintf(was, sizeof was, "%" PRIu64, r->was[what]); /* fits */
            (void)snprintf(is, sizeof is, "%" PRIu64, r->is[what]);    /* likewise */
            const char *const cells[] = {r->rule, r->account, whats[what], was, is};
            table_add(t, cells);
            printed++;
        }
    if (printed > 0)
        table_print(t);
    table_destroy(&t);
    return differing;
}

/* ---- reading ---- */

static int hear(void *owner, const struct record_line *line)
{
    return replay_hear(owner, line);
}

static int answer(const struct console *c, const struct question *q, struct replay *r)
{
    struct replay_row *rows;
    struct log_totals totals = {.lines = 0};
    for (size_t i = 0; r != NULL && i < q->log_count; i++)
        if (log_file_read(q->logs[i], hear, r, &totals) < 0)
            return CONSOLE_FAILED;
    size_t count = r == NULL || replay_run(r) < 0 ? SIZE_MAX : replay_rows(r, &rows);
    if (count == SIZE_MAX)
        return console_fail("out of memory");
    if (c->is_json) {
        print_json(rows, count, q->is_all);
        return CONSOLE_DONE;
    }
    size_t differing = print_table(rows, count, q->is_all);
    if (differing == 0)
        puts("nothing would have been decided differently");
    if (totals.unread > 0)
        printf("%zu of %zu lines are none of the gateway's\n", totals.unread, totals.lines);
    return CONSOLE_DONE;
}

static int replay(const struct console *c, const struct question *q)
{
    struct config *config = load(q->file);
    struct arena *a = config == NULL ? NULL : arena_create(MEMORY_MAX);
    if (a == NULL)
        return config == NULL ? CONSOLE_FAILED : console_fail("out of memory");
    struct replay_options options = {
        .arena = a,
        .policy_of = policy_of,
        .owner = config,
        .table = {.cells = TABLE_CELLS, .blocks = TABLE_BLOCKS, .key = {1, 2}}};
    options.table.memory = calloc(1, table_size(TABLE_CELLS, TABLE_BLOCKS));
    if (options.table.memory == NULL)
        abort(); /* a command line's memory */
    struct replay *r = replay_create(&options);
    int status = answer(c, q, r);
    replay_destroy(&r);
    free(options.table.memory);
    arena_destroy(&a);
    config_free(&config);
    return status;
}

int command_replay(const struct console *c)
{
    struct question q = {.file = NULL};
    bool is_good = true;
    q.logs = calloc((size_t)c->argc + 1, sizeof *q.logs);
    if (q.logs == NULL)
        abort(); /* a command line's memory */
    for (int i = 0; i < c->argc; i++) {
        if (strcmp(c->argv[i], "--config") == 0 && i + 1 < c->argc)
            q.file = c->argv[++i];
        else if (strcmp(c->argv[i], "--all") == 0)
            q.is_all = true;
        else if (strncmp(c->argv[i], "--", 2) == 0)
            is_good = false;
        else
            q.logs[q.log_count++] = c->argv[i];
    }
    int status = is_good && q.file != NULL && q.log_count > 0
                     ? replay(c, &q)
                     : console_wrong("replay takes logs (- is standard input), --config FILE, and "
                                     "--all for what stays the same");
    free(q.logs);
    return status;
}
