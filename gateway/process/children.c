#include "process/children.h"

#include "base/clock.h"
#include "process/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEPT_MAX = 4096 };
#define WORKER_SILENCE_NS (10 * CLOCK_SECOND)
#define OTHER_SILENCE_NS  (30 * CLOCK_SECOND)
#define SHORT_LIFE_NS     (10 * CLOCK_SECOND)
#define BACKOFF_NS        (CLOCK_SECOND / 2)
#define BACKOFF_MAX_NS    (30 * CLOCK_SECOND)

static void on_restart(void *owner);
static void on_channel(void *owner, const struct message *m);

/* ---- generations ---- */

static size_t worker_count(const struct config *c)
{
    cpu_set_t set;
    if (c->workers > 0)
        return (size_t)c->workers;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
}

struct generation *generation_create(struct master_state *m, struct prepared *prepared,
                                     int *listeners, unsigned number)
{
    size_t workers = worker_count(prepared->config);
    size_t auths = (size_t)prepared->config->auth.processes;
    size_t helpers = helper_is_needed(prepared->config) ? 1 : 0;
    struct generation *g = calloc(1, sizeof *g);
    if (g == NULL || (g->posts = calloc(workers + auths + helpers + 1, sizeof *g->posts)) == NULL)
        abort(); /* out of memory at the start */
    g->master = m;
    g->number = number;
    g->prepared = prepared;
    g->listeners = listeners;
    g->post_count = workers + auths + helpers + 1;
    for (size_t i = 0; i < g->post_count; i++) {
        struct post *p = &g->posts[i];
        p->generation = g;
        p->role = i < workers                     ? PROCESS_WORKER
                  : i < workers + auths           ? PROCESS_AUTH
                  : i < workers + auths + helpers ? PROCESS_HELPER
                                                  : PROCESS_CONTROL;
        p->index = (unsigned)(i < workers ? i : i - workers) + 1;
        p->restart = timeout_create(m->loop, on_restart, p);
        if (p->restart == NULL)
            abort(); /* out of memory at the start */
    }
    return g;
}

void generation_destroy(struct generation **generation)
{
    struct generation *g = *generation;
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->post_count; i++) {
        channel_destroy(&g->posts[i].child.channel);
        timeout_destroy(&g->posts[i].restart);
    }
    buffer_clear(&g->files.text);
    prepared_destroy(&g->prepared);
    free(g->listeners);
    free(g->posts);
    free(g);
    *generation = NULL;
}

bool generation_is_ready(const struct generation *g)
{
    for (size_t i = 0; i < g->post_count; i++)
        if (g->posts[i].child.pid == 0 || !g->posts[i].child.is_ready)
            return false;
    return true;
}

size_t children_count(const struct master_state *m, const struct generation *only,
                      enum process_role role)
{
    size_t count = 0;
    for (const struct generation *g = m->generations; g != NULL; g = g->next)
        for (size_t i = 0; (only == NULL || g == only) && i < g->post_count; i++)
            count +=
                g->posts[i].child.pid != 0 && (role == PROCESS_ROLES || g->posts[i].role == role);
    return count;
}

/* ---- the child's first steps ---- */

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Closes every descriptor that isn't in the list. */
static void close_others(int *kept, size_t count)
{
    unsigned next = 0;
    qsort(kept, count, sizeof *kept, compare);
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < 0 || (unsigned)kept[i] < next)
            continue;
        if ((unsigned)kept[i] > next)
            (void)close_range(next, (unsigned)kept[i] - 1, 0); /* they were the master's */
        next = (unsigned)kept[i] + 1;
    }
    (void)close_range(next, ~0U, 0); /* likewise */
}

static size_t listener_count(const struct config *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->listener_count; i++)
        count += c->listeners[i].address_count;
    return count;
}

static void close_foreign(const struct birth *b)
{
    int kept[KEPT_MAX] = {0, 1, 2, b->master, b->log, b->bell, b->root};
    size_t count = 7;
    if (b->role == PROCESS_CONTROL)
        kept[count++] = b->control;
    size_t listeners = b->role == PROCESS_WORKER ? listener_count(b->prepared->config) : 0;
    for (size_t i = 0; i < listeners && count < KEPT_MAX; i++)
        kept[count++] = b->listeners[i];
    close_others(kept, count);
}

/* Signals are the master's: a terminal or a service manager sends them to the whole group. */
static void leave_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
    sigset_t none;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        (void)signal(ignored[i], SIG_IGN); /* these can be ignored */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The secrets of other generations are copies here, which nobody needs, and what keys are made from
 * is the master's; of its own, control needs the keys that it shows to servers behind, and the way
 * to Redis. */
