/* Yesterday's log through another configuration: replay. Reads both itself. */
#include "policy/replay.h"
#include "auth/aliases.h"
#include "auth/watched.h"
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

/* With its watched files, as they are now. */
struct loaded {
    struct config *config;
    struct sealed *lists;         /* one for each */
    const struct sealed *aliases; /* one of them; NULL: there are none */
};

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

/* Does a rule go by it? The log has the clients' countries, as they were. */
static bool is_needed(enum watched_kind kind)
{
    return kind != WATCHED_COUNTRIES && kind != WATCHED_CONTACTS;
}

static void load_files(struct loaded *l, struct errors *errors)
{
    size_t count;
    l->lists = calloc(l->config->watched_count + 1, sizeof *l->lists);
    if (l->lists == NULL)
        abort(); /* a command line's memory */
    for (size_t i = 0; i < l->config->watched_count; i++) {
        if (is_needed(l->config->watched[i].kind))
            watched_load(l->config, i, &l->lists[i], &count, errors);
        if (l->config->watched[i].kind == WATCHED_ALIASES)
            l->aliases = &l->lists[i];
    }
}

static void unload(struct loaded *l)
{
    for (size_t i = 0; l->lists != NULL && i < l->config->watched_count; i++)
        sealed_unmap(&l->lists[i]);
    free(l->lists);
    config_free(&l->config);
}

/* Returns 0; or -1, having said why. */
static int load(const char *file, struct loaded *l)
{
    struct errors *errors = errors_create();
    *l = (struct loaded){.config = config_load(file, errors)};
    if (l->config != NULL)
        load_files(l, errors);
    errors_each(errors, print_finding, NULL);
    bool is_wrong = errors_count(errors) > 0 || l->config == NULL;
    errors_destroy(&errors);
    if (!is_wrong && !give_slots(l->config)) {
        is_wrong = true;
        (void)console_fail("more rules than a gateway can have"); /* the caller's to return */
    }
    if (is_wrong)
        unload(l);
    else
        drop_others(l->config);
    return is_wrong ? -1 : 0;
}

static bool listener_of(const void *owner, struct span name, struct replay_listener *out)
{
    const struct config *c = ((const struct loaded *)owner)->config;
    for (size_t i = 0; i < c->listener_count; i++)
        if (span_equals(name, c->listeners[i].name)) {
            const struct listener_config *l = &c->listeners[i];
            *out = (struct replay_listener){l->name, l->policy_rules, l->role == ROLE_POP3};
            return true;
        }
    return false;
}

static bool account_of(const void *owner, struct span name, char *out, size_t size)
{
    const struct loaded *l = owner;
    char account[ACCOUNT_SIZE];
    return aliases_account(l->aliases, name, l->config->auth.realm, account) == 0 &&
           span_copy(span_of(account), out, size) == strlen(account);
}

static bool address_of(const void *owner, struct span given, char *out, size_t size)
{
    char address[ACCOUNT_SIZE];
    (void)owner; /* addresses are the same everywhere */
    size_t is = account_address(given, address);
    return is > 0 && span_copy(span_make(address, is), out, size) == is;
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

static void warn_of_unknown(const struct replay_unknown *u)
{
    if (u->authors > 0)
        fprintf(stderr,
                "porteiroctl: whom From names isn't in the log for %" PRIu64 " messages: it has "
                "author where sender.header = \"own\" was in force\n",
                u->authors);
    if (u->tries > 0)
        fprintf(stderr,
                "porteiroctl: to whom they were isn't in the log for %" PRIu64
                " messages that were "
                "refused at MAIL, and pass there now\n",
                u->tries);
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
    warn_of_unknown(replay_unknown(r));
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
    struct loaded loaded;
    if (load(q->file, &loaded) < 0)
        return CONSOLE_FAILED;
    struct arena *a = arena_create(MEMORY_MAX);
    if (a == NULL)
        abort(); /* a command line's memory */
    struct replay_options options = {
        .arena = a,
        .listener_of = listener_of,
        .account_of = account_of,
        .address_of = address_of,
        .owner = &loaded,
        .table = {.cells = TABLE_CELLS, .blocks = TABLE_BLOCKS, .key = {1, 2}}};
    options.table.memory = calloc(1, table_size(TABLE_CELLS, TABLE_BLOCKS));
    if (options.table.memory == NULL)
        abort(); /* a command line's memory */
    struct replay *r = replay_create(&options);
    int status = answer(c, q, r);
    replay_destroy(&r);
    free(options.table.memory);
    arena_destroy(&a);
    unload(&loaded);
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
