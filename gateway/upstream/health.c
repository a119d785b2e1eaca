#include "upstream/health.h"

#include "base/clock.h"
#include "telemetry/labels.h"
#include "telemetry/processes.h"

#include <assert.h>
#include <stdatomic.h>

enum { TAKE_TRIES = 4 };
#define LOWERED_NS         (60 * CLOCK_SECOND)
#define LOGIN_PAUSE_NS     (10 * CLOCK_SECOND)
#define LOGIN_PAUSE_MAX_NS (600 * CLOCK_SECOND)

struct row {
    _Atomic uint32_t state, extensions;
    _Atomic uint64_t told; /* with these */
    _Atomic uint32_t lowered_to;
    _Atomic int64_t lowered_until_ns;
    _Atomic uint32_t login_proven, login_refused; /* with which secret; 0: none */
    _Atomic uint32_t login_refusals;
    _Atomic int64_t login_held_until_ns;
    _Atomic uint64_t takers; /* whose recipients it has taken lately: see below */
    /* Each written by its process alone. */
    _Atomic uint16_t connections[PROCESS_SLOT_MAX], waiting[PROCESS_SLOT_MAX];
};

struct health {
    _Atomic uint32_t processes; /* slots from here on have never counted anything */
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
    atomic_store(&r->told, 0);
    atomic_store(&r->lowered_until_ns, 0);
    atomic_store(&r->login_proven, 0);
    atomic_store(&r->login_refused, 0);
    atomic_store(&r->takers, 0);
}

/* Before `process` counts anything. */
static void take_note(struct health *h, size_t process)
{
    uint32_t known = atomic_load(&h->processes);
    assert(process < PROCESS_SLOT_MAX);
    while (known <= process &&
           !atomic_compare_exchange_weak(&h->processes, &known, (uint32_t)process + 1))
        continue;
}

static size_t processes(const struct health *h)
{
    uint32_t known = atomic_load(&h->processes);
    return known < PROCESS_SLOT_MAX ? known : PROCESS_SLOT_MAX;
}

static uint32_t sum(const struct health *h, const struct row *r)
{
    uint32_t total = 0;
    for (size_t i = 0, count = processes(h); i < count; i++)
        total += atomic_load(&r->connections[i]);
    return total;
}

static uint32_t limit(const struct row *r, uint32_t max, int64_t now_ns)
{
    uint32_t lowered = atomic_load(&r->lowered_to);
    return atomic_load(&r->lowered_until_ns) > now_ns && lowered < max ? lowered : max;
}

/* Counts itself first and looks afterwards: of two processes that race for the last permit both may
 * be refused, but never both be served. Then both try again. */
int health_take(struct health *h, size_t server, size_t process, uint32_t max, int64_t now_ns)
{
    struct row *r = row_at(h, server);
    take_note(h, process);
    max = limit(r, max, now_ns);
    for (int tries = 0; tries < TAKE_TRIES; tries++) {
        atomic_fetch_add(&r->connections[process], 1);
        if (sum(h, r) <= max)
            return 0;
        atomic_fetch_sub(&r->connections[process], 1);
        if (sum(h, r) >= max)
            break;
    }
    return -1;
}

bool health_is_full(const struct health *h, size_t server, uint32_t max, int64_t now_ns)
{
    const struct row *r = &h->rows[server];
    return sum(h, r) >= limit(r, max, now_ns);
}

void health_release(struct health *h, size_t server, size_t process)
{
    assert(process < PROCESS_SLOT_MAX);
    atomic_fetch_sub(&row_at(h, server)->connections[process], 1);
}

void health_release_all(struct health *h, size_t process)
{
    for (size_t i = 0; i < LABEL_SERVER_MAX; i++) {
        atomic_store(&h->rows[i].connections[process], 0);
        atomic_store(&h->rows[i].waiting[process], 0);
    }
}

uint32_t health_connections(const struct health *h, size_t server)
{
    return server < LABEL_SERVER_MAX ? sum(h, &h->rows[server]) : 0;
}

void health_lower(struct health *h, size_t server, int64_t now_ns)
{
    struct row *r = row_at(h, server);
    uint32_t now = sum(h, r); /* with the one that was refused */
    atomic_store(&r->lowered_to, now > 2 ? now - 1 : 1);
    atomic_store(&r->lowered_until_ns, now_ns + LOWERED_NS);
}

void health_set_waiting(struct health *h, size_t server, size_t process, uint16_t count)
{
    struct row *r = row_at(h, server);
    take_note(h, process);
    atomic_store(&r->waiting[process], count);
}

