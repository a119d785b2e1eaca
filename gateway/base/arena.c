#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_SIZE = 4096 };

struct block {
    struct block *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

struct arena {
    struct block *blocks; /* the newest first */
    size_t taken, limit;
};

struct arena *arena_create(size_t limit)
{
    struct arena *a = calloc(1, sizeof *a);
    if (a != NULL)
        a->limit = limit;
    return a;
}

static void free_blocks(struct block *b)
{
    while (b != NULL) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_destroy(struct arena **arena)
{
    if (*arena == NULL)
        return;
    free_blocks((*arena)->blocks);
    free(*arena);
    *arena = NULL;
}

void arena_reset(struct arena *a)
{
    struct block *first = a->blocks;
    while (first != NULL && first->next != NULL) {
        struct block *next = first->next;
        free(first);
        first = next;
    }
    if (first != NULL)
        first->used = 0;
    a->blocks = first;
    a->taken = 0;
}

static struct block *new_block(struct arena *a, size_t size)
{
    if (size < BLOCK_SIZE)
        size = BLOCK_SIZE;
    struct block *b = malloc(sizeof *b + size);
    if (b == NULL)
        return NULL;
    b->size = size;
    b->used = 0;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

/* Memory as it comes. */
static void *take(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > a->limit - a->taken || size > SIZE_MAX - sizeof(struct block) - align)
        return NULL;
    size_t whole = (size + align - 1) / align * align;
    struct block *b = a->blocks;
    if ((b == NULL || b->size - b->used < whole) && (b = new_block(a, whole)) == NULL)
        return NULL;
    void *memory = b->bytes + b->used;
    b->used += whole;
    a->taken += size;
    return memory;
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *memory = take(a, size);
    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

char *arena_copy(struct arena *a, struct span s)
{
    char *copy = take(a, s.size + 1);
    if (copy == NULL)
        return NULL;
    if (s.size > 0)
        memcpy(copy, s.data, s.size);
    copy[s.size] = '\0';
    return copy;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = size < 0 ? NULL : take(a, (size_t)size + 1);
    if (text != NULL)
        (void)vsnprintf(text, (size_t)size + 1, format, again); /* fits */
    va_end(again);
    return text;
}
