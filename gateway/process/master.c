#include "process/master.h"
#include "process/dial.h"

#include "base/clock.h"
#include "base/title.h"
#include "net/hkdf.h"
#include "process/certificates.h"
#include "process/children.h"
#include "process/limits.h"
#include "process/notify.h"
#include "process/rules.h"
#include "process/spool_file.h"
#include "process/state.h"
#include "process/tickets.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GENERATIONS_MAX = 8 };
#define CHECK_NS       CLOCK_SECOND
#define READY_NS       (20 * CLOCK_SECOND)
#define STOP_MARGIN_NS (5 * CLOCK_SECOND)

/* Who is to be told: the control of that generation, by its number of the request; 0: nobody, it
 * was a signal. */
struct asker {
    unsigned generation;
    uint32_t request;
};

/* A reload that waits for its generation to serve. */
struct reload {
    struct generation *next; /* NULL: none is under way */
    int64_t until_ns;
    struct asker asker;
};

struct master {
    struct master_state state; /* at the front */
    const char *file;
    unsigned last_number;
    struct reload reload;
    struct timeout *check;
    struct state state_file;
    struct counters *counters;
    struct limits *limits;
    struct log *pair_log, *error_log; /* lines go through control, and before it serves to stderr */
    bool is_draining, is_failed;
    bool is_stop_told;  /* control was told to end, the last of all */
    int64_t kill_at_ns; /* when stopping has taken too long */
};

/* ---- its own lines ---- */

static struct post *control_of(const struct generation *g)
{
    return &g->posts[g->post_count - 1];
}

/* Until control serves, nobody would read what goes to it. */
static void choose_log(struct master *m)
{
    bool is_control_ready = false;
    for (const struct generation *g = m->state.generations; g != NULL; g = g->next) {
        is_control_ready = is_control_ready || control_of(g)->child.is_ready;
    }
    m->state.log.lines = is_control_ready ? m->pair_log : m->error_log;
}

static void log_finding(void *owner, enum finding kind, const char *text)
{
    const struct master *m = owner;
    if (kind == FINDING_ERROR)
        log_event(&m->state.log, EVENT_configuration_error, field_text(KEY_reason, text));
    else if (kind == FINDING_WARNING)
        log_event(&m->state.log, EVENT_configuration_warning, field_text(KEY_reason, text));
}

static void add_finding(void *owner, enum finding kind, const char *text)
{
    struct buffer *out = owner;
    if (kind != FINDING_NOTE)
        (void)buffer_printf(out, "%s%s\n", kind == FINDING_WARNING ? "warning: " : "",
                            text); /* cut to fit */
}

static void set_state(struct master *m, enum process_state state)
{
    process_set_state(m->state.mapping.processes, m->state.slot, state);
    if (state == PROCESS_SERVING)
        title_set("porteirod: master");
    else
        title_set("porteirod: master (%s)", process_state_name(state));
}

/* ---- messages to many ---- */

static void tell_all(const struct master *m, const struct generation *only, enum process_role role,
                     enum message_type type, const void *payload)
{
    for (struct generation *g = m->state.generations; g != NULL; g = g->next)
        for (size_t i = 0; (only == NULL || g == only) && i < g->post_count; i++)
            if (g->posts[i].role == role)
                post_send(&g->posts[i], type, payload);
}

static void send_all(const struct master *m, const struct generation *only, enum process_role role,
                     enum message_type type, int64_t grace_ns)
{
    const struct message_grace grace = {.grace_ns = grace_ns};
    tell_all(m, only, role, type, &grace);
}

/* The generation whose processes serve new clients. */
static struct generation *serving(const struct master *m)
{
    struct generation *g = m->state.generations;
    while (g != NULL && (g->is_retired || g == m->reload.next))
        g = g->next;
    return g;
}

