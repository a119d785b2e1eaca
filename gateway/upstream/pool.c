#include "upstream/pool.h"

#include "base/clock.h"
#include "upstream/tokens.h"

#include <stdlib.h>

enum { FRESH_KEPT = 2, TURNS = 4 };

/* What is kept of one server. */
struct kept {
    struct pool *pool;
    struct server *server;
    struct smtp_link **idle; /* shared, the one used last at the end */
    size_t idle_count;
    struct smtp_link *fresh[FRESH_KEPT]; /* greeted, not told */
    size_t fresh_count, opening;         /* opening: to become fresh */
    struct smtp_link **unready;          /* those that are opening, or being reset */
    size_t unready_count;
    unsigned turns;                /* given back while another process waited */
    const struct smtp_link *trial; /* whose login is the first: others wait for what comes of it */
};

struct pool {
    struct servers *servers;
    struct tokens *tokens;
    const struct upstream_context *context;
    struct kept *kept;
    size_t kept_count;
};

static void on_request_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event);
static void on_fresh_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event);
static void on_idle_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event);
static void on_resetting_link(void *owner, struct smtp_link *l,
                              const struct smtp_link_event *event);
static void try_servers(struct pool *p, struct pool_request *r);
static void on_bell(void *owner);

static struct kept *kept_of(const struct server *s)
{
    return s->pool;
}

static struct server *server_of(const struct smtp_link *l)
{
    return smtp_link_server(l);
}

static uint32_t max_of(const struct server *s)
{
    return (uint32_t)server_upstream(s)->max_connections;
}

struct pool *pool_create(struct servers *servers, struct tokens *tokens)
{
    struct pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->servers = servers;
    p->tokens = tokens;
    p->context = servers_context(servers);
    const struct config *c = p->context->config;
    size_t total = 0;
    for (size_t i = 0; i < c->upstream_count; i++)
        total += c->upstreams[i].server_count;
    p->kept = calloc(total + 1, sizeof *p->kept);
    for (size_t i = 0; p->kept != NULL && i < c->upstream_count; i++) {
        size_t count;
        struct server *s = servers_of(servers, &c->upstreams[i], &count);
        for (size_t n = 0; n < count; n++) {
            struct kept *k = &p->kept[p->kept_count];
            *k = (struct kept){.pool = p, .server = &s[n]};
            p->kept_count++;
            k->idle = calloc((size_t)c->upstreams[i].max_connections, sizeof *k->idle);
            k->unready = calloc((size_t)c->upstreams[i].max_connections, sizeof *k->unready);
            if (k->idle == NULL || k->unready == NULL) {
                pool_destroy(&p);
                return NULL;
            }
            s[n].pool = k;
        }
    }
    if (p->kept == NULL)
        pool_destroy(&p);
    else
        servers_on_bell(servers, on_bell, p);
    return p;
}

void pool_destroy(struct pool **pool)
{
    struct pool *p = *pool;
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->kept_count; i++) {
        struct kept *k = &p->kept[i];
        while (k->idle_count > 0)
            smtp_link_quit(&k->idle[--k->idle_count]);
        while (k->fresh_count > 0)
            smtp_link_quit(&k->fresh[--k->fresh_count]);
        while (k->unready_count > 0)
            smtp_link_close(&k->unready[--k->unready_count]);
        free(k->idle);
        free(k->unready);
    }
    free(p->kept);
    free(p);
    *pool = NULL;
}

/* ---- the gateway's own login ---- */

static const struct account *account_at(const struct pool *p, const struct server *s)
{
    return p->context->accounts == NULL ? NULL
                                        : account_of(p->context->accounts, server_upstream(s));
}

/* Which of its secrets was refused, or taken. */
static uint32_t version_of(const struct pool *p, const struct account *a)
{
    return p->context->generation << 16 | a->version;
}

/* How a login there would stand. Where it is unproven and another link is just trying, or the last
 * one was refused a short while ago, nobody tries. */
