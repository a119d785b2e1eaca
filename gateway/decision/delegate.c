#include "decision/delegate.h"

#include "base/clock.h"
#include "net/connection.h"
#include "protocol/delegation/answer.h"
#include "protocol/delegation/request.h"

#include <stdlib.h>
#include <unistd.h>

/* To each server. Postfix has as many as it has processes, and one request at a time on each: so do
 * servers expect it. */
enum { LINKS_MAX = 10, WAITING_MAX = 2000, IDLE_MS = 60000, AT_ONCE = 1 };

struct delegate_link {
    struct delegate_link *next, **previous; /* of the server's */
    struct delegate_server *server;
    struct connection *connection; /* NULL: the master is asked for it */
    struct dial dial;
    struct delegate_query *query; /* NULL: idle */
    bool was_used, has_answer_begun;
};

struct delegate_server {
    struct delegates *delegates;
    const struct policy_server *config;
    size_t place; /* in the configuration */
    struct delegate_link *links;
    size_t link_count;
    struct delegate_query *first, **last; /* that wait for a link */
    size_t waiting;
    struct timeout *timer; /* the earliest deadline, or before it */
    int64_t due_ns;        /* what it is set to; 0: it isn't */
    struct entry pump;     /* somebody waits, and there may be a link for him */
    bool is_away;          /* which was logged */
};

struct delegates {
    struct delegates_options options;
    struct delegate_server *servers;
    size_t count;
};

/* ---- who waits ---- */

static void enqueue(struct delegate_query *q, bool is_first)
{
    struct delegate_server *s = q->server;
    struct delegate_query **at = is_first ? &s->first : s->last;
    q->next = *at;
    q->previous = at;
    *at = q;
    if (q->next != NULL)
        q->next->previous = &q->next;
    else
        s->last = &q->next;
    s->waiting++;
}

static void dequeue(struct delegate_query *q)
{
    *q->previous = q->next;
    if (q->next != NULL)
        q->next->previous = q->previous;
    else
        q->server->last = q->previous;
    q->server->waiting--;
}

/* ---- links ---- */

static void close_link(struct delegate_link *l)
{
    struct delegate_server *s = l->server;
    dialler_forget(s->delegates->options.dialler, &l->dial);
    connection_close(&l->connection);
    if (l->query != NULL)
        l->query->link = NULL;
    *l->previous = l->next;
    if (l->next != NULL)
        l->next->previous = l->previous;
    s->link_count--;
    free(l);
}

static void pump_soon(struct delegate_server *s);

/* ---- outcomes ---- */

static void tell_away(struct delegate_server *s, const char *why)
{
    const struct delegates_options *o = &s->delegates->options;
    counter_add(o->counters, COUNTER_delegate_failures, 0, 1);
    if (!s->is_away)
        log_event(o->log, EVENT_policy_server_away, field_text(KEY_delegate, s->config->text),
                  field_text(KEY_reason, why));
    s->is_away = true;
}

static void tell_back(struct delegate_server *s)
{
    if (s->is_away)
        log_event(s->delegates->options.log, EVENT_policy_server_back,
                  field_text(KEY_delegate, s->config->text));
    s->is_away = false;
}

/* Of one that neither waits nor is on a link. Its owner is told last: he may ask again, or cancel
 * others. */
static void fail(struct delegate_server *s, struct delegate_query *q, const char *why)
{
    q->server = NULL;
    tell_away(s, why);
    q->fn(q->owner, NULL, why);
}

/* The link is of no use any more. One that has lain idle may have been closed meanwhile: then so
 * have the others, and the question goes over a new one, once. */
static void lose(struct delegate_link *l, const char *reason)
{
    struct delegate_server *s = l->server;
    struct delegate_query *q = l->query;
    bool is_repeated = q != NULL && l->was_used && !l->has_answer_begun && !q->is_repeated;
    struct error why;
    (void)error_set(&why, "%s", reason); /* it may lie in what is closed now */
    close_link(l);
    if (s->first != NULL)
        pump_soon(s);
    if (!is_repeated) {
        if (q != NULL)
            fail(s, q, why.text);
        return;
    }
    for (struct delegate_link *next, *i = s->links; i != NULL; i = next) {
        next = i->next;
        if (i->query == NULL)
            close_link(i);
    }
    q->is_repeated = true;
    enqueue(q, true);
    pump_soon(s);
}

