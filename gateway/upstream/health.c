#include "upstream/health.h"

#include "base/clock.h"
#include "telemetry/labels.h"
#include "telemetry/processes.h"

#include <assert.h>
#include <stdatomic.h>

#define LOWERED_NS (60 * CLOCK_SECOND)

struct row {
    _Atomic uint32_t state, extensions;
    _Atomic uint64_t max_size;
    _Atomic uint32_t lowered_to;
    _Atomic int64_t lowered_until_ns, wanted_until_ns;
    _Atomic uint16_t connections[PROCESS_SLOT_MAX]; /* each written by its process alone */
};

struct health {
    struct row rows[LABEL_SERVER_MAX];
};

static struct row *row_at(struct health *h, size_t server)
{
    assert(server < LABEL_SERVER_MAX);
    return &h->rows[server];
}

size_t health_size(void)
{
    return sizeof(struct health);
}

void health_clear(struct health *h, size_t server)
{
    struct row *r = row_at(h, server);
    atomic_store(&r->state, SERVER_UNKNOWN);
    atomic_store(&r->extensions, 0);
    atomic_store(&r->max_size, 0);
    atomic_store(&r->lowered_until_ns, 0);
    atomic_store(&r->wanted_until_ns, 0);
}

static uint32_t sum(const struct row *r)
{
    uint32_t total = 0;
    for (size_t i = 0; i < PROCESS_SLOT_MAX; i++)
        total += atomic_load(&r->connections[i]);
    return total;
}

/* Counts itself first and looks afterwards: of two processes that race for the last permit both may
 * be refused, but never both be served. */
int health_take(struct health *h, size_t server, size_t process, uint32_t max, int64_t now_ns)
{
    struct row *r = row_at(h, server);
    assert(process < PROCESS_SLOT_MAX);
    if (atomic_load(&r->lowered_until_ns) > now_ns) {
        uint32_t lowered = atomic_load(&r->lowered_to);
        max = lowered < max ? lowered : max;
    }
    atomic_fetch_add(&r->connections[process], 1);
    if (sum(r) <= max)
        return 0;
    atomic_fetch_sub(&r->connections[process], 1);
    return -1;
}

void health_release(struct health *h, size_t server, size_t process)
{
    assert(process < PROCESS_SLOT_MAX);
    atomic_fetch_sub(&row_at(h, server)->connections[process], 1);
}

void health_release_all(struct health *h, size_t process)
{
    for (size_t i = 0; i < LABEL_SERVER_MAX; i++)
        atomic_store(&h->rows[i].connections[process], 0);
}

uint32_t health_connections(const struct health *h, size_t server)
{
    return server < LABEL_SERVER_MAX ? sum(&h->rows[server]) : 0;
}

void health_lower(struct health *h, size_t server, int64_t now_ns)
{
    struct row *r = row_at(h, server);
    uint32_t now = sum(r); /* with the one that was refused */
    atomic_store(&r->lowered_to, now > 2 ? now - 1 : 1);
    atomic_store(&r->lowered_until_ns, now_ns + LOWERED_NS);
}

void health_want(struct health *h, size_t server, int64_t until_ns)
{
    struct row *r = row_at(h, server);
    if (atomic_load(&r->wanted_until_ns) < until_ns)
        atomic_store(&r->wanted_until_ns, until_ns);
}

bool health_is_wanted(const struct health *h, size_t server, int64_t now_ns)
{
    return atomic_load(&h->rows[server].wanted_until_ns) > now_ns;
}

bool health_set_state(struct health *h, size_t server, enum server_state state)
{
    return atomic_exchange(&row_at(h, server)->state, (uint32_t)state) != (uint32_t)state;
}

enum server_state health_state(const struct health *h, size_t server)
{
    uint32_t state = server < LABEL_SERVER_MAX ? atomic_load(&h->rows[server].state) : 0;
    return state <= SERVER_DOWN ? (enum server_state)state : SERVER_UNKNOWN;
}

void health_set_offer(struct health *h, size_t server, uint32_t extensions, uint64_t max_size)
{
    struct row *r = row_at(h, server);
    atomic_store(&r->extensions, extensions);
    atomic_store(&r->max_size, max_size);
}

void health_offer(const struct health *h, size_t server, uint32_t *extensions, uint64_t *max_size)
{
    *extensions = atomic_load(&h->rows[server].extensions);
    *max_size = atomic_load(&h->rows[server].max_size);
}
