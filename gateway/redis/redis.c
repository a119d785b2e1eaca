#include "redis/redis.h"

#include "base/clock.h"
#include "redis/handshake.h"
#include "redis/script.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    CALLS_MAX = 4096,            /* under way at a time */
    BYTES_MAX = 8 * 1024 * 1024, /* of their commands */
    BACK_OFF_MIN_MS = 50,
    BACK_OFF_MAX_MS = 5000,
};
#define STEADY_NS (10 * CLOCK_SECOND) /* a connection that has lived so long was a good one */

struct call {
    struct redis_command command; /* at the front */
    struct redis *redis;
    redis_fn *fn;
    void *owner;
    bool is_whole; /* it brings the script */
};

struct redis {
    struct redis_options options;
    struct redis_link *link;
    struct redis_handshake *handshake;
    struct timeout *timer; /* until it is tried again, or has taken too long */
    struct redis_command *waiting, **last_waiting; /* for the very first connection */
    size_t calls, bytes;
    size_t server;     /* the place in `address` that is tried, or was last */
    unsigned failures; /* in a row */
    bool is_dialling;  /* `dial` was asked */
    bool is_trusted, was_trusted, was_told, is_first;
    int64_t trusted_since_ns;
};

/* ---- calls ---- */

static void finish(struct call *c, const struct redis_value *answer)
{
    struct redis *r = c->redis;
    r->calls--;
    r->bytes -= c->command.size;
    if (answer == NULL)
        counter_add(r->options.counters, COUNTER_redis_failures, 0, 1);
    if (c->fn != NULL)
        c->fn(c->owner, answer);
    redis_command_free(&c->command.bytes, c->command.size);
    free(c);
}

/* No answer will come to any of them. */
static void finish_all(struct redis_command *next)
{
    while (next != NULL) {
        struct redis_command *command = next;
        next = command->next;
        finish((struct call *)command, NULL); /* it lies at the front */
    }
}

static void distrust(struct redis *r, const char *reason);

/* The server has started anew, or somebody has flushed its scripts: this call brings it. */
static int send_whole(struct call *c)
{
    size_t size;
    char *bytes = script_make_whole(c->command.bytes, c->command.size, &size);
    if (bytes == NULL)
        return -1;
    c->redis->bytes += size - c->command.size;
    redis_command_free(&c->command.bytes, c->command.size);
    c->command.bytes = bytes;
    c->command.size = size;
    c->command.deadline_ns =
        loop_now(c->redis->options.loop) + c->redis->options.config->timeout_ms * CLOCK_MS;
    c->is_whole = true;
    redis_link_send(c->redis->link, &c->command);
    return 0;
}

static void on_answer(struct redis_command *command, const struct redis_value *answer)
{
    struct call *c = (struct call *)command; /* it lies at the front */
    struct redis *r = c->redis;
    struct error why;
    if (answer == NULL || answer->kind != REDIS_ERROR) {
        finish(c, answer);
        return;
    }
    if (redis_is_error(answer, "NOSCRIPT") && !c->is_whole && send_whole(c) == 0)
        return;
    (void)error_set(&why, "%.*s", (int)(answer->text.size < 500 ? answer->text.size : 500),
                    answer->text.data);
    finish(c, NULL);
    distrust(r, why.text);
}

static struct call *make_call(struct redis *r, struct redis_words *w)
{
    char keys[SCRIPT_NUMBER_SIZE];
    struct call *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    script_begin(w->texts, w->sizes, keys, w->key_count);
    c->command.bytes = redis_command_format(w->count, w->texts, w->sizes, &c->command.size);
    if (c->command.bytes == NULL || r->bytes + c->command.size > BYTES_MAX) {
        redis_command_free(&c->command.bytes, c->command.size);
        free(c);
        return NULL;
    }
    return c;
}

int redis_script(struct redis *r, struct redis_words *words, redis_fn *fn, void *owner)
{
    bool is_possible = (r->is_trusted || r->is_first) && r->calls < CALLS_MAX;
    struct call *c = is_possible ? make_call(r, words) : NULL;
    counter_add(r->options.counters, COUNTER_redis_calls, 0, 1);
    if (c == NULL) {
        counter_add(r->options.counters, COUNTER_redis_failures, 0, 1);
        return -1;
    }
    c->redis = r;
    c->fn = fn;
    c->owner = owner;
    c->command.fn = on_answer;
    c->command.deadline_ns = loop_now(r->options.loop) + r->options.config->timeout_ms * CLOCK_MS;
    r->calls++;
    r->bytes += c->command.size;
    if (r->is_trusted) {
        redis_link_send(r->link, &c->command);
        return 0;
    }
    *r->last_waiting = &c->command;
    r->last_waiting = &c->command.next;
    return 0;
}

/* Takes those that wait for the very first connection, which has come or won't. */
static struct redis_command *take_waiting(struct redis *r)
{
    struct redis_command *first = r->waiting;
    r->waiting = NULL;
    r->last_waiting = &r->waiting;
    r->is_first = false;
    return first;
}

/* ---- trust ---- */

bool redis_is_trusted(const struct redis *r)
{
    return r->is_trusted || r->is_first;
}

static const char *server_name(const struct redis *r)
{
    return r->options.config->servers[r->server].text;
}