static void answer(struct master *m, struct asker asker, bool is_good, struct span text)
{
    const struct message_answer a = {.request = asker.request, .is_good = is_good};
    if (text.size > ANSWER_MAX)
        text.size = ANSWER_MAX;
    for (const struct generation *g = m->state.generations; g != NULL; g = g->next)
        if (g->number == asker.generation && control_of(g)->child.channel != NULL)
            (void)channel_send(control_of(g)->child.channel, MESSAGE_ANSWER, &a, text,
                               -1); /* a client that waits times out */
}

/* ---- the log's target ---- */

static void send_log_target(struct post *control)
{
    const struct message_empty empty = {0};
    struct error why;
    int fd = open_log_target(&control->generation->prepared->config->log, &why);
    if (fd < 0) {
        fprintf(stderr, "porteirod: log.target: %s\n", why.text);
        return;
    }
    if (control->child.channel != NULL)
        (void)channel_send(control->child.channel, MESSAGE_LOG_TARGET, &empty, span_make("", 0),
                           fd); /* asked for again if it matters */
    (void)close(fd);            /* control has its own */
}

static void reopen_log(struct master *m)
{
    for (struct generation *g = m->state.generations; g != NULL; g = g->next)
        if (!g->is_retired)
            send_log_target(control_of(g));
    log_event(&m->state.log, EVENT_log_reopened, field_number(KEY_pid, getpid()));
}

/* ---- generations ---- */

/* Listeners, servers and rules get their slots. Returns 0, or -1 having complained. */
static int claim_labels(struct master *m, struct config *c, unsigned number, struct errors *errors)
{
    const struct mapping *map = &m->state.mapping;
    int fresh, failed = rules_claim(map->labels, m->limits, c, number);
    for (size_t i = 0; i < c->listener_count; i++) {
        int slot = label_claim(map->labels, LABEL_LISTENER, c->listeners[i].name, number, &fresh);
        if (slot >= 0 && fresh)
            counter_table_clear(map->counters, LABEL_LISTENER, (size_t)slot);
        failed |= slot < 0;
    }
    for (size_t i = 0; i < c->upstream_count; i++)
        for (size_t n = 0; n < c->upstreams[i].server_count; n++) {
            int slot = label_claim(map->labels, LABEL_SERVER, c->upstreams[i].servers[n].name,
                                   number, &fresh);
            if (slot >= 0 && fresh) {
                counter_table_clear(map->counters, LABEL_SERVER, (size_t)slot);
                health_clear(map->health, (size_t)slot);
            }
            failed |= slot < 0;
        }
    if (!failed)
        return 0;
    errors_add(errors,
               "%s: more names of listeners, servers or rules than there is room for while older "
               "generations still use theirs; needs a restart",
               c->file);
    labels_release(map->labels, number);
    return -1;
}

/* Returns 0, or -1 having complained. */
static int keep_secret(struct prepared *p, struct errors *errors)
{
    const struct place at = config_place(p->config, "secret");
    struct error why;
    if (secret_keep(&p->secret, p->config, &why) == 0)
        return 0;
    errors_add_at(errors, &at, "secret: %s", why.text);
    return -1;
}

/* What holds over a restart, before anybody else knows of the mapping. */
static void restore(struct master *m, const struct prepared *p)
{
    struct mapping *map = &m->state.mapping;
    hkdf_derive(secret_bytes(&p->secret), "porteiro guessing", map->guessing_key,
                sizeof map->guessing_key);
    limits_load(m->limits, p->config->state_dir);
    state_load(&m->state_file, p->config->state_dir);
}

/* A generation whose processes are all forked, in front of the list. Takes over `prepared`. NULL,
 * having complained. */
static struct generation *start_generation(struct master *m, struct prepared *prepared,
                                           struct errors *errors)
{
    unsigned number = m->last_number + 1;
    int *listeners = sockets_bind(m->state.sockets, prepared->config, errors);
    if (listeners == NULL || keep_secret(prepared, errors) < 0 ||
        claim_labels(m, prepared->config, number, errors) < 0) {
        free(listeners);
        prepared_destroy(&prepared);
        return NULL;
    }
    if (number == 1)
        restore(m, prepared);
    m->last_number = number;
    struct generation *g = generation_create(&m->state, prepared, listeners, number);
    g->next = m->state.generations;
    m->state.generations = g;
    tickets_begin(g);
    for (size_t n = g->post_count; n > 0; n--) { /* control first */
        struct post *p = &g->posts[n - 1];
        struct error why;
        if (post_fill(p, &why) < 0)
            errors_add(errors, "%s %u: %s", process_role_name(p->role), p->index, why.text);
    }
    return g;
}

