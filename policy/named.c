#include "policy/named.h"

#include "base/arena.h"

enum { ROOM_AT_FIRST = 256 };

/* Where it stands, or would. FNV-1a. */
static void **place_of(void **table, size_t room, struct span name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
    size_t at = (size_t)(hash ^ hash >> 32) % room;
    while (table[at] != NULL && !span_equals(name, ((struct named_head *)table[at])->name))
        at = (at + 1) % room;
    return &table[at];
}

/* Half of it stays free. Returns 0, or -1 without memory. */
static int make_room(struct named *n)
{
    size_t room = n->room == 0 ? ROOM_AT_FIRST : n->room * 4;
    if (n->count * 2 < n->room)
        return 0;
    void **table = arena_alloc(n->arena, room * sizeof *table);
    if (table == NULL)
        return -1;
    for (size_t i = 0; i < n->room; i++)
        if (n->table[i] != NULL)
            *place_of(table, room, span_of(((struct named_head *)n->table[i])->name)) = n->table[i];
    n->table = table;
    n->room = room;
    return 0;
}

void *named_get(struct named *n, struct span name, size_t size)
{
    if (make_room(n) < 0)
        return NULL;
    void **place = place_of(n->table, n->room, name);
    if (*place != NULL)
        return *place;
    struct named_head *thing = arena_alloc(n->arena, size);
    if (thing == NULL || (thing->name = arena_copy(n->arena, name)) == NULL)
        return NULL;
    *place = thing;
    n->count++;
    return thing;
}