static void forget_secrets(const struct master_state *m, const struct birth *b)
{
    for (const struct generation *g = m->generations; g != NULL; g = g->next) {
        bool is_own = g->prepared == b->prepared;
        secret_forget(&g->prepared->secret);
        if (!is_own || b->role == PROCESS_AUTH || b->role == PROCESS_HELPER)
            tls_contexts_forget_keys(g->prepared->tls);
        else if (b->role == PROCESS_CONTROL)
            tls_contexts_forget_doors(g->prepared->tls);
        if (!is_own || b->role != PROCESS_WORKER)
            accounts_forget(g->prepared->accounts);
        if (!is_own || (b->role != PROCESS_WORKER && b->role != PROCESS_CONTROL))
            redis_passwords_forget(&g->prepared->redis_passwords);
    }
}

static void be_child(struct master_state *m, const struct birth *b)
{
    static void (*const mains[])(const struct birth *b) = {[PROCESS_WORKER] = worker_main,
                                                           [PROCESS_AUTH] = auth_main,
                                                           [PROCESS_CONTROL] = control_main,
                                                           [PROCESS_HELPER] = helper_main};
    loop_forget(&m->loop);
    forget_secrets(m, b);
    leave_signals();
    close_foreign(b);
    mains[b->role](b);
    exit(EXIT_SUCCESS);
}

/* ---- forking ---- */

int log_pair_make(struct master_state *m, size_t slot, struct error *why)
{
    if (m->log_pairs[slot][1] >= 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, m->log_pairs[slot]) < 0) {
        m->log_pairs[slot][0] = m->log_pairs[slot][1] = -1;
        return error_set(why, "socketpair: %s", strerror(errno));
    }
    return 0;
}

/* Every control that lives reads the lines of this slot. */
static void tell_log_source(struct master_state *m, size_t slot)
{
    const struct message_peer source = {.slot = (uint32_t)slot};
    for (struct generation *g = m->generations; g != NULL; g = g->next)
        for (size_t i = 0; i < g->post_count; i++)
            if (g->posts[i].role == PROCESS_CONTROL && g->posts[i].child.channel != NULL)
                (void)channel_send(g->posts[i].child.channel, MESSAGE_LOG_SOURCE, &source,
                                   span_make("", 0),
                                   m->log_pairs[slot][0]); /* one that is gone is replaced */
}

/* A new control gets the old ends: what was written meanwhile waits in them. */
static void tell_all_log_sources(struct master_state *m, const struct post *control)
{
    for (size_t slot = 0; slot < PROCESS_SLOT_MAX; slot++) {
        const struct message_peer source = {.slot = (uint32_t)slot};
        if (m->log_pairs[slot][0] >= 0)
            (void)channel_send(control->child.channel, MESSAGE_LOG_SOURCE, &source,
                               span_make("", 0), m->log_pairs[slot][0]); /* as above */
    }
}

/* A channel of their own for two children. */
static void introduce(const struct post *a, const struct post *b)
{
    int ends[2];
    const struct message_peer of_a = {.role = (uint32_t)a->role, .slot = (uint32_t)a->child.slot};
    const struct message_peer of_b = {.role = (uint32_t)b->role, .slot = (uint32_t)b->child.slot};
    struct error why;
    if (channel_pair(ends, &why) < 0) {
        log_event(&a->generation->master->log, EVENT_process_failed,
                  field_text(KEY_reason, why.text));
        return;
    }
    /* One that is gone is replaced, and introduced anew. */
    (void)channel_send(a->child.channel, MESSAGE_PEER, &of_b, span_make("", 0), ends[0]);
    (void)channel_send(b->child.channel, MESSAGE_PEER, &of_a, span_make("", 0), ends[1]);
    (void)close(ends[0]); /* theirs now */
    (void)close(ends[1]);
}

/* Do they speak to each other? */
static bool must_meet(enum process_role a, enum process_role b)
{
    static const bool asks[PROCESS_ROLES][PROCESS_ROLES] = {
        [PROCESS_WORKER] = {[PROCESS_AUTH] = true, [PROCESS_HELPER] = true},
        [PROCESS_CONTROL] = {[PROCESS_AUTH] = true, [PROCESS_HELPER] = true}};
    return asks[a][b] || asks[b][a];
}

