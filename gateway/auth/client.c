#include "auth/client.h"

#include "auth/aliases.h"
#include "auth/turn.h"
#include "ipc/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXCHANGES_MAX = 4096, PROCESSES_MAX = 64 };

struct auth_process {
    struct auth_client *client;
    struct channel *channel; /* NULL: a free place */
    unsigned open, waiting;  /* exchanges; those of them that wait for its answer */
};

struct auth_exchange {
    struct auth_client *client;
    struct auth_process *process; /* NULL: the answer is known */
    struct ticket ticket;
    struct turn turn; /* while it waits */
    auth_answer_fn *fn;
    void *owner;
    bool is_cachable;
    struct auth_cache_entry entry;
    struct entry soon;         /* the answer that is known */
    enum auth_outcome outcome; /* that one */
    char account[ACCOUNT_SIZE];
};

struct auth_client {
    struct loop *loop;
    const struct auth_cache *cache;
    struct tickets *exchanges;
    struct turns waiting;
    struct auth_process processes[PROCESSES_MAX];
};

struct auth_client *auth_client_create(struct loop *loop, const struct auth_cache *cache)
{
    struct auth_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->loop = loop;
    c->cache = cache;
    c->exchanges = tickets_create(EXCHANGES_MAX);
    if (c->exchanges == NULL)
        auth_client_destroy(&c);
    return c;
}

static void free_exchange(void *owner, void *context)
{
    struct auth_exchange *e = owner;
    (void)context;
    loop_not_soon(&e->soon);
    free(e);
}

/* ---- who waits for a process ---- */

/* Returns 0, or -1 and why: there is no room for another question. */
static int wait_for_process(struct auth_exchange *e, const char **why)
{
    if (e->process->waiting >= AUTH_WAITING_MAX) {
        *why = "too many logins wait for an auth process";
        return -1;
    }
    if (turn_take(&e->client->waiting, &e->turn) < 0) {
        *why = "too many logins of this address wait";
        return -1;
    }
    e->process->waiting++;
    return 0;
}

static void waits_no_more(struct auth_exchange *e)
{
    if (e->turn.previous == NULL)
        return;
    e->process->waiting--;
    turn_end(&e->turn);
}

/* ---- answers ---- */

/* Its ticket is stale from here on. */
static void close_exchange(struct auth_exchange *e)
{
    waits_no_more(e);
    if (e->process != NULL)
        e->process->open--;
    ticket_close(e->client->exchanges, e->ticket);
    free_exchange(e, NULL);
}

void auth_client_destroy(struct auth_client **client)
{
    struct auth_client *c = *client;
    if (c == NULL)
        return;
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        channel_destroy(&c->processes[i].channel);
    if (c->exchanges != NULL)
        tickets_each(c->exchanges, free_exchange, NULL);
    tickets_destroy(&c->exchanges);
    free(c);
    *client = NULL;
}

/* Closes it, so that its ticket is stale before its owner is told. */
static void answer(struct auth_exchange *e, const struct auth_answer *a)
{
    auth_answer_fn *fn = e->fn;
    void *owner = e->owner;
    waits_no_more(e);
    if (a->is_done)
        close_exchange(e);
    fn(owner, a);
}

static void answer_known(void *owner)
{
    struct auth_exchange *e = owner;
    char account[ACCOUNT_SIZE]; /* the exchange goes before its owner is told */
    (void)snprintf(account, sizeof account, "%s", e->account); /* fits */
    const struct auth_answer known = {.is_done = true,
                                      .outcome = e->outcome,
                                      .text = span_of(e->outcome == AUTH_GOOD ? account : "")};
    answer(e, &known);
}

/* The same answer, in the next turn of the loop. */
static struct auth_exchange *answer_soon(struct auth_exchange *e, enum auth_outcome outcome)
{
    e->outcome = outcome;
    loop_soon(e->client->loop, &e->soon, answer_known, e);
    return e;
}

