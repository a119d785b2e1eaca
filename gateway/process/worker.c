/* A worker: takes clients at the doors and serves them, in one loop. */
#include "base/clock.h"
#include "base/spool.h"
#include "decision/decision.h"
#include "decision/delegate.h"
#include "decision/exchange.h"
#include "milter/milters.h"
#include "net/listener.h"
#include "net/tls_texts.h"
#include "process/redis_way.h"
#include "session/access.h"
#include "session/door.h"
#include "session/ending.h"
#include "upstream/tokens.h"

#include <stdlib.h>
#include <unistd.h>

#define LOOK_NS (500 * CLOCK_MS)

struct door {
    struct worker *worker;
    const struct listener_config *config;
    struct listener *listener;
    int fd;
};

struct worker {
    struct role role; /* at the front */
    struct session_context context;
    struct auth_cache auth_cache;
    struct servers *servers;
    struct tokens *tokens;
    struct redis_way redis;
    struct exchange *bans, *limits; /* told to other gateways by the first worker */
    struct registry *registry;
    struct door *doors;
    size_t door_count;
    bool is_retired;
    struct guessing guessing;
    struct timeout *look;   /* for sessions of whom was banned or suspended */
    struct timeout *ending; /* until sessions are asked to end, or are ended */
    bool is_last_call;      /* at `ending` all sessions are ended, whatever is under way */
};

static void on_client(void *owner, int fd, const struct address *peer, bool is_last)
{
    const struct door *d = owner;
    door_accept(d->worker->registry, d->config, fd, peer, is_last);
}

static void on_paused(void *owner)
{
    const struct door *d = owner;
    log_event(&d->worker->role.log, EVENT_accept_paused, field_text(KEY_listener, d->config->name));
}

static bool is_leaving(const struct worker *w)
{
    return w->role.state == PROCESS_STOPPING || w->is_retired;
}

static void open_doors(struct worker *w)
{
    const struct config *c = w->role.config;
    if (w->doors != NULL || is_leaving(w))
        return;
    for (size_t i = 0; i < c->listener_count; i++)
        w->door_count += c->listeners[i].address_count;
    w->doors = calloc(w->door_count + 1, sizeof *w->doors);
    struct door *d = w->doors;
    for (size_t i = 0; d != NULL && i < c->listener_count; i++)
        for (size_t n = 0; n < c->listeners[i].address_count; n++, d++) {
            d->worker = w;
            d->config = &c->listeners[i];
            d->fd = w->role.birth->listeners[d - w->doors];
            d->listener = listener_create(w->role.loop, d->fd, on_client, on_paused, d);
            if (d->listener == NULL)
                abort(); /* out of memory at the start */
        }
}

static void close_doors(struct worker *w)
{
    for (size_t i = 0; i < w->door_count; i++) {
        listener_destroy(&w->doors[i].listener);
        if (w->doors[i].fd >= 0)
            (void)close(w->doors[i].fd); /* the master holds it as long as it is configured */
        w->doors[i].fd = -1;
    }
}

static void end_if_empty(void *owner)
{
    struct worker *w = owner;
    if (is_leaving(w) && registry_count(w->registry) == 0 && loop_adopted(w->role.loop) == 0)
        loop_stop(w->role.loop);
}

static void on_look(void *owner)
{
    struct worker *w = owner;
    registry_look_for_banned(w->registry);
    registry_look_for_hours(w->registry, clock_wall_ns() / CLOCK_SECOND);
    timeout_set(w->look, loop_now(w->role.loop) + LOOK_NS);
}

static void on_ending(void *owner)
{
    struct worker *w = owner;
    if (w->is_last_call)
        registry_end_all(w->registry);
    else
        registry_ask_to_end(w->registry, true);
    if (!is_leaving(w))
        registry_refuse(w->registry, true); /* drain: the delay is over */
    end_if_empty(w);
}

static void end_in(struct worker *w, int64_t ns)
{
    if (ns <= 0)
        on_ending(w);
    else
        timeout_set(w->ending, loop_now(w->role.loop) + ns);
}

/* Another generation takes the new clients. */
static void retire(struct worker *w, int64_t grace_ns)
{
    if (w->role.state == PROCESS_STOPPING)
        return;
    close_doors(w);
    exchange_stop(w->bans); /* a younger one does it, as below */
    exchange_stop(w->limits);
    w->is_retired = true;
    role_set_state(&w->role, PROCESS_DRAINING);
    w->is_last_call = false;
    end_if_empty(w);
    end_in(w, grace_ns);
}

/* New clients are still answered, with 421. */
static void stop(struct worker *w, int64_t grace_ns)
{
    role_set_state(&w->role, PROCESS_STOPPING);
    registry_refuse(w->registry, true);
    registry_ask_to_end(w->registry, true);
    w->is_last_call = true;
    end_if_empty(w);
    end_in(w, grace_ns);
}

