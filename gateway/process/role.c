#include "process/role.h"

#include "base/clock.h"
#include "base/sandbox.h"
#include "base/title.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_NS CLOCK_SECOND

/* Says why it can't go on, to whom it still can, and ends. */
static void fail(const char *what, const struct error *why)
{
    fprintf(stderr, "porteirod: %s: %s\n", what, why->text);
    exit(EXIT_FAILURE);
}

static void on_tick(void *owner)
{
    struct role *r = owner;
    int64_t now = loop_now(r->loop);
    process_tick(r->birth->mapping->processes, r->birth->slot, now);
    timeout_set(r->tick, now + TICK_NS);
}

/* Behind what there was room for; where there is none for this either, it is tried again. */
static void tell_dropped(struct role *r)
{
    log_event(&r->log, EVENT_log_dropped, field_number(KEY_count, r->untold));
    if (log_take_dropped(r->lines) == 0)
        r->untold = 0;
}

/* What the turn has gathered. */
static void on_turn_end(void *owner)
{
    struct role *r = owner;
    unsigned dropped = log_take_dropped(r->lines);
    r->untold += dropped;
    counter_add(r->counters, COUNTER_log_lines_dropped, 0, dropped);
    counters_flush(r->counters);
    if (r->untold > 0)
        tell_dropped(r);
    int64_t due_ns = log_turn(r->lines, loop_now(r->loop));
    if (due_ns != INT64_MAX)
        timeout_set(r->flush, due_ns); /* costs nothing when it is set already */
}

/* The turn that it begins has an end. */
static void on_flush(void *owner)
{
    (void)owner;
}

static void on_master(void *owner, const struct message *m)
{
    struct role *r = owner;
    if (m == NULL) {
        channel_destroy(&r->master);
        (void)signal(SIGTERM, SIG_DFL); /* nobody else could end us in good order now */
    } else if (m->type == MESSAGE_LIST) {
        files_replace(r->birth->prepared->watched, r->config, m);
        return;
    } else if (m->type == MESSAGE_DIAL) {
        dialler_take(r->dialler, m);
        return;
    }
    r->on_message(r, m);
}

static void drop_privileges(const struct birth *b)
{
    const struct prepared *p = b->prepared;
    const struct identity *who = b->role == PROCESS_AUTH     ? &p->auth_user
                                 : b->role == PROCESS_HELPER ? &p->helper_user
                                                             : &p->user;
    int (*confine)(struct error * why) =
        b->role == PROCESS_HELPER ? privileges_hide : privileges_confine;
    struct error why;
    if (p->is_root && privileges_drop(who, b->root, &why) < 0)
        fail("dropping privileges", &why);
    if (confine(&why) < 0)
        fail("confining itself", &why);
}

enum log_level role_level(const struct config *c)
{
    enum log_level level = (enum log_level)c->log.level;
    return level < LOG_LEVEL_INFO ? level : LOG_LEVEL_INFO;
}

void role_begin(struct role *r, const struct birth *birth,
                void (*on_message)(struct role *r, const struct message *m))
{
    struct error why;
    bool is_one = birth->role == PROCESS_CONTROL || birth->role == PROCESS_HELPER;
    *r = (struct role){.birth = birth, .config = birth->prepared->config, .on_message = on_message};
    (void)snprintf(r->name, sizeof r->name, is_one ? "%s" : "%s %u",
                   process_role_name((uint32_t)birth->role), birth->index); /* fits */
    role_set_state(r, PROCESS_STARTING);
    mapping_hide(birth->mapping, birth->slot, birth->role == PROCESS_CONTROL);
    drop_privileges(birth);
    r->loop = loop_create(&why);
    if (r->loop == NULL)
        fail("starting", &why);
    r->lines =
        log_create_in(mapping_log(birth->mapping, birth->slot), birth->log, role_level(r->config));
    r->counters = counters_create(birth->mapping->counters);
    r->tick = timeout_create(r->loop, on_tick, r);
    r->flush = timeout_create(r->loop, on_flush, r);
    r->master = channel_create(r->loop, birth->master, on_master, r);
    r->dialler = dialler_create(&r->master);
    if (r->lines == NULL || r->counters == NULL || r->tick == NULL || r->flush == NULL ||
        r->master == NULL || r->dialler == NULL)
        abort(); /* out of memory at the start */
    r->log = (struct event_log){
        .lines = r->lines, .is_json = r->config->log.format == LOG_FORMAT_JSON, .process = r->name};
    on_tick(r);
    loop_at_turn_end(r->loop, on_turn_end, r);
}

/* What a role still needs when it has opened its own. Its log, its channels and its doors are
 * descriptors that it has; unix sockets are opened by the master, but by auth to saslauthd, or by
 * a plugin of libsasl2 to its store, wherever that is. The admin's commands would inherit a sandbox
 * from the helper, which has none. */
static int enter_sandbox(const struct role *r, struct error *why)
{
    static const unsigned of_backend[] = {[BACKEND_SASLDB] = SANDBOX_READ,
                                          [BACKEND_SASLAUTHD] = SANDBOX_UNIX,
                                          [BACKEND_UPSTREAM] = SANDBOX_READ,
                                          [BACKEND_AUXPROP] =
                                              SANDBOX_READ | SANDBOX_UNIX | SANDBOX_INTERNET};
    switch (r->birth->role) {
    case PROCESS_HELPER: return 0;
    case PROCESS_AUTH: return sandbox_enter(of_backend[r->config->auth.backend], why);
    default: return sandbox_enter(SANDBOX_INTERNET | SANDBOX_ACCEPT, why);
    }
}

void role_run(struct role *r)
{
    const struct message_empty empty = {0};
    struct error why;
    if (enter_sandbox(r, &why) < 0)
        fail("confining itself", &why);
    role_set_state(r, PROCESS_SERVING);
    if (r->master != NULL)
        (void)channel_send(r->master, MESSAGE_READY, &empty, span_make("", 0),
                           -1); /* it is gone, then, and we'll hear of it */
    if (loop_run(r->loop) < 0)
        log_event(&r->log, EVENT_process_failed, field_text(KEY_reason, "waiting for events"));
    on_turn_end(r);
}

void role_end(struct role *r)
{
    on_turn_end(r);
    log_flush(r->lines);
    timeout_destroy(&r->tick);
    timeout_destroy(&r->flush);
    dialler_destroy(&r->dialler);
    channel_destroy(&r->master);
    loop_destroy(&r->loop);
    counters_destroy(&r->counters);
    log_destroy(&r->lines);
}

void role_set_state(struct role *r, enum process_state state)
{
    r->state = state;
    process_set_state(r->birth->mapping->processes, r->birth->slot, state);
    if (state == PROCESS_SERVING)
        title_set("porteirod: %s", r->name);
    else
        title_set("porteirod: %s (%s)", r->name, process_state_name((uint32_t)state));
}