static void retire(struct master *m, struct generation *g, int64_t grace_ns)
{
    g->is_retired = true;
    send_all(m, g, PROCESS_WORKER, MESSAGE_RETIRE, grace_ns);
    send_all(m, g, PROCESS_AUTH, MESSAGE_RETIRE, 0);
    send_all(m, g, PROCESS_HELPER, MESSAGE_RETIRE, 0);
    send_all(m, g, PROCESS_CONTROL, MESSAGE_RETIRE, 0);
}

static void remove_generation(struct master *m, struct generation *g)
{
    struct generation **at = &m->state.generations;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    labels_release(m->state.mapping.labels, g->number);
    if (m->reload.next == g)
        m->reload.next = NULL;
    log_event(&m->state.log, EVENT_generation_ended, field_number(KEY_generation, g->number));
    generation_destroy(&g);
}

/* A ninth generation ends the oldest: its sessions get 421 between transactions. */
static void bound_generations(struct master *m)
{
    size_t count = 0;
    for (struct generation *g = m->state.generations; g != NULL; g = g->next)
        if (++count > GENERATIONS_MAX)
            send_all(m, g, PROCESS_WORKER, MESSAGE_RETIRE, 0);
}

/* ---- reload ---- */

static void reload_failed(struct master *m, struct asker asker, struct errors *errors)
{
    struct buffer text = {.limit = ANSWER_MAX};
    errors_each(errors, add_finding, &text);
    errors_each(errors, log_finding, m);
    log_event(&m->state.log, EVENT_reload_failed,
              field_number(KEY_count, (int64_t)errors_count(errors)));
    answer(m, asker, false, buffer_bytes(&text));
    buffer_clear(&text);
    notify_ready();
}

/* What was laid out at the start can't grow, and what is bound stays. */
static void check_layout(const struct master *m, const struct config *c, struct errors *errors)
{
    const struct generation *g = serving(m);
    const struct place max = config_place(c, "max_connections");
    const struct place control = config_place(c, "control");
    if ((size_t)c->max_connections > m->state.mapping.sessions.capacity)
        errors_add_at(errors, &max,
                      "max_connections: %lld is more than the %zu of the start; needs a restart",
                      (long long)c->max_connections, m->state.mapping.sessions.capacity);
    if (g != NULL && strcmp(c->control, g->prepared->config->control) != 0)
        errors_add_at(errors, &control, "control: another socket needs a restart");
}

/* Closes what was bound for a generation that doesn't come. */
static void keep_sockets(const struct master *m)
{
    const struct generation *g = serving(m);
    if (g != NULL)
        sockets_keep(m->state.sockets, g->prepared->config);
}

/* Some process of the new generation doesn't start: it goes, the old ones stay. */
static void abort_reload(struct master *m, const char *reason)
{
    struct errors *errors = errors_create();
    struct generation *g = m->reload.next;
    m->reload.next = NULL;
    g->is_retired = true;
    for (size_t i = 0; i < g->post_count; i++)
        if (g->posts[i].child.pid != 0)
            (void)kill(g->posts[i].child.pid, SIGKILL); /* it has served nobody */
    if (children_count(&m->state, g, PROCESS_ROLES) == 0)
        remove_generation(m, g);
    errors_add(errors, "the new processes do not start: %s; see the log", reason);
    keep_sockets(m);
    reload_failed(m, m->reload.asker, errors);
    errors_destroy(&errors);
}

