#include "redis/redis.h"

#include "base/clock.h"
#include "redis/importer.h"
#include "redis/redirect.h"
#include "redis/script.h"
#include "redis/search.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    CALLS_MAX = 4096,            /* under way at a time */
    BYTES_MAX = 8 * 1024 * 1024, /* of their commands */
    BACK_OFF_MIN_MS = 50,
    BACK_OFF_MAX_MS = 5000,
    MOVES_MAX = 3, /* of a call */
};
#define STEADY_NS (10 * CLOCK_SECOND) /* a connection that has lived so long was a good one */

struct call {
    struct redis_command command; /* at the front */
    struct redis *redis;
    redis_fn *fn;
    void *owner;
    bool is_whole; /* it brings the script */
    unsigned moves;
    struct redis_asked asked;
};

struct redis {
    struct redis_options options;
    struct redis_search *search;
    struct redis_link *link; /* to the server that is trusted; NULL: there is none */
    struct redis_link *old;  /* to one that has sent us on, until all its answers have come */
    struct redis_importer *importer;
    struct redis_place place; /* where `link` leads, or led last; no name: nowhere yet */
    struct timeout *timer;    /* until it is looked for again */
    struct redis_command *waiting, **last_waiting; /* for a link that is expected */
    struct timeout *patience;                      /* how long they may */
    size_t calls, bytes;
    unsigned failures; /* in a row */
    bool is_expecting; /* the first link, or the next of one that has sent us on */
    bool was_told;
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

static void distrust(struct redis *r, const char *name, const char *reason);

/* Sends it, or lets it wait for a link that is expected. */
static void pass(struct call *c)
{
    struct redis *r = c->redis;
    if (r->link != NULL) {
        redis_link_send(r->link, &c->command);
        return;
    }
    if (!r->is_expecting) {
        finish(c, NULL);
        return;
    }
    if (r->waiting == NULL)
        timeout_set(r->patience, c->command.deadline_ns);
    c->command.next = NULL;
    *r->last_waiting = &c->command;
    r->last_waiting = &c->command.next;
}

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
    c->is_whole = true;
    pass(c);
    return 0;
}

/* The slot of the keys has moved. What is under way will be told the same, in turn. */
static void leave_for(struct redis *r, const struct address *to)
{
    redis_link_close(&r->old);
    r->old = r->link;
    r->link = NULL;
    r->is_expecting = true;
    redis_search_begin(r->search, to);
}

/* Returns whether the call goes on elsewhere: where its slot is now, or where its keys are, or
 * would be, while the slot is being moved. */
static bool follow(struct call *c, const struct redis_value *answer, struct error *why)
{
    struct redis *r = c->redis;
    struct address to;
    int is_moved = redis_redirect(answer, "MOVED", &r->place.at, &to, why);
    int is_asked = is_moved == 0 ? redis_redirect(answer, "ASK", &r->place.at, &to, why) : 0;
    if (is_moved <= 0 && is_asked <= 0)
        return false;
    if (c->moves++ == MOVES_MAX) {
        (void)error_set(why, "one sends us to the other");
        return false;
    }
    if (is_asked > 0) {
        c->asked.command = &c->command;
        redis_importer_send(r->importer, &to, &c->asked);
        return true;
    }
    if (r->link != NULL && !address_is_same(&to, &r->place.at))
        leave_for(r, &to);
    pass(c);
    return true;
}

/* An error: what is wrong with this server, unless the call goes on. */
static void failed(struct call *c, const struct redis_value *answer)
{
    struct redis *r = c->redis;
    struct error why;
    (void)error_set(&why, "%.*s", (int)(answer->text.size < 500 ? answer->text.size : 500),
                    answer->text.data);
    if (follow(c, answer, &why) ||
        (redis_is_error(answer, "NOSCRIPT") && !c->is_whole && send_whole(c) == 0))
        return;
    finish(c, NULL);
    distrust(r, r->place.name, why.text);
}

static void on_answer(struct redis_command *command, const struct redis_value *answer)
{
    struct call *c = (struct call *)command; /* it lies at the front */
    struct redis *r = c->redis;
    if (answer == NULL || answer->kind != REDIS_ERROR)
        finish(c, answer);
    else
        failed(c, answer);
    if (r->old != NULL && redis_link_is_idle(r->old))
        redis_link_close(&r->old);
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
    bool is_possible = redis_is_trusted(r) && r->calls < CALLS_MAX;
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
    pass(c);
    return 0;
}

/* Takes those that wait for a link, which has come or won't. */
static struct redis_command *take_waiting(struct redis *r)
{
    struct redis_command *first = r->waiting;
    r->waiting = NULL;
    r->last_waiting = &r->waiting;
    r->is_expecting = false;
    timeout_clear(r->patience);
    return first;
}

