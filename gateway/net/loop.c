#include "net/loop.h"

#include "base/clock.h"
#include "net/loop_libevent.h"

#include <assert.h>
#include <stdlib.h>

enum { HOOKS_MAX = 8, SIGNALS_MAX = 8, ADOPTED_MAX = 1000 };

struct hook {
    loop_fn *fn;
    void *owner;
};

struct signal_watch {
    struct event *event;
    signal_fn *fn;
    void *owner;
};

struct loop {
    struct event_base *base;
    int64_t now_ns; /* 0: not read in this turn */
    bool is_stopped;
    struct hook hooks[HOOKS_MAX];
    size_t hook_count;
    struct deferred *deferred;
    struct entry soon, adopted; /* heads of rings */
    size_t adopted_count;
    struct hook on_alone;
    struct signal_watch signals[SIGNALS_MAX];
    size_t signal_count;
    struct timeout *timeouts; /* the earliest, on top of the others */
    struct event alarm;       /* for it */
    int64_t alarm_ns;         /* when it will go off; 0: it will not */
    int64_t firing_ns;        /* who is set while others fire comes later than this; 0: none do */
    char scratch[LOOP_SCRATCH_SIZE];
    char spare[LOOP_SPARE_SIZE];
};

/* libevent would write to stderr what its functions return as well. */
static void no_log(int severity, const char *message)
{
    (void)severity, (void)message;
}

static void on_alarm(evutil_socket_t fd, short what, void *owner);