static void begin_reload(struct master *m, struct asker asker)
{
    struct errors *errors = errors_create();
    struct prepared *p = NULL;
    struct generation *g = NULL;
    notify_reloading();
    if (m->reload.next != NULL)
        errors_add(errors, "another reload is under way");
    else if (m->state.is_stopping)
        errors_add(errors, "the gateway is being stopped");
    else
        p = prepare(m->file, errors);
    if (p != NULL)
        check_layout(m, p->config, errors);
    if (errors_count(errors) > 0)
        prepared_destroy(&p);
    if (p != NULL)
        g = start_generation(m, p, errors);
    if (g == NULL) {
        keep_sockets(m);
        reload_failed(m, asker, errors);
    } else {
        m->reload = (struct reload){.next = g, .asker = asker};
        m->reload.until_ns = loop_now(m->state.loop) + READY_NS;
        bound_generations(m);
        errors_each(errors, log_finding, m);
        if (errors_count(errors) > 0)
            abort_reload(m, "fork failed");
    }
    errors_destroy(&errors);
}

/* The new generation serves: the old ones take nothing new. */
static void complete_reload(struct master *m)
{
    struct generation *next = m->reload.next;
    struct buffer text = {.limit = 256};
    (void)buffer_printf(&text, "generation %u serves", next->number); /* fits */
    answer(m, m->reload.asker, true, buffer_bytes(&text));
    buffer_clear(&text);
    m->reload.next = NULL;
    send_all(m, next, PROCESS_WORKER, MESSAGE_SERVE, 0);
    for (struct generation *g = next->next; g != NULL; g = g->next)
        if (!g->is_retired)
            files_hand_over(g, next);
    for (struct generation *g = next->next; g != NULL; g = g->next)
        if (!g->is_retired)
            retire(m, g, g->prepared->config->reload_grace_ms * CLOCK_MS);
    sockets_keep(m->state.sockets, next->prepared->config);
    if (m->is_draining)
        send_all(m, next, PROCESS_WORKER, MESSAGE_DRAIN, 0);
    process_set_generation(m->state.mapping.processes, m->state.slot, next->number);
    log_event(&m->state.log, next->number == 1 ? EVENT_started : EVENT_reloaded,
              field_number(KEY_generation, next->number), field_number(KEY_pid, getpid()));
    certificates_tell(next);
    notify_ready();
}

/* ---- drain ---- */

static void set_drain(struct master *m, struct asker asker, bool is_drain)
{
    const struct generation *g = serving(m);
    int64_t delay_ns = g == NULL ? 0 : g->prepared->config->drain_delay_ms * CLOCK_MS;
    if (m->state.is_stopping) {
        answer(m, asker, false, span_of("the gateway is being stopped"));
        return;
    }
    if (m->is_draining != is_drain) {
        m->is_draining = is_drain;
        send_all(m, NULL, PROCESS_WORKER, is_drain ? MESSAGE_DRAIN : MESSAGE_UNDRAIN, delay_ns);
        log_event(&m->state.log, is_drain ? EVENT_draining : EVENT_undrained,
                  field_seconds(KEY_duration, delay_ns));
        set_state(m, is_drain ? PROCESS_DRAINING : PROCESS_SERVING);
    }
    answer(m, asker, true, span_of(is_drain ? "draining" : "serving"));
}

/* ---- the end ---- */

static void end_if_alone(struct master *m)
{
    size_t control = children_count(&m->state, NULL, PROCESS_CONTROL);
    size_t all = children_count(&m->state, NULL, PROCESS_ROLES);
    if (!m->state.is_stopping)
        return;
    if (children_count(&m->state, NULL, PROCESS_WORKER) == 0) {
        send_all(m, NULL, PROCESS_AUTH, MESSAGE_STOP, 0);
        send_all(m, NULL, PROCESS_HELPER, MESSAGE_STOP, 0);
    }
    if (all == control && !m->is_stop_told) {
        m->is_stop_told = true;
        if (serving(m) != NULL)
            limits_finish(m->limits, serving(m)->prepared->config->state_dir);
        log_event(&m->state.log, EVENT_stopped, field_number(KEY_pid, getpid()));
        log_flush(m->pair_log);
        send_all(m, NULL, PROCESS_CONTROL, MESSAGE_STOP, 0);
    }
    if (all == 0)
        loop_stop(m->state.loop);
}

