#include "config/source.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 10, SIZE_LIMIT = 8 * 1024 * 1024, FILES_MAX = 256, LINES_MAX = 200000 };

struct line {
    unsigned short file;
    unsigned number;
};

struct source {
    struct buffer text;
    char *folder;
    char *files[FILES_MAX];
    size_t file_count;
    struct line *lines;
    size_t line_count;
    bool is_in_comment; /* at the end of the text so far */
};

static int read_file(struct source *s, const char *path, const struct place *from, int depth,
                     struct errors *errors);

/* Follows the comments that go over lines. */
static void follow_comment(struct source *s, struct span text)
{
    bool is_in_text = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i], next = i + 1 < text.size ? text.data[i + 1] : '\0';
        if (s->is_in_comment) {
            s->is_in_comment = c != '*' || next != '/';
            i += !s->is_in_comment;
        } else if (is_in_text) {
            i += c == '\\';
            is_in_text = c != '"';
        } else if (c == '#' || (c == '/' && next == '/')) {
            return;
        } else if (c == '/' && next == '*') {
            s->is_in_comment = true;
            i++;
        } else {
            is_in_text = c == '"';
        }
    }
}

/* One line of the text, which ends it with a newline. */
static int add_line(struct source *s, size_t file, unsigned number, struct span text)
{
    follow_comment(s, text);
    if (s->line_count == LINES_MAX || buffer_append(&s->text, text) < 0 ||
        buffer_append(&s->text, span_of("\n")) < 0)
        return -1;
    s->lines[s->line_count++] = (struct line){(unsigned short)file, number};
    return 0;
}

/* Is the line `@include "path"`? The path is copied into `out`. */
static bool is_include(struct span line, char *out, size_t room)
{
    line = span_trim(line);
    if (!span_starts_nocase(line, "@include"))
        return false;
    span_skip(&line, strlen("@include"));
    line = span_trim(line);
    if (line.size < 2 || line.data[0] != '"' || line.size >= room)
        return false;
    span_skip(&line, 1);
    const char *end = memchr(line.data, '"', line.size);
    if (end == NULL)
        return false;
    (void)span_copy(span_make(line.data, (size_t)(end - line.data)), out, room); /* fits */
    return true;
}

static int add_file(struct source *s, FILE *stream, size_t file, int depth, struct errors *errors)
{
    char *line = NULL, name[1024];
    size_t room = 0;
    unsigned number = 0;
    int outcome = 0;
    ssize_t size;
    while (outcome == 0 && (size = getline(&line, &room, stream)) >= 0) {
        struct span text = span_make(line, (size_t)size);
        struct place here = {s->files[file], ++number};
        while (text.size > 0 &&
               (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
            text.size--;
        if (memchr(text.data, '\0', text.size) != NULL) {
            errors_add_at(errors, &here, "a NUL byte: this is no text file");
            outcome = -1;
        } else if (!s->is_in_comment && is_include(text, name, sizeof name)) {
            char *path = NULL;
            if (asprintf(&path, name[0] == '/' ? "%s%s" : "%s/%s", name[0] == '/' ? "" : s->folder,
                         name) < 0)
                abort(); /* out of memory at the start */
            outcome = read_file(s, path, &here, depth + 1, errors);
            free(path);
        } else if (add_line(s, file, number, text) < 0) {
            errors_add_at(errors, &here, "the configuration is larger than 8 MiB or %d lines",
                          LINES_MAX);
            outcome = -1;
        }
    }
    free(line);
    return outcome;
}

static int read_file(struct source *s, const char *path, const struct place *from, int depth,
                     struct errors *errors)
{
    if (depth > DEPTH_MAX || s->file_count == FILES_MAX) {
        errors_add_at(errors, from, "%s: includes are nested too deeply, or in a circle", path);
        return -1;
    }
    FILE *stream = fopen(path, "re");
    if (stream == NULL) {
        errors_add_at(errors, from, "%s: %s", path, strerror(errno));
        return -1;
    }
    if ((s->files[s->file_count] = strdup(path)) == NULL)
        abort(); /* out of memory at the start */
    int outcome = add_file(s, stream, s->file_count++, depth, errors);
    if (outcome == 0 && ferror(stream)) {
        errors_add_at(errors, from, "%s: %s", path, strerror(errno));
        outcome = -1;
    }
    (void)fclose(stream); /* was only read */
    return outcome;
}

struct source *source_read(const char *file, struct errors *errors)
{
    struct source *s = calloc(1, sizeof *s);
    char *copy = strdup(file);
    if (s == NULL || copy == NULL || (s->folder = strdup(dirname(copy))) == NULL ||
        (s->lines = calloc(LINES_MAX, sizeof *s->lines)) == NULL)
        abort(); /* out of memory at the start */
    free(copy);
    s->text.limit = SIZE_LIMIT;
    if (read_file(s, file, NULL, 0, errors) < 0 || buffer_append(&s->text, span_make("", 1)) < 0)
        source_destroy(&s);
    return s;
}

void source_destroy(struct source **source)
{
    if (*source == NULL)
        return;
    for (size_t i = 0; i < (*source)->file_count; i++)
        free((*source)->files[i]);
    buffer_clear(&(*source)->text);
    free((*source)->folder);
    free((*source)->lines);
    free(*source);
    *source = NULL;
}

const char *source_text(const struct source *s)
{
    return buffer_bytes(&s->text).data;
}

struct place source_place(const struct source *s, unsigned line)
{
    if (line == 0 || s->line_count == 0)
        return (struct place){s->files[0], 0};
    if (line > s->line_count)
        line = (unsigned)s->line_count;
    return (struct place){s->files[s->lines[line - 1].file], s->lines[line - 1].number};
}
