/* One lock for all: what is done under it are a few stores. A visitor belongs to its thread, but
 * while `is_busy` its errand is the loop's, and so are its mail and its client always. */
#include "filter/desk.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { TEXT_MAX = 1024, QUEUE_MAX = 64, DESK_TURN = 1000 };

struct visitor {
    struct desk *desk;
    struct visitor *next; /* in the queue */
    pthread_cond_t answered;
    bool is_queued, has_errand, is_busy, is_answered, is_late;
    bool is_over, has_passed, is_leaving; /* said, and not yet heard */
    enum errand_kind kind;
    size_t text_size, more_size;
    char text[TEXT_MAX], more[TEXT_MAX], queue[QUEUE_MAX];
    struct buffer headers;
    uint64_t bytes;
    struct mail_answer answer;
    /* The loop's. */
    struct address address; /* of size 0: none */
    struct mail_client client;
    struct mail *mail;
};

struct desk {
    struct filter *filter;
    int64_t patience_ns;
    struct watch *watch;
    int bell;
    pthread_mutex_t lock;
    struct visitor *first, **last; /* who has something to say */
    size_t count;                  /* of all visitors */
    /* The loop's. */
    bool is_closed;
    size_t mails; /* under way */
};

/* ---- the queue, under the lock ---- */

static void ring(const struct desk *d)
{
    const uint64_t one = 1;
    (void)!write(d->bell, &one, sizeof one); /* full: it rings already */
}

static void enqueue(struct visitor *v)
{
    struct desk *d = v->desk;
    if (v->is_queued)
        return;
    v->is_queued = true;
    v->next = NULL;
    *d->last = v;
    d->last = &v->next;
    ring(d);
}

/* The first in the queue, who may come again at once; NULL: there is none. */
static struct visitor *take_first(struct desk *d)
{
    (void)pthread_mutex_lock(&d->lock);
    struct visitor *v = d->first;
    if (v != NULL) {
        v->is_queued = false;
        d->first = v->next;
        if (d->first == NULL)
            d->last = &d->first;
    }
    (void)pthread_mutex_unlock(&d->lock);
    return v;
}

/* ---- the loop ---- */

static void on_answer(void *owner, const struct mail_answer *answer)
{
    struct visitor *v = owner;
    (void)pthread_mutex_lock(&v->desk->lock);
    bool is_late = v->is_late;
    v->is_busy = v->is_late = false;
    v->answer = *answer;
    v->is_answered = !is_late;
    (void)pthread_cond_signal(&v->answered);
    (void)pthread_mutex_unlock(&v->desk->lock);
    if (is_late && v->mail != NULL)
        mail_undo(v->mail);
}

static void answer_away(struct visitor *v)
{
    struct mail_answer away;
    mail_refuse(&v->client, v->desk->filter->config, SMTP_REPLY_policy_away, NULL, &away);
    on_answer(v, &away);
}

static void end_mail(struct visitor *v)
{
    v->desk->mails -= v->mail != NULL;
    mail_destroy(&v->mail);
}

static void begin_mail(struct visitor *v, struct span sender)
{
    end_mail(v); /* one that nobody has ended */
    if (v->desk->is_closed)
        return;
    v->mail = mail_create(v->desk->filter, &v->client, span_make(v->more, v->more_size), sender);
    v->desk->mails += v->mail != NULL;
}

static void do_errand(struct visitor *v)
{
    struct span text = span_make(v->text, v->text_size), more = span_make(v->more, v->more_size);
    static const struct mail_answer none = {.code = 0};
    if (v->kind == ERRAND_SENDER)
        begin_mail(v, text);
    if (v->mail == NULL) {
        answer_away(v); /* out of memory, closed, or out of order */
        return;
    }
    switch (v->kind) {
    case ERRAND_SENDER: mail_ask_sender(v->mail, on_answer, v); return;
    case ERRAND_RECIPIENT: mail_ask_recipient(v->mail, text, on_answer, v); return;
    case ERRAND_REFUSED:
        mail_refused_recipient(v->mail, text, more);
        on_answer(v, &none);
        return;
    case ERRAND_DATA: mail_ask_data(v->mail, on_answer, v); return;
    case ERRAND_HEADERS: mail_ask_headers(v->mail, buffer_bytes(&v->headers), on_answer, v); return;
    case ERRAND_END: mail_ask_end(v->mail, v->bytes, on_answer, v); return;
    }
}

static void free_visitor(struct visitor *v)
{
    struct desk *d = v->desk;
    end_mail(v);
    buffer_clear(&v->headers);
    (void)pthread_cond_destroy(&v->answered); /* nobody waits */
    free(v);
    (void)pthread_mutex_lock(&d->lock);
    d->count--;
    (void)pthread_mutex_unlock(&d->lock);
}

/* In the order in which it can have been said. */
static void hear(struct visitor *v)
{
    (void)pthread_mutex_lock(&v->desk->lock);
    bool is_over = v->is_over, has_errand = v->has_errand;
    bool is_gone = v->is_leaving && !v->is_queued; /* else it is heard of once more */
    bool has_passed = v->has_passed;
    v->is_over = v->has_passed = v->has_errand = false;
    if (is_over)
        v->is_busy = v->is_late = false; /* nobody waits for an answer any more */
    v->is_busy = v->is_busy || has_errand;
    (void)pthread_mutex_unlock(&v->desk->lock);
    if (v->client.session[0] == '\0')
        mail_client_begin(v->desk->filter, v->address.size == 0 ? NULL : &v->address, &v->client);
    if (has_passed && v->mail != NULL)
        mail_keep(v->mail, v->queue);
    if (is_over)
        end_mail(v);
    if (has_errand)
        do_errand(v);
    if (is_gone)
        free_visitor(v);
}