static enum login_state login_at(struct pool *p, struct server *s)
{
    const struct account *a = account_at(p, s);
    if (a == NULL)
        return LOGIN_PROVEN;
    return health_login(p->context->health, s->slot, version_of(p, a), loop_now(p->context->loop));
}

static void login_refused(struct pool *p, struct server *s, const char *reason)
{
    const struct account *a = account_at(p, s);
    counter_add(p->context->counters, COUNTER_upstream_failures, s->slot, 1);
    if (a != NULL && p->tokens != NULL)
        tokens_refused(p->tokens, server_upstream(s));
    if (a != NULL && health_login_refused(p->context->health, s->slot, version_of(p, a),
                                          loop_now(p->context->loop)))
        log_event(p->context->log, EVENT_upstream_refuses,
                  field_text(KEY_upstream, s->config->name), field_text(KEY_reason, reason));
}

static void login_taken(struct pool *p, struct server *s)
{
    const struct account *a = account_at(p, s);
    kept_of(s)->trial = NULL;
    if (a != NULL && health_login_taken(p->context->health, s->slot, version_of(p, a)))
        log_event(p->context->log, EVENT_upstream_accepts,
                  field_text(KEY_upstream, s->config->name));
}

/* ---- ending links ---- */

void pool_discard(struct pool *p, struct smtp_link **link)
{
    if (*link == NULL)
        return;
    struct server *s = server_of(*link);
    if (kept_of(s)->trial == *link)
        kept_of(s)->trial = NULL;
    smtp_link_close(link);
    server_return(p->servers, s);
}

/* Politely: with QUIT. */
static void end(struct pool *p, struct smtp_link *l)
{
    struct server *s = server_of(l);
    smtp_link_quit(&l);
    server_return(p->servers, s);
}

/* The same for another process, which waits for the permit. */
static void yield(struct pool *p, struct smtp_link *l)
{
    struct server *s = server_of(l);
    smtp_link_quit(&l);
    server_yield(p->servers, s);
}

/* A link that waits for use gives way: its permit is the caller's. False: there is none. */
static bool end_kept(struct kept *k)
{
    if (k->idle_count > 0)
        smtp_link_quit(&k->idle[--k->idle_count]);
    else if (k->fresh_count > 0)
        smtp_link_quit(&k->fresh[--k->fresh_count]);
    else
        return false;
    return true;
}

/* ---- opening links ---- */

/* A connection for which there is a permit; the permit is given back when it can't be opened. */
static struct smtp_link *open_link(struct pool *p, struct server *s, const struct pool_request *r,
                                   smtp_link_fn *fn, void *owner)
{
    struct smtp_link_options options = {.loop = p->context->loop,
                                        .upstream = server_upstream(s),
                                        .server = s->config,
                                        .tls = p->context->tls,
                                        .hostname = p->context->config->hostname,
                                        .pool_server = s,
                                        .log = p->context->log};
    struct error why;
    const struct account *a = account_at(p, s);
    if (a != NULL)
        options.login = &a->credentials;
    if (r != NULL) {
        options.header = r->header;
        options.hello = r->hello;
    }
    struct smtp_link *l = smtp_link_open(&options, fn, owner, &why);
    counter_add(p->context->counters, COUNTER_upstream_connections, s->slot, 1);
    if (l == NULL) { /* a trouble of this process's own, which says nothing of the server */
        log_event(p->context->log, EVENT_upstream_busy, field_text(KEY_upstream, s->config->name),
                  field_text(KEY_reason, why.text));
        server_return(p->servers, s);
    }
    return l;
}

