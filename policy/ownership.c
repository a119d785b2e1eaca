/* A table of open addressing, three fifths full: an entry is a hash of its text under a key that is
 * the hash of its account. That the account has any is an entry too, of no text. */
#include "policy/ownership.h"

#include "policy/limit/siphash.h"

#include <stdlib.h>

enum { MAGIC = 0x4f574e31, WANTED_MAX = 12, ADDRESS_MAX = 512 };

/* The octets begin with this; then come the slots. */
struct head {
    uint32_t magic, slots;
    uint64_t key[2];
};

/* Zeros: it is free. */
struct slot {
    uint64_t hash[2];
};

static bool is_free(const struct slot *s)
{
    return s->hash[0] == 0 && s->hash[1] == 0;
}

static bool is_same(const struct slot *a, const struct slot *b)
{
    return a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1];
}

static struct slot hash_of(const uint64_t account[2], struct span entry)
{
    struct slot s;
    siphash(account, entry, s.hash);
    return s;
}

/* ---- building ---- */

struct ownership_builder {
    uint64_t key[2], account[2];
    struct slot *items;
    size_t count, room;
};

struct ownership_builder *ownership_builder_create(const uint64_t key[2])
{
    struct ownership_builder *b = calloc(1, sizeof *b);
    if (b != NULL)
        memcpy(b->key, key, sizeof b->key);
    return b;
}

void ownership_builder_destroy(struct ownership_builder **b)
{
    if (*b != NULL)
        free((*b)->items);
    free(*b);
    *b = NULL;
}

static int put(struct ownership_builder *b, struct slot s)
{
    if (b->count == b->room) {
        size_t room = b->room == 0 ? 64 : 2 * b->room;
        struct slot *items = realloc(b->items, room * sizeof *items);
        if (items == NULL)
            return -1;
        b->items = items;
        b->room = room;
    }
    b->items[b->count++] = s;
    return 0;
}

int ownership_account(struct ownership_builder *b, struct span account)
{
    siphash(b->key, account, b->account);
    return ownership_add(b, span_of(""));
}

int ownership_add(struct ownership_builder *b, struct span entry)
{
    return put(b, hash_of(b->account, entry));
}

static void place(struct slot *slots, size_t count, const struct slot *s)
{
    size_t at = s->hash[0] % count;
    while (!is_free(&slots[at]) && !is_same(&slots[at], s))
        at = at + 1 == count ? 0 : at + 1;
    slots[at] = *s;
}

char *ownership_build(const struct ownership_builder *b, size_t *size)
{
    const size_t count = b->count + 2 * (b->count / 3) + 2;
    struct head head = {.magic = MAGIC, .slots = (uint32_t)count};
    *size = sizeof head + count * sizeof(struct slot);
    char *octets = count > UINT32_MAX / 2 ? NULL : calloc(1, *size);
    if (octets == NULL)
        return NULL;
    memcpy(head.key, b->key, sizeof head.key);
    memcpy(octets, &head, sizeof head);
    for (size_t i = 0; i < b->count; i++)
        place((struct slot *)(void *)(octets + sizeof head), count, &b->items[i]);
    return octets;
}

/* ---- reading ---- */

struct table {
    struct head head; /* no slots: there is none */
    const char *slots;
};

static struct table open_table(struct span octets)
{
    struct table t = {.slots = octets.data};
    if (octets.size < sizeof t.head)
        return t;
    memcpy(&t.head, octets.data, sizeof t.head);
    t.slots += sizeof t.head;
    if (t.head.magic != MAGIC || octets.size - sizeof t.head != t.head.slots * sizeof(struct slot))
        t.head.slots = 0;
    return t;
}

/* What is looked for, all of it at once: the places are far from one another, and come from memory
 * while the next hash is made. */
struct search {
    struct table table;
    uint64_t account[2];
    struct slot wanted[WANTED_MAX];
    size_t count;
};

static size_t first_place(const struct table *t, const struct slot *s)
{
    return s->hash[0] % t->head.slots;
}

static void look_for(struct search *s, struct span entry)
{
    struct slot *wanted = &s->wanted[s->count++];
    *wanted = hash_of(s->account, entry);
    __builtin_prefetch(s->table.slots + first_place(&s->table, wanted) * sizeof *wanted);
}

static bool has(const struct table *t, const struct slot *wanted)
{
    size_t at = first_place(t, wanted);
    for (size_t looks = 0; looks < t->head.slots; looks++) {
        struct slot s;
        memcpy(&s, t->slots + at * sizeof s, sizeof s);
        if (is_same(&s, wanted) || is_free(&s))
            return !is_free(&s);
        at = at + 1 == t->head.slots ? 0 : at + 1;
    }
    return false;
}

/* "ana+*@example.com" for "ana+shop@example.com". */
static void look_for_plus(struct search *s, struct span address, struct span domain)
{
    char text[ADDRESS_MAX];
    for (size_t i = 0; i + domain.size < address.size && s->count < WANTED_MAX; i++) {
        size_t size = i + 2 + domain.size;
        if (address.data[i] != '+' || size > sizeof text)
            continue;
        memcpy(text, address.data, i + 1);
        text[i + 1] = '*';
        memcpy(text + i + 2, domain.data, domain.size);
        look_for(s, span_make(text, size));
    }
}

/* With its "@". */
static struct span domain_of(struct span address)
{
    const char *at = address.size == 0 ? NULL : memrchr(address.data, '@', address.size);
    return at == NULL ? span_make("", 0)
                      : span_make(at, (size_t)(address.data + address.size - at));
}

bool ownership_holds(struct span octets, struct span account, struct span address)
{
    struct search s = {.table = open_table(octets)};
    const struct span domain = domain_of(address);
    bool is_name =
        account.size == address.size && memcmp(account.data, address.data, account.size) == 0;
    bool is_own = false;
    if (s.table.head.slots == 0 || domain.size == 0)
        return is_name;
    siphash(s.table.head.key, account, s.account);
    look_for(&s, span_of("")); /* does it have any? */
    look_for(&s, address);
    look_for(&s, domain);
    look_for(&s, span_of("*"));
    look_for_plus(&s, address, domain);
    for (size_t i = 1; i < s.count && !is_own; i++)
        is_own = has(&s.table, &s.wanted[i]);
    return is_own || (is_name && !has(&s.table, &s.wanted[0]));
}