static void kill_all(struct master *m)
{
    for (struct generation *g = m->state.generations; g != NULL; g = g->next)
        for (size_t i = 0; i < g->post_count; i++)
            if (g->posts[i].child.pid != 0 && g->posts[i].role != PROCESS_CONTROL)
                (void)kill(g->posts[i].child.pid, SIGKILL); /* it may have ended by itself */
}

static void stop(struct master *m)
{
    const struct generation *g = serving(m);
    int64_t grace_ns = g == NULL ? 0 : g->prepared->config->shutdown_grace_ms * CLOCK_MS;
    if (m->state.is_stopping) {
        kill_all(m); /* told twice */
        return;
    }
    m->state.is_stopping = true;
    if (m->reload.next != NULL)
        answer(m, m->reload.asker, false, span_of("the gateway is being stopped"));
    m->reload.next = NULL;
    m->kill_at_ns = loop_now(m->state.loop) + grace_ns + STOP_MARGIN_NS;
    set_state(m, PROCESS_STOPPING);
    notify_stopping();
    log_event(&m->state.log, EVENT_stopping, field_seconds(KEY_duration, grace_ns));
    send_all(m, NULL, PROCESS_WORKER, MESSAGE_STOP, grace_ns);
    end_if_alone(m);
}

/* ---- what happens ---- */

/* A process that was started in place of another does what its generation does. */
static void child_is_ready(struct master *m, struct post *p)
{
    const struct message_grace at_once = {.grace_ns = 0};
    const struct message_empty empty = {0};
    if (m->state.is_stopping)
        return;
    if (p->generation == m->reload.next) {
        if (generation_is_ready(p->generation))
            complete_reload(m);
    } else if (p->generation->is_retired) {
        post_send(p, MESSAGE_RETIRE, &at_once);
    } else if (p->role == PROCESS_WORKER) {
        post_send(p, MESSAGE_SERVE, &empty);
        if (m->is_draining)
            post_send(p, MESSAGE_DRAIN, &at_once);
    }
}

static void on_message(struct master_state *state, struct post *p, const struct message *message)
{
    struct master *m = (struct master *)state; /* it lies at the front */
    bool is_control = p->role == PROCESS_CONTROL;
    if (message->type == MESSAGE_READY) {
        p->child.is_ready = true;
        if (is_control)
            send_log_target(p);
        if (is_control)
            files_ask_again(p->generation);
        choose_log(m);
        child_is_ready(m, p);
    } else if ((p->role == PROCESS_WORKER || is_control) && message->type == MESSAGE_DIAL) {
        dial_for(p, message->payload);
    } else if (p->role == PROCESS_WORKER && message->type == MESSAGE_SPOOL_FILE) {
        spool_file_send(p);
    } else if (is_control && message->type == MESSAGE_LOG_LOST) {
        send_log_target(p);
    } else if (is_control && message->type == MESSAGE_LIST) {
        files_take(p->generation, message);
    } else if (is_control && message->type == MESSAGE_RELOAD) {
        const struct message_request *r = message->payload;
        begin_reload(m, (struct asker){p->generation->number, r->request});
    } else if (is_control && message->type == MESSAGE_RELOAD_FILES) {
        files_reload(p->generation, ((const struct message_request *)message->payload)->request);
    } else if (is_control && message->type == MESSAGE_END_SESSIONS) {
        tell_all(m, NULL, PROCESS_WORKER, MESSAGE_END_SESSIONS, message->payload);
    } else if (is_control && message->type == MESSAGE_SET_DRAIN) {
        const struct message_set_drain *d = message->payload;
        set_drain(m, (struct asker){p->generation->number, d->request}, d->is_drain != 0);
    }
}

