/* Offsets count octets since ever, so that the ring has begun to turn once they pass its size. A
 * line lies in one piece: what is left at the ring's end, when it doesn't fit there, is skipped. */
#include "control/history.h"

#include <assert.h>
#include <stdatomic.h>

struct head {
    uint32_t size; /* of the line; SKIP: the ring's end is left empty */
    uint32_t at_s; /* when it came, up to the year 2106 */
};

enum { ALIGN = sizeof(struct head) };
#define SKIP UINT32_MAX

struct history {
    uint64_t begin, end;
    int64_t since_s;
    char ring[HISTORY_SIZE];
};

size_t history_size(void)
{
    return sizeof(struct history);
}

void history_begin(struct history *h, int64_t now_s)
{
    h->since_s = now_s;
}

static size_t room_of(size_t line)
{
    return sizeof(struct head) + (line + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t until_end(uint64_t at)
{
    return HISTORY_SIZE - (size_t)(at % HISTORY_SIZE);
}

static struct head head_at(const struct history *h, uint64_t at)
{
    struct head head;
    memcpy(&head, h->ring + at % HISTORY_SIZE, sizeof head);
    return head;
}

static uint64_t behind(const struct history *h, uint64_t at)
{
    struct head head = head_at(h, at);
    return at + (head.size == SKIP ? until_end(at) : room_of(head.size));
}

/* The oldest go, until there is room for so much more. */
static void make_room(struct history *h, size_t size)
{
    while (h->end + size - h->begin > HISTORY_SIZE) {
        struct head oldest = head_at(h, h->begin);
        h->begin = behind(h, h->begin);
        if (oldest.size != SKIP)
            h->since_s = oldest.at_s; /* of this second some are missing */
    }
}

void history_add(struct history *h, struct span line, int64_t now_s)
{
    struct head head = {.size = (uint32_t)line.size, .at_s = (uint32_t)now_s};
    static const struct head skip = {.size = SKIP};
    size_t room = room_of(line.size);
    if (line.size > HISTORY_LINE_MAX)
        return;
    if (room > until_end(h->end)) {
        size_t rest = until_end(h->end);
        make_room(h, rest);
        memcpy(h->ring + h->end % HISTORY_SIZE, &skip, sizeof skip);
        h->end += rest;
    }
    make_room(h, room);
    char *at = h->ring + h->end % HISTORY_SIZE;
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, line.data, line.size);
    atomic_signal_fence(memory_order_release); /* a process may end here: it is whole, or isn't */
    h->end += room;
}

bool history_next(const struct history *h, uint64_t *at, struct span *line)
{
    if (*at < h->begin)
        *at = h->begin;
    if (*at < h->end && head_at(h, *at).size == SKIP)
        *at = behind(h, *at);
    if (*at >= h->end)
        return false;
    assert(head_at(h, *at).size <= HISTORY_LINE_MAX);
    *line = span_make(h->ring + *at % HISTORY_SIZE + sizeof(struct head), head_at(h, *at).size);
    *at = behind(h, *at);
    return true;
}

int64_t history_since(const struct history *h)
{
    return h->since_s;
}
