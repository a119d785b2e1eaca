#include "base/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A pipe would keep us waiting. */
int own_file_open(const char *path, struct error *why)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (fstat(fd, &s) < 0 || !S_ISREG(s.st_mode))
        (void)error_set(why, "%s is no plain file", path);
    else if (s.st_uid != geteuid())
        (void)error_set(why, "%s belongs to uid %u; remove it", path, s.st_uid);
    else
        return fd;
    (void)close(fd); /* only read */
    errno = EPERM;
    return -1;
}

char *own_file_read(const char *path, size_t max, size_t *size, struct error *why)
{
    struct stat s = {.st_size = 0};
    int fd = own_file_open(path, why);
    if (fd < 0)
        return NULL;
    char *bytes = NULL;
    ssize_t got = -1;
    if (fstat(fd, &s) < 0 || (size_t)s.st_size > max)
        (void)error_set(why, "%s is larger than it can be", path);
    else if ((bytes = malloc((size_t)s.st_size + 1)) == NULL ||
             (got = read(fd, bytes, (size_t)s.st_size)) < 0)
        (void)error_set(why, "%s: %s", path, strerror(errno));
    (void)close(fd); /* only read */
    if (got < 0) {
        free(bytes);
        errno = EIO;
        return NULL;
    }
    *size = (size_t)got;
    return bytes;
}

static int write_all(int fd, struct span bytes)
{
    while (bytes.size > 0) {
        ssize_t written = write(fd, bytes.data, bytes.size);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0)
            span_skip(&bytes, (size_t)written);
    }
    return fsync(fd);
}

int own_file_write(const char *path, struct span bytes, struct error *why)
{
    char draft[PATH_MAX];
    if (snprintf(draft, sizeof draft, "%s.new", path) >= (int)sizeof draft)
        return error_set(why, "%s: %s", path, strerror(ENAMETOOLONG));
    (void)unlink(draft); /* of a time that was cut off */
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int failed = fd < 0 || write_all(fd, bytes) < 0 || rename(draft, path) < 0;
    if (failed)
        (void)error_set(why, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* it is on the disk */
    return failed ? -1 : 0;
}