/* Why a link that was being opened is lost decides what others are told of its server. */
static enum pool_failure count_loss(struct pool *p, struct server *s,
                                    const struct smtp_link_event *event)
{
    if (event->is_in_login && account_at(p, s) == NULL)
        return POOL_BUSY; /* a client's own login: what comes of it is his alone */
    switch (event->loss) {
    case LOSS_BUSY: server_is_busy(p->servers, s, event->reason); return POOL_BUSY;
    case LOSS_IDENTITY:
        log_event(p->context->log, EVENT_upstream_refuses,
                  field_text(KEY_upstream, s->config->name), field_text(KEY_reason, event->reason));
        return POOL_REFUSED;
    case LOSS_LOGIN: login_refused(p, s, event->reason); return POOL_REFUSED;
    case LOSS_TLS:
    case LOSS_NETWORK:
    case LOSS_REFUSED: break;
    }
    server_failed(p->servers, s, event->reason);
    return POOL_DOWN;
}

/* ---- fresh ones, kept ready ---- */

static void refill(struct pool *p, struct server *s)
{
    struct kept *k = kept_of(s);
    while (k->fresh_count + k->opening < FRESH_KEPT &&
           server_permit(p->servers, s, max_of(s) / 2) == 0) {
        struct smtp_link *l = open_link(p, s, NULL, on_fresh_link, k);
        if (l == NULL)
            return;
        k->unready[k->unready_count++] = l;
        k->opening++;
    }
}

/* Returns whether it was among them. */
static bool remove_from(struct smtp_link **links, size_t *count, const struct smtp_link *l)
{
    size_t i = 0;
    while (i < *count && links[i] != l)
        i++;
    if (i == *count)
        return false;
    for (--*count; i < *count; i++)
        links[i] = links[i + 1];
    return true;
}

static void on_fresh_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    struct kept *k = owner;
    bool is_open = remove_from(k->fresh, &k->fresh_count, l);
    if (!is_open) {
        (void)remove_from(k->unready, &k->unready_count, l); /* it is there */
        k->opening--;
    }
    if (event->kind == LINK_READY && !is_open) {
        k->fresh[k->fresh_count++] = l; /* refill keeps the count */
        smtp_link_rest(l);
        servers_wake(k->pool->servers, server_upstream(k->server));
        return;
    }
    if (event->kind == LINK_LOST && !is_open)
        (void)count_loss(k->pool, k->server, event); /* nobody waits for this one */
    pool_discard(k->pool, &l);
}

/* ---- shared ones ---- */

static void put_idle(struct pool *p, struct smtp_link *l)
{
    struct server *s = server_of(l);
    struct kept *k = kept_of(s);
    bool is_wanted = server_is_wanted(p->servers, s);
    if (is_wanted && ++k->turns % TURNS == 0) {
        yield(p, l); /* else those who wait here would have it for ever */
        return;
    }
    if (k->idle_count == max_of(s)) {
        end(p, l);
        return;
    }
    smtp_link_set_owner(l, on_idle_link, k);
    smtp_link_rest(l);
    k->idle[k->idle_count++] = l;
    servers_wake(p->servers, server_upstream(s));
    if (is_wanted && k->idle_count > 0)
        yield(p, k->idle[--k->idle_count]); /* nobody here needs it */
}

/* An idle link has nothing to say: it has timed out, was closed, or speaks out of turn. */
static void on_idle_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    struct kept *k = owner;
    (void)event;
    (void)remove_from(k->idle, &k->idle_count, l); /* it is there */
    pool_discard(k->pool, &l);
}

/* Another process waits for a permit: one of ours that nobody uses is its. */
static void on_bell(void *owner)
{
    struct pool *p = owner;
    for (size_t i = 0; i < p->kept_count; i++) {
        struct kept *k = &p->kept[i];
        if (server_is_wanted(p->servers, k->server) && end_kept(k))
            server_yield(p->servers, k->server);
    }
}

static void on_resetting_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    struct pool *p = owner;
    struct kept *k = kept_of(server_of(l));
    bool is_reset = event->kind == LINK_REPLY && event->command == SMTP_COMMAND_RSET;
    if (event->kind != LINK_LOST && !is_reset)
        return;                                          /* replies that were still due */
    (void)remove_from(k->unready, &k->unready_count, l); /* it is there */
    if (event->kind == LINK_LOST)
        pool_discard(p, &l);
    else if (smtp_link_is_reusable(l) && event->reply->code == 250)
        put_idle(p, l);
    else
        end(p, l);
}