/* ---- trust ---- */

bool redis_is_trusted(const struct redis *r)
{
    return r->link != NULL || r->is_expecting;
}

bool redis_is_linked(const struct redis *r)
{
    return r->link != NULL;
}

static void on_link(void *owner, struct redis_link *l, enum redis_link_event event,
                    const char *reason)
{
    struct redis *r = owner;
    assert(event == REDIS_LINK_LOST); /* it was open when it was found */
    if (l == r->old)
        redis_link_close(&r->old);
    else
        distrust(r, r->place.name, reason);
}

static void tell_trusted(struct redis *r, const struct redis_place *place)
{
    struct error before;
    (void)error_set(&before, "it was %s before", r->place.name);
    if (r->place.name[0] != '\0' && strcmp(r->place.name, place->name) != 0)
        log_event(r->options.log, EVENT_redis_moved, field_text(KEY_redis, place->name),
                  field_text(KEY_reason, before.text));
    if (r->was_told)
        log_event(r->options.log, EVENT_redis_back, field_text(KEY_redis, place->name));
    r->was_told = false;
}

static void trust(struct redis *r, struct redis_link *l, const struct redis_place *place)
{
    struct redis_command *next = take_waiting(r);
    redis_link_set_owner(l, on_link, r);
    tell_trusted(r, place);
    r->link = l;
    r->place = *place;
    r->trusted_since_ns = loop_now(r->options.loop);
    while (next != NULL) {
        struct redis_command *command = next;
        next = command->next;
        redis_link_send(l, command);
    }
}

static void tell_lost(struct redis *r, const char *name, const char *reason)
{
    if (!r->was_told)
        log_event(r->options.log, EVENT_redis_lost, field_text(KEY_redis, name),
                  field_text(KEY_reason, reason));
    r->was_told = true;
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

static void distrust(struct redis *r, const char *name, const char *reason)
{
    bool was_steady =
        r->link != NULL && loop_now(r->options.loop) - r->trusted_since_ns > STEADY_NS;
    struct redis_command *next = take_waiting(r);
    tell_lost(r, name, reason);
    r->failures = was_steady ? 0 : r->failures + 1;
    redis_search_stop(r->search);
    timeout_set(r->timer, loop_now(r->options.loop) + back_off_ns(r));
    redis_link_close(&r->link);
    redis_link_close(&r->old);
    redis_importer_close(r->importer);
    finish_all(next);
}

static void on_importer(void *owner, const char *name, const char *reason)
{
    distrust(owner, name, reason);
}

static void on_search(void *owner, struct redis_link *found, const struct redis_place *place,
                      const char *failure)
{
    struct redis *r = owner;
    if (found != NULL)
        trust(r, found, place);
    else
        distrust(r, place->name, failure);
}

/* Who waits has waited as long as he may; the search goes on. */
static void on_impatient(void *owner)
{
    struct redis *r = owner;
    struct redis_command *next = take_waiting(r);
    tell_lost(r, r->options.config->servers[0].text, "no answer in time");
    finish_all(next);
}

static void on_timer(void *owner)
{
    struct redis *r = owner;
    redis_search_begin(r->search, NULL);
}

void redis_dialled(struct redis *r, size_t index, int fd)
{
    redis_search_dialled(r->search, index, fd);
}

struct redis *redis_create(const struct redis_options *options)
{
    struct redis *r = calloc(1, sizeof *r);
    assert(options->config->server_count > 0);
    if (r == NULL)
        return NULL;
    r->options = *options;
    r->is_expecting = true;
    r->last_waiting = &r->waiting;
    r->timer = timeout_create(options->loop, on_timer, r);
    r->patience = timeout_create(options->loop, on_impatient, r);
    r->search = redis_search_create(&r->options, on_search, r);
    r->importer = redis_importer_create(&r->options, on_importer, r);
    if (r->timer == NULL || r->patience == NULL || r->search == NULL || r->importer == NULL) {
        redis_destroy(&r);
        return NULL;
    }
    redis_search_begin(r->search, NULL);
    return r;
}

void redis_destroy(struct redis **redis)
{
    struct redis *r = *redis;
    if (r == NULL)
        return;
    *redis = NULL;
    struct redis_command *next = r->waiting;
    r->waiting = NULL;
    r->is_expecting = false;
    redis_link_close(&r->link);
    redis_link_close(&r->old);
    redis_importer_destroy(&r->importer);
    finish_all(next);
    redis_search_destroy(&r->search);
    timeout_destroy(&r->patience);
    timeout_destroy(&r->timer);
    free(r);
}