/* Workers and control of a generation know its auth processes and its helper. */
static void introduce_all(const struct post *p)
{
    const struct generation *g = p->generation;
    for (size_t i = 0; i < g->post_count; i++)
        if (must_meet(p->role, g->posts[i].role) && g->posts[i].child.channel != NULL)
            introduce(p, &g->posts[i]);
}

/* The newest control: it has the way to Redis. NULL: there is none. */
static struct post *living_control(const struct master_state *m)
{
    for (struct generation *g = m->generations; g != NULL; g = g->next) {
        struct post *p = &g->posts[g->post_count - 1];
        if (p->child.channel != NULL)
            return p;
    }
    return NULL;
}

/* What control can't be told of ends by itself. */
static void release(const struct master_state *m, size_t slot)
{
    const struct message_empty empty = {0};
    const struct post *heir = living_control(m);
    size_t handed = mapping_release(&m->mapping, slot, heir == NULL ? -1 : (int)heir->child.slot);
    if (handed > 0 &&
        channel_send(heir->child.channel, MESSAGE_ORPHANS, &empty, span_make("", 0), -1) < 0)
        (void)session_free_all(&m->mapping.sessions, heir->child.slot); /* how many is known */
}

static void forget_child(struct post *p)
{
    const struct master_state *m = p->generation->master;
    const uint64_t one = 1;
    channel_destroy(&p->child.channel);
    log_rescue(mapping_log(&m->mapping, p->child.slot), m->log_pairs[p->child.slot][1]);
    release(m, p->child.slot);
    (void)!write(m->bell, &one, sizeof one); /* what it held, others may wait for */
    p->child = (struct child){.pid = 0};
}

/* Forks with all signals held back, so that none finds the child with the master's handlers. */
static pid_t fork_child(struct master_state *m, const struct birth *b)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        be_child(m, b);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

int post_fill(struct post *p, struct error *why)
{
    struct generation *g = p->generation;
    struct master_state *m = g->master;
    int ends[2];
    const struct process_row row = {.role = (uint32_t)p->role,
                                    .index = p->index,
                                    .generation = g->number,
                                    .state = PROCESS_STARTING,
                                    .started_wall_ns = clock_wall_ns(),
                                    .tick_ns = loop_now(m->loop)};
    int slot = process_claim(m->mapping.processes, &row);
    if (slot < 0)
        return error_set(why, "more than %d processes", PROCESS_SLOT_MAX);
    bool is_new_pair = m->log_pairs[slot][1] < 0;
    if (log_pair_make(m, (size_t)slot, why) < 0 || channel_pair(ends, why) < 0) {
        process_free(m->mapping.processes, (size_t)slot);
        return -1;
    }
    /* The others open files. */
    bool has_root = p->role == PROCESS_WORKER || p->role == PROCESS_CONTROL;
    const struct birth birth = {.role = p->role,
                                .index = p->index,
                                .generation = g->number,
                                .slot = (size_t)slot,
                                .prepared = g->prepared,
                                .mapping = &m->mapping,
                                .master = ends[1],
                                .log = m->log_pairs[slot][1],
                                .bell = m->bell,
                                .control = m->control,
                                .listeners = g->listeners,
                                .root = has_root ? m->root : -1};
    p->child = (struct child){.slot = (size_t)slot, .started_ns = loop_now(m->loop)};
    p->child.pid = fork_child(m, &birth);
    (void)close(ends[1]); /* the child's */
    if (p->child.pid > 0)
        p->child.channel = channel_create(m->loop, ends[0], on_channel, p);
    else
        (void)close(ends[0]); /* nobody has the other */
    if (p->child.pid < 0 || p->child.channel == NULL) {
        (void)error_set(why, "fork: %s", strerror(errno));
        forget_child(p);
        return -1;
    }
    process_set_pid(m->mapping.processes, (size_t)slot, p->child.pid);
    log_event(&m->log, EVENT_process_started, field_text(KEY_state, process_role_name(p->role)),
              field_number(KEY_pid, p->child.pid), field_number(KEY_generation, g->number));
    if (is_new_pair)
        tell_log_source(m, (size_t)slot);
    if (p->role == PROCESS_CONTROL)
        tell_all_log_sources(m, p);
    introduce_all(p);
    return 0;
}

void post_send(struct post *p, enum message_type type, const void *payload)
{
    if (p->child.channel != NULL)
        (void)channel_send(p->child.channel, type, payload, span_make("", 0),
                           -1); /* one that takes nothing is hung, and killed */
}