void pool_give_back(struct pool *p, struct smtp_link **link)
{
    struct smtp_link *l = *link;
    *link = NULL;
    if (l == NULL)
        return;
    if (smtp_link_is_reusable(l)) {
        put_idle(p, l);
    } else if (smtp_link_may_reset(l) &&
               smtp_link_command(l, SMTP_COMMAND_RSET, span_of("RSET\r\n")) == 0) {
        struct kept *k = kept_of(server_of(l));
        k->unready[k->unready_count++] = l;
        smtp_link_set_owner(l, on_resetting_link, p);
        smtp_link_flush(l);
    } else {
        end(p, l);
    }
}

/* ---- taking ---- */

static void finish(struct pool_request *r, struct smtp_link *l, enum pool_failure failure)
{
    waiter_stop(&r->waiter);
    r->link = NULL;
    r->done(r->owner, l, failure);
}

/* A connection for one client alone? */
static bool is_own(const struct pool_request *r)
{
    return r->values != NULL || r->login != NULL;
}

/* Why the identity can't be told to it, or NULL. */
static const char *obstacle(const struct pool_request *r)
{
    const struct smtp_capabilities *c = smtp_link_capabilities(r->link);
    if (r->login != NULL && smtp_mechanism_choose(r->login->mechanisms, c->mechanisms) == 0)
        return "AUTH with PLAIN or LOGIN is not offered";
    if (r->values != NULL && (c->extensions & SMTP_XCLIENT) == 0)
        return "XCLIENT is not offered; in Postfix: smtpd_authorized_xclient_hosts";
    return NULL;
}

/* The link is greeted: it is handed over, or told first. */
static void greeted(struct pool *p, struct pool_request *r)
{
    struct smtp_link *l = r->link;
    if (!is_own(r) || r->is_telling) {
        finish(r, l, POOL_DOWN);
        return;
    }
    const struct smtp_link_event lost = {.loss = LOSS_IDENTITY, .reason = obstacle(r)};
    if (lost.reason != NULL) {
        enum pool_failure failure = count_loss(p, server_of(l), &lost);
        r->link = NULL;
        end(p, l);
        finish(r, NULL, failure);
        return;
    }
    r->is_telling = true;
    if (r->login != NULL)
        smtp_link_log_in(l, r->login);
    else
        smtp_link_tell(l, r->values);
}

/* It has answered the client's login: another server isn't asked, since that is its word. */
static void refused(struct pool *p, struct pool_request *r, const struct smtp_link_event *event)
{
    enum pool_failure failure = POOL_BUSY;
    bool is_gateways = event->code < 520 || event->code == 530 || event->code == 534 ||
                       event->code == 538; /* TLS or another mechanism is wanted */
    if (event->code >= 500)
        failure = is_gateways ? POOL_REFUSED : POOL_WRONG;
    (void)error_set(&r->why, "%s", event->reason);
    if (failure == POOL_REFUSED)
        log_event(p->context->log, EVENT_upstream_refuses,
                  field_text(KEY_upstream, pool_server_name(r->link)),
                  field_text(KEY_reason, event->reason));
    pool_discard(p, &r->link);
    finish(r, NULL, failure);
}

static void on_request_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    struct pool_request *r = owner;
    struct server *s = server_of(l);
    struct pool *p = kept_of(s)->pool;
    if (event->kind == LINK_READY) {
        bool was_trial = kept_of(s)->trial == l;
        login_taken(p, s);
        greeted(p, r);
        if (was_trial)
            servers_wake(p->servers, server_upstream(s));
        return;
    }
    if (r->login != NULL && event->loss == LOSS_LOGIN) {
        refused(p, r, event);
        return;
    }
    /* A fresh one from the pool may have died there: that says nothing of its server. */
    if (r->is_kept && event->loss == LOSS_NETWORK) {
        r->wants_new = true;
    } else {
        r->failure = count_loss(p, s, event);
        r->tried |= server_bit(s);
    }
    r->is_telling = false;
    pool_discard(p, &r->link);
    try_servers(p, r);
}

