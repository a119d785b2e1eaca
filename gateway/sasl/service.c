#include "sasl/service.h"

#include "ipc/channel.h"
#include "sasl/backend.h"
#include "sasl/exchange.h"
#include "sasl/saslauthd.h"

#include <stdlib.h>
#include <unistd.h>

enum { EXCHANGES_MAX = 4096 }; /* of a worker: its tickets' slots */

struct open_exchange {
    struct worker *worker;
    struct sasl_exchange *exchange;
    struct saslauthd_question *question; /* the backend is asked */
    uint32_t generation;
};

struct worker {
    struct worker *next;
    struct sasl_service *service;
    struct channel *channel;
    bool is_counted;
    struct open_exchange open[EXCHANGES_MAX]; /* by the slot of the worker's ticket */
};

struct sasl_service {
    struct sasl_service_options options;
    struct saslauthd *saslauthd; /* NULL with another backend */
    struct worker *workers;
    loop_fn *on_empty;
    void *empty_owner;
};

static void close_exchange(struct open_exchange *o)
{
    saslauthd_cancel(&o->question);
    sasl_exchange_destroy(&o->exchange);
}

static void forget(struct worker *w)
{
    struct worker **at = &w->service->workers;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    channel_destroy(&w->channel);
    for (size_t i = 0; i < EXCHANGES_MAX; i++)
        close_exchange(&w->open[i]);
    free(w);
}

static struct ticket ticket_of(const struct open_exchange *o)
{
    return (struct ticket){(uint32_t)(o - o->worker->open), o->generation};
}

/* `text` is the account, or why it is AUTH_UNAVAILABLE. */
static void send_done(struct open_exchange *o, enum auth_outcome outcome, struct span text)
{
    const struct message_auth_done done = {.exchange = ticket_of(o), .outcome = (uint32_t)outcome};
    /* A worker that takes nothing waits for nothing: its own time-out answers the client. */
    (void)channel_send(o->worker->channel, MESSAGE_AUTH_DONE, &done, text, -1);
    close_exchange(o);
}

/* The backend was asked, with this outcome. */
static void note_backend(const struct sasl_service *s, enum auth_outcome outcome, struct span why)
{
    const struct sasl_service_options *o = &s->options;
    bool is_away = outcome == AUTH_UNAVAILABLE;
    if (outcome == AUTH_MALFORMED || !backend_set_away(o->backend, is_away))
        return;
    if (is_away)
        log_event(o->log, EVENT_backend_away, field_span(KEY_reason, why));
    else
        log_event(o->log, EVENT_backend_back, field_number(KEY_pid, getpid()));
}

static void on_saslauthd(void *owner, enum auth_outcome outcome, const char *why)
{
    struct open_exchange *o = owner;
    o->question = NULL; /* freed with its answer */
    note_backend(o->worker->service, outcome, span_of(why));
    send_done(o, outcome, span_of(outcome == AUTH_GOOD ? sasl_exchange_account(o->exchange) : why));
}

static void ask_saslauthd(struct open_exchange *o)
{
    const struct sasl_service *s = o->worker->service;
    if (s->saslauthd == NULL) { /* backend upstream: workers don't ask here */
        send_done(o, AUTH_UNAVAILABLE, span_of("passwords are not checked here"));
        return;
    }
    const struct auth_config *a = &s->options.config->auth;
    const struct saslauthd_login login = {
        .user = sasl_exchange_login(o->exchange),
        .service = a->service,
        .realm = a->login_name == LOGIN_NAME_LOCAL ? a->realm : "", /* else it is in the name */
        .password = sasl_exchange_password(o->exchange)};
    o->question = saslauthd_ask(s->saslauthd, &login, on_saslauthd, o);
    if (o->question == NULL)
        send_done(o, AUTH_UNAVAILABLE, span_of("out of memory"));
}

