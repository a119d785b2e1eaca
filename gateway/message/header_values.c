#include "message/header_values.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

static bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

void header_values_init(struct header_values *h, const char *const *names, size_t count)
{
    assert(count <= HEADER_VALUES_MAX);
    memset(h, 0, header_values_size(count));
    h->names = names;
    h->count = count;
    h->current = -1;
}

/* The field of that name which is still to come, or -1. */
static int find(const struct header_values *h)
{
    for (size_t i = 0; i < h->count; i++)
        if (!h->values[i].is_there && strcasecmp(h->names[i], h->reader.name) == 0)
            return (int)i;
    return -1;
}

/* One space for as much of it as there is, and none at the front. */
static void add(struct header_values *h, char c)
{
    char *text = h->values[h->current].text;
    size_t *size = &h->values[h->current].size;
    if (is_white(c) && (*size == 0 || text[*size - 1] == ' '))
        return;
    if (*size < HEADER_VALUE_SIZE - 1)
        text[(*size)++] = is_white(c) ? ' ' : c;
}

static void end_value(struct header_values *h)
{
    if (h->current < 0)
        return;
    size_t *size = &h->values[h->current].size;
    if (*size > 0 && h->values[h->current].text[*size - 1] == ' ')
        (*size)--;
    h->values[h->current].text[*size] = '\0';
    h->current = -1;
}

static void begin_value(struct header_values *h)
{
    h->current = find(h);
    if (h->current >= 0)
        h->values[h->current].is_there = true;
}

static void add_all(struct header_values *h, struct span piece)
{
    if (h->current < 0)
        return;
    for (size_t i = 0; i < piece.size; i++)
        if (piece.data[i] != '\r')
            add(h, piece.data[i]);
}

void header_values_take(struct header_values *h, struct span text)
{
    struct span piece;
    for (;;)
        switch (header_reader_next(&h->reader, &text, &piece)) {
        case HEADER_MORE: return;
        case HEADER_ENDS: end_value(h); break;
        case HEADER_BEGINS: begin_value(h); break;
        case HEADER_VALUE: add_all(h, piece); break;
        }
}

const char *header_values_find(const struct header_values *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->values[i].is_there && strcasecmp(h->names[i], name) == 0)
            return h->values[i].text;
    return NULL;
}
