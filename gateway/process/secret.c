#include "process/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEW_SIZE = 32 }; /* octets; written as twice as many hexadecimal digits */

/* In state_dir; `suffix` is for the one that is being written. */
static void own_path(const struct config *c, const char *suffix, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/secret%s", c->state_dir, suffix); /* cut: open says so */
}

static bool is_own(const struct config *c)
{
    return c->secret[0] == '\0';
}

/* Opens a plain file; a pipe would keep us waiting. In state_dir, where others may write, it must
 * be ours and no link. Returns the descriptor, or -1 and why. */
static int open_file(const struct config *c, const char *path, struct stat *s, struct error *why)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | (is_own(c) ? O_NOFOLLOW : 0));
    if (fd < 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (fstat(fd, s) < 0 || !S_ISREG(s->st_mode))
        (void)error_set(why, "%s is no plain file", path);
    else if (is_own(c) && s->st_uid != geteuid())
        (void)error_set(why, "%s belongs to uid %u; remove it", path, s->st_uid);
    else
        return fd;
    (void)close(fd); /* only read */
    return -1;
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
    own_path(c, "", own);
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

/* Under another name first: nobody finds half of it. */
int secret_keep(struct secret *s, const struct config *c, struct error *why)
{
    char path[PATH_MAX], draft[PATH_MAX];
    if (!s->is_new)
        return 0;
    own_path(c, "", path);
    own_path(c, ".new", draft);
    (void)unlink(draft); /* of a start that was cut off */
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_good = fd >= 0 && write(fd, s->bytes, s->size) == (ssize_t)s->size &&
                   write(fd, "\n", 1) == 1 && fsync(fd) == 0;
    is_good = is_good && rename(draft, path) == 0;
    if (!is_good)
        (void)error_set(why, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* it is on the disk */
    s->is_new = !is_good;
    return is_good ? 0 : -1;
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