bool health_is_wanted(const struct health *h, size_t server, size_t process)
{
    const struct row *r = &h->rows[server];
    for (size_t i = 0, count = processes(h); i < count; i++)
        if (i != process && atomic_load(&r->waiting[i]) > 0)
            return true;
    return false;
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

void health_set_offer(struct health *h, size_t server, uint32_t extensions, uint64_t told)
{
    struct row *r = row_at(h, server);
    atomic_store(&r->extensions, extensions);
    atomic_store(&r->told, told);
}

void health_offer(const struct health *h, size_t server, uint32_t *extensions, uint64_t *told)
{
    *extensions = atomic_load(&h->rows[server].extensions);
    *told = atomic_load(&h->rows[server].told);
}

/* ---- logins ---- */

static int64_t login_pause(uint32_t refusals)
{
    int64_t pause = LOGIN_PAUSE_NS << (refusals > 7 ? 7 : refusals > 0 ? refusals - 1 : 0);
    return pause < LOGIN_PAUSE_MAX_NS ? pause : LOGIN_PAUSE_MAX_NS;
}

enum login_state health_login(struct health *h, size_t server, uint32_t version, int64_t now_ns)
{
    struct row *r = row_at(h, server);
    if (atomic_load(&r->login_proven) == version)
        return LOGIN_PROVEN;
    if (atomic_load(&r->login_refused) != version)
        return LOGIN_UNPROVEN;
    int64_t until = atomic_load(&r->login_held_until_ns);
    if (now_ns < until && until - now_ns <= LOGIN_PAUSE_MAX_NS) /* else it is not of ours */
        return LOGIN_HELD;
    /* The next pause begins with the trial, so that of all processes one makes it. */
    uint32_t refusals = atomic_load(&r->login_refusals) + 1;
    if (!atomic_compare_exchange_strong(&r->login_held_until_ns, &until,
                                        now_ns + login_pause(refusals)))
        return LOGIN_HELD;
    atomic_store(&r->login_refusals, refusals);
    return LOGIN_UNPROVEN;
}

bool health_login_refused(struct health *h, size_t server, uint32_t version, int64_t now_ns)
{
    struct row *r = row_at(h, server);
    uint32_t proven = version;
    (void)atomic_compare_exchange_strong(&r->login_proven, &proven, 0); /* or another's */
    if (atomic_exchange(&r->login_refused, version) == version)
        return false; /* of those that were tried before it was known, or a trial */
    atomic_store(&r->login_refusals, 1);
    atomic_store(&r->login_held_until_ns, now_ns + login_pause(1));
    return true;
}

bool health_login_taken(struct health *h, size_t server, uint32_t version)
{
    struct row *r = row_at(h, server);
    if (atomic_exchange(&r->login_proven, version) == version)
        return false;
    return atomic_exchange(&r->login_refused, 0) != 0;
}

/* ---- whose recipients it takes ---- */

/* One word, so that it is never half of one account's and half of another's: 24 bits of the account
 * whose recipient it took last, and when it took one of it and one of any other, in seconds and 20
 * bits each. After twelve days without any it may be wrong for a minute. */
enum { TAKER_SECONDS = 20, TAKER_MASK = (1 << TAKER_SECONDS) - 1, TAKEN_LATELY = 60 };

static uint64_t second_of(int64_t now_ns)
{
    return (uint64_t)(now_ns / CLOCK_SECOND) & TAKER_MASK;
}

static uint64_t taker_of(uint64_t account)
{
    return account >> 2 * TAKER_SECONDS;
}

void health_recipient_taken(struct health *h, size_t server, uint64_t account, int64_t now_ns)
{
    struct row *r = row_at(h, server);
    uint64_t was = atomic_load(&r->takers), is, now = second_of(now_ns);
    do {
        bool is_same = was != 0 && taker_of(was) == taker_of(account);
        uint64_t last = was >> TAKER_SECONDS & TAKER_MASK, of_others = was & TAKER_MASK;
        is = taker_of(account) << 2 * TAKER_SECONDS | now << TAKER_SECONDS;
        is |= is_same ? of_others : was == 0 ? (now - TAKEN_LATELY - 1) & TAKER_MASK : last;
    } while (was != is && !atomic_compare_exchange_weak(&r->takers, &was, is));
}

bool health_takes_from_others(const struct health *h, size_t server, uint64_t account,
                              int64_t now_ns)
{
    uint64_t word = server < LABEL_SERVER_MAX ? atomic_load(&h->rows[server].takers) : 0;
    bool is_same = taker_of(word) == taker_of(account);
    uint64_t taken = is_same ? word : word >> TAKER_SECONDS;
    return word != 0 && ((second_of(now_ns) - taken) & TAKER_MASK) <= TAKEN_LATELY;
}
