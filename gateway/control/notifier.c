/* What is to be told waits in the table of control/folding, which outlives this process; from there
 * it goes to the helper, so many at once for each command. A command that hangs holds up its own
 * messages alone, and what comes meanwhile is folded. */
#include "control/notifier.h"

#include "auth/contacts.h"
#include "base/clock.h"
#include "control/folding.h"
#include "control/notice.h"
#include "control/witness.h"
#include "ipc/channel.h"

#include <stdio.h>
#include <stdlib.h>

#define TURN_NS   CLOCK_SECOND
#define AWAY_NS   CLOCK_SECOND        /* without a helper */
#define UNTOLD_NS (60 * CLOCK_SECOND) /* between two lines about what found no place */

struct notifier {
    struct notifier_options options;
    struct channel *helper; /* NULL: there is none now */
    struct timeout *turn;
    unsigned running[NOTIFY_MAX]; /* of each command */
    int64_t untold, untold_until_ns;
    bool is_retired;
    struct record_line record; /* that is told */
};

static void take_turn(void *owner);
static void tell_due(struct notifier *n, struct folding *f);

struct notifier *notifier_create(const struct notifier_options *options)
{
    struct notifier *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->options = *options;
    n->turn = timeout_create(options->loop, take_turn, n);
    if (n->turn == NULL)
        notifier_destroy(&n);
    else if (options->config->notify_count > 0)
        timeout_set(n->turn, loop_now(options->loop) + TURN_NS);
    return n;
}

void notifier_destroy(struct notifier **notifier)
{
    struct notifier *n = *notifier;
    if (n == NULL)
        return;
    channel_destroy(&n->helper);
    timeout_destroy(&n->turn);
    free(n);
    *notifier = NULL;
}

/* ---- the helper ---- */

/* What it was running has ended with it. */
static void lose_helper(struct notifier *n)
{
    const struct config *c = n->options.config;
    channel_destroy(&n->helper);
    for (size_t i = 0; i < c->notify_count; i++)
        if (n->running[i] > 0)
            log_event(n->options.log, EVENT_command_failed,
                      field_text(KEY_notify, c->notify[i].name),
                      field_text(KEY_command, c->notify[i].command),
                      field_number(KEY_count, n->running[i]),
                      field_text(KEY_reason, "the helper that ran it has ended"));
    memset(n->running, 0, sizeof n->running);
}

static void on_helper(void *owner, const struct message *m)
{
    struct notifier *n = owner;
    if (m == NULL) {
        lose_helper(n);
    } else if (m->type == MESSAGE_NOTIFIED) {
        uint32_t i = ((const struct message_notify *)m->payload)->command;
        if (i < NOTIFY_MAX && n->running[i] > 0)
            n->running[i]--;
        if (!n->is_retired)
            timeout_set(n->turn, loop_now(n->options.loop)); /* another may wait for it */
    }
}

void notifier_set_helper(struct notifier *n, int fd)
{
    lose_helper(n);
    n->helper = channel_create(n->options.loop, fd, on_helper, n);
}

/* ---- hearing ---- */

/* One message for each command, event, rule and account; of a certificate, its file. */
static struct span key_of(const struct notify_config *c, enum notice notice,
                          const struct record_line *r, char out[FOLDING_KEY_MAX])
{
    struct span rule = record_value(r, "rule"), whose = record_value(r, "account");
    if (whose.size == 0)
        whose = record_value(r, "file");
    int size = snprintf(out, FOLDING_KEY_MAX, "%s %s %.*s %.*s", c->name, notice_names[notice],
                        (int)rule.size, rule.data, (int)whose.size, whose.data); /* cut to fit */
    return span_make(out, size < FOLDING_KEY_MAX ? (size_t)size : FOLDING_KEY_MAX - 1);
}

void notifier_hear(void *owner, const struct record_line *record, struct span line)
{
    struct notifier *n = owner;
    const struct config *c = n->options.config;
    enum notice notice = c->notify_count == 0 ? NOTICE_COUNT : notice_of(record);
    struct folding *f = notice == NOTICE_COUNT ? NULL : witness_take_folding(n->options.witness);
    char key[FOLDING_KEY_MAX];
    bool is_due = false;
    if (f == NULL)
        return;
    for (size_t i = 0; i < c->notify_count; i++) {
        if ((c->notify[i].notices >> notice & 1) == 0)
            continue;
        int added = folding_add(f, key_of(&c->notify[i], notice, record, key), line,
                                loop_now(n->options.loop));
        n->untold += added < 0;
        is_due = is_due || added > 0;
    }
    if (is_due && !n->is_retired)
        tell_due(n, f);
    witness_give(n->options.witness);
}

