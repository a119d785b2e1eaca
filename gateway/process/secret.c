#include "process/secret.h"

#include "base/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEW_SIZE = 32 }; /* octets; written as twice as many hexadecimal digits */

static void own_path(const struct config *c, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/secret", c->state_dir); /* cut: open says so */
}

static bool is_own(const struct config *c)
{
    return c->secret[0] == '\0';
}

/* Opens a plain file; a pipe would keep us waiting. Returns the descriptor, or -1 and why. */
static int open_file(const struct config *c, const char *path, struct stat *s, struct error *why)
{
    int fd = is_own(c) ? own_file_open(path, why) : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return is_own(c) ? -1 : error_set(why, "%s: %s", path, strerror(errno));
    if (fstat(fd, s) == 0 && S_ISREG(s->st_mode))
        return fd;
    (void)close(fd); /* only read */
    return error_set(why, "%s is no plain file", path);
}

/* The octets of the file, without a line's end behind them. Returns 0, or -1 and why. */
static int read_file(int fd, const char *path, struct secret *out, struct error *why)
{
    ssize_t got = read(fd, out->bytes, sizeof out->bytes);
    if (got < 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    out->size = (size_t)got;
    while (out->size > 0 && strchr("\r\n", out->bytes[out->size - 1]) != NULL &&
           out->bytes[out->size - 1] != '\0')
        out->size--;
    if (out->size < SECRET_MIN)
        return error_set(why,
                         "%s holds %zu octets, at least %d are needed; make it with: openssl "
                         "rand -hex 32",
                         path, out->size, SECRET_MIN);
    return 0;
}

/* As text: octets as they fall could end with what looks like a line's end. */
static void make(struct secret *out)
{
    unsigned char random[NEW_SIZE];
    out->is_new = getrandom(random, sizeof random, 0) == NEW_SIZE; /* never shorter up to 256 */
    out->size = out->is_new ? (size_t)2 * NEW_SIZE : 0;
    for (size_t i = 0; i < out->size; i++)
        out->bytes[i] =
            (unsigned char)"0123456789abcdef"[random[i / 2] >> (i % 2 == 0 ? 4 : 0) & 0xf];
    explicit_bzero(random, sizeof random);
}

void secret_prepare(const struct config *c, struct secret *out, struct errors *errors)
{
    const struct place at = config_place(c, "secret");
    char own[PATH_MAX];
    const char *path = is_own(c) ? own : c->secret;
    struct stat s;
    struct error why;
    *out = (struct secret){.size = 0};
    own_path(c, own);
    if (is_own(c) && access(path, F_OK) < 0 && errno == ENOENT) {
        make(out);
        return;
    }
    int fd = open_file(c, path, &s, &why);
    if (fd < 0 || read_file(fd, path, out, &why) < 0)
        errors_add_at(errors, &at, "secret: %s", why.text);
    else if ((s.st_mode & S_IROTH) != 0)
        errors_warn_at(errors, &at, "secret: %s can be read by everybody; chmod 600 it", path);
    if (fd >= 0)
        (void)close(fd); /* only read */
}

int secret_keep(struct secret *s, const struct config *c, struct error *why)
{
    char path[PATH_MAX];
    unsigned char line[SECRET_MAX + 1];
    if (!s->is_new)
        return 0;
    own_path(c, path);
    memcpy(line, s->bytes, s->size);
    line[s->size] = '\n';
    int failed = own_file_write(path, span_make((const char *)line, s->size + 1), why);
    explicit_bzero(line, sizeof line);
    s->is_new = failed;
    return failed;
}

struct span secret_bytes(const struct secret *s)
{
    return span_make((const char *)s->bytes, s->size);
}

void secret_forget(struct secret *s)
{
    explicit_bzero(s->bytes, sizeof s->bytes);
    s->size = 0;
}