static void step(struct open_exchange *o, const struct span *response)
{
    const struct message_auth_step challenge = {.exchange = ticket_of(o)};
    enum auth_outcome outcome = AUTH_UNAVAILABLE;
    struct span out;
    switch (sasl_exchange_step(o->exchange, response, &outcome, &out)) {
    case SASL_STEP_CHALLENGE:
        (void)channel_send(o->worker->channel, MESSAGE_AUTH_CHALLENGE, &challenge, out,
                           -1); /* as in send_done */
        return;
    case SASL_STEP_ASK: ask_saslauthd(o); return;
    case SASL_STEP_DONE:
        if (o->worker->service->saslauthd == NULL) /* else nobody was asked */
            note_backend(o->worker->service, outcome, out);
        send_done(o, outcome, out);
        return;
    }
}

static void start(struct worker *w, const struct message *m)
{
    struct message_auth_start start = *(const struct message_auth_start *)m->payload;
    struct open_exchange *o = &w->open[start.exchange.slot];
    close_exchange(o); /* the worker has forgotten it */
    o->worker = w;
    o->generation = start.exchange.generation;
    o->exchange = sasl_exchange_create(&start);
    if (o->exchange == NULL)
        send_done(o, AUTH_UNAVAILABLE, span_of("out of memory"));
    else
        step(o, start.has_response ? &m->tail : NULL);
}

static void on_message(void *owner, const struct message *m)
{
    struct worker *w = owner;
    if (m == NULL) {
        struct sasl_service *s = w->service;
        bool was_counted = w->is_counted;
        forget(w);
        if (was_counted && sasl_service_is_empty(s) && s->on_empty != NULL)
            s->on_empty(s->empty_owner);
        return;
    }
    if (m->type != MESSAGE_AUTH_START && m->type != MESSAGE_AUTH_STEP &&
        m->type != MESSAGE_AUTH_CANCEL)
        return;
    struct ticket ticket = *(const struct ticket *)m->payload; /* all three begin with it */
    if (ticket.slot >= EXCHANGES_MAX)
        return;
    struct open_exchange *o = &w->open[ticket.slot];
    if (m->type == MESSAGE_AUTH_START)
        start(w, m);
    else if (o->exchange == NULL || o->generation != ticket.generation)
        return;
    else if (m->type == MESSAGE_AUTH_CANCEL)
        close_exchange(o);
    else if (o->question == NULL) /* while the backend is asked, nothing is awaited from here */
        step(o, &m->tail);
}

struct sasl_service *sasl_service_create(const struct sasl_service_options *options,
                                         struct error *why)
{
    const struct auth_config *a = &options->config->auth;
    struct sasl_service *s = calloc(1, sizeof *s);
    if (s == NULL)
        abort(); /* out of memory at the start */
    s->options = *options;
    if (sasl_start(options->config, options->secret, why) < 0) {
        free(s);
        return NULL;
    }
    sasl_use_aliases(options->aliases);
    if (a->backend == BACKEND_SASLAUTHD &&
        (s->saslauthd = saslauthd_create(options->loop, a->saslauthd)) == NULL)
        abort(); /* as above */
    return s;
}

void sasl_service_destroy(struct sasl_service **service)
{
    if (*service == NULL)
        return;
    while ((*service)->workers != NULL)
        forget((*service)->workers);
    saslauthd_destroy(&(*service)->saslauthd);
    sasl_stop();
    free(*service);
    *service = NULL;
}

void sasl_service_add(struct sasl_service *s, int fd, bool is_worker)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        (void)close(fd); /* nothing was written */
        return;
    }
    w->service = s;
    w->is_counted = is_worker;
    w->channel = channel_create(s->options.loop, fd, on_message, w);
    if (w->channel == NULL) {
        free(w);
        return;
    }
    w->next = s->workers;
    s->workers = w;
}

void sasl_service_on_empty(struct sasl_service *s, loop_fn *fn, void *owner)
{
    s->on_empty = fn;
    s->empty_owner = owner;
}

bool sasl_service_is_empty(const struct sasl_service *s)
{
    const struct worker *w = s->workers;
    while (w != NULL && !w->is_counted)
        w = w->next;
    return w == NULL;
}