void notifier_retire(struct notifier *n)
{
    n->is_retired = true;
    timeout_clear(n->turn);
}

/* ---- telling ---- */

/* Whose message waits under that key; NOTIFY_MAX: nobody's any more. */
static size_t command_of(const struct config *c, struct span key)
{
    const struct span name = span_split(&key, ' ');
    for (size_t i = 0; i < c->notify_count; i++)
        if (span_equals(name, c->notify[i].name))
            return i;
    return NOTIFY_MAX;
}

/* Behind the names, for the helper's log. Returns 0, or -1: it doesn't go. */
static int hand_over(struct notifier *n, size_t command, enum notice notice, const char *json)
{
    const struct message_notify m = {.command = (uint32_t)command, .notice = (uint32_t)notice};
    const struct span account = record_value(&n->record, "account"),
                      rule = record_value(&n->record, "rule");
    struct buffer tail = {.limit = MESSAGE_TAIL_MAX};
    int failed = buffer_append(&tail, account) | buffer_append(&tail, span_make("", 1)) |
                 buffer_append(&tail, rule) | buffer_append(&tail, span_make("", 1)) |
                 buffer_append(&tail, span_of(json)) | buffer_append(&tail, span_of("\n"));
    if (!failed)
        failed = channel_send(n->helper, MESSAGE_NOTIFY, &m, buffer_bytes(&tail), -1);
    buffer_clear(&tail);
    return failed ? -1 : 0;
}

static int tell(struct notifier *n, size_t command, const struct fold *fold)
{
    const struct config *c = n->options.config;
    const struct notice_facts facts = {
        .record = &n->record,
        .notice = notice_of(&n->record),
        .gateway = c->hostname,
        .command = c->notify[command].name,
        .contact = contacts_find(n->options.contacts, record_value(&n->record, "account")),
        .folded = fold->folded,
        .history = witness_history(n->options.witness),
        .now_ns = clock_wall_ns()};
    if (facts.notice == NOTICE_COUNT)
        return 0; /* nobody writes such a line */
    char *json = notice_json(&facts);
    int failed = json == NULL || hand_over(n, command, facts.notice, json) < 0;
    free(json);
    n->running[command] += !failed;
    return failed ? -1 : 0;
}

static void look_at(struct notifier *n, struct folding *f, const struct fold *fold)
{
    const struct config *c = n->options.config;
    int64_t now = loop_now(n->options.loop);
    size_t command = command_of(c, fold->key);
    if (command == NOTIFY_MAX || record_read(fold->line, &n->record) < 0) {
        folding_told(f, fold->place, now); /* to nobody */
        return;
    }
    if (n->running[command] >= NOTIFY_AT_ONCE)
        return; /* one of them has to end first */
    if (n->helper == NULL || tell(n, command, fold) < 0)
        folding_put_off(f, fold->place, now + AWAY_NS);
    else
        folding_told(f, fold->place, now + c->notify[command].every_ms * CLOCK_MS);
}

static void tell_due(struct notifier *n, struct folding *f)
{
    struct fold fold;
    size_t at = 0;
    while (folding_due(f, &at, loop_now(n->options.loop), &fold))
        look_at(n, f, &fold);
}

static void tell_untold(struct notifier *n)
{
    int64_t now = loop_now(n->options.loop);
    if (n->untold == 0 || now < n->untold_until_ns)
        return;
    log_event(n->options.log, EVENT_notify_dropped, field_number(KEY_count, n->untold));
    n->untold = 0;
    n->untold_until_ns = now + UNTOLD_NS;
}

static void take_turn(void *owner)
{
    struct notifier *n = owner;
    struct folding *f = witness_take_folding(n->options.witness);
    if (f != NULL) {
        tell_due(n, f);
        witness_give(n->options.witness);
    }
    tell_untold(n);
    timeout_set(n->turn, loop_now(n->options.loop) + TURN_NS);
}