static void on_child_end(struct master_state *state, struct post *p, bool was_wanted)
{
    struct master *m = (struct master *)state; /* it lies at the front */
    struct generation *g = p->generation;
    choose_log(m);
    if (!was_wanted && !m->state.is_stopping)
        counter_add(m->counters, COUNTER_processes_died, 0, 1);
    if (!was_wanted && g == m->reload.next && !m->state.is_stopping) {
        if (m->last_number == 1) {
            m->is_failed = true; /* the first start: there is nothing to go on with */
            loop_stop(m->state.loop);
            return;
        }
        abort_reload(m, process_role_name(p->role));
        return; /* it may have been the last of its generation */
    }
    if (g->is_retired && children_count(state, g, PROCESS_ROLES) == 0)
        remove_generation(m, g);
    end_if_alone(m);
}

static void on_signal(void *owner, int number)
{
    struct master *m = owner;
    switch (number) {
    case SIGTERM:
    case SIGINT: stop(m); return;
    case SIGHUP: begin_reload(m, (struct asker){0}); return;
    case SIGUSR1: reopen_log(m); return;
    case SIGCHLD: children_reap(&m->state); return;
    }
}

/* What is to hold over a restart. */
static void keep(struct master *m, int64_t now_ns)
{
    const char *state_dir = serving(m)->prepared->config->state_dir;
    limits_turn(m->limits, state_dir, now_ns);
    state_save(&m->state_file, state_dir, now_ns, false);
}

static void on_check(void *owner)
{
    struct master *m = owner;
    int64_t now = loop_now(m->state.loop);
    process_tick(m->state.mapping.processes, m->state.slot, now);
    children_check(&m->state);
    tickets_turn(&m->state);
    certificates_turn(&m->state);
    if (serving(m) != NULL && !m->state.is_stopping)
        files_look(serving(m));
    if (serving(m) != NULL)
        keep(m, now);
    if (m->state.is_stopping && now > m->kill_at_ns)
        kill_all(m);
    if (m->reload.next != NULL && now > m->reload.until_ns)
        abort_reload(m, "they took too long");
    timeout_set(m->check, now + CHECK_NS);
}

static void on_turn_end(void *owner)
{
    struct master *m = owner;
    counters_flush(m->counters);
    log_flush(m->pair_log);
}

/* ---- the start ---- */

static void print_finding(void *owner, enum finding kind, const char *text)
{
    (void)owner;
    if (kind != FINDING_NOTE)
        fprintf(stderr, "porteirod: %s%s\n", kind == FINDING_WARNING ? "warning: " : "", text);
}

/* What is made once, before the first fork. Returns 0, or -1 and why. */
static int furnish(struct master *m, const struct prepared *p, struct error *why)
{
    const struct config *c = p->config;
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
    m->state = (struct master_state){
        .control = -1, .bell = -1, .root = -1, .on_message = on_message, .on_end = on_child_end};
    (void)signal(SIGPIPE, SIG_IGN);
    tzset(); /* the time zone's file can't be read from an empty root */
    if ((m->state.loop = loop_create(why)) == NULL ||
        mapping_create(&m->state.mapping, (size_t)c->max_connections, why) < 0)
        return -1;
    if ((m->state.control = control_bind(c->control, why)) < 0)
        return error_prefix(why, "control");
#ifndef PORTEIRO_ASAN /* LeakSanitizer reads /proc */
    if (p->is_root && (m->state.root = privileges_open_empty_root(why)) < 0)
        return -1;
#endif
    m->state.bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->state.sockets = sockets_create();
    m->state.log_pairs = calloc(PROCESS_SLOT_MAX, sizeof *m->state.log_pairs);
    if (m->state.bell < 0 || m->state.log_pairs == NULL)
        return error_set(why, "%s", strerror(errno));
    for (size_t i = 0; i < PROCESS_SLOT_MAX; i++)
        m->state.log_pairs[i][0] = m->state.log_pairs[i][1] = -1;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (loop_on_signal(m->state.loop, signals[i], on_signal, m) < 0)
            return error_set(why, "signals: %s", strerror(errno));
    return 0;
}

