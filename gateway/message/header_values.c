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
    memset(h, 0, sizeof *h);
    h->names = names;
    h->count = count;
    h->current = -1;
}

/* The field of that name which is still to come, or -1. */
static int find(const struct header_values *h)
{
    for (size_t i = 0; i < h->count; i++)
        if (!h->values[i].is_there && strcasecmp(h->names[i], h->name) == 0)
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

/* The beginning of a line: a fold goes on with what the last one was. */
static void begin_line(struct header_values *h, char c)
{
    if (is_white(c)) {
        h->state = IN_VALUE;
        return;
    }
    end_value(h);
    h->name_size = 0;
    h->state = IN_NAME;
}

static void end_name(struct header_values *h)
{
    h->name[h->name_size] = '\0';
    h->current = find(h);
    if (h->current >= 0)
        h->values[h->current].is_there = true;
    h->state = IN_VALUE;
}

static void take_name(struct header_values *h, char c)
{
    if (c == ':')
        end_name(h);
    else if (is_white(c))
        h->state = BEHIND_NAME; /* RFC 5322 section 4.5.8: as much as there is */
    else if (h->state == IN_NAME && h->name_size < HEADER_VALUE_NAME_MAX)
        h->name[h->name_size++] = c;
    else
        h->state = IN_REST; /* none of those */
}

void header_values_take(struct header_values *h, struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (h->state == AT_LINE && c == '.') {
            h->state = BEHIND_DOT; /* the reader takes it away */
            continue;
        }
        if (h->state <= BEHIND_DOT)
            begin_line(h, c);
        if (c == '\n')
            h->state = AT_LINE;
        else if (h->state == IN_NAME || h->state == BEHIND_NAME)
            take_name(h, c);
        else if (h->state == IN_VALUE && h->current >= 0 && c != '\r')
            add(h, c);
    }
}

const char *header_values_find(const struct header_values *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->values[i].is_there && strcasecmp(h->names[i], name) == 0)
            return h->values[i].text;
    return NULL;
}