int auth_account(const struct auth_client *c, struct span name, char account[ACCOUNT_SIZE])
{
    return c->cache == NULL || name.size == 0
               ? -1 /* an alias might stand for anything, nothing included */
               : aliases_account(c->cache->aliases, name, c->cache->realm, account);
}

/* RFC 4422 appendix A: the certificate says who it is; who wants to be somebody may want to be that
 * one alone. */
static enum auth_outcome judge_certificate(struct auth_exchange *e,
                                           const struct auth_request *request)
{
    char wanted[ACCOUNT_SIZE];
    const struct span *r = request->response;
    if (request->certificate == NULL ||
        auth_account(e->client, span_of(request->certificate), e->account) < 0)
        return AUTH_WRONG;
    if (r == NULL || r->size == 0)
        return AUTH_GOOD;
    return auth_account(e->client, *r, wanted) == 0 && strcmp(wanted, e->account) == 0 ? AUTH_GOOD
                                                                                       : AUTH_WRONG;
}

/* What was right, and for whom it was asked. */
static void keep(const struct auth_exchange *e, struct span account)
{
    struct auth_client *c = e->client;
    if (e->is_cachable && span_equals(account, e->account))
        auth_cache_keep(c->cache, &e->entry, loop_now(c->loop));
}

static void process_gone(void *owner, void *context)
{
    const struct auth_answer gone = {
        .is_done = true, .outcome = AUTH_UNAVAILABLE, .text = span_of("the auth process is gone")};
    struct auth_exchange *e = owner;
    if (e->process == context)
        answer(e, &gone);
}

/* The exchange of a ticket, if this process has it. */
static struct auth_exchange *find(const struct auth_process *p, struct ticket ticket)
{
    struct auth_exchange *e = ticket_owner(p->client->exchanges, ticket);
    return e != NULL && e->process == p ? e : NULL;
}

static void on_message(void *owner, const struct message *m)
{
    struct auth_process *p = owner;
    struct auth_exchange *e;
    if (m == NULL) {
        channel_destroy(&p->channel);
        tickets_each(p->client->exchanges, process_gone, p);
    } else if (m->type == MESSAGE_AUTH_CHALLENGE) {
        const struct message_auth_step *step = m->payload;
        const struct auth_answer a = {.text = m->tail};
        if ((e = find(p, step->exchange)) != NULL)
            answer(e, &a);
    } else if (m->type == MESSAGE_AUTH_DONE) {
        const struct message_auth_done *done = m->payload;
        const struct auth_answer a = {.is_done = true,
                                      .outcome = done->outcome <= AUTH_MALFORMED
                                                     ? (enum auth_outcome)done->outcome
                                                     : AUTH_UNAVAILABLE,
                                      .text = m->tail};
        if ((e = find(p, done->exchange)) != NULL) {
            if (a.outcome == AUTH_GOOD)
                keep(e, m->tail);
            answer(e, &a);
        }
    }
}

void auth_client_add(struct auth_client *c, int fd)
{
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        struct auth_process *p = &c->processes[i];
        if (p->channel != NULL)
            continue;
        *p = (struct auth_process){.client = c};
        p->channel = channel_create(c->loop, fd, on_message, p);
        return;
    }
    (void)close(fd); /* more than can be configured: nothing was written */
}

static struct auth_process *least_busy(struct auth_client *c)
{
    struct auth_process *best = NULL;
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (c->processes[i].channel != NULL && (best == NULL || c->processes[i].open < best->open))
            best = &c->processes[i];
    return best;
}

static struct message_auth_start start_of(const struct auth_exchange *e,
                                          const struct auth_request *request)
{
    const struct channel_binding *b = request->binding;
    struct message_auth_start start = {.exchange = e->ticket,
                                       .service = (uint32_t)request->service,
                                       .mechanism = (uint32_t)request->mechanism,
                                       .has_response = request->response != NULL};
    if (b != NULL && b->size <= sizeof start.binding_bytes) {
        start.binding_size = (uint32_t)b->size;
        (void)span_copy(span_of(b->name), start.binding_name, sizeof start.binding_name); /* fits */
        memcpy(start.binding_bytes, b->bytes, b->size);
    }
    return start;
}

