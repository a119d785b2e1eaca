#include "message/fields.h"

#include "base/arena.h"
#include "message/headers.h"

#include <stdlib.h>

/* Small, since a header may be nothing but short fields. */
struct entry {
    const char *text;
    uint32_t size; /* without the last CRLF */
    uint32_t name_size, value_at;
};

struct fields {
    struct arena *texts;
    struct entry *entries;
    size_t count, room;
};

/* ---- texts ---- */

static bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

static size_t name_size(struct span name)
{
    size_t size = 0;
    while (size < name.size && name.data[size] > ' ' && name.data[size] < 127 &&
           name.data[size] != ':')
        size++;
    return size;
}

static char *put(char *at, struct span text)
{
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

/* The next line of a value, without what ends it. */
static struct span take_line(struct span *value)
{
    struct span line = span_split(value, '\n');
    while (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    return line;
}

static bool is_blank(struct span line)
{
    return span_trim(line).size == 0;
}

/* Every line that follows is a fold; a CR within one would be taken for a line's end by some. */
static char *put_value(char *at, struct span value)
{
    for (bool is_first = true; value.size > 0; is_first = false) {
        struct span line = take_line(&value);
        if (!is_first && is_blank(line))
            continue; /* some would take it for the end of the header */
        if (!is_first)
            at = put(at, span_of(is_white(line.data[0]) ? "\r\n" : "\r\n\t"));
        for (size_t i = 0; i < line.size; i++)
            *at++ = line.data[i] == '\r' || line.data[i] == '\0' ? ' ' : line.data[i];
    }
    return at;
}

static size_t count_lines(struct span value)
{
    size_t lines = 1;
    for (size_t i = 0; i < value.size; i++)
        lines += value.data[i] == '\n';
    return lines;
}

/* A field of its own. Returns 0, or -1. */
static int make_entry(struct fields *f, struct span name, struct span value, bool is_spaced,
                      struct entry *out)
{
    if (name.size == 0 || name.size > HEADERS_NAME_MAX || name_size(name) != name.size)
        return -1;
    char *text = arena_alloc(f->texts, name.size + 2 + value.size + 3 * count_lines(value));
    if (text == NULL)
        return -1;
    char *end = put(text, name);
    end = put(end, span_of(is_spaced ? ":" : ": "));
    end = put_value(end, value);
    *out =
        (struct entry){text, (uint32_t)(end - text), (uint32_t)name.size, (uint32_t)name.size + 1};
    return 0;
}

/* ---- the list ---- */

/* Room for one more entry. Returns 0, or -1. */
static int grow(struct fields *f)
{
    if (f->count < f->room)
        return 0;
    if (f->count >= 2 * FIELDS_MAX)
        return -1;
    size_t room = f->room == 0 ? 32 : 2 * f->room;
    struct entry *entries = realloc(f->entries, room * sizeof *entries);
    if (entries == NULL)
        return -1;
    f->entries = entries;
    f->room = room;
    return 0;
}

static void put_entry(struct fields *f, size_t index, const struct entry *e)
{
    struct entry *at = f->entries + index;
    memmove(at + 1, at, (f->count - index) * sizeof *at);
    *at = *e;
    f->count++;
}

/* A line of the header, dots doubled, off its front; as its reader has it. */
static struct span take_header_line(struct span *header)
{
    const char *feed = memchr(header->data, '\n', header->size);
    struct span line =
        span_take(header, feed == NULL ? header->size : (size_t)(feed - header->data) + 1);
    if (line.size > 0 && line.data[0] == '.')
        span_skip(&line, 1);
    return line;
}

/* Takes the line into the field that the last entry is, or a new one; its text ends at `*end`, and
 * is all of one block. Returns 0, or -1 without memory. */
static int take_into(struct fields *f, struct span line, char **end)
{
    bool is_fold = f->count > 0 && line.size > 0 && is_white(line.data[0]);
    char *text = *end;
    *end = put(*end, line);
    if (is_fold) {
        f->entries[f->count - 1].size += (uint32_t)line.size;
        return 0;
    }
    if (grow(f) < 0)
        return -1;
    size_t size = name_size(line), colon = size;
    while (colon < line.size && is_white(line.data[colon]))
        colon++; /* RFC 5322 section 4.5 */
    f->entries[f->count++] =
        (struct entry){text, (uint32_t)line.size, (uint32_t)size, (uint32_t)colon + 1};
    return 0;
}

static bool is_end(char c)
{
    return c == '\r' || c == '\n';
}

/* The CRLF at the end of each is written anew. */
static void cut_ends(struct fields *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct entry *e = &f->entries[i];
        while (e->size > e->name_size && is_end(e->text[e->size - 1]))
            e->size--;
        if (e->value_at > e->size)
            e->value_at = e->size;
    }
}

static int take_header(struct fields *f, struct span header)
{
    char *end = arena_alloc(f->texts, header.size);
    if (end == NULL)
        return -1;
    while (header.size > 0)
        if (take_into(f, take_header_line(&header), &end) < 0)
            return -1;
    cut_ends(f);
    return 0;
}

bool fields_are_too_many(struct span header)
{
    size_t lines = 0;
    while (header.size > 0) {
        struct span line = take_header_line(&header);
        lines += line.size > 0 && !is_white(line.data[0]);
    }
    return lines > FIELDS_MAX;
}

struct fields *fields_create(struct span header, size_t limit)
{
    struct fields *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->texts = arena_create(limit < UINT32_MAX ? limit : UINT32_MAX);
    if (f->texts == NULL || take_header(f, header) < 0)
        fields_destroy(&f);
    return f;
}

void fields_destroy(struct fields **fields)
{
    struct fields *f = *fields;
    if (f == NULL)
        return;
    arena_destroy(&f->texts);
    free(f->entries);
    free(f);
    *fields = NULL;
}

size_t fields_count(const struct fields *f)
{
    return f->count;
}

struct mail_field fields_at(const struct fields *f, size_t index)
{
    const struct entry *e = &f->entries[index];
    return (struct mail_field){span_make(e->text, e->name_size),
                               span_make(e->text + e->value_at, e->size - e->value_at)};
}

/* ---- edits ---- */

int fields_insert(struct fields *f, size_t index, struct span name, struct span value,
                  bool is_spaced)
{
    struct entry e;
    if (grow(f) < 0 || make_entry(f, name, value, is_spaced, &e) < 0)
        return -1;
    put_entry(f, index < f->count ? index : f->count, &e);
    return 0;
}

int fields_add(struct fields *f, struct span name, struct span value, bool is_spaced)
{
    return fields_insert(f, f->count, name, value, is_spaced);
}

static bool has_name(const struct entry *e, struct span name)
{
    if (e->name_size != name.size)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (ascii_lower(e->text[i]) != ascii_lower(name.data[i]))
            return false;
    return true;
}

/* Where the nth of that name is; NULL: there is none. */
static struct entry *find(const struct fields *f, struct span name, size_t nth)
{
    for (size_t i = 0; i < f->count; i++)
        if (has_name(&f->entries[i], name) && nth-- <= 1)
            return &f->entries[i];
    return NULL;
}

int fields_change(struct fields *f, struct span name, size_t nth, struct span value, bool is_spaced)
{
    struct entry *at = find(f, name, nth);
    if (at != NULL && value.size == 0) {
        f->count--;
        memmove(at, at + 1, (size_t)(f->entries + f->count - at) * sizeof *at);
        return 0;
    }
    if (at != NULL)
        return make_entry(f, name, value, is_spaced, at);
    return value.size == 0 ? 0 : fields_add(f, name, value, is_spaced);
}

/* ---- out again ---- */

int fields_write(const struct fields *f, struct buffer *out)
{
    for (size_t i = 0; i < f->count; i++) {
        struct span text = span_make(f->entries[i].text, f->entries[i].size);
        bool is_dotted = text.size > 0 && text.data[0] == '.'; /* folds never are */
        if ((is_dotted && buffer_append(out, span_of(".")) < 0) || buffer_append(out, text) < 0 ||
            buffer_append(out, span_of("\r\n")) < 0)
            return -1;
    }
    return 0;
}