/* Gets the request a connection to this server, now or soon. Returns -1: there is no permit, or it
 * refuses the gateway's login, and is marked as tried. */
static int try_server(struct pool *p, struct pool_request *r, struct server *s)
{
    struct kept *k = kept_of(s);
    bool is_told = is_own(r), is_new = r->wants_new || r->header.size > 0;
    r->is_kept = false;
    if (!is_told && !is_new && k->idle_count > 0) {
        r->is_kept = true;
        finish(r, k->idle[--k->idle_count], POOL_DOWN);
        return 0;
    }
    if (is_told && !r->wants_new && k->fresh_count > 0) {
        r->is_kept = true;
        r->link = k->fresh[--k->fresh_count];
        smtp_link_set_owner(r->link, on_request_link, r);
        refill(p, s);
        greeted(p, r);
        return 0;
    }
    const struct account *a = account_at(p, s);
    if (a != NULL && a->credentials.secret[0] == '\0')
        return -1; /* its first token is awaited */
    enum login_state login = k->trial != NULL ? LOGIN_UNPROVEN : login_at(p, s);
    if (login == LOGIN_HELD) {
        r->failure = POOL_REFUSED;
        r->tried |= server_bit(s);
        return -1;
    }
    if (k->trial != NULL || (server_permit(p->servers, s, max_of(s)) < 0 && !end_kept(k)))
        return -1; /* else one that this request can't use makes room */
    waiter_stop(&r->waiter);
    r->link = open_link(p, s, r, on_request_link, r);
    if (login == LOGIN_UNPROVEN)
        k->trial = r->link;
    if (r->link == NULL) {
        r->failure = POOL_BUSY;
        r->tried |= server_bit(s);
        try_servers(p, r);
    } else if (is_told) {
        refill(p, s);
    }
    return 0;
}

static void on_wake(void *owner, bool is_late)
{
    struct pool_request *r = owner;
    struct pool *p = r->pool;
    if (is_late) {
        log_event(p->context->log, EVENT_upstream_busy, field_text(KEY_upstream, r->upstream->name),
                  field_text(KEY_reason, "no connection became free in time"));
        finish(r, NULL, POOL_BUSY);
    } else {
        try_servers(p, r);
    }
}

static void try_servers(struct pool *p, struct pool_request *r)
{
    uint64_t busy = 0;
    struct server *s;
    while ((s = servers_choose(p->servers, r->upstream, r->tried | busy)) != NULL) {
        if (try_server(p, r, s) == 0)
            return;
        busy |= server_bit(s) & ~r->tried;
    }
    if (busy == 0)
        finish(r, NULL, r->failure);
    else if (waiter_wait(p->servers, &r->waiter) < 0)
        finish(r, NULL, POOL_BUSY);
}

void pool_take(struct pool *p, struct pool_request *r)
{
    r->pool = p;
    r->link = NULL;
    r->tried = 0;
    r->failure = POOL_DOWN;
    r->is_telling = false;
    r->waiter = (struct waiter){.wake = on_wake, .owner = r, .upstream = r->upstream};
    try_servers(p, r);
}

void pool_cancel(struct pool *p, struct pool_request *r)
{
    waiter_stop(&r->waiter);
    pool_discard(p, &r->link);
}

bool pool_was_kept(const struct pool_request *r)
{
    return r->is_kept;
}

const char *pool_server_name(const struct smtp_link *link)
{
    return server_of(link)->config->name;
}

size_t pool_server_slot(const struct smtp_link *link)
{
    return server_of(link)->slot;
}