/* ---- a question over a link ---- */

static void send_request(struct delegate_link *l)
{
    struct buffer request = {.limit = DELEGATION_REQUEST_MAX};
    struct span bytes;
    l->has_answer_begun = false;
    connection_set_deadline(l->connection, 0); /* the question's own holds */
    if (l->query->write(l->query->owner, &request) < 0) {
        buffer_clear(&request);
        lose(l, "what it is to be asked is too long");
        return;
    }
    bytes = buffer_bytes(&request);
    connection_write(l->connection, &bytes, 1);
    buffer_clear(&request);
}

static void rest(struct delegate_link *l)
{
    struct delegate_server *s = l->server;
    l->query = NULL;
    l->was_used = true;
    connection_set_deadline(l->connection,
                            loop_now(s->delegates->options.loop) + IDLE_MS * CLOCK_MS);
    if (s->first != NULL)
        pump_soon(s);
}

static void on_data(struct delegate_link *l, struct span *in)
{
    struct delegate_query *q = l->query;
    struct span action;
    struct error why;
    if (q == NULL) {
        lose(l, "it speaks unasked");
        return;
    }
    l->has_answer_begun = true;
    int outcome = delegation_answer_parse(in, &action, &why);
    if (outcome < 0) {
        lose(l, why.text);
    } else if (outcome > 0) {
        tell_back(l->server);
        rest(l);
        q->link = NULL;
        q->server = NULL;
        bool says_more = in->size > 0;
        q->fn(q->owner, &action, NULL);
        if (says_more)
            close_link(l);
    }
}

static void on_event(void *owner, enum connection_event event, struct span *in)
{
    struct delegate_link *l = owner;
    switch (event) {
    case CONNECTION_READY: send_request(l); return;
    case CONNECTION_DATA: on_data(l, in); return;
    case CONNECTION_DRAINED: return;
    case CONNECTION_TIMEOUT: /* idle for long */
    case CONNECTION_EOF: lose(l, "it closed the connection without an answer"); return;
    case CONNECTION_FAILED: lose(l, connection_error(l->connection)); return;
    }
}

static void on_dialled(void *owner, int fd)
{
    const struct address nowhere = {.size = 0};
    struct delegate_link *l = owner;
    if (fd >= 0)
        l->connection =
            connection_accept(l->server->delegates->options.loop, fd, &nowhere, on_event, l);
    if (l->connection == NULL)
        lose(l, "its socket can't be connected to");
    else
        send_request(l);
}

/* Begins to connect. Returns 0, or -1 and why. */
static int reach(struct delegate_link *l, struct error *why)
{
    struct delegate_server *s = l->server;
    const struct delegates_options *o = &s->delegates->options;
    if (s->config->at.path == NULL) {
        l->connection = connection_connect(o->loop, &s->config->at.to, on_event, l, why);
        return l->connection == NULL ? -1 : 0;
    }
    if (dialler_ask(o->dialler, &l->dial, DIAL_POLICY_SERVER, s->place, on_dialled, l) == 0)
        return 0;
    return error_set(why, "nobody connects to its socket");
}

static void open_link(struct delegate_server *s, struct delegate_query *q)
{
    struct delegate_link *l = calloc(1, sizeof *l);
    struct error why;
    if (l == NULL) {
        fail(s, q, "out of memory");
        return;
    }
    l->server = s;
    l->query = q;
    l->next = s->links;
    l->previous = &s->links;
    if (l->next != NULL)
        l->next->previous = &l->next;
    s->links = l;
    s->link_count++;
    q->link = l;
    if (reach(l, &why) < 0)
        lose(l, why.text);
}

/* ---- who is next ---- */

static struct delegate_link *idle_link(const struct delegate_server *s)
{
    struct delegate_link *l = s->links;
    while (l != NULL && l->query != NULL)
        l = l->next;
    return l;
}