struct loop *loop_create(struct error *why)
{
    struct loop *loop = calloc(1, sizeof *loop);
    event_set_log_callback(no_log);
    struct event_config *config = event_config_new();
    if (loop != NULL && config != NULL &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
        loop->base = event_base_new_with_config(config);
    if (config != NULL)
        event_config_free(config);
    if (loop == NULL || loop->base == NULL) {
        free(loop);
        (void)error_set(why, "event loop: could not be made");
        return NULL;
    }
    int failed = evtimer_assign(&loop->alarm, loop->base, on_alarm, loop);
    assert(!failed); /* it checks its arguments alone */
    loop->soon.next = loop->soon.previous = &loop->soon;
    loop->adopted.next = loop->adopted.previous = &loop->adopted;
    return loop;
}

static void add_last(struct entry *head, struct entry *e, loop_fn *fn, void *owner)
{
    *e = (struct entry){head, head->previous, fn, owner};
    e->previous->next = head->previous = e;
}

static void take_out(struct entry *e)
{
    e->previous->next = e->next;
    e->next->previous = e->previous;
    e->next = NULL;
}

void loop_soon(struct loop *loop, struct entry *e, loop_fn *fn, void *owner)
{
    if (e->next == NULL)
        add_last(&loop->soon, e, fn, owner);
}

void loop_not_soon(struct entry *e)
{
    if (e->next != NULL)
        take_out(e);
}

int loop_adopt(struct loop *loop, struct entry *e, loop_fn *fn, void *owner)
{
    if (loop->adopted_count >= ADOPTED_MAX)
        return -1;
    add_last(&loop->adopted, e, fn, owner);
    loop->adopted_count++;
    return 0;
}

void loop_disown(struct loop *loop, struct entry *e)
{
    if (e->next == NULL)
        return;
    take_out(e);
    if (--loop->adopted_count == 0 && loop->on_alone.fn != NULL)
        loop->on_alone.fn(loop->on_alone.owner);
}

size_t loop_adopted(const struct loop *loop)
{
    return loop->adopted_count;
}

void loop_on_alone(struct loop *loop, loop_fn *fn, void *owner)
{
    loop->on_alone = (struct hook){fn, owner};
}

static bool is_soon_empty(const struct loop *loop)
{
    return loop->soon.next == &loop->soon;
}

static void run_soon(struct loop *loop)
{
    struct entry mark = {.next = NULL};
    if (is_soon_empty(loop))
        return;
    loop_soon(loop, &mark, NULL, NULL); /* who comes behind it comes in the next turn */
    for (struct entry *e; (e = loop->soon.next) != &mark;) {
        take_out(e);
        e->fn(e->owner);
    }
    take_out(&mark);
}

static void run_deferred(struct loop *loop)
{
    while (loop->deferred != NULL) {
        struct deferred *d = loop->deferred;
        loop->deferred = d->next;
        d->fn(d->owner);
    }
}

void loop_destroy(struct loop **loop)
{
    if (*loop == NULL)
        return;
    (*loop)->on_alone.fn = NULL;
    while ((*loop)->adopted_count > 0)
        (*loop)->adopted.next->fn((*loop)->adopted.next->owner);
    run_deferred(*loop);
    for (size_t i = 0; i < (*loop)->signal_count; i++)
        event_free((*loop)->signals[i].event);
    (void)event_del(&(*loop)->alarm); /* not added is fine */
    event_base_free((*loop)->base);
    free(*loop);
    *loop = NULL;
}

void loop_forget(struct loop **loop)
{
    if (*loop == NULL)
        return;
    /* A base of its own first: else freeing would take the parent's descriptors out of the epoll
     * set that both still share. */
    if (event_reinit((*loop)->base) == 0)
        loop_destroy(loop);
    *loop = NULL;
}

int loop_run(struct loop *loop)
{
    loop->now_ns = 0;
    while (!loop->is_stopped) {
        /* Alone, EVLOOP_NONBLOCK goes on for as long as there is something to be read. */
        int waits = is_soon_empty(loop) ? 0 : EVLOOP_NONBLOCK;
        if (event_base_loop(loop->base, EVLOOP_ONCE | waits | EVLOOP_NO_EXIT_ON_EMPTY) < 0)
            return -1;
        run_soon(loop);
        run_deferred(loop);
        for (size_t i = 0; i < loop->hook_count; i++)
            loop->hooks[i].fn(loop->hooks[i].owner);
        loop->now_ns = 0;
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
    (void)event_base_loopbreak(loop->base); /* between turns it is not needed */
}

int64_t loop_now(struct loop *loop)
{
    if (loop->now_ns == 0)
        loop->now_ns = clock_monotonic_ns();
    return loop->now_ns;
}

char *loop_scratch(struct loop *loop)
{
    return loop->scratch;
}

char *loop_spare(struct loop *loop)
{
    return loop->spare;
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

void loop_at_turn_end(struct loop *loop, loop_fn *fn, void *owner)
{
    assert(loop->hook_count < HOOKS_MAX);
    loop->hooks[loop->hook_count++] = (struct hook){fn, owner};
}

void loop_defer(struct loop *loop, struct deferred *d, loop_fn *fn, void *owner)
{
    *d = (struct deferred){loop->deferred, fn, owner};
    loop->deferred = d;
}

static void on_signal(evutil_socket_t signal, short what, void *owner)
{
    const struct signal_watch *s = owner;
    (void)what;
    s->fn(s->owner, (int)signal);
}

int loop_on_signal(struct loop *loop, int signal, signal_fn *fn, void *owner)
{
    assert(loop->signal_count < SIGNALS_MAX);
    struct signal_watch *s = &loop->signals[loop->signal_count];
    *s = (struct signal_watch){evsignal_new(loop->base, signal, on_signal, s), fn, owner};
    if (s->event == NULL || event_add(s->event, NULL) < 0)
        return -1;
    loop->signal_count++;
    return 0;
}

struct watch {
    struct event event;
    struct loop *loop;
    watch_fn *fn;
    void *owner;
    short wanted;
};

static void on_watch(evutil_socket_t fd, short what, void *owner)
{
    struct watch *w = owner;
    (void)fd;
    w->fn(w->owner, (what & EV_READ) != 0, (what & EV_WRITE) != 0);
}

struct watch *watch_create(struct loop *loop, int fd, watch_fn *fn, void *owner)
{
    struct watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->loop = loop;
    w->fn = fn;
    w->owner = owner;
    if (event_assign(&w->event, loop->base, fd, 0, on_watch, w) < 0) {
        free(w);
        return NULL;
    }
    return w;
}

void watch_destroy(struct watch **watch)
{
    if (*watch == NULL)
        return;
    (void)event_del(&(*watch)->event); /* not added is fine */
    free(*watch);
    *watch = NULL;
}

static int want(struct watch *w, short wanted)
{
    if (w->wanted == wanted)
        return 0;
    (void)event_del(&w->event); /* likewise */
    w->wanted = 0;
    int fd = event_get_fd(&w->event);
    if (wanted == 0)
        return 0;
    if (event_assign(&w->event, w->loop->base, fd, (short)(wanted | EV_PERSIST), on_watch, w) < 0 ||
        event_add(&w->event, NULL) < 0)
        return -1;
    w->wanted = wanted;
    return 0;
}

int watch_want(struct watch *w, bool readable, bool writable)
{
    return want(w, (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0)));
}

int watch_want_edges(struct watch *w)
{
    return want(w, EV_READ | EV_ET);
}

/* Sets the alarm for the earliest, where it would go off too late. */
static void set_alarm(struct loop *loop)
{
    if (loop->timeouts == NULL ||
        (loop->alarm_ns != 0 && loop->alarm_ns <= loop->timeouts->armed_ns))
        return;
    loop->alarm_ns = loop->timeouts->armed_ns;
    int64_t delay = loop->alarm_ns - loop_now(loop);
    if (delay < 0)
        delay = 0;
    struct timeval tv = {delay / CLOCK_SECOND, (delay % CLOCK_SECOND + 999) / 1000};
    if (tv.tv_usec == 1000000)
        tv = (struct timeval){tv.tv_sec + 1, 0};
    int failed = event_add(&loop->alarm, &tv);
    assert(!failed); /* fails without memory alone; a wait without end would be worse */
}

static void disarm(struct timeout *t)
{
    if (t->armed_ns != 0)
        timeouts_remove(&t->loop->timeouts, t);
    t->armed_ns = 0;
}

static void arm(struct timeout *t)
{
    disarm(t);
    t->armed_ns = t->at_ns > t->loop->firing_ns ? t->at_ns : t->loop->firing_ns + 1;
    timeouts_add(&t->loop->timeouts, t);
}

/* Never before `at_ns`; one that was moved later is put back when its first time has come. */
static void on_alarm(evutil_socket_t fd, short what, void *owner)
{
    struct loop *loop = owner;
    (void)fd, (void)what;
    loop->alarm_ns = 0;
    loop->firing_ns = loop_now(loop);
    while (loop->timeouts != NULL && loop->timeouts->armed_ns <= loop->firing_ns) {
        struct timeout *t = loop->timeouts;
        disarm(t);
        if (t->at_ns > loop->firing_ns) {
            arm(t);
        } else if (t->at_ns != 0) {
            t->at_ns = 0;
            t->fn(t->owner);
        }
    }
    loop->firing_ns = 0;
    set_alarm(loop);
}

void timeout_init(struct timeout *t, struct loop *loop, loop_fn *fn, void *owner)
{
    *t = (struct timeout){.loop = loop, .fn = fn, .owner = owner};
}

struct timeout *timeout_create(struct loop *loop, loop_fn *fn, void *owner)
{
    struct timeout *t = malloc(sizeof *t);
    if (t != NULL)
        timeout_init(t, loop, fn, owner);
    return t;
}

void timeout_stop(struct timeout *t)
{
    disarm(t);
    t->at_ns = 0;
}

void timeout_destroy(struct timeout **timeout)
{
    if (*timeout == NULL)
        return;
    timeout_stop(*timeout);
    free(*timeout);
    *timeout = NULL;
}

void timeout_set(struct timeout *t, int64_t at_ns)
{
    t->at_ns = at_ns;
    if (t->armed_ns != 0 && t->armed_ns <= at_ns)
        return;
    arm(t);
    if (t->loop->firing_ns == 0)
        set_alarm(t->loop);
}

void timeout_clear(struct timeout *t)
{
    t->at_ns = 0;
}
