/* The owners stand side by side, apart from the rows: looking for a free one among 20,000 reads
 * 80 KB, and none of it while there is room near the hint. A row's sequence is odd while its owner
 * writes; who reads tries again.
 *
 * The networks of the clients stand side by side too: they alone are the truth. A crowd counts the
 * rows of the networks that share it, first of all when one comes and last of all when it goes: it
 * may be too high, where a process was killed between the two, but never too low. So a crowd that
 * is small needs no look at the networks. */
#include "telemetry/sessions.h"

#include <stdatomic.h>
#include <string.h>

enum { READ_TRIES = 100, JOIN_TRIES = 4, CROWDS_A_ROW = 2 };

struct row {
    _Atomic uint32_t sequence;
    _Atomic uint32_t state, messages, deleted;
    _Atomic uint32_t held_size;
    struct session_row content;
};

struct session_region {
    _Atomic uint32_t hint;
    _Atomic uint32_t
        owners[]; /* 0: free, else the process's slot + 1; networks, crowds, rows follow */
};

static size_t aligned(size_t size)
{
    return (size + 63) / 64 * 64;
}

static size_t networks_offset(size_t capacity)
{
    return aligned(sizeof(struct session_region) + capacity * sizeof(uint32_t));
}

static size_t crowds_offset(size_t capacity)
{
    return networks_offset(capacity) + aligned(capacity * sizeof(uint64_t));
}

static size_t rows_offset(size_t capacity)
{
    return crowds_offset(capacity) + aligned(capacity * CROWDS_A_ROW * sizeof(uint32_t));
}

/* One for each row; 0: not counted. */
static _Atomic uint64_t *networks(const struct session_table *t)
{
    return (void *)((char *)t->region + networks_offset(t->capacity));
}

static _Atomic uint32_t *crowd_of(const struct session_table *t, uint64_t network)
{
    _Atomic uint32_t *crowds = (void *)((char *)t->region + crowds_offset(t->capacity));
    network *= UINT64_C(0x9e3779b97f4a7c15); /* neighbours part */
    return &crowds[(network >> 32) % (t->capacity * CROWDS_A_ROW)];
}

static struct row *row_at(const struct session_table *t, size_t i)
{
    return (struct row *)(void *)((char *)t->region + rows_offset(t->capacity)) + i;
}

static size_t held_offset(size_t capacity)
{
    return rows_offset(capacity) + aligned(capacity * sizeof(struct row));
}

/* Of one row. They lie apart: most sessions hold nothing, and never touch that memory. */
static char *held_by(const struct session_table *t, size_t row)
{
    return (char *)t->region + held_offset(t->capacity) + row * SESSION_HELD_MAX;
}

size_t session_table_size(size_t capacity)
{
    return held_offset(capacity) + capacity * SESSION_HELD_MAX;
}

int session_claim(const struct session_table *t, size_t limit, size_t slot)
{
    if (limit > t->capacity)
        limit = t->capacity;
    size_t hint = atomic_load_explicit(&t->region->hint, memory_order_relaxed);
    for (size_t n = 0; n < limit; n++) {
        size_t i = (hint + n) % limit;
        uint32_t none = 0;
        if (atomic_load_explicit(&t->region->owners[i], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&t->region->owners[i], &none, (uint32_t)slot + 1)) {
            static const struct session_row nothing;
            atomic_store_explicit(&t->region->hint, (uint32_t)(i + 1), memory_order_relaxed);
            session_write(t, (int)i, &nothing); /* of the last that had the row */
            session_set_held(t, (int)i, span_make("", 0));
            return (int)i;
        }
    }
    return -1;
}

/* ---- networks ---- */

static void leave(const struct session_table *t, size_t row)
{
    uint64_t network = atomic_exchange(&networks(t)[row], 0);
    if (network != 0)
        atomic_fetch_sub(crowd_of(t, network), 1);
}

size_t session_count_network(const struct session_table *t, uint64_t network)
{
    const _Atomic uint64_t *all = networks(t);
    size_t count = 0;
    for (size_t i = 0; i < t->capacity; i++)
        count += atomic_load(&all[i]) == network;
    return count;
}

/* Counts itself first and looks afterwards: of two that race for the last place both may be sent
 * away, but never both be let in. Then both try again. */
int session_join(const struct session_table *t, int row, uint64_t network, size_t max)
{
    for (int tries = 0; tries < JOIN_TRIES; tries++) {
        uint32_t crowd = atomic_fetch_add(crowd_of(t, network), 1) + 1;
        atomic_store(&networks(t)[row], network);
        if (crowd <= max || session_count_network(t, network) <= max)
            return 0;
        leave(t, (size_t)row);
        if (session_count_network(t, network) >= max)
            break;
    }
    return -1;
}

/* ---- rows ---- */

