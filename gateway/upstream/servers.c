#include "upstream/servers.h"

#include "base/clock.h"
#include "upstream/health.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

struct upstream {
    const struct upstream_config *config;
    struct server *servers;
    size_t next; /* whose turn it is */
    struct waiter *first;
    uint16_t waiting; /* how many there are */
};

struct servers {
    struct upstream_context context;
    struct upstream *upstreams; /* in the order of the configuration */
    struct watch *bell;
    loop_fn *on_bell;
    void *bell_owner;
};

static void bell_rang(void *owner, bool is_readable, bool is_writable)
{
    struct servers *s = owner;
    (void)is_readable, (void)is_writable;
    for (size_t i = 0; i < s->context.config->upstream_count; i++)
        servers_wake(s, s->upstreams[i].config);
    if (s->on_bell != NULL)
        s->on_bell(s->bell_owner);
}

static int add_upstream(struct servers *s, size_t i)
{
    const struct upstream_config *config = &s->context.config->upstreams[i];
    struct upstream *u = &s->upstreams[i];
    u->config = config;
    u->servers = calloc(config->server_count, sizeof *u->servers);
    if (u->servers == NULL)
        return -1;
    for (size_t n = 0; n < config->server_count; n++)
        u->servers[n] = (struct server){
            .config = &config->servers[n],
            .upstream = u,
            .slot = label_slot(s->context.labels, LABEL_SERVER, config->servers[n].name)};
    return 0;
}

struct servers *servers_create(const struct upstream_context *context)
{
    struct servers *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->context = *context;
    s->upstreams = calloc(context->config->upstream_count + 1, sizeof *s->upstreams);
    int failed = s->upstreams == NULL;
    for (size_t i = 0; !failed && i < context->config->upstream_count; i++)
        failed = add_upstream(s, i) < 0;
    if (!failed && context->bell >= 0) {
        s->bell = watch_create(context->loop, context->bell, bell_rang, s);
        failed = s->bell == NULL || watch_want_edges(s->bell) < 0;
    }
    if (failed)
        servers_destroy(&s);
    return s;
}

void servers_destroy(struct servers **servers)
{
    struct servers *s = *servers;
    if (s == NULL)
        return;
    for (size_t i = 0; s->upstreams != NULL && i < s->context.config->upstream_count; i++)
        free(s->upstreams[i].servers);
    free(s->upstreams);
    watch_destroy(&s->bell);
    free(s);
    *servers = NULL;
}

const struct upstream_context *servers_context(const struct servers *s)
{
    return &s->context;
}

static struct upstream *find(const struct servers *s, const struct upstream_config *config)
{
    return &s->upstreams[config - s->context.config->upstreams];
}

struct server *servers_of(const struct servers *s, const struct upstream_config *upstream,
                          size_t *count)
{
    *count = upstream->server_count;
    return find(s, upstream)->servers;
}

uint64_t server_bit(const struct server *s)
{
    return UINT64_C(1) << (s - s->upstream->servers) % 64;
}

const struct upstream_config *server_upstream(const struct server *s)
{
    return s->upstream->config;
}

struct server *servers_choose(struct servers *s, const struct upstream_config *upstream,
                              uint64_t tried)
{
    struct upstream *u = find(s, upstream);
    for (size_t n = 0; n < upstream->server_count; n++) {
        struct server *server = &u->servers[(u->next + n) % upstream->server_count];
        if ((tried & server_bit(server)) != 0 ||
            health_state(s->context.health, server->slot) == SERVER_DOWN)
            continue;
        u->next = (u->next + n + 1) % upstream->server_count;
        return server;
    }
    return NULL;
}

int server_permit(struct servers *s, struct server *server, uint32_t max)
{
    return health_take(s->context.health, server->slot, s->context.process, max,
                       loop_now(s->context.loop));
}

bool server_is_wanted(const struct servers *s, const struct server *server)
{
    struct health *h = s->context.health;
    return health_is_wanted(h, server->slot, s->context.process) &&
           health_is_full(h, server->slot, (uint32_t)server_upstream(server)->max_connections,
                          loop_now(s->context.loop));
}

/* Wakes every process that watches, whoever of them reads: each has an edge of its own. */
static void ring(const struct servers *s)
{
    const uint64_t one = 1;
    if (s->context.bell >= 0)
        (void)!write(s->context.bell, &one, sizeof one); /* full means that it rings anyway */
}

void server_yield(struct servers *s, struct server *server)
{
    struct health *h = s->context.health;
    health_release(h, server->slot, s->context.process);
    if (health_is_wanted(h, server->slot, s->context.process))
        ring(s);
}

void server_return(struct servers *s, struct server *server)
{
    server_yield(s, server);
    servers_wake(s, server->upstream->config);
}

void server_failed(struct servers *s, struct server *server, const char *reason)
{
    counter_add(s->context.counters, COUNTER_upstream_failures, server->slot, 1);
    if (health_set_state(s->context.health, server->slot, SERVER_DOWN))
        log_event(s->context.log, EVENT_upstream_down,
                  field_text(KEY_upstream, server->config->name), field_text(KEY_reason, reason));
}