static void drain(struct worker *w, int64_t delay_ns)
{
    if (w->role.state != PROCESS_SERVING)
        return;
    role_set_state(&w->role, PROCESS_DRAINING);
    w->is_last_call = false;
    end_in(w, delay_ns);
}

static void undrain(struct worker *w)
{
    if (is_leaving(w))
        return;
    timeout_clear(w->ending);
    registry_refuse(w->registry, false);
    registry_ask_to_end(w->registry, false);
    role_set_state(&w->role, PROCESS_SERVING);
}

static void add_peer(struct worker *w, const struct message *m)
{
    const struct message_peer *peer = m->payload;
    if (peer->role == PROCESS_HELPER)
        tokens_add(w->tokens, message_take_fd(m));
    else
        auth_client_add(w->context.auth, message_take_fd(m));
}

/* The master has tried them: they are good, unless something is wrong with us. */
static void take_files(struct worker *w, const struct message *m)
{
    const struct message_unit *which = m->payload;
    struct tls_texts texts = {.texts = {{NULL, 0}}};
    struct errors *errors = errors_create();
    struct error why;
    int fd = message_take_fd(m);
    if (fd < 0 || tls_texts_unpack(&texts, fd, &why) < 0 ||
        tls_contexts_take(w->role.birth->prepared->tls, which->unit, &texts, errors) < 0)
        log_event(&w->role.log, EVENT_process_failed,
                  field_text(KEY_reason, "new certificates could not be taken"));
    if (fd >= 0)
        (void)close(fd); /* the master's memory */
    tls_texts_clear(&texts);
    errors_destroy(&errors);
}

static void on_message(struct role *r, const struct message *m)
{
    struct worker *w = (struct worker *)r; /* it lies at the front */
    int64_t grace_ns = r->config->reload_grace_ms * CLOCK_MS;
    if (m == NULL) {
        retire(w, grace_ns); /* the master is gone: what is here is finished */
        return;
    }
    if (m->type == MESSAGE_RETIRE || m->type == MESSAGE_STOP || m->type == MESSAGE_DRAIN)
        grace_ns = ((const struct message_grace *)m->payload)->grace_ns;
    switch (m->type) {
    case MESSAGE_SERVE: open_doors(w); return;
    case MESSAGE_RETIRE: retire(w, grace_ns); return;
    case MESSAGE_STOP: stop(w, grace_ns); return;
    case MESSAGE_DRAIN: drain(w, grace_ns); return;
    case MESSAGE_UNDRAIN: undrain(w); return;
    case MESSAGE_TLS_FILES: take_files(w, m); return;
    case MESSAGE_TICKET_KEYS: tls_contexts_set_tickets(r->birth->prepared->tls, m->payload); return;
    case MESSAGE_PEER: add_peer(w, m); return;
    case MESSAGE_SPOOL_FILE: spools_add(w->context.spools, message_take_fd(m)); return;
    case MESSAGE_END_SESSIONS: end_sessions(w->registry, m->payload); return;
    default: return;
    }
}

static void want_spool_file(void *owner)
{
    const struct worker *w = owner;
    const struct message_empty empty = {0};
    if (w->role.master != NULL)
        (void)channel_send(w->role.master, MESSAGE_SPOOL_FILE, &empty, span_make("", 0),
                           -1); /* what can't be sent is lost with the master */
}

/* Where messages wait that somebody has to see as a whole. */
static void furnish_spools(struct worker *w)
{
    const struct config *c = w->role.config;
    const struct spools_options options = {.holding = w->role.birth->mapping->holding,
                                           .process = w->role.birth->slot,
                                           .memory_max = (uint64_t)c->memory_max,
                                           .files_max = (uint64_t)c->spool_max,
                                           .in_memory = (size_t)c->hold_in_memory,
                                           .want = want_spool_file,
                                           .owner = w};
    w->context.spools = spools_create(&options);
    if (w->context.spools == NULL)
        abort(); /* out of memory at the start */
}

/* Who sees messages before they go on. */
static void furnish_milters(struct worker *w)
{
    const struct milters_options options = {.loop = w->role.loop,
                                            .config = w->role.config,
                                            .dialler = w->role.dialler,
                                            .spools = w->context.spools,
                                            .log = &w->role.log,
                                            .counters = w->role.counters};
    w->context.milters = milters_create(&options);
    if (w->context.milters == NULL)
        abort(); /* out of memory at the start */
}