void session_write(const struct session_table *t, int row, const struct session_row *content)
{
    struct row *r = row_at(t, (size_t)row);
    uint32_t sequence = atomic_load_explicit(&r->sequence, memory_order_relaxed);
    atomic_store_explicit(&r->sequence, sequence | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    r->content = *content;
    session_set_messages(t, row, content->messages, content->deleted);
    atomic_store_explicit(&r->sequence, (sequence | 1) + 1, memory_order_release);
}

void session_set_state(const struct session_table *t, int row, enum session_state state)
{
    atomic_store_explicit(&row_at(t, (size_t)row)->state, (uint32_t)state, memory_order_relaxed);
}

void session_set_messages(const struct session_table *t, int row, uint32_t messages,
                          uint32_t deleted)
{
    struct row *r = row_at(t, (size_t)row);
    atomic_store_explicit(&r->messages, messages, memory_order_relaxed);
    atomic_store_explicit(&r->deleted, deleted, memory_order_relaxed);
}

void session_free(const struct session_table *t, int row)
{
    leave(t, (size_t)row);
    atomic_store(&t->region->owners[row], 0);
}

/* The size is written last: what it doesn't cover is held too long, and never by nobody. */
void session_set_held(const struct session_table *t, int row, struct span held)
{
    struct row *r = row_at(t, (size_t)row);
    size_t size = held.size > SESSION_HELD_MAX ? SESSION_HELD_MAX : held.size;
    atomic_store_explicit(&r->held_size, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    if (size > 0)
        memcpy(held_by(t, (size_t)row), held.data, size);
    atomic_store_explicit(&r->held_size, (uint32_t)size, memory_order_release);
}

static struct span copy_held(const struct session_table *t, size_t row, char out[SESSION_HELD_MAX])
{
    uint32_t size = atomic_load_explicit(&row_at(t, row)->held_size, memory_order_acquire);
    if (size > SESSION_HELD_MAX)
        size = SESSION_HELD_MAX;
    if (size > 0)
        memcpy(out, held_by(t, row), size);
    return span_make(out, size);
}

static bool is_of(const struct session_table *t, size_t row, size_t slot)
{
    return atomic_load(&t->region->owners[row]) == (uint32_t)slot + 1;
}

size_t session_end_all(const struct session_table *t, size_t slot, int heir,
                       struct span (*fn)(void *owner, struct span held), void *owner)
{
    char copy[SESSION_HELD_MAX];
    size_t handed = 0;
    for (size_t i = 0; i < t->capacity; i++) {
        if (!is_of(t, i, slot))
            continue;
        struct span rest = fn == NULL ? span_make("", 0) : fn(owner, copy_held(t, i, copy));
        if (rest.size == 0 || heir < 0) {
            session_free(t, (int)i);
            continue;
        }
        leave(t, i); /* the client is gone */
        session_set_held(t, (int)i, rest);
        atomic_store(&t->region->owners[i], (uint32_t)heir + 1);
        handed++;
    }
    return handed;
}

size_t session_free_all(const struct session_table *t, size_t slot)
{
    size_t freed = 0;
    for (size_t i = 0; i < t->capacity; i++)
        if (is_of(t, i, slot)) {
            session_free(t, (int)i); /* until then nobody else has it */
            freed++;
        }
    return freed;
}

void session_each_held(const struct session_table *t, size_t slot,
                       void (*fn)(void *owner, int row, struct span held), void *owner)
{
    char copy[SESSION_HELD_MAX];
    for (size_t i = 0; i < t->capacity; i++)
        if (is_of(t, i, slot))
            fn(owner, (int)i, copy_held(t, i, copy));
}

int session_read(const struct session_table *t, size_t row, struct session_row *out,
                 enum session_state *state, size_t *owner)
{
    uint32_t taken = row < t->capacity ? atomic_load(&t->region->owners[row]) : 0;
    if (taken == 0)
        return -1;
    const struct row *r = row_at(t, row);
    for (int tries = 0; tries < READ_TRIES; tries++) {
        uint32_t before = atomic_load_explicit(&r->sequence, memory_order_acquire);
        *out = r->content;
        out->messages = atomic_load_explicit(&r->messages, memory_order_relaxed);
        out->deleted = atomic_load_explicit(&r->deleted, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if ((before & 1) != 0 || before != atomic_load_explicit(&r->sequence, memory_order_relaxed))
            continue;
        uint32_t s = atomic_load_explicit(&r->state, memory_order_relaxed);
        *state = s < SESSION_STATE_COUNT ? (enum session_state)s : SESSION_COMMAND;
        *owner = taken - 1;
        out->id[sizeof out->id - 1] = '\0';
        out->client[sizeof out->client - 1] = '\0';
        out->account[sizeof out->account - 1] = '\0';
        return 0;
    }
    return -1;
}

size_t session_count(const struct session_table *t, int slot)
{
    size_t count = 0;
    for (size_t i = 0; i < t->capacity; i++) {
        uint32_t owner = atomic_load_explicit(&t->region->owners[i], memory_order_relaxed);
        count += slot < 0 ? owner != 0 : owner == (uint32_t)slot + 1;
    }
    return count;
}

const char *session_state_name(enum session_state state)
{
    static const char *const names[] = {
#define SESSION_STATE(name, text) text,
#include "telemetry/session_states.def"
#undef SESSION_STATE
    };
    return names[state];
}