void server_is_busy(struct servers *s, struct server *server, const char *reason)
{
    counter_add(s->context.counters, COUNTER_upstream_failures, server->slot, 1);
    health_lower(s->context.health, server->slot, loop_now(s->context.loop));
    log_event(s->context.log, EVENT_upstream_busy, field_text(KEY_upstream, server->config->name),
              field_text(KEY_reason, reason));
}

/* ---- waiting ---- */

/* What the other processes see. */
static void count_waiting(struct servers *s, struct upstream *u, int change)
{
    u->waiting = (uint16_t)(u->waiting + change);
    for (size_t i = 0; i < u->config->server_count; i++)
        health_set_waiting(s->context.health, u->servers[i].slot, s->context.process, u->waiting);
}

static void unlink_waiter(struct waiter *w)
{
    struct upstream *u = find(w->servers, w->upstream);
    struct waiter **at = &u->first;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->is_queued = false;
}

static void on_late(void *owner)
{
    struct waiter *w = owner;
    if (!w->is_queued) {
        waiter_stop(w); /* it was woken, and has not waited again */
        return;
    }
    struct servers *s = w->servers;
    const struct upstream_config *upstream = w->upstream;
    waiter_stop(w);
    w->wake(w->owner, true);
    servers_wake(s, upstream); /* those behind may find what this one couldn't use */
}

int waiter_wait(struct servers *s, struct waiter *w)
{
    struct upstream *u = find(s, w->upstream);
    assert(!w->is_queued);
    w->servers = s;
    struct waiter **at = &u->first;
    bool is_new = w->timeout == NULL;
    if (is_new) {
        w->timeout = timeout_create(s->context.loop, on_late, w);
        if (w->timeout == NULL)
            return -1;
        timeout_set(w->timeout,
                    loop_now(s->context.loop) + w->upstream->wait_timeout_ms * CLOCK_MS);
        while (*at != NULL)
            at = &(*at)->next; /* behind those who came before */
    }
    w->next = *at;
    *at = w;
    w->is_queued = true;
    if (is_new) {
        count_waiting(s, u, 1); /* until he is served, or stops */
        ring(s);                /* other processes may hold what this one waits for */
    }
    return 0;
}

void waiter_stop(struct waiter *w)
{
    if (w->is_queued)
        unlink_waiter(w);
    if (w->timeout != NULL)
        count_waiting(w->servers, find(w->servers, w->upstream), -1);
    timeout_destroy(&w->timeout);
}

void servers_wake(struct servers *s, const struct upstream_config *upstream)
{
    struct upstream *u = find(s, upstream);
    while (u->first != NULL) {
        struct waiter *w = u->first;
        unlink_waiter(w);
        w->wake(w->owner, false);
        if (u->first == w)
            return; /* nothing for it, so nothing for the others */
    }
}

bool servers_has_waiter(const struct servers *s, const struct upstream_config *upstream)
{
    return find(s, upstream)->first != NULL;
}

void servers_on_bell(struct servers *s, loop_fn *fn, void *owner)
{
    s->on_bell = fn;
    s->bell_owner = owner;
}

bool servers_have(const struct servers *s, const struct upstream_config *upstream,
                  unsigned extension)
{
    const struct upstream *u = find(s, upstream);
    unsigned all = 0;
    for (size_t i = 0; i < upstream->server_count; i++) {
        uint32_t extensions;
        uint64_t ignored;
        health_offer(s->context.health, u->servers[i].slot, &extensions, &ignored);
        all |= extensions;
    }
    return (all & extension) != 0;
}

unsigned servers_offer(const struct servers *s, const struct upstream_config *upstream,
                       uint64_t *max_size)
{
    const struct upstream *u = find(s, upstream);
    unsigned common = ~0U;
    bool is_any = false;
    *max_size = 0;
    for (size_t i = 0; i < upstream->server_count; i++) {
        uint32_t extensions;
        uint64_t size;
        health_offer(s->context.health, u->servers[i].slot, &extensions, &size);
        if (extensions == 0)
            continue; /* not probed yet */
        is_any = true;
        common &= extensions;
        if (size > 0 && (*max_size == 0 || size < *max_size))
            *max_size = size;
    }
    return is_any ? common : 0;
}

struct pop3_capabilities servers_pop3_offer(const struct servers *s,
                                            const struct upstream_config *upstream)
{
    const struct upstream *u = find(s, upstream);
    struct pop3_capabilities common = {.offered = POP3_CAPABILITIES_OLD};
    bool is_any = false;
    for (size_t i = 0; i < upstream->server_count; i++) {
        uint32_t offered;
        uint64_t told;
        health_offer(s->context.health, u->servers[i].slot, &offered, &told);
        const struct pop3_capabilities its = {offered, (uint32_t)(told >> 32), (uint32_t)told};
        if (offered == 0)
            continue; /* not probed yet */
        if (is_any)
            pop3_capabilities_narrow(&common, &its);
        else
            common = its;
        is_any = true;
    }
    return common;
}