static void on_channel(void *owner, const struct message *m)
{
    struct post *p = owner;
    if (m == NULL) {
        channel_destroy(&p->child.channel); /* SIGCHLD says the rest */
        return;
    }
    p->generation->master->on_message(p->generation->master, p, m);
}

/* ---- the end of children ---- */

static bool must_be_filled(const struct master_state *m, const struct post *p)
{
    const struct generation *g = p->generation;
    if (m->is_stopping)
        return false;
    /* A session of an old generation may still log in, here and at the server behind. */
    bool is_needed_to_the_end = (p->role == PROCESS_AUTH || p->role == PROCESS_HELPER) &&
                                children_count(m, g, PROCESS_WORKER) > 0;
    return !g->is_retired || is_needed_to_the_end;
}

static void on_restart(void *owner)
{
    struct post *p = owner;
    struct error why;
    if (!must_be_filled(p->generation->master, p) || p->child.pid != 0)
        return;
    if (post_fill(p, &why) == 0)
        return;
    log_event(&p->generation->master->log, EVENT_process_failed, field_text(KEY_reason, why.text));
    timeout_set(p->restart, loop_now(p->generation->master->loop) + CLOCK_SECOND);
}

/* At once the first time, then with a growing pause. */
static void fill_again(struct post *p, bool was_short)
{
    int64_t pause = 0;
    p->failures = was_short ? p->failures + 1 : 0;
    if (p->failures > 1) {
        unsigned doublings = p->failures - 2 < 6 ? p->failures - 2 : 6;
        pause = BACKOFF_NS << doublings;
        if (pause > BACKOFF_MAX_NS)
            pause = BACKOFF_MAX_NS;
    }
    timeout_set(p->restart, loop_now(p->generation->master->loop) + pause);
}

/* What `status` of waitpid says, for a person. */
static void describe_end(int status, bool was_killed, char *out, size_t room)
{
    if (was_killed)
        (void)snprintf(out, room, "killed: it did not answer");
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        (void)snprintf(out, room,
                       "killed: it made a system call that its role may not (the kernel's log has "
                       "its number)");
    else if (WIFSIGNALED(status))
        (void)snprintf(out, room, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        (void)snprintf(out, room, "exit status %d", WEXITSTATUS(status));
}

static void child_ended(struct master_state *m, struct post *p, int status)
{
    char reason[120];
    struct child was = p->child;
    /* A process that was asked to end, or whose time is over, ends with 0. */
    bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool was_wanted = is_good && (p->generation->is_retired || m->is_stopping);
    describe_end(status, was.is_killed, reason, sizeof reason);
    if (!was_wanted && !m->is_stopping)
        log_event(&m->log, EVENT_process_died, field_text(KEY_state, process_role_name(p->role)),
                  field_number(KEY_pid, was.pid),
                  field_number(KEY_generation, p->generation->number),
                  field_text(KEY_reason, reason));
    forget_child(p);
    if (!was_wanted && must_be_filled(m, p))
        fill_again(p, loop_now(m->loop) - was.started_ns < SHORT_LIFE_NS);
    m->on_end(m, p, was_wanted);
}

static struct post *find_post(const struct master_state *m, pid_t pid)
{
    for (struct generation *g = m->generations; g != NULL; g = g->next)
        for (size_t i = 0; i < g->post_count; i++)
            if (g->posts[i].child.pid == pid)
                return &g->posts[i];
    return NULL;
}

void children_reap(struct master_state *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct post *p = find_post(m, pid);
        if (p != NULL)
            child_ended(m, p, status);
    }
}

static void check_one(struct master_state *m, struct post *p)
{
    struct process_row row;
    int64_t silence =
        p->role == PROCESS_WORKER && p->child.is_ready ? WORKER_SILENCE_NS : OTHER_SILENCE_NS;
    if (p->child.pid == 0 || p->child.is_killed ||
        process_read(m->mapping.processes, p->child.slot, &row) < 0 ||
        loop_now(m->loop) - row.tick_ns < silence)
        return;
    log_event(&m->log, EVENT_process_hung, field_text(KEY_state, process_role_name(p->role)),
              field_number(KEY_pid, p->child.pid));
    p->child.is_killed = true;
    (void)kill(p->child.pid, SIGKILL); /* it may have ended by itself */
}

void children_check(struct master_state *m)
{
    for (struct generation *g = m->generations; g != NULL; g = g->next)
        for (size_t i = 0; i < g->post_count; i++)
            check_one(m, &g->posts[i]);
}