/* Returns 0, or -1 and why. */
static int begin_elsewhere(struct auth_exchange *e, const struct auth_request *request,
                           const char **why)
{
    const struct span nothing = {"", 0}, *response = request->response;
    struct auth_process *p = least_busy(e->client);
    *why = "no auth process takes it";
    if (p == NULL)
        return -1;
    e->process = p;
    p->open++;
    turn_init(&e->turn, request->client);
    if (wait_for_process(e, why) < 0)
        return -1;
    const struct message_auth_start start = start_of(e, request);
    *why = "no auth process takes it";
    return channel_send(p->channel, MESSAGE_AUTH_START, &start,
                        response == NULL ? nothing : *response, -1);
}

struct auth_exchange *auth_begin(struct auth_client *c, const struct auth_request *request,
                                 auth_answer_fn *fn, void *owner, const char **why)
{
    const struct span *response = request->response;
    struct auth_exchange *e = calloc(1, sizeof *e);
    *why = "out of memory";
    if (e == NULL)
        return NULL;
    *e = (struct auth_exchange){.client = c, .fn = fn, .owner = owner};
    if (ticket_open(c->exchanges, e, &e->ticket) < 0) {
        *why = "too many exchanges are open";
        free(e);
        return NULL;
    }
    if (request->mechanism == MECHANISM_EXTERNAL)
        return answer_soon(e, judge_certificate(e, request));
    e->is_cachable = c->cache != NULL && response != NULL &&
                     request->mechanism == MECHANISM_PLAIN &&
                     auth_cache_entry_of(c->cache, *response, e->account, &e->entry) == 0;
    if (e->is_cachable && auth_cache_knows(c->cache, &e->entry, loop_now(c->loop)))
        return answer_soon(e, AUTH_GOOD);
    if (begin_elsewhere(e, request, why) == 0)
        return e;
    close_exchange(e);
    return NULL;
}

int auth_step(struct auth_exchange *e, struct span response, const char **why)
{
    const struct message_auth_step step = {.exchange = e->ticket};
    *why = "the auth process is gone";
    if (e->process == NULL || e->turn.previous != NULL)
        return -1; /* it is answered already, or about to be */
    if (wait_for_process(e, why) < 0)
        return -1;
    *why = "the auth process is gone";
    return channel_send(e->process->channel, MESSAGE_AUTH_STEP, &step, response, -1);
}

void auth_cancel(struct auth_exchange **exchange)
{
    struct auth_exchange *e = *exchange;
    if (e == NULL)
        return;
    const struct message_auth_step cancel = {.exchange = e->ticket};
    if (e->process != NULL) /* one that takes nothing is killed by the master, and forgets all */
        (void)channel_send(e->process->channel, MESSAGE_AUTH_CANCEL, &cancel, span_make("", 0), -1);
    close_exchange(e);
    *exchange = NULL;
}

bool auth_knows(const struct auth_client *c, struct span response)
{
    struct auth_cache_entry entry;
    char account[ACCOUNT_SIZE];
    return auth_cache_entry_of(c->cache, response, account, &entry) == 0 &&
           auth_cache_knows(c->cache, &entry, loop_now(c->loop));
}

void auth_keep(const struct auth_client *c, struct span response)
{
    struct auth_cache_entry entry;
    char account[ACCOUNT_SIZE];
    if (auth_cache_entry_of(c->cache, response, account, &entry) == 0)
        auth_cache_keep(c->cache, &entry, loop_now(c->loop));
}

void auth_forget(const struct auth_client *c, const char *account)
{
    if (c->cache != NULL)
        (void)auth_cache_forget(c->cache, account); /* nothing may have been known */
}
