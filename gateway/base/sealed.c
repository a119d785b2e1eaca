#include "base/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW };

static int fill(int fd, struct span bytes)
{
    while (bytes.size > 0) {
        ssize_t written = write(fd, bytes.data, bytes.size);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0)
            span_skip(&bytes, (size_t)written);
    }
    return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL);
}

int sealed_make(const char *name, struct span bytes, struct error *why)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && fill(fd, bytes) == 0)
        return fd;
    (void)error_set(why, "memfd: %s", strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* it is of no use */
    return -1;
}

int sealed_map(struct sealed *s, int fd, struct error *why)
{
    struct stat is;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return error_set(why, "it is not sealed");
    if (fstat(fd, &is) < 0 || is.st_size == 0)
        return error_set(why, "it is empty");
    void *at = mmap(NULL, (size_t)is.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return error_set(why, "mmap: %s", strerror(errno));
    sealed_unmap(s);
    s->bytes = span_make(at, (size_t)is.st_size);
    return 0;
}

void sealed_unmap(struct sealed *s)
{
    if (s->bytes.size > 0)
        (void)munmap((void *)(uintptr_t)s->bytes.data, s->bytes.size); /* it was mapped */
    s->bytes = (struct span){NULL, 0};
}
