#include "upstream/probe.h"

#include "base/clock.h"
#include "upstream/pop3_link.h"
#include "upstream/smtp_link.h"

#include <stdlib.h>
#include <sys/random.h>

enum { REPLY_TIMEOUT_MS = 10000 }; /* a probe waits less than a session would */
#define TICK_MAX_NS  CLOCK_SECOND
#define RETRY_MIN_NS CLOCK_SECOND

/* One server. */
struct probe {
    struct probes *probes;
    struct upstream_config upstream; /* a copy, with the probe's own time-outs */
    const struct server_config *server;
    size_t slot;
    struct smtp_link *smtp;
    struct pop3_link *pop3;
    int64_t next_ns, last_ns; /* when it is due; when the last one ended */
    int64_t retry_ns;         /* the pause while it is down, growing */
};

struct probes {
    struct upstream_context context;
    struct timeout *tick;
    int64_t tick_ns;
    struct probe *all;
    size_t count;
};

/* Ten per cent to either side, so that gateways don't ask in step. */
static int64_t jitter(int64_t interval_ns)
{
    uint16_t random = UINT16_MAX / 2;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK); /* else there is none */
    return interval_ns - interval_ns / 10 + interval_ns / 5 * random / UINT16_MAX;
}

static void ended(struct probe *p, enum server_state state, const char *reason)
{
    const struct upstream_context *c = &p->probes->context;
    int64_t interval_ns = p->upstream.health_check_ms * CLOCK_MS;
    bool is_news = health_set_state(c->health, p->slot, state);
    p->last_ns = loop_now(c->loop);
    if (state == SERVER_UP) {
        p->retry_ns = RETRY_MIN_NS;
        p->next_ns = p->last_ns + jitter(interval_ns);
    } else {
        p->next_ns = p->last_ns + (p->retry_ns < interval_ns ? p->retry_ns : interval_ns);
        p->retry_ns *= 2;
        if (p->retry_ns > interval_ns)
            p->retry_ns = interval_ns;
    }
    if (is_news)
        log_event(c->log, state == SERVER_UP ? EVENT_upstream_up : EVENT_upstream_down,
                  field_text(KEY_upstream, p->server->name), field_text(KEY_reason, reason));
}

static void on_smtp(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    struct probe *p = owner;
    if (event->kind == LINK_READY) {
        const struct smtp_capabilities *found = smtp_link_capabilities(l);
        health_set_offer(p->probes->context.health, p->slot, found->extensions | HEALTH_PROBED,
                         found->size);
        ended(p, SERVER_UP, "");
        smtp_link_quit(&p->smtp);
    } else if (event->kind == LINK_LOST) {
        ended(p, SERVER_DOWN, event->reason);
        smtp_link_close(&p->smtp);
    }
}

static void on_pop3(void *owner, struct pop3_link *l, const struct pop3_link_event *event)
{
    struct probe *p = owner;
    if (event->kind == POP3_LINK_READY) {
        pop3_link_capa(l);
    } else if (event->kind == POP3_LINK_CAPA) {
        const struct pop3_capabilities *found = pop3_link_capabilities(l);
        health_set_offer(p->probes->context.health, p->slot, found->offered | HEALTH_PROBED,
                         (uint64_t)found->expire_days << 32 | found->login_delay_s);
        ended(p, SERVER_UP, "");
        pop3_link_quit(&p->pop3);
    } else if (event->kind == POP3_LINK_LOST) {
        ended(p, SERVER_DOWN, event->reason);
        pop3_link_close(&p->pop3);
    }
}

static void start(struct probe *p)
{
    const struct upstream_context *c = &p->probes->context;
    const struct smtp_link_options options = {.loop = c->loop,
                                              .upstream = &p->upstream,
                                              .server = p->server,
                                              .tls = c->tls,
                                              .hostname = c->config->hostname};
    struct error why;
    if (p->upstream.protocol == UPSTREAM_SMTP)
        p->smtp = smtp_link_open(&options, on_smtp, p, &why);
    else
        p->pop3 = pop3_link_open(&options, on_pop3, p, &why);
    if (p->smtp == NULL && p->pop3 == NULL)
        ended(p, SERVER_DOWN, why.text);
}

/* A session may have found a server dead that the last probe found well: asked again soon. */
static bool is_due(const struct probe *p, int64_t now)
{
    bool is_down = health_state(p->probes->context.health, p->slot) == SERVER_DOWN;
    return p->smtp == NULL && p->pop3 == NULL &&
           (now >= p->next_ns || (is_down && now >= p->last_ns + p->retry_ns));
}

static void on_tick(void *owner)
{
    struct probes *all = owner;
    int64_t now = loop_now(all->context.loop);
    for (size_t i = 0; i < all->count; i++)
        if (is_due(&all->all[i], now))
            start(&all->all[i]);
    timeout_set(all->tick, now + all->tick_ns);
}

static void add(struct probes *all, const struct upstream_config *u, const struct server_config *s)
{
    struct probe *p = &all->all[all->count++];
    *p = (struct probe){.probes = all,
                        .upstream = *u,
                        .server = s,
                        .slot = label_slot(all->context.labels, LABEL_SERVER, s->name),
                        .retry_ns = RETRY_MIN_NS};
    if (p->upstream.command_timeout_ms > REPLY_TIMEOUT_MS)
        p->upstream.command_timeout_ms = REPLY_TIMEOUT_MS;
    if (u->health_check_ms * CLOCK_MS < all->tick_ns)
        all->tick_ns = u->health_check_ms * CLOCK_MS;
}

struct probes *probes_create(const struct upstream_context *context)
{
    struct probes *all = calloc(1, sizeof *all);
    if (all == NULL)
        return NULL;
    all->context = *context;
    all->tick_ns = TICK_MAX_NS;
    size_t total = 0;
    for (size_t i = 0; i < context->config->upstream_count; i++)
        total += context->config->upstreams[i].server_count;
    all->all = calloc(total + 1, sizeof *all->all);
    all->tick = timeout_create(context->loop, on_tick, all);
    if (all->all == NULL || all->tick == NULL) {
        probes_destroy(&all);
        return NULL;
    }
    for (size_t i = 0; i < context->config->upstream_count; i++)
        for (size_t n = 0; n < context->config->upstreams[i].server_count; n++)
            add(all, &context->config->upstreams[i], &context->config->upstreams[i].servers[n]);
    timeout_set(all->tick, loop_now(context->loop));
    return all;
}

void probes_destroy(struct probes **probes)
{
    struct probes *all = *probes;
    if (all == NULL)
        return;
    for (size_t i = 0; i < all->count; i++) {
        smtp_link_close(&all->all[i].smtp);
        pop3_link_close(&all->all[i].pop3);
    }
    timeout_destroy(&all->tick);
    free(all->all);
    free(all);
    *probes = NULL;
}
