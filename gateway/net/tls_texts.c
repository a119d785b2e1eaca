#include "net/tls_texts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What stands before the texts: the size of each. */
struct sizes {
    uint64_t of[TLS_TEXTS_MAX];
};

/* Whoever shares the descriptor shares its position too: it isn't used. Reads `size` octets at
 * `at`, and a NUL behind them. */
static int read_text(int fd, off_t at, size_t size, struct tls_text *out, struct error *why)
{
    size_t have = 0;
    out->bytes = malloc(size + 1);
    if (out->bytes == NULL)
        return error_set(why, "out of memory");
    out->size = size;
    while (have < size) {
        ssize_t got = pread(fd, out->bytes + have, size - have, at + (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return error_set(why, "%s", got < 0 ? strerror(errno) : "it changes while it is read");
        have += (size_t)got;
    }
    out->bytes[size] = '\0';
    return 0;
}

int tls_texts_read(struct tls_texts *t, size_t i, const char *file, struct error *why)
{
    struct stat s;
    int failed = -1;
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe would keep us waiting */
    if (fd < 0)
        return error_set(why, "%s", strerror(errno));
    if (fstat(fd, &s) < 0 || !S_ISREG(s.st_mode))
        (void)error_set(why, "it is no plain file");
    else if (s.st_size > TLS_TEXT_MAX)
        (void)error_set(why, "it is larger than %d MiB", TLS_TEXT_MAX >> 20);
    else
        failed = read_text(fd, 0, (size_t)s.st_size, &t->texts[i], why);
    (void)close(fd); /* only read */
    if (failed < 0) {
        free(t->texts[i].bytes);
        t->texts[i] = (struct tls_text){.size = 0};
    }
    return failed;
}

static int write_all(int fd, const void *bytes, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t taken = write(fd, (const char *)bytes + sent, size - sent);
        if (taken < 0 && errno != EINTR)
            return -1;
        sent += taken < 0 ? 0 : (size_t)taken;
    }
    return 0;
}

int tls_texts_pack(const struct tls_texts *t, struct error *why)
{
    struct sizes sizes;
    int fd = memfd_create("porteiro-tls", MFD_CLOEXEC);
    for (size_t i = 0; i < TLS_TEXTS_MAX; i++)
        sizes.of[i] = t->texts[i].size;
    int failed = fd < 0 || write_all(fd, &sizes, sizeof sizes) < 0;
    for (size_t i = 0; i < TLS_TEXTS_MAX && !failed; i++)
        failed = write_all(fd, t->texts[i].bytes, t->texts[i].size) < 0;
    if (!failed)
        return fd;
    (void)error_set(why, "%s", strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* nobody has it */
    return -1;
}

int tls_texts_unpack(struct tls_texts *t, int fd, struct error *why)
{
    struct sizes sizes;
    off_t at = sizeof sizes;
    *t = (struct tls_texts){.texts = {{NULL, 0}}};
    if (pread(fd, &sizes, sizeof sizes, 0) != (ssize_t)sizeof sizes)
        return error_set(why, "what was handed on is cut off");
    for (size_t i = 0; i < TLS_TEXTS_MAX; i++) {
        if (sizes.of[i] > TLS_TEXT_MAX ||
            (sizes.of[i] > 0 && read_text(fd, at, (size_t)sizes.of[i], &t->texts[i], why) < 0)) {
            tls_texts_clear(t);
            return -1;
        }
        at += (off_t)sizes.of[i];
    }
    return 0;
}

void tls_texts_clear(struct tls_texts *t)
{
    for (size_t i = 0; i < TLS_TEXTS_MAX; i++) {
        if (t->texts[i].bytes != NULL)
            explicit_bzero(t->texts[i].bytes, t->texts[i].size);
        free(t->texts[i].bytes);
    }
    *t = (struct tls_texts){.texts = {{NULL, 0}}};
}