static void pump(void *owner)
{
    struct delegate_server *s = owner;
    while (s->first != NULL) {
        struct delegate_query *q = s->first;
        struct delegate_link *l = idle_link(s);
        if (l == NULL && s->link_count == LINKS_MAX)
            return;
        dequeue(q);
        q->link = l;
        if (l == NULL) {
            open_link(s, q);
        } else {
            l->query = q;
            send_request(l);
        }
    }
}

static void pump_soon(struct delegate_server *s)
{
    loop_soon(s->delegates->options.loop, &s->pump, pump, s);
}

/* ---- deadlines ---- */

/* The one that ends first; NULL: nobody waits. */
static struct delegate_query *most_urgent(const struct delegate_server *s)
{
    struct delegate_query *found = s->first;
    for (struct delegate_query *q = s->first; q != NULL; q = q->next)
        if (q->deadline_ns < found->deadline_ns)
            found = q;
    for (const struct delegate_link *l = s->links; l != NULL; l = l->next)
        if (l->query != NULL && (found == NULL || l->query->deadline_ns < found->deadline_ns))
            found = l->query;
    return found;
}

static void wake(struct delegate_server *s, int64_t at_ns)
{
    if (s->due_ns != 0 && s->due_ns <= at_ns)
        return;
    s->due_ns = at_ns;
    timeout_set(s->timer, at_ns);
}

static void on_timer(void *owner)
{
    struct delegate_server *s = owner;
    struct delegate_query *q;
    int64_t now = loop_now(s->delegates->options.loop);
    while ((q = most_urgent(s)) != NULL && q->deadline_ns <= now) {
        delegate_cancel(q);
        fail(s, q,
             q->deadline_ns == AT_ONCE ? "too many questions wait for it"
                                       : "it does not answer in time");
    }
    s->due_ns = 0;
    if (q != NULL)
        wake(s, q->deadline_ns);
}

void delegate_ask(struct delegates *d, struct delegate_query *q, size_t server, int64_t timeout_ms)
{
    struct delegate_server *s = &d->servers[server];
    bool has_room = s->waiting < WAITING_MAX;
    q->server = s;
    q->link = NULL;
    q->is_repeated = false;
    q->deadline_ns = has_room ? loop_now(d->options.loop) + timeout_ms * CLOCK_MS : AT_ONCE;
    counter_add(d->options.counters, COUNTER_delegate_queries, 0, 1);
    enqueue(q, false);
    wake(s, q->deadline_ns);
    pump_soon(s);
}

void delegate_count_useless(struct delegates *d)
{
    counter_add(d->options.counters, COUNTER_delegate_failures, 0, 1);
}

void delegate_cancel(struct delegate_query *q)
{
    struct delegate_server *s = q->server;
    if (s == NULL)
        return;
    if (q->link == NULL)
        dequeue(q);
    else
        close_link(q->link); /* its answer would be taken for the next one's */
    q->server = NULL;
    if (s->first != NULL)
        pump_soon(s);
}

/* ---- life ---- */

struct delegates *delegates_create(const struct delegates_options *options)
{
    struct delegates *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->options = *options;
    d->servers = calloc(options->config->policy_server_count + 1, sizeof *d->servers);
    for (size_t i = 0; d->servers != NULL && i < options->config->policy_server_count; i++) {
        struct delegate_server *s = &d->servers[d->count++];
        s->delegates = d;
        s->config = &options->config->policy_servers[i];
        s->place = i;
        s->last = &s->first;
        s->timer = timeout_create(options->loop, on_timer, s);
        if (s->timer == NULL)
            delegates_destroy(&d);
        if (d == NULL)
            return NULL;
    }
    if (d->servers == NULL)
        delegates_destroy(&d);
    return d;
}

void delegates_destroy(struct delegates **delegates)
{
    struct delegates *d = *delegates;
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->count; i++) {
        struct delegate_server *s = &d->servers[i];
        while (s->links != NULL)
            close_link(s->links);
        loop_not_soon(&s->pump);
        timeout_destroy(&s->timer);
    }
    free(d->servers);
    free(d);
    *delegates = NULL;
}