static void trust(struct redis *r)
{
    struct redis_command *next = take_waiting(r);
    timeout_clear(r->timer);
    r->is_trusted = true;
    r->trusted_since_ns = loop_now(r->options.loop);
    if (r->was_told)
        log_event(r->options.log, EVENT_redis_back, field_text(KEY_redis, server_name(r)));
    r->was_told = false;
    while (next != NULL) {
        struct redis_command *command = next;
        next = command->next;
        redis_link_send(r->link, command);
    }
}

/* Half of it by chance, so that the workers of many gateways don't come together. */
static int64_t back_off_ns(const struct redis *r)
{
    unsigned doubled = r->failures < 8 ? r->failures : 8;
    int64_t ms = (int64_t)BACK_OFF_MIN_MS << doubled;
    ms = ms > BACK_OFF_MAX_MS ? BACK_OFF_MAX_MS : ms;
    uint16_t random = 0;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK); /* else there is none */
    return ms * CLOCK_MS / 2 + ms * CLOCK_MS / 2 * random / UINT16_MAX;
}

static void distrust(struct redis *r, const char *reason)
{
    bool was_steady = r->is_trusted && loop_now(r->options.loop) - r->trusted_since_ns > STEADY_NS;
    struct redis_command *next = take_waiting(r);
    if (!r->was_told)
        log_event(r->options.log, EVENT_redis_lost, field_text(KEY_redis, server_name(r)),
                  field_text(KEY_reason, reason));
    r->was_told = true;
    r->is_trusted = r->is_dialling = false;
    r->failures = was_steady ? 0 : r->failures + 1;
    r->server = (r->server + 1) % r->options.config->server_count;
    timeout_set(r->timer, loop_now(r->options.loop) + back_off_ns(r));
    redis_handshake_end(&r->handshake);
    redis_link_close(&r->link);
    finish_all(next);
}

/* ---- the connection ---- */

static void on_handshake(void *owner, const char *failure)
{
    struct redis *r = owner;
    if (failure != NULL) {
        distrust(r, failure); /* which lies in the handshake */
        return;
    }
    redis_handshake_end(&r->handshake);
    trust(r);
}

static void on_link(void *owner, struct redis_link *l, enum redis_link_event event,
                    const char *reason)
{
    struct redis *r = owner;
    const struct redis_handshake_options options = {
        .config = r->options.config,
        .password = r->options.password,
        .deadline_ns = loop_now(r->options.loop) + r->options.config->timeout_ms * CLOCK_MS};
    if (event == REDIS_LINK_LOST) {
        distrust(r, reason);
        return;
    }
    r->handshake = redis_handshake_begin(l, &options, on_handshake, r);
    if (r->handshake == NULL)
        distrust(r, "out of memory");
}

static struct redis_link_options link_options(struct redis *r)
{
    bool is_unix = r->options.config->servers[r->server].is_unix;
    return (struct redis_link_options){.loop = r->options.loop,
                                       .timeout_ms = r->options.config->timeout_ms,
                                       .tls = is_unix ? NULL : r->options.tls,
                                       .fn = on_link,
                                       .owner = r};
}

static void connect_now(struct redis *r)
{
    const struct redis_server *server = &r->options.config->servers[r->server];
    const struct redis_link_options options = link_options(r);
    struct error why;
    timeout_set(r->timer, loop_now(r->options.loop) + r->options.config->timeout_ms * CLOCK_MS);
    if (server->is_unix) {
        r->is_dialling = true;
        r->options.dial(r->options.dial_owner, r->server);
        return;
    }
    r->link = redis_link_connect(&options, &server->to, &why);
    if (r->link == NULL)
        distrust(r, why.text);
}

void redis_dialled(struct redis *r, size_t index, int fd)
{
    const struct redis_link_options options = link_options(r);
    struct error why;
    if (!r->is_dialling || index != r->server) {
        if (fd >= 0)
            (void)close(fd); /* it came too late */
        return;
    }
    r->is_dialling = false;
    (void)error_set(&why, "its socket can't be connected to");
    r->link = fd < 0 ? NULL : redis_link_adopt(&options, fd, &why);
    if (r->link == NULL)
        distrust(r, why.text);
}

static void on_timer(void *owner)
{
    struct redis *r = owner;
    if (r->link != NULL || r->is_dialling)
        distrust(r, "connecting took too long");
    else
        connect_now(r);
}

struct redis *redis_create(const struct redis_options *options)
{
    struct redis *r = calloc(1, sizeof *r);
    assert(options->config->server_count > 0);
    if (r == NULL || (r->timer = timeout_create(options->loop, on_timer, r)) == NULL) {
        free(r);
        return NULL;
    }
    r->options = *options;
    r->is_first = true;
    r->last_waiting = &r->waiting;
    timeout_set(r->timer, loop_now(options->loop)); /* by the loop, as all that follows */
    return r;
}

void redis_destroy(struct redis **redis)
{
    struct redis *r = *redis;
    if (r == NULL)
        return;
    struct redis_command *next = take_waiting(r);
    *redis = NULL;
    r->is_trusted = false;
    redis_handshake_end(&r->handshake);
    redis_link_close(&r->link);
    finish_all(next);
    timeout_destroy(&r->timer);
    free(r);
}