/* Whoever comes again meanwhile rings again. */
static void on_bell(void *owner, bool is_readable, bool is_writable)
{
    struct desk *d = owner;
    struct visitor *v;
    uint64_t rung;
    (void)is_readable, (void)is_writable;
    (void)!read(d->bell, &rung, sizeof rung); /* how often doesn't matter */
    for (size_t i = 0; i <= DESK_TURN && (v = take_first(d)) != NULL; i++)
        hear(v);
    if (v != NULL)
        ring(d); /* more of them come in the next turn */
}

struct desk *desk_create(struct filter *f, int64_t patience_ns, struct error *why)
{
    struct desk *d = calloc(1, sizeof *d);
    if (d == NULL)
        abort(); /* out of memory at the start */
    d->filter = f;
    d->patience_ns = patience_ns;
    d->last = &d->first;
    (void)pthread_mutex_init(&d->lock, NULL); /* a plain one can't fail */
    d->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d->watch = d->bell < 0 ? NULL : watch_create(f->loop, d->bell, on_bell, d);
    if (d->watch != NULL && watch_want(d->watch, true, false) == 0)
        return d;
    (void)error_set(why, "eventfd: %s", strerror(errno));
    desk_destroy(&d);
    return NULL;
}

void desk_destroy(struct desk **desk)
{
    struct desk *d = *desk;
    if (d == NULL)
        return;
    if (d->watch != NULL)
        on_bell(d, true, false); /* who has left meanwhile */
    watch_destroy(&d->watch);
    if (d->bell >= 0)
        (void)close(d->bell); /* nothing is lost with it */
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
    *desk = NULL;
}

void desk_close(struct desk *d)
{
    d->is_closed = true;
}

bool desk_is_idle(const struct desk *d)
{
    return d->mails == 0;
}

/* ---- the threads ---- */

const struct config *desk_config(const struct desk *d)
{
    return d->filter->config;
}

static struct visitor *make_visitor(struct desk *d, const struct address *address)
{
    struct visitor *v = calloc(1, sizeof *v);
    pthread_condattr_t clock;
    if (v == NULL)
        return NULL;
    v->desk = d;
    if (address != NULL)
        v->address = *address;
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC); /* it is one */
    int failed = pthread_cond_init(&v->answered, &clock);
    (void)pthread_condattr_destroy(&clock);
    if (failed) {
        free(v);
        return NULL;
    }
    return v;
}

struct visitor *desk_enter(struct desk *d, const struct address *address)
{
    struct visitor *v = make_visitor(d, address);
    (void)pthread_mutex_lock(&d->lock);
    bool has_room = v != NULL && d->count < (size_t)d->filter->config->max_connections;
    d->count += has_room;
    (void)pthread_mutex_unlock(&d->lock);
    if (v != NULL && !has_room) {
        (void)pthread_cond_destroy(&v->answered); /* nobody knows of it */
        free(v);
        v = NULL;
    }
    return v;
}

/* Until it is answered, under the lock. */
static bool wait_for_answer(struct visitor *v)
{
    int64_t until_ns = clock_monotonic_ns() + v->desk->patience_ns;
    const struct timespec until = {until_ns / CLOCK_SECOND, until_ns % CLOCK_SECOND};
    while (!v->is_answered)
        if (pthread_cond_timedwait(&v->answered, &v->desk->lock, &until) == ETIMEDOUT)
            break;
    if (v->is_answered)
        return true;
    v->is_late = v->is_busy; /* else the loop hasn't heard of it, and won't */
    v->has_errand = false;
    return false;
}

/* They are the visitor's from now on: the loop may still read them when nobody waits for it. */
static void take_headers(struct visitor *v, const struct errand *e)
{
    buffer_clear(&v->headers);
    if (e->headers == NULL)
        return;
    v->headers = *e->headers;
    *e->headers = (struct buffer){.limit = v->headers.limit};
}

void desk_ask(struct visitor *v, const struct errand *e, struct mail_answer *out)
{
    bool is_answered = false;
    (void)pthread_mutex_lock(&v->desk->lock);
    if (!v->is_busy && e->text.size < TEXT_MAX && e->more.size < TEXT_MAX) {
        v->kind = e->kind;
        v->text_size = span_copy(e->text, v->text, sizeof v->text);
        v->more_size = span_copy(e->more, v->more, sizeof v->more);
        v->bytes = e->bytes;
        take_headers(v, e);
        v->is_answered = false;
        v->has_errand = true;
        enqueue(v);
        is_answered = wait_for_answer(v);
    }
    if (is_answered)
        *out = v->answer;
    (void)pthread_mutex_unlock(&v->desk->lock);
    if (!is_answered)
        mail_refuse(NULL, v->desk->filter->config, SMTP_REPLY_policy_away, NULL, out);
}

void desk_end(struct visitor *v, bool has_passed, struct span queue)
{
    (void)pthread_mutex_lock(&v->desk->lock);
    v->is_over = true;
    v->has_passed = has_passed;
    (void)span_copy(queue, v->queue, sizeof v->queue); /* cut to fit: for the log */
    enqueue(v);
    (void)pthread_mutex_unlock(&v->desk->lock);
}

void desk_leave(struct visitor **visitor)
{
    struct visitor *v = *visitor;
    struct desk *d;
    *visitor = NULL;
    if (v == NULL)
        return;
    d = v->desk;
    (void)pthread_mutex_lock(&d->lock);
    v->is_over = v->is_leaving = true;
    enqueue(v);
    (void)pthread_mutex_unlock(&d->lock);
}
