#include "process/notifying.h"

#include "base/clock.h"
#include "ipc/channel.h"
#include "process/command.h"

#include <stdlib.h>

enum { OUTPUT_MAX = 64 * 1024, NAME_SIZE = 320 };
#define COMMAND_NS (30 * CLOCK_SECOND)

/* A command that runs. */
struct run {
    struct notifying *notifying;
    struct command *command; /* NULL: a free place */
    struct message_notify what;
    int64_t began_ns;
    char account[NAME_SIZE], rule[NAME_SIZE];
};

struct notifying {
    struct notifying_options options;
    struct channel *control; /* NULL: there is none now */
    struct run *runs;        /* NOTIFY_AT_ONCE for each command */
};

struct notifying *notifying_create(const struct notifying_options *options)
{
    struct notifying *n = calloc(1, sizeof *n);
    if (n == NULL)
        abort(); /* out of memory at the start */
    n->options = *options;
    n->runs = calloc(options->config->notify_count * NOTIFY_AT_ONCE + 1, sizeof *n->runs);
    if (n->runs == NULL)
        abort(); /* likewise */
    return n;
}

void notifying_destroy(struct notifying **notifying)
{
    struct notifying *n = *notifying;
    for (size_t i = 0; i < n->options.config->notify_count * NOTIFY_AT_ONCE; i++)
        command_stop(&n->runs[i].command);
    channel_destroy(&n->control);
    free(n->runs);
    free(n);
    *notifying = NULL;
}

bool notifying_is_busy(const struct notifying *n)
{
    bool is_any = false;
    for (size_t i = 0; i < n->options.config->notify_count * NOTIFY_AT_ONCE; i++)
        is_any = is_any || n->runs[i].command != NULL;
    return is_any;
}

/* ---- the end of one ---- */

static void tell_control(const struct notifying *n, const struct message_notify *what)
{
    if (n->control != NULL)
        (void)channel_send(n->control, MESSAGE_NOTIFIED, what, span_make("", 0),
                           -1); /* one that takes nothing is hung, and killed */
}

/* Control counts on an end for each begin. */
static void failed(const struct run *r, const char *reason)
{
    const struct notify_config *c = &r->notifying->options.config->notify[r->what.command];
    log_event(r->notifying->options.log, EVENT_command_failed, field_text(KEY_notify, c->name),
              field_text(KEY_command, c->command),
              field_text(KEY_notice, notice_names[r->what.notice]),
              field_text(KEY_account, r->account), field_text(KEY_rule, r->rule),
              field_text(KEY_reason, reason));
    tell_control(r->notifying, &r->what);
}

static void on_end(void *owner, const struct command_result *result)
{
    struct run *r = owner;
    struct notifying *n = r->notifying;
    const struct notify_config *c = &n->options.config->notify[r->what.command];
    r->command = NULL;
    if (!result->is_good) {
        failed(r, result->reason);
    } else {
        log_event(n->options.log, EVENT_notified, field_text(KEY_notify, c->name),
                  field_text(KEY_notice, notice_names[r->what.notice]),
                  field_text(KEY_account, r->account), field_text(KEY_rule, r->rule),
                  field_seconds(KEY_duration, loop_now(n->options.loop) - r->began_ns),
                  field_span(KEY_reason, result->complaint));
        tell_control(n, &r->what);
    }
    if (!notifying_is_busy(n))
        n->options.on_rest(n->options.owner);
}

/* ---- the begin ---- */

static struct run *free_run(const struct notifying *n, uint32_t command)
{
    for (size_t i = 0; i < NOTIFY_AT_ONCE; i++)
        if (n->runs[command * NOTIFY_AT_ONCE + i].command == NULL)
            return &n->runs[command * NOTIFY_AT_ONCE + i];
    return NULL;
}

/* `tail` is what it is about, as control has put it: account NUL rule NUL JSON. Control keeps to
 * NOTIFY_AT_ONCE, but one that was started anew doesn't know of what runs already. */
static void run(struct notifying *n, const struct message_notify *what, struct span tail)
{
    const struct config *c = n->options.config;
    struct run run = {.notifying = n, .what = *what, .began_ns = loop_now(n->options.loop)}, *r;
    struct error why;
    if (what->command >= c->notify_count || what->notice >= NOTICE_COUNT)
        return; /* that is no control of ours */
    (void)span_copy(span_split(&tail, '\0'), run.account, sizeof run.account); /* cut to fit */
    (void)span_copy(span_split(&tail, '\0'), run.rule, sizeof run.rule);       /* likewise */
    if ((r = free_run(n, what->command)) == NULL) {
        failed(&run, "as many run already as may");
        return;
    }
    const struct command_options options = {.loop = n->options.loop,
                                            .line = c->notify[what->command].command,
                                            .input = tail,
                                            .output_max = OUTPUT_MAX,
                                            .timeout_ns = COMMAND_NS};
    *r = run;
    r->command = command_run(&options, on_end, r, &why);
    if (r->command == NULL)
        failed(r, why.text);
}

static void on_control(void *owner, const struct message *m)
{
    struct notifying *n = owner;
    if (m == NULL)
        channel_destroy(&n->control);
    else if (m->type == MESSAGE_NOTIFY)
        run(n, m->payload, m->tail);
}

void notifying_set_control(struct notifying *n, int fd)
{
    channel_destroy(&n->control);
    n->control = channel_create(n->options.loop, fd, on_control, n);
}
