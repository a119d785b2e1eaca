#include "redis/search.h"

#include "base/clock.h"
#include "redis/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HOPS_MAX = 5 };

struct redis_search {
    const struct redis_options *options;
    redis_search_fn *fn;
    void *owner;
    struct timeout *timer; /* until the next is tried, or dialling has taken too long */
    int64_t deadline_ns;   /* of this one */
    struct redis_link *link;
    struct redis_handshake *handshake;
    struct redis_place place;
    size_t first, tried; /* of the configuration's servers: where it began, and how many since */
    unsigned hops;       /* from one that names another */
    bool is_sentinel;    /* who is spoken to */
    bool is_dialling;    /* `dial` was asked */
};

static const struct redis_config *config(const struct redis_search *s)
{
    return s->options->config;
}

/* The configuration's, of which one is tried. */
static size_t seed(const struct redis_search *s)
{
    return (s->first + s->tried - 1) % config(s)->server_count;
}

void redis_search_stop(struct redis_search *s)
{
    timeout_clear(s->timer);
    s->is_dialling = false;
    redis_handshake_end(&s->handshake);
    redis_link_close(&s->link);
}

/* The next, or the end. */
static void fail(struct redis_search *s, const char *reason)
{
    struct error why;
    (void)error_set(&why, "%s", reason); /* it may lie in what is closed now */
    redis_search_stop(s);
    if (s->tried < config(s)->server_count) {
        timeout_set(s->timer, loop_now(s->options->loop));
        return;
    }
    s->first = (s->first + 1) % config(s)->server_count;
    s->fn(s->owner, NULL, &s->place, why.text);
}

static void hop(struct redis_search *s, const struct address *to);

static void on_handshake(void *owner, const char *failure, const struct address *elsewhere)
{
    struct redis_search *s = owner;
    if (failure != NULL) {
        fail(s, failure);
        return;
    }
    if (elsewhere != NULL) {
        hop(s, elsewhere);
        return;
    }
    struct redis_link *found = s->link;
    s->link = NULL;
    redis_search_stop(s);
    if (s->tried > 0)
        s->first = seed(s);
    s->fn(s->owner, found, &s->place, NULL);
}

static void on_link(void *owner, struct redis_link *l, enum redis_link_event event,
                    const char *reason)
{
    struct redis_search *s = owner;
    const struct redis_handshake_options options = {
        .config = config(s),
        .peer = s->is_sentinel ? REDIS_PEER_SENTINEL : REDIS_PEER_SERVER,
        .password = s->is_sentinel ? s->options->sentinel_password : s->options->password,
        .at = &s->place.at,
        .deadline_ns = s->deadline_ns};
    if (event == REDIS_LINK_LOST) {
        fail(s, reason);
        return;
    }
    s->handshake = redis_handshake_begin(l, &options, on_handshake, s);
    if (s->handshake == NULL)
        fail(s, "out of memory");
}

static struct redis_link_options link_options(struct redis_search *s)
{
    return (struct redis_link_options){
        .loop = s->options->loop, .timeout_ms = config(s)->timeout_ms, .fn = on_link, .owner = s};
}

/* Each has the time that an answer has. */
static void begin_one(struct redis_search *s, bool is_sentinel)
{
    s->is_sentinel = is_sentinel;
    s->deadline_ns = loop_now(s->options->loop) + config(s)->timeout_ms * CLOCK_MS;
}

static void connect_to(struct redis_search *s, const struct address *to)
{
    struct redis_link_options options = link_options(s);
    struct error why;
    options.tls = s->options->tls;
    s->place.at = *to;
    s->link = redis_link_connect(&options, to, &why);
    if (s->link == NULL)
        fail(s, why.text);
}

/* To one that another has named. */
static void hop(struct redis_search *s, const struct address *to)
{
    const struct address there = *to; /* it may lie in what is closed now */
    if (s->hops++ == HOPS_MAX) {
        fail(s, "one sends us to the other");
        return;
    }
    redis_search_stop(s);
    begin_one(s, false);
    address_format(&there, s->place.name);
    connect_to(s, &there);
}

static void try_next(struct redis_search *s)
{
    s->tried++;
    s->hops = 0;
    const struct redis_server *server = &config(s)->servers[seed(s)];
    begin_one(s, config(s)->sentinels.count > 0);
    (void)snprintf(s->place.name, sizeof s->place.name, "%s", server->text); /* fits */
    if (!server->is_unix) {
        connect_to(s, &server->to);
        return;
    }
    s->place.at = (struct address){.size = 0};
    s->is_dialling = true;
    timeout_set(s->timer, s->deadline_ns);
    s->options->dial(s->options->dial_owner, seed(s));
}

void redis_search_dialled(struct redis_search *s, size_t index, int fd)
{
    const struct redis_link_options options = link_options(s);
    struct error why;
    if (!s->is_dialling || index != seed(s)) {
        if (fd >= 0)
            (void)close(fd); /* it came too late */
        return;
    }
    s->is_dialling = false;
    timeout_clear(s->timer);
    (void)error_set(&why, "its socket can't be connected to");
    s->link = fd < 0 ? NULL : redis_link_adopt(&options, fd, &why);
    if (s->link == NULL)
        fail(s, why.text);
}

static void on_timer(void *owner)
{
    struct redis_search *s = owner;
    if (s->is_dialling)
        fail(s, "connecting took too long");
    else
        try_next(s);
}

void redis_search_begin(struct redis_search *s, const struct address *to)
{
    redis_search_stop(s);
    s->tried = 0;
    s->hops = 0;
    if (to != NULL)
        hop(s, to);
    else
        timeout_set(s->timer, loop_now(s->options->loop)); /* by the loop, as all that follows */
}

struct redis_search *redis_search_create(const struct redis_options *options, redis_search_fn *fn,
                                         void *owner)
{
    struct redis_search *s = calloc(1, sizeof *s);
    if (s == NULL || (s->timer = timeout_create(options->loop, on_timer, s)) == NULL) {
        free(s);
        return NULL;
    }
    s->options = options;
    s->fn = fn;
    s->owner = owner;
    return s;
}

void redis_search_destroy(struct redis_search **search)
{
    struct redis_search *s = *search;
    if (s == NULL)
        return;
    redis_search_stop(s);
    timeout_destroy(&s->timer);
    free(s);
    *search = NULL;
}
