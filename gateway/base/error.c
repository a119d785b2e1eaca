#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 200 };

/* A key, and where it stands. */
struct known {
    char *path, *file;
    unsigned line;
};

struct errors {
    struct known *known;
    size_t known_count, known_room;
    size_t count[FINDING_NOTE + 1];
    size_t lines;
    struct {
        enum finding kind;
        char *text;
    } line[MAX_LINES];
};

int error_set(struct error *e, const char *format, ...)
{
    if (e != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(e->text, sizeof e->text, format, args); /* cut to fit is what we want */
        va_end(args);
    }
    return -1;
}

int error_prefix(struct error *e, const char *format, ...)
{
    if (e == NULL)
        return -1;
    struct error whole;
    va_list args;
    va_start(args, format);
    int written = vsnprintf(whole.text, sizeof whole.text, format, args);
    va_end(args);
    size_t used = written < 0 ? 0 : (size_t)written;
    if (used > sizeof whole.text - 1)
        used = sizeof whole.text - 1;
    (void)snprintf(whole.text + used, sizeof whole.text - used, ": %s", e->text); /* likewise */
    *e = whole;
    return -1;
}

const char *place_format(const struct place *p, char out[PLACE_SIZE])
{
    (void)snprintf(out, PLACE_SIZE, p->line == 0 ? "%s" : "%s:%u", p->file, p->line); /* cut */
    return out;
}

struct errors *errors_create(void)
{
    struct errors *e = calloc(1, sizeof *e);
    if (e == NULL)
        abort(); /* out of memory at the start */
    return e;
}

void errors_destroy(struct errors **errors)
{
    if (*errors == NULL)
        return;
    for (size_t i = 0; i < (*errors)->lines; i++)
        free((*errors)->line[i].text);
    for (size_t i = 0; i < (*errors)->known_count; i++) {
        free((*errors)->known[i].path);
        free((*errors)->known[i].file);
    }
    free((*errors)->known);
    free(*errors);
    *errors = NULL;
}

void errors_know(struct errors *e, const char *path, const struct place *at)
{
    if (e->known_count == e->known_room) {
        e->known_room = e->known_room * 2 + 64;
        e->known = realloc(e->known, e->known_room * sizeof *e->known);
        if (e->known == NULL)
            abort(); /* out of memory at the start */
    }
    struct known *k = &e->known[e->known_count++];
    *k = (struct known){strdup(path), strdup(at->file), at->line};
    if (k->path == NULL || k->file == NULL)
        abort(); /* likewise */
}

/* The place of the key that the text is about, or else `at`. */
static struct place find_place(const struct errors *e, const char *text, const struct place *at)
{
    size_t size = strcspn(text, ": ");
    for (size_t i = 0; i < e->known_count && text[size] == ':'; i++)
        if (strncmp(e->known[i].path, text, size) == 0 && e->known[i].path[size] == '\0')
            return (struct place){e->known[i].file, e->known[i].line};
    return *at;
}

__attribute__((format(printf, 4, 0))) static void add(struct errors *e, enum finding kind,
                                                      const struct place *at, const char *format,
                                                      va_list args)
{
    struct error text;
    char where[PLACE_SIZE];
    e->count[kind]++;
    if (e->lines == MAX_LINES)
        return;
    (void)vsnprintf(text.text, sizeof text.text, format, args); /* cut to fit is what we want */
    if (at != NULL) {
        const struct place place = find_place(e, text.text, at);
        (void)error_prefix(&text, "%s", place_format(&place, where));
    }
    char *copy = strdup(text.text);
    if (copy == NULL)
        abort(); /* out of memory at the start */
    e->line[e->lines].kind = kind;
    e->line[e->lines].text = copy;
    e->lines++;
}

void errors_add(struct errors *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(e, FINDING_ERROR, NULL, format, args);
    va_end(args);
}

void errors_warn(struct errors *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(e, FINDING_WARNING, NULL, format, args);
    va_end(args);
}

void errors_add_at(struct errors *e, const struct place *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(e, FINDING_ERROR, at, format, args);
    va_end(args);
}

void errors_warn_at(struct errors *e, const struct place *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(e, FINDING_WARNING, at, format, args);
    va_end(args);
}

void errors_note(struct errors *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(e, FINDING_NOTE, NULL, format, args);
    va_end(args);
}

void errors_note_at(struct errors *e, const struct place *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(e, FINDING_NOTE, at, format, args);
    va_end(args);
}

size_t errors_count(const struct errors *e)
{
    return e->count[FINDING_ERROR];
}

size_t warnings_count(const struct errors *e)
{
    return e->count[FINDING_WARNING];
}

void errors_each(const struct errors *e, void (*show)(void *owner, enum finding kind, const char *),
                 void *owner)
{
    for (size_t i = 0; i < e->lines; i++)
        show(owner, e->line[i].kind, e->line[i].text);
}
