#include "process/mapping.h"

#include "base/shared.h"
#include "decision/leases.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

static_assert((int)HOLDING_ROWS == (int)PROCESS_SLOT_MAX, "each process has its row");

/* Lines on their way: a mapping apart, of which each process keeps its own pages alone. Returns 0,
 * or -1 and why. */
static int map_logs(struct mapping *m, struct error *why)
{
    struct shared_layout layout = {0};
    (void)shared_reserve(&layout, log_memory_size()); /* of the first slot */
    m->log_stride = shared_reserve(&layout, log_memory_size());
    layout.size = PROCESS_SLOT_MAX * m->log_stride;
    m->logs = shared_map(&layout, why);
    return m->logs == NULL ? -1 : 0;
}

int mapping_create(struct mapping *m, size_t max_connections, struct error *why)
{
    struct shared_layout layout = {0}, own = {0};
    size_t labels = shared_reserve(&layout, labels_size());
    size_t counters = shared_reserve(&layout, counter_table_size());
    size_t processes = shared_reserve(&layout, process_table_size());
    size_t sessions = shared_reserve(&layout, session_table_size(max_connections));
    size_t health = shared_reserve(&layout, health_size());
    size_t backend = shared_reserve(&layout, backend_size());
    size_t auth_cache = shared_reserve(&layout, auth_cache_size());
    size_t limits = shared_reserve(&layout, memory_size());
    size_t bans = shared_reserve(&layout, bans_size());
    size_t known = shared_reserve(&layout, known_size());
    size_t set_limits = shared_reserve(&layout, set_limits_size());
    size_t senders = shared_reserve(&layout, senders_size());
    size_t holding = shared_reserve(&layout, holding_size());
    uint64_t seed, key[2];
    (void)shared_reserve(&own, witness_memory_size()); /* it is all of it */
    char *base = shared_map(&layout, why);
    void *witness = base == NULL ? NULL : shared_map(&own, why);
    if (witness == NULL)
        return -1;
    *m = (struct mapping){
        .labels = (void *)(base + labels),
        .counters = (void *)(base + counters),
        .processes = (void *)(base + processes),
        .sessions = {.region = (void *)(base + sessions), .capacity = max_connections},
        .health = (void *)(base + health),
        .backend = (void *)(base + backend),
        .auth_cache = (void *)(base + auth_cache),
        .limits = (void *)(base + limits),
        .bans = (void *)(base + bans),
        .known = (void *)(base + known),
        .set_limits = (void *)(base + set_limits),
        .witness = witness,
        .senders = (void *)(base + senders),
        .holding = (void *)(base + holding),
    };
    if (getrandom(m->auth_cache_key, sizeof m->auth_cache_key, 0) != sizeof m->auth_cache_key ||
        getrandom(m->sasl_secret, sizeof m->sasl_secret, 0) != sizeof m->sasl_secret ||
        getrandom(m->limits_key, sizeof m->limits_key, 0) != sizeof m->limits_key ||
        getrandom(&seed, sizeof seed, 0) != sizeof seed ||
        getrandom(key, sizeof key, 0) != sizeof key)
        return error_set(why, "getrandom: %s", strerror(errno));
    bans_begin(m->bans, seed);
    set_limits_begin(m->set_limits, key);
    return map_logs(m, why);
}

struct log_memory *mapping_log(const struct mapping *m, size_t slot)
{
    return (void *)(m->logs + slot * m->log_stride);
}

void mapping_hide(const struct mapping *m, size_t slot, bool is_control)
{
    size_t before = slot * m->log_stride, behind = before + m->log_stride;
    if (before > 0)
        (void)munmap(m->logs, before); /* it is mapped, as all here */
    if (behind < PROCESS_SLOT_MAX * m->log_stride)
        (void)munmap(m->logs + behind, PROCESS_SLOT_MAX * m->log_stride - behind);
    if (!is_control)
        (void)munmap(m->witness, witness_memory_size());
}

static struct span release(void *owner, struct span held)
{
    return leases_release(held, owner);
}

size_t mapping_release(const struct mapping *m, size_t slot, int heir)
{
    struct memory memory = memory_open(m->limits, m->limits_key, slot, NULL);
    memory_free(m->limits, slot);
    size_t handed = session_end_all(&m->sessions, slot, heir, release, &memory);
    health_release_all(m->health, slot);
    bans_release(m->bans, slot);
    set_limits_release(m->set_limits, slot);
    holding_release(m->holding, slot);
    witness_memory_release(m->witness, slot);
    process_free(m->processes, slot);
    return handed;
}
