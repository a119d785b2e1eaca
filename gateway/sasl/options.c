#include "sasl/options.h"

#include "base/buffer.h"
#include "config/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { TEXT_MAX = 64 * 1024 };

/* The library asks by name, without a context: of the process as the library itself. Key and value
 * in turn, each with its NUL: the file's, then the configuration's. */
static struct buffer text = {.limit = TEXT_MAX};

static int add(struct span key, struct span value)
{
    const struct span end = span_make("", 1);
    return buffer_append(&text, key) < 0 || buffer_append(&text, end) < 0 ||
                   buffer_append(&text, value) < 0 || buffer_append(&text, end) < 0
               ? -1
               : 0;
}

static void take_line(void *owner, const struct listing_line *line)
{
    *(int *)owner |= add(line->key, line->value);
}

static void take_error(void *owner, enum finding kind, const char *what)
{
    struct error *why = owner;
    if (kind == FINDING_ERROR && why->text[0] == '\0')
        (void)error_set(why, "%s", what);
}

static int read_file(const char *path, struct error *why)
{
    struct errors *errors = errors_create();
    struct error first = {.text = ""};
    int is_full = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        (void)error_set(&first, "%s: %s", path, strerror(errno));
    } else {
        listing_read(fd, path, take_line, &is_full, errors);
        (void)close(fd); /* was only read */
    }
    errors_each(errors, take_error, &first);
    errors_destroy(&errors);
    if (is_full)
        (void)error_set(&first, "%s: is too long", path);
    return first.text[0] == '\0' ? 0 : error_set(why, "%s", first.text);
}

int options_read(const struct config *config, struct error *why)
{
    const struct auth_config *a = &config->auth;
    options_forget();
    if (a->options_file[0] != '\0' && read_file(a->options_file, why) < 0)
        return -1;
    for (size_t i = 0; i < a->options.count; i++) {
        struct span value = span_of(a->options.items[i]), key = span_split(&value, '=');
        if (add(key, value) < 0)
            return error_set(why, "auth.options: they are too long");
    }
    return 0;
}

void options_forget(void)
{
    buffer_clear(&text);
}

const char *options_find(const char *key)
{
    struct span rest = buffer_bytes(&text);
    while (rest.size > 0) {
        struct span found = span_split(&rest, '\0'), value = span_split(&rest, '\0');
        if (span_equals(found, key))
            return value.data; /* its NUL follows */
    }
    return NULL;
}
