#include "control/orphans.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { TOGETHER = 100, TEXT_SIZE = 16 * 1024 };
#define LOOK_AGAIN_NS (20 * CLOCK_MS)
#define CONNECT_NS    (2 * CLOCK_SECOND)

/* What is told to Redis in one call. */
struct batch {
    struct counter_settle settles[TOGETHER];
    size_t count, text_size;
    char text[TEXT_SIZE]; /* the keys */
};

struct orphans {
    struct orphans_options options;
    struct redis_store *store;
    struct timeout *again; /* until there is a connection */
    int64_t until_ns;
    struct batch batch;
};

static void tell(struct orphans *o)
{
    if (o->batch.count > 0)
        redis_store_settle(o->store, o->batch.settles, o->batch.count);
    o->batch.count = o->batch.text_size = 0;
}

static void add(struct orphans *o, const struct counter_settle *lease)
{
    struct batch *b = &o->batch;
    if (b->count == TOGETHER || lease->key.size > TEXT_SIZE - b->text_size)
        tell(o);
    char *key = memcpy(b->text + b->text_size, lease->key.data, lease->key.size);
    b->text_size += lease->key.size;
    b->settles[b->count] = *lease;
    b->settles[b->count++].key.data = key;
}

static void give_back(void *owner, int row, struct span held)
{
    struct orphans *o = owner;
    struct counter_settle lease;
    while (o->store != NULL && leases_next(&held, &lease))
        add(o, &lease);
    session_free(&o->options.sessions, row);
}

static void try(void *owner)
{
    struct orphans *o = owner;
    int64_t now = loop_now(o->options.loop);
    bool is_ready = o->store == NULL || redis_store_is_linked(o->store);
    if (!is_ready && now < o->until_ns) {
        timeout_set(o->again, now + LOOK_AGAIN_NS);
        return;
    }
    session_each_held(&o->options.sessions, o->options.process, give_back, o);
    tell(o);
}

struct orphans *orphans_create(const struct orphans_options *options)
{
    struct orphans *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->options = *options;
    o->again = timeout_create(options->loop, try, o);
    if (o->again == NULL)
        orphans_destroy(&o);
    return o;
}

void orphans_destroy(struct orphans **o)
{
    if (*o == NULL)
        return;
    timeout_destroy(&(*o)->again);
    free(*o);
    *o = NULL;
}

void orphans_take(struct orphans *o)
{
    o->store = o->options.open_store(o->options.owner);
    o->until_ns = loop_now(o->options.loop) + CONNECT_NS;
    try(o);
}
