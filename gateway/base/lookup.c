#include "base/lookup.h"

#include <stdlib.h>

enum { MAGIC = 0x4c4b5031, TEXT_MAX = 64 * 1024 * 1024 };

/* The octets begin with this; then come the rows, sorted by key, those of the patterns, and the
 * text that they point into. */
struct head {
    uint32_t magic, count, patterns, text_size;
};

struct row {
    uint32_t key, key_size, value, value_size; /* in octets, from the begin of the text */
};

struct pair {
    struct row row;
    unsigned line;
    const struct lookup_builder *builder; /* for who compares */
};

struct pairs {
    struct pair *items;
    size_t count, room;
};

struct lookup_builder {
    struct pairs exact, patterns;
    struct buffer text;
};

struct lookup_builder *lookup_builder_create(void)
{
    struct lookup_builder *b = calloc(1, sizeof *b);
    if (b != NULL)
        b->text.limit = TEXT_MAX;
    return b;
}

void lookup_builder_destroy(struct lookup_builder **b)
{
    if (*b == NULL)
        return;
    free((*b)->exact.items);
    free((*b)->patterns.items);
    buffer_clear(&(*b)->text);
    free(*b);
    *b = NULL;
}

/* ---- building ---- */

static int add(struct lookup_builder *b, struct pairs *to, const struct span pair[2], unsigned line)
{
    if (to->count == to->room) {
        size_t room = to->room == 0 ? 64 : 2 * to->room;
        struct pair *items = realloc(to->items, room * sizeof *items);
        if (items == NULL)
            return -1;
        to->items = items;
        to->room = room;
    }
    const struct row row = {.key = (uint32_t)b->text.size,
                            .key_size = (uint32_t)pair[0].size,
                            .value = (uint32_t)(b->text.size + pair[0].size),
                            .value_size = (uint32_t)pair[1].size};
    if (buffer_append(&b->text, pair[0]) < 0 || buffer_append(&b->text, pair[1]) < 0)
        return -1;
    to->items[to->count++] = (struct pair){.row = row, .line = line, .builder = b};
    return 0;
}

int lookup_add(struct lookup_builder *b, struct span key, struct span value, unsigned line)
{
    return add(b, &b->exact, (const struct span[]){key, value}, line);
}

int lookup_add_pattern(struct lookup_builder *b, struct span key, struct span value)
{
    return add(b, &b->patterns, (const struct span[]){key, value}, 0);
}

/* By octets; a text before those that it begins. */
static int compare(struct span a, struct span b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static struct span key_of(const struct pair *p)
{
    return span_make(buffer_bytes(&p->builder->text).data + p->row.key, p->row.key_size);
}

/* Those with the same key in the order of their lines. */
static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = compare(key_of(x), key_of(y));
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static int append_rows(const struct pairs *pairs, struct buffer *out)
{
    int failed = 0;
    for (size_t i = 0; i < pairs->count && !failed; i++)
        failed = buffer_append(
            out, span_make((const char *)&pairs->items[i].row, sizeof pairs->items[i].row));
    return failed;
}

int lookup_build(struct lookup_builder *b, struct buffer *out, unsigned lines[2])
{
    lines[0] = lines[1] = 0;
    if (b->exact.count > 1)
        qsort(b->exact.items, b->exact.count, sizeof *b->exact.items, compare_pairs);
    for (size_t i = 1; i < b->exact.count; i++) {
        const struct pair *p = &b->exact.items[i - 1];
        if (compare(key_of(p), key_of(p + 1)) == 0) {
            lines[0] = p->line;
            lines[1] = (p + 1)->line;
            return -1;
        }
    }
    const struct head head = {.magic = MAGIC,
                              .count = (uint32_t)b->exact.count,
                              .patterns = (uint32_t)b->patterns.count,
                              .text_size = (uint32_t)b->text.size};
    return buffer_append(out, span_make((const char *)&head, sizeof head)) < 0 ||
                   append_rows(&b->exact, out) < 0 || append_rows(&b->patterns, out) < 0 ||
                   buffer_append(out, buffer_bytes(&b->text)) < 0
               ? -1
               : 0;
}

/* ---- reading ---- */

static struct head head_of(struct lookup l)
{
    struct head head = {.magic = 0};
    if (l.base != NULL && l.size >= sizeof head)
        memcpy(&head, l.base, sizeof head);
    size_t rows = (size_t)head.count + head.patterns;
    bool is_whole =
        head.magic == MAGIC && rows * sizeof(struct row) + head.text_size == l.size - sizeof head;
    return is_whole ? head : (struct head){.magic = 0};
}

bool lookup_is_valid(struct lookup l)
{
    return head_of(l).magic == MAGIC;
}

size_t lookup_count(struct lookup l)
{
    return head_of(l).count;
}

size_t lookup_pattern_count(struct lookup l)
{
    return head_of(l).patterns;
}

/* What a row says is bounded here. */
static struct span text_at(struct lookup l, const struct head *head, uint32_t at, uint32_t size)
{
    if (at > head->text_size || size > head->text_size - at)
        return span_make("", 0);
    return span_make(l.base + l.size - head->text_size + at, size);
}

static void read_row(struct lookup l, const struct head *head, size_t i, struct span *key,
                     struct span *value)
{
    struct row row;
    memcpy(&row, l.base + sizeof *head + i * sizeof row, sizeof row);
    *key = text_at(l, head, row.key, row.key_size);
    *value = text_at(l, head, row.value, row.value_size);
}

bool lookup_find(struct lookup l, struct span key, struct span *value)
{
    const struct head head = head_of(l);
    size_t from = 0, to = head.count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        struct span found;
        read_row(l, &head, middle, &found, value);
        int order = compare(key, found);
        if (order == 0)
            return true;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return false;
}

void lookup_pattern(struct lookup l, size_t i, struct span *key, struct span *value)
{
    const struct head head = head_of(l);
    read_row(l, &head, head.count + i, key, value);
}
