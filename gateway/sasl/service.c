#include "sasl/service.h"

#include "base/privileges.h"
#include "ipc/channel.h"
#include "sasl/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXCHANGES_MAX = 4096 }; /* of a worker: its tickets' slots */

struct open_exchange {
    struct sasl_exchange *exchange;
    uint32_t generation;
};

struct worker {
    struct worker *next;
    struct sasl_service *service;
    struct channel *channel;
    struct open_exchange open[EXCHANGES_MAX]; /* by the slot of the worker's ticket */
};

struct sasl_service {
    struct loop *loop;
    const struct config *config;
    struct worker *workers;
    loop_fn *on_empty;
    void *empty_owner;
};

static void forget(struct worker *w)
{
    struct worker **at = &w->service->workers;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    channel_destroy(&w->channel);
    for (size_t i = 0; i < EXCHANGES_MAX; i++)
        sasl_exchange_destroy(&w->open[i].exchange);
    free(w);
}

static void send_done(const struct worker *w, struct ticket ticket, enum auth_outcome outcome,
                      struct span account)
{
    const struct message_auth_done done = {.exchange = ticket, .outcome = (uint32_t)outcome};
    /* A worker that takes nothing waits for nothing: its own time-out answers the client. */
    (void)channel_send(w->channel, MESSAGE_AUTH_DONE, &done, account, -1);
}

static void step(struct worker *w, struct ticket ticket, const struct span *response)
{
    struct open_exchange *o = &w->open[ticket.slot];
    const struct message_auth_step challenge = {.exchange = ticket};
    enum auth_outcome outcome = AUTH_UNAVAILABLE;
    struct span out;
    if (sasl_exchange_step(o->exchange, response, &outcome, &out) == SASL_STEP_CHALLENGE) {
        (void)channel_send(w->channel, MESSAGE_AUTH_CHALLENGE, &challenge, out, -1); /* as above */
        return;
    }
    send_done(w, ticket, outcome, outcome == AUTH_GOOD ? out : span_make("", 0));
    sasl_exchange_destroy(&o->exchange);
}

static void start(struct worker *w, const struct message *m)
{
    struct message_auth_start start = *(const struct message_auth_start *)m->payload;
    struct open_exchange *o = &w->open[start.exchange.slot];
    start.mechanism[sizeof start.mechanism - 1] = '\0';
    sasl_exchange_destroy(&o->exchange); /* the worker has forgotten it */
    o->generation = start.exchange.generation;
    o->exchange =
        sasl_exchange_create(start.service == AUTH_POP3 ? AUTH_POP3 : AUTH_SMTP, start.mechanism);
    if (o->exchange == NULL)
        send_done(w, start.exchange, AUTH_UNAVAILABLE, span_make("", 0));
    else
        step(w, start.exchange, start.has_response ? &m->tail : NULL);
}

static void on_message(void *owner, const struct message *m)
{
    struct worker *w = owner;
    if (m == NULL) {
        struct sasl_service *s = w->service;
        forget(w);
        if (s->workers == NULL && s->on_empty != NULL)
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
    else if (m->type == MESSAGE_AUTH_STEP)
        step(w, ticket, &m->tail);
    else
        sasl_exchange_destroy(&o->exchange);
}

struct sasl_service *sasl_service_create(struct loop *loop, const struct config *config,
                                         struct error *why)
{
    struct sasl_service *s = calloc(1, sizeof *s);
    if (s == NULL)
        abort(); /* out of memory at the start */
    *s = (struct sasl_service){.loop = loop, .config = config};
    if (sasl_start(config, why) < 0) {
        free(s);
        return NULL;
    }
    return s;
}

void sasl_service_destroy(struct sasl_service **service)
{
    if (*service == NULL)
        return;
    while ((*service)->workers != NULL)
        forget((*service)->workers);
    sasl_stop();
    free(*service);
    *service = NULL;
}

void sasl_service_add(struct sasl_service *s, int fd)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        (void)close(fd); /* nothing was written */
        return;
    }
    w->service = s;
    w->channel = channel_create(s->loop, fd, on_message, w);
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
    return s->workers == NULL;
}

/* ---- before the start ---- */

static int try_store(const void *what, struct error *why)
{
    const struct config *config = what;
    int fd = open(config->auth.sasldb, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(why, "%s: %s", config->auth.sasldb, strerror(errno));
    (void)close(fd); /* was only read */
    return sasl_start(config, why);
}

/* What would help, beside what is wrong. */
static void complain(const struct config *config, const struct error *why, struct errors *errors)
{
    const struct auth_config *a = &config->auth;
    struct error help = {.text = ""};
    struct stat s;
    if (stat(a->sasldb, &s) < 0)
        (void)error_set(&help,
                        "; make users with: saslpasswd2 -c -f %s -u %s USER && chown %s %s && "
                        "chmod 600 %s",
                        a->sasldb, a->realm, config->auth_user, a->sasldb, a->sasldb);
    else if (strstr(why->text, a->sasldb) != NULL)
        (void)error_set(&help, "; chown %s %s && chmod 600 %s", config->auth_user, a->sasldb,
                        a->sasldb);
    errors_add_at(errors, &a->place, "auth.sasldb: as user %s: %s%s", config->auth_user, why->text,
                  help.text);
}

void sasl_prepare(const struct config *config, const struct identity *auth_user,
                  struct errors *errors)
{
    const struct auth_config *a = &config->auth;
    struct error why;
    struct stat s;
    bool is_needed = false;
    for (size_t i = 0; i < config->listener_count; i++)
        is_needed = is_needed || config->listeners[i].role != ROLE_REFUSE;
    if (!is_needed)
        return;
    if (privileges_try(auth_user, try_store, config, &why) < 0)
        complain(config, &why, errors);
    else if (stat(a->sasldb, &s) == 0 && (s.st_mode & S_IROTH) != 0)
        errors_warn_at(errors, &a->place,
                       "auth.sasldb: %s can be read by everybody, and holds passwords in plain "
                       "text; chmod 600 it",
                       a->sasldb);
}
