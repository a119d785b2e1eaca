/* It keeps the access tokens for the servers behind fresh: each token_command is run ahead of the
 * expiry of what it printed last, so that no session ever waits for one. And it runs the commands
 * of notify. */
#include "process/helper.h"

#include "base/clock.h"
#include "process/command.h"
#include "process/notifying.h"
#include "process/role.h"
#include "process/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 * 1024, WORKERS_MAX = 256 };
#define COMMAND_NS   (30 * CLOCK_SECOND)
#define UNTOLD_NS    (1800 * CLOCK_SECOND) /* between runs, where no lifetime is told */
#define PAUSE_NS     (10 * CLOCK_SECOND)   /* the least between two runs */
#define PAUSE_MAX_NS (600 * CLOCK_SECOND)

struct helper;

/* The token of one upstream. */
struct job {
    struct helper *helper;
    size_t upstream;
    struct command *command; /* NULL: it isn't running */
    struct timeout *next;
    struct token token;
    uint16_t version; /* 0: there is no token yet */
    unsigned failures;
    int64_t started_ns;
};

struct helper {
    struct role role; /* at the front */
    struct job *jobs;
    size_t job_count;
    struct worker_end {
        struct helper *helper;
        struct channel *channel; /* NULL: a free place */
    } workers[WORKERS_MAX];
    struct notifying *notifying;
    bool is_leaving;
};

static const struct upstream_config *upstream_of(const struct job *j)
{
    return &j->helper->role.config->upstreams[j->upstream];
}

/* ---- workers ---- */

static void send_token(const struct job *j, struct channel *worker)
{
    const struct message_token m = {.upstream = (uint32_t)j->upstream, .version = j->version};
    if (j->version != 0)
        (void)channel_send(worker, MESSAGE_TOKEN, &m, span_of(j->token.text),
                           -1); /* one that takes nothing is hung, and killed */
}

/* It stays as long as a worker of its generation, or a command that tells somebody something; that
 * of a gateway which is stopped is not awaited. */
static void end_if_alone(struct helper *h)
{
    bool is_any = h->role.state != PROCESS_STOPPING && notifying_is_busy(h->notifying);
    for (size_t i = 0; i < WORKERS_MAX; i++)
        is_any = is_any || h->workers[i].channel != NULL;
    if (h->is_leaving && !is_any)
        loop_stop(h->role.loop);
}

static void run(void *owner);

/* Another token, if the one that was refused is the last there is. */
static void token_refused(struct helper *h, const struct message_token *m)
{
    for (size_t i = 0; i < h->job_count; i++) {
        struct job *j = &h->jobs[i];
        int64_t soonest = j->started_ns + PAUSE_NS, now = loop_now(h->role.loop);
        if (j->upstream == m->upstream && j->version == m->version && j->command == NULL &&
            j->failures == 0)
            timeout_set(j->next, soonest > now ? soonest : now);
    }
}

static void on_worker(void *owner, const struct message *m)
{
    struct worker_end *w = owner;
    if (m == NULL) {
        channel_destroy(&w->channel);
        end_if_alone(w->helper);
    } else if (m->type == MESSAGE_TOKEN_REFUSED) {
        token_refused(w->helper, m->payload);
    }
}

static void add_worker(struct helper *h, int fd)
{
    size_t i = 0;
    while (i < WORKERS_MAX && h->workers[i].channel != NULL)
        i++;
    if (i == WORKERS_MAX) {
        (void)close(fd); /* nothing was written */
        return;
    }
    struct worker_end *w = &h->workers[i];
    *w = (struct worker_end){h, channel_create(h->role.loop, fd, on_worker, w)};
    for (size_t n = 0; w->channel != NULL && n < h->job_count; n++)
        send_token(&h->jobs[n], w->channel);
}

/* ---- tokens ---- */

/* At three quarters of its life. */
static int64_t next_run_ns(const struct job *j)
{
    int64_t life = j->token.lifetime_s * CLOCK_SECOND;
    int64_t wait = life == 0 ? UNTOLD_NS : life / 4 * 3;
    return wait < PAUSE_NS ? PAUSE_NS : wait;
}

static void failed(struct job *j, const char *reason)
{
    struct helper *h = j->helper;
    int64_t pause = PAUSE_NS << (j->failures < 6 ? j->failures : 6);
    j->failures++;
    log_event(&h->role.log, EVENT_command_failed, field_text(KEY_upstream, upstream_of(j)->name),
              field_text(KEY_command, upstream_of(j)->token_command),
              field_text(KEY_reason, reason));
    timeout_set(j->next, loop_now(h->role.loop) + (pause < PAUSE_MAX_NS ? pause : PAUSE_MAX_NS));
}

/* The first is another than that of a helper before: what was refused stays known by it. */
static uint16_t next_version(const struct job *j)
{
    int64_t last = j->version == 0 ? clock_wall_ns() / CLOCK_SECOND % UINT16_MAX : j->version;
    return (uint16_t)(last == UINT16_MAX ? 1 : last + 1);
}

