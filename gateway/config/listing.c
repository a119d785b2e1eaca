#include "config/listing.h"

#include "base/sealed.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* It is read by its offset: whoever has opened it may look at it, too. */
char *listing_octets(int fd, const char *path, size_t max, size_t *size, struct errors *errors)
{
    const struct place at = {path, 0};
    struct stat is;
    if (fstat(fd, &is) < 0 || !S_ISREG(is.st_mode)) {
        errors_add_at(errors, &at, "is no file");
        return NULL;
    }
    if ((size_t)is.st_size > max) {
        errors_add_at(errors, &at, "is larger than %zu MiB", max >> 20);
        return NULL;
    }
    char *text = malloc((size_t)is.st_size + 1);
    ssize_t got = 1;
    *size = 0;
    while (text != NULL && got != 0 && *size < (size_t)is.st_size) {
        got = pread(fd, text + *size, (size_t)is.st_size - *size, (off_t)*size);
        if (got < 0 && errno != EINTR)
            break;
        *size += got > 0 ? (size_t)got : 0;
    }
    if (text != NULL && got >= 0)
        return text;
    errors_add_at(errors, &at, "%s", text == NULL ? "out of memory" : strerror(errno));
    free(text);
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without a comment and blanks at its ends. */
static struct span uncomment(struct span line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] == '#' && (i == 0 || is_blank(line.data[i - 1])))
            line.size = i;
    return span_trim(line);
}

static bool has_control(struct span line)
{
    for (size_t i = 0; i < line.size; i++)
        if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7f)
            return true;
    return false;
}

/* Each parts a line. They return what is wrong, or NULL. */
typedef const char *part_fn(struct span line, struct listing_line *out);

static const char *name(struct span line, struct listing_line *out)
{
    out->key = line;
    out->value = span_make("", 0);
    return NULL;
}

static const char *part(struct span line, struct listing_line *out)
{
    size_t colon = 0;
    while (colon < line.size &&
           (line.data[colon] != ':' || (colon + 1 < line.size && !is_blank(line.data[colon + 1]))))
        colon++;
    if (colon == line.size)
        return "write it as \"KEY: value\", with a blank behind the colon";
    out->key = span_trim(span_make(line.data, colon));
    out->value = span_trim(span_make(line.data + colon + 1, line.size - colon - 1));
    if (out->key.size == 0)
        return "nothing stands before the colon";
    return out->value.size == 0 ? "nothing stands behind the colon" : NULL;
}

static const char *look_at(struct span line, part_fn *fn, struct listing_line *out)
{
    if (line.size > LISTING_LINE_MAX)
        return "the line is too long";
    if (has_control(line) || !utf8_is_valid(line))
        return "the line has control characters in it, or is not UTF-8";
    return fn(line, out);
}

static void read_lines(int fd, const char *path, part_fn *fn,
                       void (*take)(void *owner, const struct listing_line *line), void *owner,
                       struct errors *errors)
{
    struct listing_line line = {.at = {path, 0}};
    size_t size;
    char *text = listing_octets(fd, path, LISTING_MAX, &size, errors);
    struct span rest = span_make(text == NULL ? "" : text, text == NULL ? 0 : size);
    if (rest.size >= 3 && memcmp(rest.data, "\xef\xbb\xbf", 3) == 0)
        span_skip(&rest, 3); /* as some editors begin a file */
    while (rest.size > 0) {
        struct span found = span_split(&rest, '\n');
        line.at.line++;
        if (found.size > 0 && found.data[found.size - 1] == '\r')
            found.size--;
        found = uncomment(found);
        if (found.size == 0)
            continue;
        const char *wrong = look_at(found, fn, &line);
        if (wrong != NULL)
            errors_add_at(errors, &line.at, "%s", wrong);
        else
            take(owner, &line);
    }
    free(text);
}

void listing_read(int fd, const char *path,
                  void (*take)(void *owner, const struct listing_line *line), void *owner,
                  struct errors *errors)
{
    read_lines(fd, path, part, take, owner, errors);
}

void listing_read_names(int fd, const char *path,
                        void (*take)(void *owner, const struct listing_line *line), void *owner,
                        struct errors *errors)
{
    read_lines(fd, path, name, take, owner, errors);
}

int listing_seal(struct lookup_builder *b, const char *title, const char *path, size_t *count,
                 struct errors *errors)
{
    struct buffer bytes = {.limit = 2 * LISTING_MAX};
    struct error why;
    unsigned lines[2];
    int fd = -1;
    if (lookup_build(b, &bytes, lines) == 0) {
        const struct lookup l = {buffer_bytes(&bytes).data, bytes.size};
        *count = lookup_count(l) + lookup_pattern_count(l);
        fd = sealed_make(title, buffer_bytes(&bytes), &why);
        if (fd < 0)
            errors_add_at(errors, &(struct place){path, 0}, "%s", why.text);
    } else if (lines[0] != 0) {
        errors_add_at(errors, &(struct place){path, lines[1]},
                      "the name is that of line %u already", lines[0]);
    } else {
        errors_add_at(errors, &(struct place){path, 0}, "out of memory");
    }
    buffer_clear(&bytes);
    return fd;
}

int listing_make(const struct listing *l, size_t *count, struct errors *errors)
{
    size_t before = errors_count(errors);
    int fd = -1;
    *l->builder = lookup_builder_create();
    if (*l->builder == NULL)
        errors_add_at(errors, &(struct place){l->path, 0}, "out of memory");
    else
        (l->is_of_names ? listing_read_names : listing_read)(l->fd, l->path, l->take, l->owner,
                                                             errors);
    if (errors_count(errors) == before)
        fd = listing_seal(*l->builder, l->title, l->path, count, errors);
    lookup_builder_destroy(l->builder);
    return fd;
}