/* Where it is decided who may do how much. */
static void furnish_decider(struct worker *w)
{
    const struct birth *b = w->role.birth;
    const struct mapping *m = b->mapping;
    struct decider_options options = {
        .memory = memory_open(m->limits, m->limits_key, b->slot, w->role.counters),
        .config = &w->role.config->redis};
    redis_way_open(&w->redis, &w->role);
    options.redis = w->redis.store;
    w->context.decider = decider_create(&options);
    w->guessing = (struct guessing){.config = &w->role.config->auth,
                                    .decider = w->context.decider,
                                    .bans = m->bans,
                                    .known = m->known,
                                    .log = &w->role.log,
                                    .process = b->slot};
    memcpy(w->guessing.key, m->guessing_key, sizeof w->guessing.key);
    const struct delegates_options delegates = {.loop = w->role.loop,
                                                .config = w->role.config,
                                                .dialler = w->role.dialler,
                                                .log = &w->role.log,
                                                .counters = w->role.counters};
    w->context.delegates = delegates_create(&delegates);
    if (w->context.decider == NULL || w->context.delegates == NULL)
        abort(); /* out of memory at the start */
    if (w->redis.redis == NULL || b->index != 1)
        return;
    const struct exchange_options exchange = {.loop = w->role.loop,
                                              .redis = w->redis.redis,
                                              .config = options.config,
                                              .process = b->slot};
    w->bans = exchange_create(&exchange, &exchange_bans, m->bans);
    w->limits = exchange_create(&exchange, &exchange_limits, m->set_limits);
    if (w->bans == NULL || w->limits == NULL)
        abort(); /* as above */
}

static void furnish(struct worker *w)
{
    const struct birth *b = w->role.birth;
    const struct mapping *m = b->mapping;
    const struct upstream_context upstream = {.loop = w->role.loop,
                                              .config = w->role.config,
                                              .tls = b->prepared->tls,
                                              .accounts = b->prepared->accounts,
                                              .health = m->health,
                                              .labels = m->labels,
                                              .process = b->slot,
                                              .generation = b->generation,
                                              .bell = b->bell,
                                              .log = &w->role.log,
                                              .counters = w->role.counters};
    w->auth_cache = (struct auth_cache){
        .table = m->auth_cache,
        .key = m->auth_cache_key,
        .generation = b->generation,
        .realm = w->role.config->auth.realm,
        .aliases = files_list(b->prepared->watched, w->role.config, WATCHED_ALIASES),
        .login_name = (enum login_name)w->role.config->auth.login_name,
        .lifetime_ns = w->role.config->auth.cache_ms * CLOCK_MS};
    const struct sealed *countries =
        files_list(b->prepared->watched, w->role.config, WATCHED_COUNTRIES);
    w->servers = servers_create(&upstream);
    w->tokens = w->servers == NULL ? NULL : tokens_create(w->servers);
    if (w->tokens == NULL)
        abort(); /* out of memory at the start */
    w->context = (struct session_context){.loop = w->role.loop,
                                          .config = w->role.config,
                                          .tls = b->prepared->tls,
                                          .log = &w->role.log,
                                          .counters = w->role.counters,
                                          .table = m->sessions,
                                          .labels = m->labels,
                                          .bans = m->bans,
                                          .set_limits = {set_limits_figure, m->set_limits},
                                          .guessing = &w->guessing,
                                          .senders = m->senders,
                                          .process = b->slot,
                                          .servers = w->servers,
                                          .pool = pool_create(w->servers, w->tokens),
                                          .auth = auth_client_create(w->role.loop, &w->auth_cache),
                                          .aliases = w->auth_cache.aliases,
                                          .countries = countries};
    w->registry = registry_create(&w->context);
    w->ending = timeout_create(w->role.loop, on_ending, w);
    w->look = timeout_create(w->role.loop, on_look, w);
    if (w->context.pool == NULL || w->context.auth == NULL || w->registry == NULL ||
        w->ending == NULL || w->look == NULL)
        abort(); /* out of memory at the start */
    on_look(w);
    registry_on_empty(w->registry, end_if_empty, w);
    loop_on_alone(w->role.loop, end_if_empty, w); /* last words are read to the end */
}

void worker_main(const struct birth *birth)
{
    struct worker w = {.door_count = 0};
    role_begin(&w.role, birth, on_message);
    furnish(&w);
    furnish_decider(&w);
    furnish_spools(&w);
    furnish_milters(&w);
    role_run(&w.role);
    close_doors(&w);
    registry_on_empty(w.registry, NULL, NULL);
    loop_on_alone(w.role.loop, NULL, NULL);
    registry_destroy(&w.registry);
    milters_destroy(&w.context.milters);
    spools_destroy(&w.context.spools);
    exchange_stop(w.bans);
    exchange_stop(w.limits);
    redis_way_close(&w.redis); /* after this nobody asks */
    exchange_destroy(&w.bans);
    exchange_destroy(&w.limits);
    decider_destroy(&w.context.decider);
    delegates_destroy(&w.context.delegates);
    auth_client_destroy(&w.context.auth);
    pool_destroy(&w.context.pool);
    tokens_destroy(&w.tokens);
    servers_destroy(&w.servers);
    timeout_destroy(&w.ending);
    timeout_destroy(&w.look);
    free(w.doors);
    role_end(&w.role);
}
