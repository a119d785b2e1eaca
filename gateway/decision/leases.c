/* One is its size, two octets, and behind it: 0, and its name in memory; or the lease in 8 octets
 * and its key, of so many. */
#include "decision/leases.h"

#include <string.h>

#define LEASE_SIZE sizeof(uint64_t)

static void add(struct lease_text *out, const struct receipt *r)
{
    uint16_t size = r->is_in_redis ? (uint16_t)r->key.size : 0;
    size_t whole = sizeof size + (r->is_in_redis ? LEASE_SIZE + size : sizeof r->name);
    char *at = out->octets + out->size;
    if (whole > sizeof out->octets - out->size)
        return;
    at = mempcpy(at, &size, sizeof size);
    if (r->is_in_redis)
        (void)memcpy(mempcpy(at, &r->lease, LEASE_SIZE), r->key.data, size);
    else
        (void)memcpy(at, &r->name, sizeof r->name);
    out->size += whole;
}

void leases_write(const struct receipt *const lists[], size_t count, struct lease_text *out)
{
    out->size = 0;
    for (int is_in_redis = 0; is_in_redis < 2; is_in_redis++)
        for (size_t i = 0; i < count; i++)
            for (const struct receipt *r = lists[i]; r != NULL; r = r->next)
                if (r->kind == COUNTER_AT_ONCE && r->is_in_redis == (is_in_redis != 0))
                    add(out, r);
}

/* How many octets of the front are one of that store; 0: there is none. */
static size_t front_size(struct span held, bool is_in_redis, uint16_t *key_size)
{
    if (held.size < sizeof *key_size)
        return 0;
    memcpy(key_size, held.data, sizeof *key_size);
    size_t whole =
        sizeof *key_size + (*key_size > 0 ? LEASE_SIZE + *key_size : sizeof(struct table_name));
    return (*key_size > 0) == is_in_redis && whole <= held.size ? whole : 0;
}

struct span leases_release(struct span held, struct memory *m)
{
    uint16_t none;
    size_t whole;
    while ((whole = front_size(held, false, &none)) > 0) {
        struct table_name name;
        memcpy(&name, held.data + sizeof none, sizeof name);
        (void)memory_release(m, &name, 1); /* else it ends by itself */
        span_skip(&held, whole);
    }
    return held;
}

bool leases_next(struct span *held, struct counter_settle *out)
{
    uint16_t size;
    size_t whole = front_size(*held, true, &size);
    if (whole == 0 || size > STORE_KEY_MAX)
        return false;
    struct span one = span_take(held, whole);
    *out = (struct counter_settle){.kind = SETTLE_RELEASE, .of = COUNTER_AT_ONCE};
    span_skip(&one, sizeof size);
    memcpy(&out->at_once.lease, one.data, LEASE_SIZE);
    span_skip(&one, LEASE_SIZE);
    out->key = one;
    return true;
}