static void on_command(void *owner, const struct command_result *result)
{
    struct job *j = owner;
    struct helper *h = j->helper;
    struct token token;
    struct error why;
    j->command = NULL;
    if (!result->is_good || token_parse(result->output, &token, &why) < 0) {
        failed(j, result->is_good ? why.text : result->reason);
        return;
    }
    j->token = token;
    explicit_bzero(&token, sizeof token);
    j->version = next_version(j);
    j->failures = 0;
    for (size_t i = 0; i < WORKERS_MAX; i++)
        if (h->workers[i].channel != NULL)
            send_token(j, h->workers[i].channel);
    log_event(&h->role.log, EVENT_token_taken, field_text(KEY_upstream, upstream_of(j)->name),
              field_seconds(KEY_duration, j->token.lifetime_s * CLOCK_SECOND));
    timeout_set(j->next, loop_now(h->role.loop) + next_run_ns(j));
}

static void run(void *owner)
{
    struct job *j = owner;
    const struct command_options options = {.loop = j->helper->role.loop,
                                            .line = upstream_of(j)->token_command,
                                            .output_max = OUTPUT_MAX,
                                            .timeout_ns = COMMAND_NS};
    struct error why;
    j->started_ns = loop_now(options.loop);
    j->command = command_run(&options, on_command, j, &why);
    if (j->command == NULL)
        failed(j, why.text);
}

static void on_rest(void *owner)
{
    end_if_alone(owner);
}

static void furnish(struct helper *h)
{
    const struct config *c = h->role.config;
    h->notifying = notifying_create(&(struct notifying_options){
        .loop = h->role.loop, .config = c, .log = &h->role.log, .on_rest = on_rest, .owner = h});
    h->jobs = calloc(c->upstream_count + 1, sizeof *h->jobs);
    if (h->jobs == NULL)
        abort(); /* out of memory at the start */
    for (size_t i = 0; i < c->upstream_count; i++) {
        struct job *j = &h->jobs[h->job_count];
        if (c->upstreams[i].token_command[0] == '\0')
            continue;
        *j = (struct job){.helper = h, .upstream = i};
        j->next = timeout_create(h->role.loop, run, j);
        if (j->next == NULL)
            abort(); /* likewise */
        h->job_count++;
        run(j);
    }
}

/* ---- the role ---- */

static void on_message(struct role *r, const struct message *m)
{
    struct helper *h = (struct helper *)r; /* it lies at the front */
    if (m != NULL && m->type == MESSAGE_PEER) {
        if (((const struct message_peer *)m->payload)->role == PROCESS_CONTROL)
            notifying_set_control(h->notifying, message_take_fd(m));
        else
            add_worker(h, message_take_fd(m));
    } else if (m == NULL || m->type == MESSAGE_RETIRE || m->type == MESSAGE_STOP) {
        h->is_leaving = true;
        role_set_state(r,
                       m != NULL && m->type == MESSAGE_STOP ? PROCESS_STOPPING : PROCESS_DRAINING);
        end_if_alone(h);
    }
}

void helper_main(const struct birth *birth)
{
    struct helper *h = calloc(1, sizeof *h);
    if (h == NULL)
        abort(); /* out of memory at the start */
    role_begin(&h->role, birth, on_message);
    furnish(h);
    role_run(&h->role);
    for (size_t i = 0; i < h->job_count; i++) {
        command_stop(&h->jobs[i].command);
        timeout_destroy(&h->jobs[i].next);
    }
    for (size_t i = 0; i < WORKERS_MAX; i++)
        channel_destroy(&h->workers[i].channel);
    notifying_destroy(&h->notifying);
    role_end(&h->role);
    explicit_bzero(h->jobs, h->job_count * sizeof *h->jobs);
    free(h->jobs);
    free(h);
}

/* ---- before the start ---- */

bool helper_is_needed(const struct config *config)
{
    bool is_any = config->notify_count > 0;
    for (size_t i = 0; i < config->upstream_count; i++)
        is_any = is_any || config->upstreams[i].token_command[0] != '\0';
    return is_any;
}

/* Could the program be run? `what` is the command. */
static int try_command(const void *what, struct error *why)
{
    const char *line = what;
    char path[4096];
    struct span rest = span_of(line);
    (void)span_copy(span_split(&rest, ' '), path, sizeof path);
    return access(path, X_OK) == 0 ? 0 : error_set(why, "%s: %s", path, strerror(errno));
}

static void prepare_command(const struct identity *who, const char *line, const char *key,
                            const struct place *at, struct errors *errors)
{
    struct error why;
    if (line[0] != '\0' && privileges_try(who, try_command, line, &why) < 0)
        errors_add_at(errors, at, "%s: %s; helper_user must be able to run it", key, why.text);
}

void helper_prepare(const struct config *config, const struct identity *who, struct errors *errors)
{
    char key[200];
    for (size_t i = 0; i < config->upstream_count; i++) {
        const struct upstream_config *u = &config->upstreams[i];
        (void)snprintf(key, sizeof key, "upstreams.%s.token_command", u->name); /* fits */
        prepare_command(who, u->token_command, key, &u->place, errors);
    }
    for (size_t i = 0; i < config->notify_count; i++) {
        const struct notify_config *n = &config->notify[i];
        (void)snprintf(key, sizeof key, "notify.%s.command", n->name); /* likewise */
        prepare_command(who, n->command, key, &n->place, errors);
    }
}