static int begin_log(struct master *m, const struct config *c, struct error *why)
{
    const struct process_row row = {.pid = getpid(),
                                    .role = PROCESS_MASTER,
                                    .generation = 1,
                                    .state = PROCESS_SERVING,
                                    .started_wall_ns = clock_wall_ns(),
                                    .tick_ns = clock_monotonic_ns()};
    m->state.slot = (size_t)process_claim(m->state.mapping.processes, &row); /* the first */
    if (log_pair_make(&m->state, m->state.slot, why) < 0)
        return -1;
    m->counters = counters_create(m->state.mapping.counters);
    m->error_log = log_create(-1, (enum log_level)c->log.level);
    m->pair_log = log_create(m->state.log_pairs[m->state.slot][1], role_level(c));
    m->check = timeout_create(m->state.loop, on_check, m);
    if (m->counters == NULL || m->error_log == NULL || m->pair_log == NULL || m->check == NULL)
        abort(); /* out of memory at the start */
    m->state.log = (struct event_log){
        .lines = m->error_log, .is_json = c->log.format == LOG_FORMAT_JSON, .process = "master"};
    m->limits = limits_create(&m->state.mapping, m->state.slot, &m->state.log);
    loop_at_turn_end(m->state.loop, on_turn_end, m);
    m->state_file = (struct state){
        .mapping = &m->state.mapping, .log = &m->state.log, .process = m->state.slot};
    return 0;
}

/* Ends whatever still runs; at a failed start something may. */
static void clean_up(struct master *m, const char *control)
{
    for (struct generation *g = m->state.generations; g != NULL; g = g->next)
        for (size_t i = 0; i < g->post_count; i++)
            if (g->posts[i].child.pid != 0) {
                (void)kill(g->posts[i].child.pid, SIGKILL); /* it may have ended by itself */
                (void)waitpid(g->posts[i].child.pid, NULL, 0);
            }
    while (m->state.generations != NULL) {
        struct generation *g = m->state.generations;
        m->state.generations = g->next;
        generation_destroy(&g);
    }
    if (m->state.control >= 0)
        (void)unlink(control); /* the next start would remove it too */
    sockets_destroy(&m->state.sockets);
    timeout_destroy(&m->check);
    loop_destroy(&m->state.loop);
    log_destroy(&m->pair_log);
    log_destroy(&m->error_log);
    counters_destroy(&m->counters);
    limits_destroy(&m->limits);
    free(m->state.log_pairs);
}

/* The first generation is a reload from nothing. */
static int start(struct master *m, struct prepared *p)
{
    struct errors *errors = errors_create();
    bool is_root = p->is_root;
    m->reload.next = start_generation(m, p, errors);
    m->reload.until_ns = loop_now(m->state.loop) + READY_NS;
    errors_each(errors, print_finding, NULL);
    size_t failed = errors_count(errors);
    errors_destroy(&errors);
    if (failed > 0)
        return -1;
    if (!is_root)
        log_event(&m->state.log, EVENT_running_unprivileged, field_number(KEY_uid, geteuid()));
    set_state(m, PROCESS_SERVING);
    on_check(m);
    return 0;
}

/* It holds every key there is. Children inherit it. */
static void write_no_core(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* to lower it is always allowed */
}

int master_run(const char *file, struct prepared *prepared)
{
    struct master *m = calloc(1, sizeof *m);
    struct error why;
    char *control = strdup(prepared->config->control);
    if (m == NULL || control == NULL)
        abort(); /* out of memory at the start */
    m->file = file;
    write_no_core();
    int failed = furnish(m, prepared, &why) < 0 || begin_log(m, prepared->config, &why) < 0;
    if (failed) {
        fprintf(stderr, "porteirod: %s: %s\n", file, why.text);
        prepared_destroy(&prepared);
    } else {
        failed = start(m, prepared) < 0 || loop_run(m->state.loop) < 0 || m->is_failed;
        if (serving(m) != NULL)
            state_save(&m->state_file, serving(m)->prepared->config->state_dir, 0, true);
    }
    clean_up(m, control);
    free(control);
    free(m);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
